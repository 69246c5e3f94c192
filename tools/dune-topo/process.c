// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See process.h. */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <error.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_STATE	3
#define FIELD_CPU	39

/* The name is anything, blanks and parentheses too: it ends at the last one. */
bool thread_parse(const char *line, struct thread *t)
{
	const char *open = strchr(line, '('), *close = strrchr(line, ')'), *p;
	int field = FIELD_STATE;

	memset(t, 0, sizeof(*t));
	if (!open || !close || close < open || close[1] != ' ')
		return false;
	t->tid = atoi(line);
	snprintf(t->name, sizeof(t->name), "%.*s", (int)(close - open - 1), open + 1);
	p = close + 2;
	t->state = *p;
	while (field < FIELD_CPU && (p = strchr(p, ' '))) {
		p++;
		field++;
	}
	if (t->tid <= 0 || !p || *p < '0' || *p > '9')
		return false;
	t->cpu = atoi(p);
	return true;
}

static bool read_thread(pid_t pid, const char *tid, struct thread *t)
{
	char path[64], line[1024];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", (int)pid, tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(line, sizeof(line), f) && thread_parse(line, t);
	fclose(f);
	return ok;
}

static bool add_thread(struct threads *threads, const struct thread *t)
{
	struct thread *more = reallocarray(threads->thread, threads->nr + 1, sizeof(*more));

	if (!more)
		return false;
	threads->thread = more;
	more[threads->nr++] = *t;
	return true;
}

static int by_tid(const void *a, const void *b)
{
	const struct thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

bool threads_load(pid_t pid, struct threads *threads)
{
	struct dirent *entry;
	struct thread t;
	char path[64];
	bool ok = true;
	DIR *dir;

	memset(threads, 0, sizeof(*threads));
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir) {
		error(0, errno == ENOENT ? 0 : errno, "process %d: %s", (int)pid,
		      errno == ENOENT ? "it has ended, or there is none" : path);
		return false;
	}
	while (ok && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && read_thread(pid, entry->d_name, &t))
			ok = add_thread(threads, &t);
	closedir(dir);
	if (!ok) {
		error(0, ENOMEM, "threads of process %d", (int)pid);
		threads_free(threads);
		return false;
	}
	if (threads->nr)
		qsort(threads->thread, threads->nr, sizeof(t), by_tid);
	return true;
}

void threads_free(struct threads *threads)
{
	free(threads->thread);
	memset(threads, 0, sizeof(*threads));
}

/* Pages on a node, "N3=17", or the size of the mapping's pages. */
static void parse_mapping(char *line, struct memory *m)
{
	uint64_t pages[NODE_NUMBERS] = { 0 }, page_kib = 4;
	unsigned long long count;
	unsigned int node;
	char *rest, *word;

	for (word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		if (sscanf(word, "N%u=%llu", &node, &count) == 2 && node < NODE_NUMBERS)
			pages[node] = count;
		else if (sscanf(word, "kernelpagesize_kB=%llu", &count) == 1)
			page_kib = count;
	}
	for (node = 0; node < NODE_NUMBERS; node++)
		m->bytes[node] += pages[node] * page_kib << 10;
}

void memory_parse(FILE *numa_maps, struct memory *m)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, numa_maps) > 0)
		parse_mapping(line, m);
	free(line);
	m->known = true;
}

bool memory_load(pid_t pid, struct memory *m)
{
	char path[64];
	bool ok;
	FILE *f;

	memset(m, 0, sizeof(*m));
	snprintf(path, sizeof(path), "/proc/%d/numa_maps", (int)pid);
	f = fopen(path, "re");
	if (!f && errno == ENOENT)
		return true;
	if (f) {
		memory_parse(f, m);
		ok = !ferror(f);
		fclose(f);
		if (ok)
			return true;
	}
	error(0, errno, "%s (its user, or who has CAP_SYS_PTRACE, may read it)", path);
	return false;
}
