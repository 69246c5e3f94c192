// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See layout.h. */
#include "layout.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define MARGIN		12.0
#define LINE		16.0
#define CPU_WIDTH	76.0
#define CPU_HEIGHT	22.0
#define CPU_GAP		4.0
#define CPUS_A_ROW	4
#define NODE_WIDTH	(CPUS_A_ROW * (CPU_WIDTH + CPU_GAP) - CPU_GAP + 2 * MARGIN)
#define PROCESS_LINES	5	/* of a node: tables, levels, vCPUs, memory, share */

struct maker {
	const struct view *v;
	const struct summary *s;
	struct layout *l;
	bool failed;
};

__attribute__((format(printf, 4, 5)))
static struct box *add(struct maker *k, enum box_kind kind, struct box at, const char *fmt, ...)
{
	struct layout *l = k->l;
	struct box *more;
	va_list args;

	if (l->nr == l->room) {
		more = reallocarray(l->boxes, l->room + 64, sizeof(*more));
		if (!more) {
			k->failed = true;
			return NULL;
		}
		l->boxes = more;
		l->room += 64;
	}
	at.kind = kind;
	va_start(args, fmt);
	vsnprintf(at.text, sizeof(at.text), fmt, args);
	va_end(args);
	if (at.x + at.width + MARGIN > l->width)
		l->width = at.x + at.width + MARGIN;
	if (at.y + at.height + MARGIN > l->height)
		l->height = at.y + at.height + MARGIN;
	l->boxes[l->nr] = at;
	return &l->boxes[l->nr++];
}

static struct box line_at(double x, double y, double width)
{
	return (struct box){ .x = x, .y = y, .width = width, .height = LINE };
}

static unsigned int cpus_of(const struct machine *m, int node)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < m->nr_cpus; i++)
		nr += m->cpus[i].node == node;
	return nr;
}

static unsigned int threads_on(const struct view *v, int cpu)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < v->threads.nr; i++)
		nr += v->threads.thread[i].cpu == cpu;
	return nr;
}

static double cpus_height(const struct machine *m, int node)
{
	return (cpus_of(m, node) + CPUS_A_ROW - 1) / CPUS_A_ROW * (CPU_HEIGHT + CPU_GAP);
}

static double node_height(const struct maker *k, int node)
{
	return 2 * MARGIN + LINE + cpus_height(&k->v->machine, node) +
	       (k->v->pid ? PROCESS_LINES * LINE : 0);
}

static void add_cpus(struct maker *k, int node, double x, double y)
{
	const struct machine *m = &k->v->machine;
	unsigned int nr = 0, threads;

	for (unsigned int i = 0; i < m->nr_cpus; i++) {
		struct box at = {
			.x = x + nr % CPUS_A_ROW * (CPU_WIDTH + CPU_GAP),
			.y = y + nr / CPUS_A_ROW * (CPU_HEIGHT + CPU_GAP),
			.width = CPU_WIDTH, .height = CPU_HEIGHT,
		};

		if (m->cpus[i].node != node)
			continue;
		threads = threads_on(k->v, m->cpus[i].number);
		if (threads)
			add(k, BOX_BUSY_CPU, at, "CPU %d: %u thr.", m->cpus[i].number, threads);
		else
			add(k, BOX_CPU, at, "CPU %d", m->cpus[i].number);
		nr++;
	}
}

static void add_use(struct maker *k, int node, double x, double y)
{
	const struct use *use = &k->s->nodes[node];
	double width = NODE_WIDTH - 2 * MARGIN;
	int local = use_local_percent(use);
	char memory[32] = "not known";
	struct box *bar;

	if (k->v->memory.known)
		text_bytes(memory, sizeof(memory), use->memory_bytes);
	add(k, BOX_TEXT, line_at(x, y, width), "EPT tables: %u", use->tables[0]);
	add(k, BOX_TEXT, line_at(x, y + LINE, width), "by level 4 to 1: %u, %u, %u, %u",
	    use->tables[4], use->tables[3], use->tables[2], use->tables[1]);
	add(k, BOX_TEXT, line_at(x, y + 2 * LINE, width), "VMCSs: %u, vCPU pages: %u",
	    use->vmcss, use->vcpu_pages);
	add(k, BOX_TEXT, line_at(x, y + 3 * LINE, width), "program's memory: %s", memory);
	if (local < 0)
		return;
	bar = add(k, BOX_SHARE, line_at(x, y + 4 * LINE, width), "local to the user: %d %%", local);
	if (bar)
		bar->share = use->near / (double)(use->near + use->far);
}

static void add_node(struct maker *k, int node, double x, double y, double height)
{
	const struct node *n = &k->v->machine.nodes[node];
	char memory[32];

	text_bytes(memory, sizeof(memory), n->memory_bytes);
	add(k, BOX_NODE, (struct box){ .x = x, .y = y, .width = NODE_WIDTH, .height = height }, "%s", "");
	x += MARGIN;
	y += MARGIN;
	add(k, BOX_TEXT, line_at(x, y, NODE_WIDTH - 2 * MARGIN), "Node %d (%s)", n->number, memory);
	y += LINE;
	add_cpus(k, node, x, y);
	if (k->v->pid)
		add_use(k, node, x, y + cpus_height(&k->v->machine, node));
}

/* Returns where the next one begins. */
static double add_package(struct maker *k, int package, double y)
{
	const struct machine *m = &k->v->machine;
	double x = 2 * MARGIN, height = 0;
	unsigned int i, nr = 0;

	for (i = 0; i < m->nr_nodes; i++)
		if (m->nodes[i].package == package) {
			nr++;
			if (node_height(k, i) > height)
				height = node_height(k, i);
		}
	if (!nr)
		return y;
	add(k, BOX_PACKAGE, (struct box){
		.x = MARGIN, .y = y, .width = nr * (NODE_WIDTH + MARGIN) + MARGIN,
		.height = height + 2 * MARGIN + LINE }, "%s", "");
	if (package == NO_PACKAGE)
		add(k, BOX_TEXT, line_at(x, y + MARGIN / 2, NODE_WIDTH), "Machine");
	else
		add(k, BOX_TEXT, line_at(x, y + MARGIN / 2, NODE_WIDTH), "Package %d", package);
	for (i = 0; i < m->nr_nodes; i++) {
		if (m->nodes[i].package != package)
			continue;
		add_node(k, i, x, y + MARGIN + LINE, height);
		x += NODE_WIDTH + MARGIN;
	}
	return y + height + 3 * MARGIN + LINE;
}

bool layout_make(const struct view *v, const struct summary *s, struct layout *l)
{
	struct maker k = { .v = v, .s = s, .l = l };
	double y = MARGIN;

	memset(l, 0, sizeof(*l));
	if (v->pid) {
		add(&k, BOX_TEXT, line_at(MARGIN, y, NODE_WIDTH),
		    "Process %d: threads %u, vCPUs %u, EPT tables %u", (int)v->pid,
		    s->all.threads, s->nr_vcpus, s->all.tables[0]);
		y += LINE + MARGIN;
	}
	for (int package = NO_PACKAGE; package < (int)v->machine.nr_packages; package++)
		y = add_package(&k, package, y);
	if (k.failed)
		layout_free(l);
	return !k.failed;
}

void layout_free(struct layout *l)
{
	free(l->boxes);
	memset(l, 0, sizeof(*l));
}
