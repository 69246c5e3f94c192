// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * nobody: gives up its rights, and goes on with children and threads; where a process
 * needs rights to run in Dune mode, its children are without it and work nevertheless.
 */
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static void *compute(void *arg)
{
	double *x = arg;

	for (int i = 1; i <= 1000; i++)
		*x += 1.0 / i;
	return NULL;
}

static void child(int status)
{
	pthread_t thread;
	double x = 0;

	if (pthread_create(&thread, NULL, compute, &x) || pthread_join(thread, NULL))
		_exit(99);
	printf("child %d: %.6f\n", status, x);
	exit(status);
}

int main(void)
{
	int status;

	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)) {
		perror("nobody");
		return 1;
	}
	for (int i = 3; i < 5; i++) {
		fflush(stdout);
		pid_t pid = fork();

		if (!pid)
			child(i);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 1;
		printf("ended with %d\n", WEXITSTATUS(status));
	}
	return 0;
}
