/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Descriptor tables for a raw guest (rawvm.h) that takes its own exceptions
 * and interrupts. */
#ifndef TESTS_RAWIDT_H
#define TESTS_RAWIDT_H

#include "rawvm.h"

#define RAWIDT_USER_CS (6 << 3 | 3)
#define RAWIDT_USER_SS (5 << 3 | 3)

struct rawidt {
	uint64_t idt[512], gdt[16];
	struct {
		uint32_t reserved;
		uint64_t rsp[3], zero, ist[7];
		uint64_t more[2];
	} __attribute__((packed)) tss;
} __attribute__((aligned(4096)));

/* Segments of CPL 0 and 3; everything is taken on this stack. */
void rawidt_build(struct rawidt *t, void *stack_top);
/* The code for a vector, at CPL 0 and with IF = 0. */
void rawidt_gate(struct rawidt *t, unsigned int vector, const void *handler);
/* After rawvcpu_start(). */
void rawidt_use(struct rawidt *t, struct rawvm *vm, struct rawvcpu *vcpu);

#endif /* TESTS_RAWIDT_H */
