// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Users without privileges. packaging/ makes the group and gives it the device
 * (udev does that here); a member runs the main job in Dune mode and gets the
 * right result, and no more than that; who is no member is refused and told why.
 */
#include "test.h"
#include "machine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PACKAGING "packaging"		/* or $DUNE_PACKAGING */
#define UDEVD "/tmp/systemd-udevd"	/* udevadm, by the name it is told apart */
#define CORPUS "docs"
#define MEMBER 12345
#define STRANGER 12346
#define DUNE_GID 712

static gid_t group;

static const char *packaged(const char *name)
{
	static char path[512];
	const char *folder = getenv("DUNE_PACKAGING");

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : PACKAGING, name);
	return path;
}

/* What systemd-sysusers does with the one line that is there. */
static void make_group(void)
{
	char line[256], name[64] = "";
	FILE *f = fopen(packaged("dune.sysusers"), "r");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "g %63s - -", name) == 1)
			break;
	fclose(f);
	REQUIRE(!strcmp(name, "dune"));
	if (getgrnam(name))
		return;
	f = fopen("/etc/group", "a");
	REQUIRE(f);
	fprintf(f, "%s:x:%d:\n", name, DUNE_GID);
	fclose(f);
	REQUIRE(getgrnam(name) && getgrnam(name)->gr_gid == DUNE_GID);
}

static void run_udev(void)
{
	const char *const copy[] = { "cp", packaged("60-dune.rules"), "/etc/udev/rules.d/", NULL };
	const char *const daemon[] = { UDEVD, "--daemon", NULL };
	const char *const trigger[] = { "udevadm", "trigger", "--action=add",
					"--settle", "/sys/class/misc/dune", NULL };
	const char *const stop[] = { "udevadm", "control", "--exit", NULL };

	mkdir("/etc/udev", 0755);
	mkdir("/etc/udev/rules.d", 0755);
	CHECK_EQ(run_program(copy), 0);
	CHECK(!symlink("/usr/bin/udevadm", UDEVD) || errno == EEXIST);
	REQUIRE(run_program(daemon) == 0);
	CHECK_EQ(run_program(trigger), 0);
	CHECK_EQ(run_program(stop), 0);
}

static void installation(void)
{
	struct stat st;

	REQUIRE(stat(DUNE_DEVICE_PATH, &st) == 0);
	CHECK_EQ(st.st_mode & 07777, 0660);	/* even without udev */
	CHECK_EQ(st.st_gid, 0);
	make_group();
	run_udev();
	REQUIRE(stat(DUNE_DEVICE_PATH, &st) == 0);
	group = getgrnam("dune")->gr_gid;
	CHECK_EQ(st.st_mode & 07777, 0660);
	CHECK_EQ(st.st_uid, 0);
	CHECK_EQ(st.st_gid, group);
}

static void no_caps(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	REQUIRE(!syscall(SYS_capset, &head, data));
}

static void become(uid_t uid, const gid_t *groups, int nr_groups)
{
	REQUIRE(!setgroups(nr_groups, groups));
	REQUIRE(!setresgid(uid, uid, uid) && !setresuid(uid, uid, uid));
	no_caps();
}

static void become_member(void)
{
	become(MEMBER, &group, 1);
}

static void member_alone(void *unused)
{
	become_member();
	if (dune_init() == 0)
		exit(0);
	printf("a member without capabilities: %s\n", dune_why());
	exit(1);
}

static void rights(void)
{
	opt.native = true;		/* the child does dune_init() itself */
	CHECK_EQ(run_child(60, member_alone, NULL), 0);
	opt.native = false;
}

static void member_works(void *unused)
{
	char line[512];

	become_member();
	/* textscan with threads that could not enter would say so and fail. */
	snprintf(line, sizeof(line),
		 "build/apps/textscan --threads 4 --top 0 --dune " CORPUS " > /tmp/unpriv/member.dune && "
		 "build/apps/textscan --threads 4 --top 0 " CORPUS " > /tmp/unpriv/member.linux && "
		 "test -s /tmp/unpriv/member.dune && cmp /tmp/unpriv/member.dune /tmp/unpriv/member.linux");
	CHECK_EQ(system(line), 0);
	exit(check_failures != 0);
}

/* Before dune_init(): each of these drops what root has. */
static void as_user(void (*fn)(void *))
{
	opt.native = true;
	CHECK_EQ(run_child(120, fn, NULL), 0);
	opt.native = false;
}

static void main_job(void)
{
	as_user(member_works);
}

static int open_device(void)
{
	return open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
}

static void member_limits(void *unused)
{
	struct dune_create_vm vm = { 0 };
	struct dune_create_vcpu vcpu = { 0 };
	struct dune_stat_open of_init = { .scope = DUNE_STAT_PROCESS, .pid = 1 };
	struct rlimit files = { 40, 40 };
	int a, b, n = 0;

	become_member();
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &files));
	a = open_device();
	b = open_device();
	REQUIRE(a >= 0 && b >= 0);
	CHECK_EQ(ioctl(a, DUNE_CREATE_VM, &vm), 0);
	CHECK_ERRNO(ioctl(b, DUNE_CREATE_VM, &vm), EBUSY);	/* one a process */
	while (ioctl(a, DUNE_CREATE_VCPU, &vcpu) >= 0 && n < 100)
		n++;
	CHECK_EQ(errno, EMFILE);	/* a vCPU is a file */
	CHECK_IN(n, 1, 40);
	close(b);
	/* The statistics of a process that is not the user's. */
	CHECK(ioctl(a, DUNE_STAT_OPEN, &of_init) < 0 &&
	      (errno == EPERM || errno == ESRCH));
	CHECK_EQ(write_text("/sys/module/dune/parameters/ride", "0"), -EACCES);
	CHECK(module_unload("dune") == -EPERM);
	CHECK(open("/sys/kernel/debug", O_RDONLY) < 0);
	exit(check_failures != 0);
}

static void limits(void)
{
	as_user(member_limits);
}

/* A vm of root's: the member may not see what it does. */
static void root_and_member(void *unused)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_PROCESS, .pid = getppid() };
	int fd;

	become_member();
	fd = open_device();
	REQUIRE(fd >= 0);
	CHECK_ERRNO(ioctl(fd, DUNE_STAT_OPEN, &req), EPERM);
	exit(check_failures != 0);
}

static void others_statistics(void)
{
	REQUIRE(dune_init() == 0);
	as_user(root_and_member);
}

static void stranger(void *unused)
{
	int err;

	become(STRANGER, NULL, 0);
	CHECK_ERRNO(open_device(), EACCES);
	err = dune_init();
	CHECK_EQ(err, -EACCES);
	printf("dune_why(): %s\n", dune_why());
	CHECK(strstr(dune_why(), DUNE_DEVICE_PATH));
	CHECK(strstr(dune_why(), "group dune"));
	CHECK(system("build/apps/textscan --dune " CORPUS " >/dev/null 2>/tmp/unpriv/stranger.err") != 0);
	CHECK_EQ(system("grep -q 'group dune' /tmp/unpriv/stranger.err"), 0);
	exit(check_failures != 0);
}

static void no_member(void)
{
	as_user(stranger);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is no native twin");
	if (geteuid() != 0)
		SKIP("must be root");
	if (access("/usr/bin/udevadm", X_OK))
		SKIP("no udevadm here (pkg:udev in cases.tbl)");
	mkdir("/tmp/unpriv", 0777);
	REQUIRE(chmod("/tmp/unpriv", 0777) == 0);
	installation();
	rights();
	test_part("main_job", main_job);
	test_part("limits", limits);
	test_part("no_member", no_member);
	test_part("others_statistics", others_statistics);
	return test_end();
}
