// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "abi.h"

#include <getopt.h>
#include <sys/wait.h>

static const struct part *const all_parts[] = {
	start_parts, stack_parts, tls_parts, cancel_parts, clone_parts, fork_parts, exec_parts,
	wait_parts, catch_parts, fault_parts, change_parts, window_parts, stack_signal_parts,
	mask_parts, async_parts, restart_parts, core_parts, memory_parts, fd_parts, kernel_parts,
	uring_parts, pages_parts, userfault_parts, device_parts, outside_parts,
};
static const struct role *const all_roles[] = { start_roles, stack_roles, exec_roles };

#define NR(array)	(sizeof(array) / sizeof(*(array)))

int abi_argc;
char **abi_argv, **abi_envp;

void rounds_set(unsigned long n);

static const struct part *part_find(const char *name)
{
	for (unsigned int i = 0; i < NR(all_parts); i++)
		for (const struct part *p = all_parts[i]; p->name; p++)
			if (!strcmp(p->name, name))
				return p;
	return NULL;
}

static void list(void)
{
	for (unsigned int i = 0; i < NR(all_parts); i++)
		for (const struct part *p = all_parts[i]; p->name; p++)
			printf("%-16s %s\n", p->name, p->text);
}

static int role_run(int argc, char **argv)
{
	for (unsigned int i = 0; i < NR(all_roles); i++)
		for (const struct role *r = all_roles[i]; r->name; r++)
			if (argc > 0 && !strcmp(r->name, argv[0]))
				return r->run(argc, argv);
	return 2;
}

static int part_run(const char *name)
{
	const struct part *p = part_find(name);

	if (!p) {
		fprintf(stderr, "no part %s; --list has them\n", name);
		return 2;
	}
	p->run();
	printf("%s: %s\n", p->name, check_failures ? "failed" : "passed");
	fflush(stdout);
	return check_failures != 0;
}

/* Each in a process of its own, executed. */
static int all_run(const char *rounds_text)
{
	int bad = 0;

	for (unsigned int i = 0; i < NR(all_parts); i++) {
		for (const struct part *p = all_parts[i]; p->name; p++) {
			char *argv[] = { (char *)self_path(), "--only", (char *)p->name,
					 "--rounds", (char *)rounds_text, NULL };
			pid_t pid = fork();
			int status;

			if (!pid) {
				execv(argv[0], argv);
				_exit(126);
			}
			status = wait_status(pid);
			if (status && status != TEST_SKIP << 8) {
				bad++;
				printf("%s: status 0x%x\n", p->name, status);
				fflush(stdout);
			}
		}
	}
	return bad != 0;
}

static void usage(void)
{
	fprintf(stderr, "usage: abi [--list] [--only PART] [--rounds N]\n");
	exit(2);
}

int main(int argc, char **argv, char **envp)
{
	static const struct option options[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "only", required_argument, NULL, 'o' },
		{ "rounds", required_argument, NULL, 'r' },
		{ 0 },
	};
	const char *only = NULL, *rounds_text = "0";
	int c;

	abi_argc = argc;
	abi_argv = argv;
	abi_envp = envp;
	if (argc > 1 && !strcmp(argv[1], "--role"))
		return role_run(argc - 2, argv + 2);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'l') {
			list();
			return 0;
		}
		if (c == 'o')
			only = optarg;
		else if (c == 'r')
			rounds_text = optarg;
		else
			usage();
	}
	rounds_set(strtoul(rounds_text, NULL, 0));
	return only ? part_run(only) : all_run(rounds_text);
}
