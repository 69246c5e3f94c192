// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SKIP	77

int test_main(const struct test_case *cases, unsigned int n, _Bool (*setup)(void))
{
	unsigned int i, passed = 0, failed = 0, skipped = 0;

	for (i = 0; i < n; i++) {
		int status;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		if (pid == 0) {
			alarm(30);
			if (setup && !setup())
				exit(EXIT_SKIP);
			cases[i].fn();
			exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			perror("fork");
			return 1;
		}
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
			printf("SKIP %s: this kernel cannot run it\n", cases[i].name);
			skipped++;
		} else if ((status & ~0x80) == cases[i].status) {
			printf("PASS %s\n", cases[i].name);
			passed++;
		} else {
			printf("FAIL %s: wait status %#x\n", cases[i].name, status);
			failed++;
		}
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}
