// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * mover [--interval-us US] [--seed S] PID... : moves the threads of processes from CPU
 * to CPU, each time one thread to one CPU by chance or to all, until SIGTERM. Then it
 * prints how often. Exit status 1 when a process has gone before.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_THREADS 1024

static volatile sig_atomic_t stop;
static unsigned int seed = 1;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static int threads_of(const char *pid, pid_t *tids)
{
	char path[64];
	struct dirent *d;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((d = readdir(dir)) && n < MAX_THREADS)
		if (d->d_name[0] != '.')
			tids[n++] = atoi(d->d_name);
	closedir(dir);
	return n;
}

static void choose(cpu_set_t *set, int cpus)
{
	int cpu = rand_r(&seed) % (cpus + 1);

	CPU_ZERO(set);
	for (int i = 0; i < cpus; i++)
		if (cpu == cpus || cpu == i)
			CPU_SET(i, set);
}

/* A thread may end meanwhile; then it is not counted. False: the process is gone. */
static bool move_one(const char *pid, int cpus, unsigned long *moves)
{
	pid_t tids[MAX_THREADS];
	int n = threads_of(pid, tids);
	cpu_set_t set;

	if (!n)
		return false;
	choose(&set, cpus);
	if (!sched_setaffinity(tids[rand_r(&seed) % n], sizeof(set), &set))
		(*moves)++;
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval-us", required_argument, NULL, 'i' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), c;
	unsigned int interval_us = 1000;
	unsigned long moves = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'i')
			interval_us = (unsigned int)atoi(optarg);
		else if (c == 's')
			seed = (unsigned int)atoi(optarg);
		else
			return 2;
	}
	signal(SIGTERM, on_term);
	while (!stop && optind < argc) {
		for (int i = optind; i < argc && !stop; i++) {
			if (!move_one(argv[i], cpus, &moves)) {
				printf("mover: process %s is gone after %lu moves\n", argv[i], moves);
				return 1;
			}
		}
		usleep(interval_us);
	}
	printf("mover: %lu moves\n", moves);
	return 0;
}
