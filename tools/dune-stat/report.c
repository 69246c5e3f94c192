// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See report.h. */
#include "report.h"

#include <json-c/json.h>

/* 1234567 as "1.23 M/s". */
static void rate(char *text, size_t size, double per_second)
{
	static const char units[] = " KMGTPE";
	unsigned int i = 0;

	while (per_second >= 1000 && i < sizeof(units) - 2) {
		per_second /= 1000;
		i++;
	}
	snprintf(text, size, "%.*f %c/s",
		 per_second >= 100 ? 0 : per_second >= 10 ? 1 : 2, per_second,
		 units[i]);
}

/* With a blank between groups of three digits. */
static void grouped(char *text, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);

	for (int i = 0; i < n; i++) {
		*text++ = digits[i];
		if (i < n - 1 && (n - 1 - i) % 3 == 0)
			*text++ = ' ';
	}
	*text = '\0';
}

static void row(const struct report *r, const struct counter *c, double seconds)
{
	char value[40], speed[40] = "";

	if (!c->value && r->zeros == REPORT_NO_ZEROS)
		return;
	grouped(value, c->value);
	if (!c->level && seconds > 0)
		rate(speed, sizeof(speed), c->value / seconds);
	fprintf(r->out, "%22s  %-15s %12s  # %s\n", value, c->name, speed,
		c->meaning);
}

static void table(const struct report *r, const struct counter *counters,
		  unsigned int nr, unsigned int nr_vcpu, double seconds)
{
	fprintf(r->out, "\n Dune counters of %s:\n\n", r->what);
	for (unsigned int i = 0; i < nr; i++) {
		if (i == nr_vcpu)
			fputc('\n', r->out);
		row(r, &counters[i], seconds);
	}
	fprintf(r->out, "\n%22.6f  seconds\n\n", seconds);
}

static struct json_object *object(const struct counter *counters,
				  unsigned int from, unsigned int to)
{
	struct json_object *o = json_object_new_object();

	for (unsigned int i = from; i < to; i++)
		json_object_object_add(o, counters[i].name,
				       json_object_new_uint64(counters[i].value));
	return o;
}

static void json(const struct report *r, const struct counter *counters,
		 unsigned int nr, unsigned int nr_vcpu, double seconds,
		 const struct sample *s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "what", json_object_new_string(r->what));
	json_object_object_add(o, "seconds", json_object_new_double(seconds));
	json_object_object_add(o, "live_vms",
			       json_object_new_uint64(s->header.nr_vms));
	json_object_object_add(o, "live_vcpus",
			       json_object_new_uint64(s->header.nr_vcpus));
	json_object_object_add(o, "vcpu", object(counters, 0, nr_vcpu));
	json_object_object_add(o, "vm", object(counters, nr_vcpu, nr));
	fprintf(r->out, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_SPACED));
	json_object_put(o);
}

void report_print(const struct report *r, const struct sample *a,
		  const struct sample *b)
{
	struct counter counters[2 * MAX_COUNTERS];
	double seconds = b->seconds - a->seconds;
	unsigned int nr, nr_vcpu;

	nr = sample_diff(a, b, counters, &nr_vcpu);
	if (r->form == REPORT_JSON)
		json(r, counters, nr, nr_vcpu, seconds, b);
	else
		table(r, counters, nr, nr_vcpu, seconds);
	fflush(r->out);
}
