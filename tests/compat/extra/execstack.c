// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Linked with -z execstack: code on the stack, and on the heap, may be executed. */
#include <string.h>

static const unsigned char returns_43[] = { 0xb8, 43, 0, 0, 0, 0xc3 };

int main(void)
{
	unsigned char code[64];
	int (*volatile fn)(void) = (int (*)(void))code;

	memcpy(code, returns_43, sizeof(returns_43));
	asm volatile("" : : "r" (code) : "memory");
	return fn();
}
