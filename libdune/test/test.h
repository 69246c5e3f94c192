/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The smallest test frame: each case in a process of its own. */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)								\
	do {									\
		if (!(cond)) {							\
			fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__,	\
				__LINE__, __func__, #cond);			\
			exit(1);						\
		}								\
	} while (0)

#define CHECK_EQ(a, b)								\
	do {									\
		long long a_ = (long long)(a), b_ = (long long)(b);		\
										\
		if (a_ != b_) {							\
			fprintf(stderr, "%s:%d: %s: %s = %#llx, %s = %#llx\n",	\
				__FILE__, __LINE__, __func__, #a, a_, #b, b_);	\
			exit(1);						\
		}								\
	} while (0)

struct test_case {
	const char *name;
	void (*fn)(void);
	int status;		/* wait status expected; 0: success */
};

#define CASE(fn) { #fn, fn, 0 }

/* Returns main()'s value. setup runs in each child; false: skip. */
int test_main(const struct test_case *cases, unsigned int n, _Bool (*setup)(void));

#endif /* TEST_H */
