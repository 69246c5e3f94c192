// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See family.h. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "family.h"

typedef void (*family_fn)(pid_t pid, void *arg);

/* Of processes whose threads may have made some, too. */
static void each_child(pid_t pid, family_fn fn, void *arg)
{
	char path[300];
	struct dirent *d;
	pid_t child;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (d = readdir(tasks))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, d->d_name);
		f = d->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (f && fscanf(f, "%d", &child) == 1) {
			each_child(child, fn, arg);
			fn(child, arg);
		}
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
}

static void count(pid_t pid, void *arg)
{
	unsigned int *n = arg;

	(void)pid;
	(*n)++;
}

unsigned int family_size(void)
{
	unsigned int n = 0;

	each_child(getpid(), count, &n);
	return n;
}

static void kill_one(pid_t pid, void *arg)
{
	(void)arg;
	kill(pid, SIGKILL);
}

void family_kill(void)
{
	each_child(getpid(), kill_one, NULL);
}

struct place {
	const char *row, *mode;
};

static void show_file(const struct place *p, pid_t pid, const char *task, const char *file)
{
	char path[300], line[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, task, file);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (strcmp(file, "status") || !strncmp(line, "State", 5) ||
		    !strncmp(line, "Sig", 3) || !strncmp(line, "ShdPnd", 6))
			printf("##stack %s %s %d/%s %s: %s", p->row, p->mode, pid, task, file, line);
	if (f)
		fclose(f);
}

static void show_one(pid_t pid, void *arg)
{
	static const char *const files[] = { "comm", "status", "syscall", "stack" };
	char path[64];
	struct dirent *d;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (d = readdir(tasks)))
		for (unsigned int i = 0; i < sizeof(files) / sizeof(*files); i++)
			if (d->d_name[0] != '.')
				show_file(arg, pid, d->d_name, files[i]);
	if (tasks)
		closedir(tasks);
}

void family_show(const char *row, const char *mode)
{
	struct place p = { row, mode };

	each_child(getpid(), show_one, &p);
}
