// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Memory of the machine and of this process; see scale.h. */
#include "test.h"

#include <string.h>
#include <sys/utsname.h>

#include "scale.h"

/* A field of such a file in kB. */
static long field_kb(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	size_t len = strlen(name);
	char line[256];
	long kb = -1;

	REQUIRE(f);
	while (kb < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			kb = atol(line + len + 1);
	fclose(f);
	REQUIRE(kb >= 0);
	return kb;
}

/* 0: this process has no vm. */
static uint64_t ept_tables(void)
{
	struct dune_stats stats;

	return opt.native || dune_stats(&stats) ? 0 : stats.vm[DUNE_VM_ept_tables];
}

struct memory memory_now(void)
{
	return (struct memory){
		.all_kb = -available_kb(),
		.slab_kb = field_kb("/proc/meminfo", "SUnreclaim"),
		.process_kb = field_kb("/proc/self/smaps_rollup", "Rss"),
		.host_tables_kb = field_kb("/proc/self/status", "VmPTE"),
		.ept_tables = ept_tables(),
	};
}

struct memory memory_since(const struct memory *before)
{
	struct memory now = memory_now();

	now.all_kb -= before->all_kb;
	now.slab_kb -= before->slab_kb;
	now.process_kb -= before->process_kb;
	now.host_tables_kb -= before->host_tables_kb;
	now.ept_tables -= before->ept_tables;
	return now;
}

static long each(long kb, long nr)
{
	return kb * 1024 / nr;
}

void report_each(const char *what, const struct memory *m, long nr)
{
	printf("    %-34s %8ld bytes; of these %ld of the process, %ld slab, %ld tables of Linux, %ld of the EPT\n",
	       what, each(m->all_kb, nr), each(m->process_kb, nr), each(m->slab_kb, nr),
	       each(m->host_tables_kb, nr), each(m->ept_tables * 4, nr));
}

bool is_debug_kernel(void)
{
	struct utsname name;

	REQUIRE(uname(&name) == 0);
	return strstr(name.release, "debug");
}
