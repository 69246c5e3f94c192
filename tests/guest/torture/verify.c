// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The verifiers' rules. s1 is the page's state before an access, s2 after it.
 * States are announced so that these hold (torture.h), and none looks at the
 * clock:
 *
 *   stale read       a stamp older than s1's lowest generation: its page was
 *                    taken away, or written over, before the access began
 *   lost contents    zero, while s1 == s2 and zero is not allowed; or a word
 *                    of this verifier's own that is not what it wrote
 *   foreign page     neither zero nor a stamp of this place: the frame
 *                    belongs to somebody else by now
 *   access to what   success, while s1 == s2 says that the access must fault
 *   is not there
 *   refused access   a fault, while s1 == s2 says that it cannot
 */
#include "torture.h"
#include "test.h"

#include <sched.h>
#include <signal.h>
#include <string.h>

struct kept kept[MAX_VERIFIERS][MAX_PAGES];
struct tally tally[MAX_VERIFIERS + MAX_ANTAGONISTS];

/* The access a thread is making, for the signal handler. */
static __thread struct {
	volatile int active;
	unsigned int page;
	unsigned int may_fault;		/* bits that allow a fault */
	uint64_t state;
	unsigned int faults, refused;
	uint64_t give_up;
} probe;

static void die(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(4);
	_exit(3);
}

/* Returning retries the access: the claimant maps the page again soon. */
static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
	char *page = page_address(probe.page), *addr = info->si_addr;
	uint64_t state;

	if (!probe.active || addr < page || addr >= page + PAGE)
		die("FAILED: a fault at an address that is not under test\n");
	state = page_state(probe.page);
	if (state == probe.state && !(state & probe.may_fault))
		probe.refused++;
	probe.state = state;
	if (!probe.faults++)
		probe.give_up = deadline(60);
	if (now_ns() > probe.give_up)
		die("FAILED: an access faults for ever\n");
	sched_yield();
}

void verify_setup(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	REQUIRE(sigaction(SIGSEGV, &sa, NULL) == 0);
	REQUIRE(sigaction(SIGBUS, &sa, NULL) == 0);
}

static void probe_begin(unsigned int page, uint64_t state, unsigned int may_fault)
{
	probe.page = page;
	probe.state = state;
	probe.may_fault = may_fault;
	probe.faults = 0;
	probe.refused = 0;
	probe.active = 1;
	asm volatile("" ::: "memory");
}

static void probe_end(struct tally *t, const char *what)
{
	asm volatile("" ::: "memory");
	probe.active = 0;
	t->faults += probe.faults;
	if (probe.refused)
		FAIL("refused access: %s of page %u faulted %u times in state %llx",
		     what, probe.page, probe.refused,
		     (unsigned long long)probe.state);
}

static uint64_t load(struct tally *t, volatile uint64_t *word,
		     unsigned int page, uint64_t s1)
{
	uint64_t value;

	probe_begin(page, s1, ST_FAULT | ST_GONE);
	value = *word;
	probe_end(t, "a read");
	t->reads++;
	return value;
}

static void store(struct tally *t, volatile uint64_t *word, uint64_t value,
		  unsigned int page, uint64_t s1)
{
	probe_begin(page, s1, ST_FAULT | ST_GONE | ST_WFAULT | ST_RDONLY);
	*word = value;
	probe_end(t, "a write");
	t->writes++;
}

static void complain(const char *what, unsigned int page, unsigned int word,
		     uint64_t value, uint64_t s1, uint64_t s2)
{
	FAIL("%s: page %u word %u is %llx, states %llx and %llx, in %s mode", what,
	     page, word, (unsigned long long)value, (unsigned long long)s1,
	     (unsigned long long)s2, dune_inside() ? "Dune" : "plain");
}

void verify_read(int who, unsigned int page, uint64_t *seed)
{
	struct tally *t = &tally[who];
	unsigned int i = rnd(seed) % NR_STAMPS;
	uint64_t s1 = page_state(page);
	uint64_t value = load(t, word_of(page, i), page, s1);
	uint64_t s2 = page_state(page);
	uint32_t gen = value >> 32;

	t->firm_reads += s1 == s2;
	if (s1 == s2 && (s1 & ST_GONE))
		complain("read of what is not there", page, i, value, s1, s2);
	if (!value) {
		if (s1 == s2 && !(s1 & ST_ZERO))
			complain("lost contents", page, i, value, s1, s2);
	} else if (value != stamp_of(page, i, gen)) {
		complain("foreign page", page, i, value, s1, s2);
	} else if (gen < ST_MIN(s1)) {
		complain("stale read", page, i, value, s1, s2);
	}
}

void verify_some(int who, int n, uint64_t *seed)
{
	for (int i = 0; i < n; i++)
		verify_read(who, pick_page(AREA_ANY, seed), seed);
}

/* Counter values carry their writer, so that no other's is taken for them. */
static uint64_t first_value(int v)
{
	return (uint64_t)(v + 1) << 48;
}

void verify_write(int v, unsigned int page)
{
	struct tally *t = &tally[v];
	struct kept *k = &kept[v][page];
	unsigned int i = NR_STAMPS + v;
	volatile uint64_t *word = word_of(page, i);
	uint64_t s1 = page_state(page);
	uint64_t value = load(t, word, page, s1);
	uint64_t s2 = page_state(page);

	t->firm_reads += s1 == s2;
	if (s1 == s2 && (s1 & ST_GONE))
		complain("read of what is not there", page, i, value, s1, s2);
	/* Contents vanish only where the state says so, or has changed. */
	if (value != k->value &&
	    (value || (k->state == s2 && !(s2 & ST_ZERO))))
		complain(value == POISON ? "foreign page" : "lost write", page,
			 i, value, k->state, s2);
	value = (k->value ? k->value : first_value(v)) + 1;
	s1 = page_state(page);
	store(t, word, value, page, s1);
	s2 = page_state(page);
	t->firm_writes += s1 == s2;
	if (s1 == s2 && (s1 & (ST_GONE | ST_RDONLY)))
		complain("write to what may not be written", page, i, value, s1,
			 s2);
	k->state = s1;
	__atomic_store_n(&k->value, value, __ATOMIC_RELEASE);
}

/*
 * Pages of equal contents, each one verifier's: the kernel may let them share
 * a frame until the next write, which must change this page only.
 */
void verify_twin(int v, unsigned int page)
{
	struct tally *t = &tally[v];
	struct kept *k = &kept[v][page];
	volatile uint64_t *word = word_of(page, NR_STAMPS);
	uint64_t value = load(t, word, page, 0);

	t->firm_reads++;
	if (value != k->value)
		complain("lost write to a page that may be shared", page,
			 NR_STAMPS, value, k->value, 0);
	if (*word_of(page, 0))
		complain("stray write", page, 0, *word_of(page, 0), 0, 0);
	k->value = k->value == 1 ? 2 : 1;
	store(t, word, k->value, page, 0);
	t->firm_writes++;
}

/*
 * The claimant's look at a block that its writers may not write, mapped at
 * base. A writer tells of each value after it wrote it, so the word has what
 * was told, or one more; or zero, if the page was taken away since.
 */
void verify_frozen(struct block *b, char *base, const char *how)
{
	for (unsigned int n = 0; n < b->nr_pages; n += 3)
		for (int v = 0; v < nr_verifiers; v++) {
			struct kept *k = &kept[v][b->first_page + n];
			volatile uint64_t *word =
				word_in(base + n * PAGE, NR_STAMPS + v);
			uint64_t value = *word;
			uint64_t told = __atomic_load_n(&k->value, __ATOMIC_ACQUIRE);

			if (value && told && value != told && value != told + 1)
				FAIL("%s: lost write: page %u has %llx, writer %d told %llx",
				     how, b->first_page + n,
				     (unsigned long long)value, v,
				     (unsigned long long)told);
			spin(200);
			if (*word != value)
				FAIL("%s: written while no one may: page %u had %llx, has %llx",
				     how, b->first_page + n,
				     (unsigned long long)value,
				     (unsigned long long)*word);
		}
}
