// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What is done against which bug, for every combination of what is known of
 * CPU and kernel; and the module parameter. Expectations are written from
 * KVM's side (vmenter.S and vmx.c of 6.1 and 6.12), not from the code's.
 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "mitigate_policy.h"

#define NR_FACTS 15
#define ALL_FACTS ((1u << NR_FACTS) - 1)
#define CAN (FACT_CAN_IBPB | FACT_CAN_IBRS | FACT_EXIT_IBPB)

/* ---- CPUs and command lines that exist ---- */

static const struct {
	const char *what;
	unsigned int facts, actions;
} machines[] = {
	{ "any CPU, mitigations=off", FACT_OFF | FACT_L1TF | FACT_L1TF_OFF | CAN, 0 },
	{ "nothing to mitigate", CAN, MITIGATE(GPRS) },
	{ "Skylake, old microcode: retpolines, MDS, L1TF",
	  FACT_RSB_VMEXIT | FACT_CLEAR_CPU_BUF | FACT_L1TF,
	  MITIGATE(GPRS) | MITIGATE(RSB) | MITIGATE(VERW) | MITIGATE(L1D_COND) },
	{ "Skylake: IBRS against retbleed",
	  FACT_RSB_VMEXIT | FACT_KERNEL_IBRS | FACT_CLEAR_CPU_BUF | FACT_L1TF |
	  FACT_USE_IBPB | CAN,
	  MITIGATE(GPRS) | MITIGATE(RSB) | MITIGATE(IBRS) | MITIGATE(VERW) |
	  MITIGATE(L1D_COND) | MITIGATE(IBPB) },
	{ "the same with l1tf=full",
	  FACT_RSB_VMEXIT | FACT_KERNEL_IBRS | FACT_CLEAR_CPU_BUF | FACT_L1TF |
	  FACT_L1TF_FULL | FACT_USE_IBPB | CAN,
	  MITIGATE(GPRS) | MITIGATE(RSB) | MITIGATE(IBRS) | MITIGATE(VERW) |
	  MITIGATE(L1D) | MITIGATE(IBPB) },
	{ "the same as a guest of a hypervisor that flushes",
	  FACT_RSB_VMEXIT | FACT_KERNEL_IBRS | FACT_CLEAR_CPU_BUF | FACT_L1TF |
	  FACT_SKIP_L1D_FLUSH | FACT_USE_IBPB | CAN,
	  MITIGATE(GPRS) | MITIGATE(RSB) | MITIGATE(IBRS) | MITIGATE(VERW) |
	  MITIGATE(IBPB) },
	{ "Cascade Lake: eIBRS with post-barrier RSB, BHI, TAA",
	  FACT_RSB_VMEXIT_LITE | FACT_BHB_LOOP | FACT_CLEAR_CPU_BUF |
	  FACT_USE_IBPB | CAN,
	  MITIGATE(GPRS) | MITIGATE(RSB_LITE) | MITIGATE(BHB) | MITIGATE(VERW) |
	  MITIGATE(IBPB) },
	{ "Ice Lake: MMIO stale data alone",
	  FACT_RSB_VMEXIT_LITE | FACT_BHB_LOOP | FACT_MMIO_STALE_DATA |
	  FACT_USE_IBPB | CAN,
	  MITIGATE(GPRS) | MITIGATE(RSB_LITE) | MITIGATE(BHB) | MITIGATE(VERW) |
	  MITIGATE(IBPB) },
	{ "Sapphire Rapids: BHI_DIS_S, no post-barrier RSB",
	  FACT_USE_IBPB | CAN, MITIGATE(GPRS) | MITIGATE(IBPB) },
	{ "Alder Lake N: RFDS",
	  FACT_CLEAR_CPU_BUF | FACT_USE_IBPB | CAN,
	  MITIGATE(GPRS) | MITIGATE(VERW) | MITIGATE(IBPB) },
	{ "spectre_v2=off, mds=full", FACT_CLEAR_CPU_BUF | CAN,
	  MITIGATE(GPRS) | MITIGATE(VERW) },
};

static void known_machines(void)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++)
		if (mitigate_decide(machines[i].facts) != machines[i].actions)
			check_fail("%s: %#x, not %#x", machines[i].what,
				   mitigate_decide(machines[i].facts),
				   machines[i].actions);
}

/* ---- every combination ---- */

static bool has(unsigned int set, unsigned int what)
{
	return (set & what) != 0;
}

static void check_one(unsigned int f)
{
	unsigned int a = mitigate_decide(f);
	bool l1d = has(f, FACT_L1TF) && !has(f, FACT_L1TF_OFF) &&
		   !has(f, FACT_SKIP_L1D_FLUSH);

	CHECK_EQ(has(a, MITIGATE(RSB)), has(f, FACT_RSB_VMEXIT | FACT_KERNEL_IBRS));
	CHECK_EQ(has(a, MITIGATE(RSB_LITE)),
		 has(f, FACT_RSB_VMEXIT_LITE) && !has(a, MITIGATE(RSB)));
	CHECK_EQ(has(a, MITIGATE(IBRS)), has(f, FACT_KERNEL_IBRS));
	CHECK_EQ(has(a, MITIGATE(BHB)), has(f, FACT_BHB_LOOP));
	CHECK_EQ(has(a, MITIGATE(VERW)),
		 has(f, FACT_CLEAR_CPU_BUF | FACT_MMIO_STALE_DATA));
	CHECK_EQ(has(a, MITIGATE(L1D)), l1d && has(f, FACT_L1TF_FULL));
	CHECK_EQ(has(a, MITIGATE(L1D_COND)), l1d && !has(f, FACT_L1TF_FULL));
	CHECK_EQ(has(a, MITIGATE(IBPB)), has(f, FACT_USE_IBPB));
	CHECK(!has(a, MITIGATE(VMSCAPE)));
	/* Whatever is done at an entry or exit, registers are cleared too. */
	CHECK_EQ(has(a, MITIGATE(GPRS)),
		 !has(f, FACT_OFF) || has(a, ~(MITIGATE(IBPB) | MITIGATE(GPRS))));
	CHECK_EQ(mitigate_l1tf_open(f, a), 0);
	CHECK_EQ(mitigate_l1tf_open(f, 0), l1d);
	CHECK_EQ(mitigate_l1tf_open(f, MITIGATE(GPRS) | MITIGATE(VERW)), l1d);
	CHECK_EQ(mitigate_l1tf_open(f, MITIGATE(L1D_COND)), 0);
	CHECK_EQ(mitigate_l1tf_open(f, MITIGATE(L1D)), 0);
}

static void every_combination(void)
{
	for (unsigned int f = 0; f <= ALL_FACTS && !check_failed(); f++)
		check_one(f);
}

/* ---- the parameter ---- */

static unsigned int parsed(const char *words, unsigned int facts)
{
	unsigned int actions = ~0u;

	CHECK_EQ(mitigate_parse(words, facts, &actions), 0);
	return actions;
}

static void words_stand_for_actions(void)
{
	static const unsigned int facts = FACT_CLEAR_CPU_BUF | CAN;

	CHECK_EQ(parsed("auto", facts), mitigate_decide(facts));
	CHECK_EQ(parsed("off", facts), 0);
	CHECK_EQ(parsed("auto,bhb", facts), mitigate_decide(facts) | MITIGATE(BHB));
	CHECK_EQ(parsed("bhb,auto", facts), mitigate_decide(facts) | MITIGATE(BHB));
	CHECK_EQ(parsed("gprs", facts), MITIGATE(GPRS));
	CHECK_EQ(parsed("verw", 0), MITIGATE(GPRS) | MITIGATE(VERW));
	CHECK_EQ(parsed("ibpb", facts), MITIGATE(IBPB));
	CHECK_EQ(parsed("rsb,rsb-lite", 0), MITIGATE(GPRS) | MITIGATE(RSB));
	CHECK_EQ(parsed("rsb-lite", 0), MITIGATE(GPRS) | MITIGATE(RSB_LITE));
	CHECK_EQ(parsed("l1d-cond,l1d", 0), MITIGATE(GPRS) | MITIGATE(L1D));
	CHECK_EQ(parsed("l1d-cond", 0), MITIGATE(GPRS) | MITIGATE(L1D_COND));
	CHECK_EQ(parsed("ibrs", facts),
		 MITIGATE(GPRS) | MITIGATE(RSB) | MITIGATE(IBRS));
	CHECK_EQ(parsed("vmscape", facts), MITIGATE(VMSCAPE));
}

static void nonsense_is_refused(void)
{
	static const char *const words[] = {
		"", ",", "rsb,", ",rsb", "rsb,,bhb", "on", "rs", "rsbs", "off,rsb",
		"rsb,off", "auto,x", "RSB", "rsb bhb",
	};
	unsigned int actions;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		actions = 1;
		if (mitigate_parse(words[i], ALL_FACTS, &actions) != -EINVAL)
			check_fail("\"%s\" is taken", words[i]);
		CHECK_EQ(actions, 0);
	}
}

static void what_the_cpu_lacks_is_refused(void)
{
	unsigned int actions;

	CHECK_EQ(mitigate_parse("ibrs", ALL_FACTS & ~FACT_CAN_IBRS, &actions),
		 -EOPNOTSUPP);
	CHECK_EQ(mitigate_parse("auto,ibpb", ALL_FACTS & ~FACT_CAN_IBPB, &actions),
		 -EOPNOTSUPP);
	CHECK_EQ(mitigate_parse("vmscape", ALL_FACTS & ~FACT_EXIT_IBPB, &actions),
		 -EOPNOTSUPP);
	CHECK_EQ(mitigate_parse("gprs,rsb,rsb-lite,bhb,verw,l1d,l1d-cond", 0, &actions), 0);
}

/* What is printed is what would be parsed; and nothing is written beyond. */
static void print_and_parse_agree(void)
{
	char text[128], small[8];
	unsigned int actions, again;
	int len;

	for (unsigned int f = 0; f <= ALL_FACTS && !check_failed(); f++) {
		actions = mitigate_decide(f);
		len = mitigate_print(text, sizeof(text), actions);
		CHECK_EQ(len, strlen(text));
		CHECK_EQ(mitigate_parse(text, f | CAN, &again), 0);
		CHECK_EQ(again, actions);
		CHECK_EQ(mitigate_print(small, sizeof(small), actions), len);
		CHECK_EQ(strncmp(small, text, sizeof(small) - 1), 0);
	}
}

int main(void)
{
	CASE(known_machines);
	CASE(every_combination);
	CASE(words_stand_for_actions);
	CASE(nonsense_is_refused);
	CASE(what_the_cpu_lacks_is_refused);
	CASE(print_and_parse_agree);
	return CHECK_EXIT();
}
