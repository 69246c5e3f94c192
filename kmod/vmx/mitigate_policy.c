// SPDX-License-Identifier: GPL-2.0-only
/* See mitigate_policy.h. */
#ifdef __KERNEL__
#include <linux/kernel.h>
#else
#include <stdio.h>
#endif
#include <linux/string.h>

#include "mitigate_policy.h"

static const char *const action_words[] = {
#define X(name, word) [MITIGATE_##name] = word,
	MITIGATE_ACTIONS(X)
#undef X
};

/* Those that make it the other entry code. */
#define AT_ENTRY_OR_EXIT (MITIGATE(RSB) | MITIGATE(RSB_LITE) | MITIGATE(IBRS) | \
			  MITIGATE(BHB) | MITIGATE(VERW) |		\
			  MITIGATE(L1D_COND) | MITIGATE(L1D))

/* Actions that contain or need others. */
static unsigned int complete(unsigned int actions)
{
	/* Before IBRS is written no RET may use what the guest left. */
	if (actions & MITIGATE(IBRS))
		actions |= MITIGATE(RSB);
	if (actions & MITIGATE(RSB))
		actions &= ~MITIGATE(RSB_LITE);
	if (actions & MITIGATE(L1D))
		actions &= ~MITIGATE(L1D_COND);
	if (actions & AT_ENTRY_OR_EXIT)
		actions |= MITIGATE(GPRS);
	return actions;
}

static unsigned int decide_l1d(unsigned int facts)
{
	if (!(facts & FACT_L1TF) || facts & (FACT_SKIP_L1D_FLUSH | FACT_L1TF_OFF))
		return 0;
	return facts & FACT_L1TF_FULL ? MITIGATE(L1D) : MITIGATE(L1D_COND);
}

bool mitigate_l1tf_open(unsigned int facts, unsigned int actions)
{
	return decide_l1d(facts) &&
	       !(actions & (MITIGATE(L1D) | MITIGATE(L1D_COND)));
}

unsigned int mitigate_decide(unsigned int facts)
{
	unsigned int actions = decide_l1d(facts);

	if (!(facts & FACT_OFF))
		actions |= MITIGATE(GPRS);
	if (facts & FACT_RSB_VMEXIT)
		actions |= MITIGATE(RSB);
	if (facts & FACT_RSB_VMEXIT_LITE)
		actions |= MITIGATE(RSB_LITE);
	if (facts & FACT_KERNEL_IBRS)
		actions |= MITIGATE(IBRS);
	if (facts & FACT_BHB_LOOP)
		actions |= MITIGATE(BHB);
	/*
	 * For the latter KVM asks whether the guest has a device. A process
	 * maps device memory when it likes: always.
	 */
	if (facts & (FACT_CLEAR_CPU_BUF | FACT_MMIO_STALE_DATA))
		actions |= MITIGATE(VERW);
	if (facts & FACT_USE_IBPB)
		actions |= MITIGATE(IBPB);
	/* Never VMSCAPE: the guest and the user mode behind it are one. */
	return complete(actions);
}

static unsigned int possible(unsigned int facts)
{
	unsigned int actions = (1u << NR_MITIGATE_ACTIONS) - 1;

	if (!(facts & FACT_CAN_IBRS))
		actions &= ~MITIGATE(IBRS);
	if (!(facts & FACT_CAN_IBPB))
		actions &= ~MITIGATE(IBPB);
	if (!(facts & FACT_EXIT_IBPB))
		actions &= ~MITIGATE(VMSCAPE);
	return actions;
}

static int same(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && !strncmp(word, name, len);
}

/* The set that a word stands for, or 0. */
static unsigned int of_word(const char *word, size_t len)
{
	unsigned int i;

	for (i = 0; i < NR_MITIGATE_ACTIONS; i++)
		if (same(word, len, action_words[i]))
			return 1u << i;
	return 0;
}

int mitigate_parse(const char *words, unsigned int facts, unsigned int *actions)
{
	unsigned int set = 0, add;
	size_t len;

	*actions = 0;
	if (!strcmp(words, "off"))
		return 0;
	for (;; words += len + 1) {
		len = strcspn(words, ",");
		if (same(words, len, "auto")) {
			set |= mitigate_decide(facts);
		} else {
			add = of_word(words, len);
			if (!add)
				return -EINVAL;
			if (add & ~possible(facts))
				return -EOPNOTSUPP;
			set |= add;
		}
		if (!words[len])
			break;
	}
	*actions = complete(set);
	return 0;
}

int mitigate_print(char *buf, size_t size, unsigned int actions)
{
	size_t at = 0;
	unsigned int i;

	if (!actions)
		return snprintf(buf, size, "off");
	for (i = 0; i < NR_MITIGATE_ACTIONS; i++)
		if (actions & (1u << i))
			at += snprintf(at < size ? buf + at : NULL,
				       at < size ? size - at : 0, "%s%s",
				       at ? "," : "", action_words[i]);
	return at;
}
