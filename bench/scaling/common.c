// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "common.h"

#include <getopt.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "places.h"

struct options options = { .reps = 200 };
bool have_emucount;
int nr_cpus;

static const char *program;
static struct places places;

const char *mode_name(enum mode mode)
{
	static const char *const names[] = { "native", "dune", "kvm" };

	return names[mode];
}

uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void usage(int status, const char *about)
{
	printf("usage: %s [--reps N] [--vcpus N] [--only PART] [--native] [--check]\n\n%s\n\n"
	       "  --reps N     repetitions of each measurement (default %d)\n"
	       "  --vcpus N    end of the sweep over vCPUs (default: all CPUs, at most 8)\n"
	       "  --only PART  only parts whose name contains PART\n"
	       "  --native     plain Linux only; needs no /dev/dune\n"
	       "  --check      exit status 1 when a limit is exceeded\n",
	       program, about, options.reps);
	exit(status);
}

static void parse(int argc, char **argv, const char *about)
{
	static const struct option long_options[] = {
		{ "reps", required_argument, NULL, 'r' },
		{ "vcpus", required_argument, NULL, 'v' },
		{ "only", required_argument, NULL, 'o' },
		{ "native", no_argument, NULL, 'n' },
		{ "check", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'r': options.reps = atoi(optarg); break;
		case 'v': options.max_vcpus = atoi(optarg); break;
		case 'o': options.only = optarg; break;
		case 'n': options.native_only = true; break;
		case 'c': options.check = true; break;
		case 'h': usage(0, about); break;
		default: usage(2, about);
		}
	}
	if (options.reps < 5 || options.reps > 400 || optind != argc)
		usage(2, about);
}

const char *kernel_release(void)
{
	static struct utsname name;

	uname(&name);
	return name.release;
}

bool mitigations_off(void)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = '\0';
		fclose(f);
	}
	return strstr(line, "mitigations=off");
}

static void find_places(void)
{
	int err = places_load(&places, 0);

	if (err) {
		fprintf(stderr, "%s: places: %s\n", program, strerror(-err));
		exit(1);
	}
	if (places.nr < nr_cpus)
		nr_cpus = places.nr;
}

static void print_header(void)
{
	printf("bench program=%s unit=%s cpus=%d reps=%d kernel=%s mitigations=%s places=",
	       program, have_emucount ? "instructions" : "ns", nr_cpus,
	       options.reps, kernel_release(), mitigations_off() ? "off" : "on");
	for (int i = 0; i < nr_cpus; i++)
		printf("%s%d", i ? "," : "", place_cpu(i));
	printf("\n");
}

void bench_start(int argc, char **argv, const char *about)
{
	program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	parse(argc, argv, about);
	setvbuf(stdout, NULL, _IOLBF, 0);
	have_emucount = emucount_available();
	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	find_places();
	if (!options.max_vcpus || options.max_vcpus > nr_cpus)
		options.max_vcpus = nr_cpus < 8 ? nr_cpus : 8;
	if (!options.native_only && access(DUNE_DEVICE_PATH, F_OK)) {
		printf("SKIP: no " DUNE_DEVICE_PATH "\n");
		exit(BENCH_SKIP);
	}
	if (options.check && !have_emucount) {
		printf("SKIP: the limits are instructions, which nothing counts here\n");
		exit(BENCH_SKIP);
	}
	pin_to(0);
	print_header();
}

bool wanted(const char *part)
{
	return !options.only || strstr(part, options.only);
}

int place_cpu(int place)
{
	MUST(place >= 0 && place < places.nr);
	return places.cpu[place];
}

void pin_to(int place)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(place_cpu(place), &set);
	MUST(sched_setaffinity(0, sizeof(set), &set) == 0);
}

void dune_on(void)
{
	if (dune_init()) {
		fprintf(stderr, "dune_init: %s\n", dune_why());
		exit(1);
	}
}

void guest_enter(void)
{
	if (dune_enter()) {
		fprintf(stderr, "dune_enter: %s\n", dune_why());
		exit(1);
	}
}

void guest_leave(void)
{
	MUST(dune_exit() == 0);
}

void in_child(void (*fn)(const void *arg), const void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		fn(arg);
		fflush(stdout);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	if (status) {
		fprintf(stderr, "%s: a scenario failed, wait status %#x\n",
			program, status);
		exit(1);
	}
}

void *map_at(char *at, size_t size, int prot)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		    (at ? MAP_FIXED_NOREPLACE : 0);
	char *p = mmap(at, size, prot, flags, -1, 0);

	MUST(p != MAP_FAILED && (!at || p == at));
	return p;
}

char *map_area_at(char *at, size_t size)
{
	char *p = map_at(at, size, PROT_READ | PROT_WRITE);

	MUST(madvise(p, size, MADV_NOHUGEPAGE) == 0);
	return p;
}
