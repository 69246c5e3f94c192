// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "limits.h"

#include <string.h>

static int judged, broken;

static void print(const char *what, int ok, double measured, const char *sign,
		  double bound, double native)
{
	if (!have_emucount)
		return;
	judged++;
	broken += !ok;
	printf("limit %s %s: measured %g, must be %s %g", ok ? "kept" : "BROKEN",
	       what, measured, sign, bound);
	if (native >= 0)
		printf(", native %g", native);
	printf("\n");
}

void limit(const char *what, double measured, double most, double native)
{
	print(what, measured <= most, measured, "<=", most, native);
}

void goal(const char *what, double measured, double aimed_at)
{
	if (!have_emucount)
		return;
	printf("goal %s %s: measured %g, aimed at %g\n",
	       measured <= aimed_at ? "reached" : "missed", what, measured, aimed_at);
}

/* Another kernel, or what ran before in this boot, may make Linux itself slower. */
static bool is_6_1(void)
{
	return strncmp(kernel_release(), "6.1.", 4) == 0;
}

double limit_6_1(double most)
{
	return is_6_1() ? most : most * 1.05;
}

double limit_here(double most, double linux_takes, double native)
{
	double here = native + most - linux_takes;

	if (!is_6_1())
		return here;
	return native > linux_takes ? here : most;
}

void limit_exact(const char *what, double measured, double want)
{
	print(what, measured == want, measured, "=", want, -1);
}

void limit_exact_of(const char *operation, const char *event, double measured, double want)
{
	char what[128];

	snprintf(what, sizeof(what), "%s: %s", operation, event);
	limit_exact(what, measured, want);
}

void limit_unknown(const char *what, const char *why)
{
	if (!have_emucount)
		return;
	judged++;
	broken++;
	printf("limit BROKEN %s: %s\n", what, why);
}

long counters_named(const struct result *r, const char *part)
{
	enum where where;
	bool found = false;
	long sum = 0;

	for (int i = EVENTS_VM; i < NR_EVENTS; i++) {
		if (!strstr(event_name(i, &where), part))
			continue;
		found = true;
		sum += (int32_t)r->event[i];
	}
	return found ? sum : -1;
}

long vcpus_counter(const struct result *r, enum dune_vcpu_counter i)
{
	return (long)(int32_t)r->event[EVENTS_VCPU + i] +
	       (int32_t)r->event[EVENTS_VCPUS + i];
}

long vm_counter(const struct result *r, enum dune_vm_counter i)
{
	return (int32_t)r->event[EVENTS_VM + i];
}

int limits_end(void)
{
	if (!options.check)
		return 0;
	printf("limits: %d judged, %d broken\n", judged, broken);
	return broken || !judged ? 1 : 0;
}
