// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune-topo's parts: what it reads, counts, prints and draws of recorded inputs. */
#include "recorded.h"

#include <cairo.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "json.h"
#include "layout.h"
#include "paint.h"
#include "text.h"

#define CHECK_TEXT(got, want)						\
	do {								\
		if (strcmp(got, want))					\
			FAIL("'%s', want '%s'", got, want);		\
		else							\
			CHECK(true);					\
	} while (0)

static void machine(void)
{
	struct machine m;
	char cpus[64];

	setenv("HWLOC_SYNTHETIC", TWO_NODES, 1);
	REQUIRE(machine_load(&m));
	CHECK_EQ(m.nr_packages, 2);
	CHECK_EQ(m.nr_nodes, 2);
	CHECK_EQ(m.nr_cpus, 8);
	CHECK_EQ(m.nodes[1].package, 1);
	CHECK_EQ(m.nodes[1].memory_bytes, 1 << 30);
	CHECK_EQ(machine_node_of_cpu(&m, 3), 0);
	CHECK_EQ(machine_node_of_cpu(&m, 4), 1);
	CHECK_EQ(machine_node_of_cpu(&m, 8), NO_NODE);
	CHECK_EQ(machine_node_index(&m, 1), 1);
	CHECK_EQ(machine_node_index(&m, 2), NO_NODE);
	machine_free(&m);

	/* Numbers of Linux that are not hwloc's; CPUs of a node that are not in a row. */
	setenv("HWLOC_SYNTHETIC", "numa:2(indexes=5,2) core:2 pu:2(indexes=0,4,1,5,2,6,3,7)", 1);
	REQUIRE(machine_load(&m));
	CHECK_EQ(m.nr_packages, 0);
	CHECK_EQ(m.nodes[0].package, NO_PACKAGE);
	CHECK_EQ(m.nodes[0].number, 5);
	CHECK_EQ(machine_node_index(&m, 2), 1);
	CHECK_EQ(machine_node_of_cpu(&m, 6), 1);
	text_cpus(cpus, sizeof(cpus), &m, 0);
	CHECK_TEXT(cpus, "0-1,4-5");
	text_cpus(cpus, 5, &m, 0);
	CHECK_EQ(strlen(cpus) < 5, true);
	machine_free(&m);
}

static void threads(void)
{
	struct thread t;

	CHECK(thread_parse(stat_line, &t));
	CHECK_EQ(t.tid, 4711);
	CHECK_TEXT(t.name, "a) R (b");
	CHECK_EQ(t.state, 'S');
	CHECK_EQ(t.cpu, 6);
	CHECK(!thread_parse("4711 (x) R 1 2 3", &t));
	CHECK(!thread_parse("4711 (x", &t));
	CHECK(!thread_parse("", &t));
}

static void memory(void)
{
	struct view v;

	recorded_make(&v);
	CHECK(v.memory.known);
	CHECK_EQ(v.memory.bytes[0], 7 * 4096 + (4 << 20));
	CHECK_EQ(v.memory.bytes[1], 515 * 4096 + (2 << 20));
	CHECK_EQ(v.memory.bytes[12], 8192);
	recorded_free(&v);
}

static void summary(void)
{
	struct summary s;
	struct view v;

	recorded_make(&v);
	REQUIRE(summary_make(&v, &s));
	CHECK_EQ(s.nr_vcpus, 3);
	CHECK_EQ(s.nr_replicas, 2);
	CHECK_EQ(s.vcpus[0].id, 3);
	CHECK_EQ(s.vcpus[0].vmcs_node, 1);
	CHECK_EQ(s.vcpus[0].page_node, 0);
	CHECK_EQ(s.vcpus[2].vmcs_node, NO_NODE);
	CHECK_EQ(s.nodes[0].threads, 2);
	CHECK_EQ(s.nodes[0].running, 1);
	CHECK_EQ(s.nodes[1].threads, 1);
	CHECK_EQ(s.nodes[0].vmcss, 0);
	CHECK_EQ(s.nodes[1].vmcss, 2);
	CHECK_EQ(s.nodes[0].vcpu_pages, 1);
	CHECK_EQ(s.nodes[1].vcpu_pages, 2);
	CHECK_EQ(s.nodes[0].tables[0], 3);
	CHECK_EQ(s.nodes[1].tables[0], 5);
	CHECK_EQ(s.nodes[1].tables[1], 4);
	CHECK_EQ(s.nodes[1].tables[4], 1);
	/* Node 0: page, tables of levels 3 and 2. Node 1: of 8 two with no known user. */
	CHECK_EQ(s.nodes[0].near, 3);
	CHECK_EQ(s.nodes[0].far, 0);
	CHECK_EQ(use_local_percent(&s.nodes[0]), 100);
	CHECK_EQ(s.nodes[1].near, 5);
	CHECK_EQ(s.nodes[1].far, 2);
	CHECK_EQ(use_local_percent(&s.nodes[1]), 71);
	CHECK_EQ(use_local_percent(&s.nodes[2]), -1);
	CHECK_EQ(s.nodes[2].memory_bytes, 8192);
	CHECK_EQ(s.all.tables[0], 8);
	CHECK_EQ(summary_tables(&v, 1, 1, 0), 3);
	CHECK_EQ(summary_tables(&v, 1, 1, 1), 1);
	CHECK_EQ(summary_tables(&v, 0, 1, 1), 0);
	summary_free(&s);
	recorded_free(&v);
}

static void prints(void (*print)(FILE *, const struct view *, const struct summary *),
		   char *text, size_t size)
{
	FILE *f = fmemopen(text, size, "w");
	struct summary s;
	struct view v;

	recorded_make(&v);
	REQUIRE(f && summary_make(&v, &s));
	print(f, &v, &s);
	fclose(f);
	summary_free(&s);
	recorded_free(&v);
}

static void text_lists(FILE *f, const struct view *v, const struct summary *s)
{
	text_threads(f, v);
	text_vcpus(f, s);
	text_tables(f, v, s);
}

static void text(void)
{
	static char out[8192];

	prints(text_process, out, sizeof(out));
	CHECK(strstr(out, "Process 4711: threads 3, vCPUs 3, EPT tables 8, replicas 2\n"));
	CHECK(strstr(out, "\n    0        2        1      0           1           3"
		     "      1      1      1      0   100 %      4.0 MiB\n"));
	CHECK(strstr(out, "\n    1        1        1      2           2           5"
		     "      1      0      0      4    71 %      4.0 MiB\n"));
	CHECK(strstr(out, "\n    ?        0        0      0           0           0"
		     "      0      0      0      0       -        8 KiB\n"));
	CHECK(strstr(out, "\n       1      1      1      0      0      1\n"));
	prints(text_lists, out, sizeof(out));
	CHECK(strstr(out, "\n    4713     R     6     1  worker\n"));
	CHECK(strstr(out, "\n     3        0        1          0\n"));
	CHECK(strstr(out, "\n     9        -        -          1\n"));
	CHECK(strstr(out, "\n    7f0000200000      1        0      1      0      3\n"));
	CHECK(strstr(out, "\n    7f0000200000      1        1      1      1      3\n"));
	CHECK(strstr(out, "\n    7f0000600000      1        0      1      -     77\n"));
}

static void json_counts(FILE *f, const struct view *v, const struct summary *s)
{
	json_print(f, v, s, JSON_COUNTS);
}

static void json_tables(FILE *f, const struct view *v, const struct summary *s)
{
	json_print(f, v, s, JSON_EACH_TABLE);
}

static int at(struct json_object *o, const char *path)
{
	struct json_object *value = NULL;

	if (json_pointer_get(o, path, &value))
		return -2;
	return value ? json_object_get_int(value) : -1;
}

static void json(void)
{
	static char out[16384];
	struct json_object *o;

	prints(json_tables, out, sizeof(out));
	o = json_tokener_parse(out);
	REQUIRE(o);
	CHECK_EQ(at(o, "/machine/packages"), 2);
	CHECK_EQ(at(o, "/machine/nodes/1/cpus/3"), 7);
	CHECK_EQ(at(o, "/process/pid"), 4711);
	CHECK_EQ(at(o, "/process/nodes/1/ept_tables"), 5);
	CHECK_EQ(at(o, "/process/nodes/1/tables_by_replica/0/0"), 3);
	CHECK_EQ(at(o, "/process/nodes/1/tables_by_replica/1/3"), 1);
	CHECK_EQ(at(o, "/process/nodes/1/local_percent"), 71);
	CHECK_EQ(at(o, "/process/all/threads"), 3);
	CHECK_EQ(at(o, "/process/threads/2/node"), 1);
	CHECK_EQ(at(o, "/process/vcpus/2/vmcs_node"), -1);
	CHECK_EQ(at(o, "/process/tables/3/user_node"), 0);
	CHECK_EQ(at(o, "/process/tables/7/vcpu"), 3);
	CHECK_EQ(at(o, "/process/tables/8/vcpu"), -2);
	json_object_put(o);

	prints(json_counts, out, sizeof(out));
	o = json_tokener_parse(out);
	CHECK_EQ(at(o, "/process/tables"), -2);
	json_object_put(o);
}

/* ---- drawing ---- */

static const struct box *find(const struct layout *l, const char *text)
{
	for (unsigned int i = 0; i < l->nr; i++)
		if (!strcmp(l->boxes[i].text, text))
			return &l->boxes[i];
	FAIL("no box says '%s'", text);
	exit(1);
}

static bool inside(const struct box *a, const struct box *b)
{
	return a->x >= b->x && a->y >= b->y && a->x + a->width <= b->x + b->width &&
	       a->y + a->height <= b->y + b->height;
}

static bool overlap(const struct box *a, const struct box *b)
{
	return a->x < b->x + b->width && b->x < a->x + a->width &&
	       a->y < b->y + b->height && b->y < a->y + a->height;
}

/* Boxes are apart, or one is in the other; all on the page. */
static void check_geometry(const struct layout *l)
{
	struct box page = { .width = l->width, .height = l->height };

	for (unsigned int i = 0; i < l->nr; i++) {
		const struct box *a = &l->boxes[i];

		CHECK(inside(a, &page));
		for (unsigned int j = i + 1; j < l->nr; j++) {
			const struct box *b = &l->boxes[j];

			if (overlap(a, b) && !inside(b, a))
				FAIL("'%s' (%u) and '%s' (%u) overlap", a->text, i, b->text, j);
		}
	}
}

static unsigned int count(const struct layout *l, enum box_kind kind)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < l->nr; i++)
		nr += l->boxes[i].kind == kind;
	return nr;
}

static void layout(void)
{
	static const char *const shapes[] = {
		TWO_NODES, "numa:1 pu:1", "pack:2 numa:4 core:9 pu:2",
		"numa:2 pack:3 core:1 pu:1",
	};
	struct summary s;
	struct layout l;
	struct view v;

	recorded_make(&v);
	REQUIRE(summary_make(&v, &s) && layout_make(&v, &s, &l));
	check_geometry(&l);
	CHECK_EQ(count(&l, BOX_PACKAGE), 2);
	CHECK_EQ(count(&l, BOX_NODE), 2);
	CHECK_EQ(count(&l, BOX_CPU), 5);
	CHECK_EQ(count(&l, BOX_BUSY_CPU), 3);
	CHECK(find(&l, "CPU 6: 1 thr."));
	CHECK(find(&l, "by level 4 to 1: 1, 0, 0, 4"));
	CHECK(find(&l, "Node 1 (1.0 GiB)"));
	CHECK(find(&l, "local to the user: 71 %"));
	layout_free(&l);
	summary_free(&s);
	recorded_free(&v);

	for (unsigned int i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		v = (struct view){ 0 };
		setenv("HWLOC_SYNTHETIC", shapes[i], 1);
		REQUIRE(machine_load(&v.machine) && layout_make(&v, NULL, &l));
		check_geometry(&l);
		CHECK_EQ(count(&l, BOX_NODE), v.machine.nr_nodes);
		CHECK_EQ(count(&l, BOX_CPU), v.machine.nr_cpus);
		CHECK_EQ(count(&l, BOX_SHARE), 0);
		layout_free(&l);
		machine_free(&v.machine);
	}
}

/* The colour at a fraction of a box's width, just below its upper edge. */
static unsigned int colour(cairo_surface_t *png, const struct box *b, double fraction)
{
	const unsigned char *row = cairo_image_surface_get_data(png) +
		((int)b->y + 2) * cairo_image_surface_get_stride(png);

	return ((const unsigned int *)row)[(int)(b->x + b->width * fraction)] & 0xffffff;
}

static void check_png(const struct layout *l, const char *file)
{
	cairo_surface_t *png = cairo_image_surface_create_from_png(file);
	const struct box *share = find(l, "local to the user: 71 %");

	REQUIRE(cairo_surface_status(png) == CAIRO_STATUS_SUCCESS);
	CHECK_IN(cairo_image_surface_get_width(png), l->width, l->width + 1);
	CHECK_IN(cairo_image_surface_get_height(png), l->height, l->height + 1);
	CHECK(colour(png, find(l, "CPU 6: 1 thr."), 0.95) != colour(png, find(l, "CPU 7"), 0.95));
	/* The bar changes its colour at 71 percent, and nowhere else. */
	CHECK_EQ(colour(png, share, 0.70), colour(png, share, 0.05));
	CHECK_EQ(colour(png, share, 0.73), colour(png, share, 0.95));
	CHECK(colour(png, share, 0.70) != colour(png, share, 0.73));
	cairo_surface_destroy(png);
}

static unsigned int occurrences(const char *text, const char *of)
{
	unsigned int nr = 0;

	while ((text = strstr(text, of))) {
		text += strlen(of);
		nr++;
	}
	return nr;
}

/* Whole, and a stroke for each frame. */
static void check_svg(const struct layout *l, const char *file)
{
	static char text[1 << 20];
	FILE *f = fopen(file, "r");

	REQUIRE(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	CHECK(strstr(text, "<svg"));
	CHECK(strstr(text, "</svg>"));
	CHECK_EQ(occurrences(text, "stroke-width"), l->nr - count(l, BOX_TEXT));
}

static void paint(void)
{
	char folder[] = "/tmp/topo_test.XXXXXX", png[64], svg[64];
	struct summary s;
	struct layout l;
	struct view v;

	REQUIRE(mkdtemp(folder));
	snprintf(png, sizeof(png), "%s/a.png", folder);
	snprintf(svg, sizeof(svg), "%s/a.svg", folder);
	recorded_make(&v);
	REQUIRE(summary_make(&v, &s) && layout_make(&v, &s, &l));
	CHECK(paint_png(&l, png));
	CHECK(paint_svg(&l, svg));
	check_png(&l, png);
	check_svg(&l, svg);
	CHECK(!paint_png(&l, "/nowhere/a.png"));
	CHECK(!paint_svg(&l, "/nowhere/a.svg"));
	layout_free(&l);
	summary_free(&s);
	recorded_free(&v);
	unlink(png);
	unlink(svg);
	rmdir(folder);
}

static void advice(void)
{
	CHECK(strstr(places_open_advice(ENOENT), "modprobe dune"));
	CHECK(strstr(places_open_advice(EACCES), "group dune"));
	CHECK(strstr(places_process_advice(ESRCH), "dune_init()"));
	CHECK(strstr(places_process_advice(EPERM), "CAP_SYS_PTRACE"));
	CHECK(strstr(places_process_advice(ENOTTY), "too old"));
}

/* What fontconfig keeps until the process ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfontconfig";
}

int main(void)
{
	machine();
	threads();
	memory();
	summary();
	text();
	json();
	layout();
	paint();
	advice();
	printf("topo_test: %d checks, %d failures\n", check_count, check_failures);
	return check_failures != 0;
}
