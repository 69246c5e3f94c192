// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The emulator's TLB sanitizer and guest page tables: sequences that flush what
 * they must give no report, and each with a flush left out or the wrong one
 * instead gives one. tlb_mark.h has the marks, docs/emulator.md the rules.
 *
 * A report that is wanted is not shown and is no error; any other one fails the
 * test, by itself, in the runner.
 */
#include "gtlbsan.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "emucount.h"

#define NR_PAGES 16	/* of the window; frames with contents */
#define MANY 1000	/* reports: more than any row gives */

struct world world;

static uint64_t count(enum emucount_id id)
{
	uint64_t sum = 0;

	for (unsigned int cpu = 0; cpu < emucount_nr_cpus(); cpu++)
		sum += emucount_read(cpu, id);
	return sum;
}

static void make_world(void)
{
	rawvm_create(&world.vm);
	world.mem = rawpt_memory(&world.vm, RAWPT_LARGE);
	world.mem_gpa = rawvm_gpa(&world.vm, world.mem);
	for (unsigned int i = 0; i < NR_PAGES; i++)
		memset(world.mem + i * RAWPT_PAGE, i + 1, 8);
	rawvm_map(&world.vm, &world);
	for (int i = 0; i < 2; i++) {
		rawpt_create(&world.vm, &world.root[i]);
		for (unsigned int k = 0; k < NR_PAGES; k++)
			world.root[i].pt[k] = frame(k) | RAWPT_P | RAWPT_W;
	}
}

struct job {
	const char *scene, *name;
	enum verdict want;
	void (*fn)(const void *);
	const void *arg;
};

static void run_job(void *arg)
{
	const struct job *job = arg;
	uint64_t errors = count(EMU_TLBSAN_ERRORS), found;

	pin_to(0);
	/* No huge page is made meanwhile, with a flush of the EPT. */
	REQUIRE(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	make_world();
	if (job->want == REPORT)
		emucount_expect(MANY);
	job->fn(job->arg);
	found = job->want == REPORT ? MANY - emucount_expect(0) :
				      count(EMU_TLBSAN_ERRORS) - errors;
	if (!CHECK((found > 0) == (job->want == REPORT)))
		printf("%s %s: %llu reports, wanted %s\n", job->scene, job->name,
		       (unsigned long long)found,
		       job->want == REPORT ? "some" : "none");
}

void row(const char *scene, const char *name, enum verdict want,
	 void (*fn)(const void *), const void *arg)
{
	struct job job = { scene, name, want, fn, arg };
	int status;

	opt.native = true;	/* no dune_init() in the child */
	status = run_child(LIMIT, run_job, &job);
	opt.native = false;
	emucount_expect(0);
	if (!CHECK_EQ(status, 0))
		printf("%s %s: child's status 0x%x\n", scene, name, status);
}

void guest_more(struct rawvcpu *vcpu)
{
	CHECK_EQ(rawvcpu_run(vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
}

void guest_prepare(struct rawvcpu *vcpu, uint64_t cr3, void (*fn)(void *),
		   const void *arg)
{
	rawvcpu_create(&world.vm, vcpu);
	rawvcpu_start(&world.vm, vcpu, fn, (void *)arg);
	vcpu->page->sregs.cr3 = cr3;
	for (int i = 0; i < 2; i++)
		rawpt_sync(&world.vm, &world.root[i]);
}

void guest_begin(struct rawvcpu *vcpu, uint64_t cr3, void (*fn)(void *),
		 const void *arg)
{
	guest_prepare(vcpu, cr3, fn, arg);
	guest_more(vcpu);
}

void guest_once(uint64_t cr3, void (*fn)(void *), const void *arg)
{
	struct rawvcpu vcpu;

	guest_begin(&vcpu, cr3, fn, arg);
	rawvcpu_destroy(&vcpu);
}

int main(int argc, char **argv)
{
	static const enum emucount_id seen[] = {
		EMU_GTLB_RECORDS, EMU_GTLB_REMOVALS, EMU_GTLB_DONES,
		EMU_GTLB_CONDEMNED,
	};
	const char *tlbsan = getenv("DUNE_TLBSAN");
	uint64_t before[sizeof(seen) / sizeof(*seen)];

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 20 });
	if (opt.native)
		SKIP("needs Dune mode: no guest page table, nothing to judge");
	if (!emucount_available() || (tlbsan && !strcmp(tlbsan, "0")))
		SKIP("no TLB sanitizer here");
	for (size_t i = 0; i < sizeof(seen) / sizeof(*seen); i++)
		before[i] = count(seen[i]);
	test_part("one", scenes_one);
	test_part("fault", scenes_fault);
	test_part("pcid", scenes_pcid);
	test_part("two", scenes_two);
	test_part("move", scenes_move);
	test_part("vpids", scenes_vpids);
	for (size_t i = 0; !opt.only && i < sizeof(seen) / sizeof(*seen); i++)
		CHECK(count(seen[i]) > before[i]);
	return test_end();
}
