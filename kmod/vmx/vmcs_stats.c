// SPDX-License-Identifier: GPL-2.0-only
/* See vmcs_stats.h. Only in a build with DEBUG_VMCS=1. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <asm/vmx.h>

#include "vmcs_stats.h"

DEFINE_PER_CPU(struct vmcs_stats, vmcs_stats) = { .row = VMCS_STATS_LOAD };

static struct dentry *folder;

static const char *name_of(unsigned int row)
{
	static const struct {
		unsigned int reason;
		const char *name;
	} names[] = { VMX_EXIT_REASONS };
	unsigned int i;

	if (row == VMCS_STATS_LOAD)
		return "VMPTRLD";
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].reason == row)
			return names[i].name;
	return "OTHER";
}

static void show_row(struct seq_file *file, unsigned int row)
{
	u64 exits = 0, reads = 0, writes = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct vmcs_stats *s = per_cpu_ptr(&vmcs_stats, cpu);

		exits += READ_ONCE(s->rows[row].exits);
		reads += READ_ONCE(s->rows[row].reads);
		writes += READ_ONCE(s->rows[row].writes);
	}
	if (exits || reads || writes)
		seq_printf(file, "%u %s %llu %llu %llu\n", row, name_of(row),
			   exits, reads, writes);
}

static int vmcs_show(struct seq_file *file, void *unused)
{
	unsigned int row;

	seq_puts(file, "# reason name exits vmreads vmwrites\n");
	for (row = 0; row < VMCS_STATS_ROWS; row++)
		show_row(file, row);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmcs);

int vmcs_stats_setup(void)
{
	folder = debugfs_create_dir("dune", NULL);
	debugfs_create_file("vmcs", 0400, folder, NULL, &vmcs_fops);
	return 0;
}

void vmcs_stats_teardown(void)
{
	debugfs_remove(folder);
}
