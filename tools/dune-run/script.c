// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Scripts: "#!interpreter argument" (load_script() in fs/binfmt_script.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "load.h"

#define LINE_MAX_	256u	/* BINPRM_BUF_SIZE */
#define DEPTH_MAX	5

static char *skip_blanks(char *s)
{
	return s + strspn(s, " \t");
}

char *script_interpreter(char *line, char **arg)
{
	char *name, *end;

	line[strcspn(line, "\n")] = 0;
	for (end = line + strlen(line); end > line && strchr(" \t", end[-1]); end--)
		;
	*end = 0;
	name = skip_blanks(line + 2);
	if (!*name)
		return NULL;
	end = name + strcspn(name, " \t");
	*arg = NULL;
	if (*end) {
		*end = 0;
		*arg = skip_blanks(end + 1);
	}
	return name;
}

/* The first line; false: it is no script. */
static bool read_line(int fd, char line[LINE_MAX_ + 1])
{
	ssize_t n = pread(fd, line, LINE_MAX_, 0);

	if (n < 2 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = 0;
	return true;
}

/* argv[0] goes; before the rest come the interpreter, its argument, the script. */
static int prepend(struct program *p, const char *name, const char *arg)
{
	int rest = p->argc ? p->argc - 1 : 0, n = 0;
	char **argv = calloc(rest + 4, sizeof(*argv));

	if (!argv)
		return -ENOMEM;
	argv[n++] = strdup(name);
	if (arg)
		argv[n++] = strdup(arg);
	argv[n++] = p->execfn;
	memcpy(argv + n, p->argv + 1, rest * sizeof(*argv));
	p->argv = argv;
	p->argc = n + rest;
	return 0;
}

/* The name that the interpreter is given is the script's, or that of the one before. */
int script_resolve(struct program *p)
{
	char line[LINE_MAX_ + 1], *name, *arg, *execfn = p->execfn;
	int err = 0, depth;

	for (depth = 0; !err && read_line(p->fd, line); depth++) {
		if (depth == DEPTH_MAX)
			return -ELOOP;
		name = script_interpreter(line, &arg);
		if (!name)
			return -ENOEXEC;
		err = prepend(p, name, arg);
		close(p->fd);
		p->fd = open(name, O_RDONLY | O_CLOEXEC);
		if (p->fd < 0)
			return -errno;
		p->execfn = strdup(name);
	}
	p->execfn = execfn;
	return err;
}

/* What may be executed as any other file of this user. */
static bool is_plain(int fd)
{
	struct statvfs fs;
	struct stat st;
	char caps[64];

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_mode & (S_ISUID | S_ISGID))
		return false;
	if (fgetxattr(fd, "security.capability", caps, sizeof(caps)) > 0)
		return false;
	if (fstatvfs(fd, &fs) || fs.f_flag & ST_NOEXEC)
		return false;
	return !faccessat(fd, "", X_OK, AT_EACCESS | AT_EMPTY_PATH);
}

static bool possible(int fd, int depth)
{
	char line[LINE_MAX_ + 1], *name, *arg;
	bool is;

	if (!is_plain(fd) || depth > DEPTH_MAX)
		return false;
	if (!read_line(fd, line))
		return object_is_native(fd);
	name = script_interpreter(line, &arg);
	fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	is = fd >= 0 && possible(fd, depth + 1);
	if (fd >= 0)
		close(fd);
	return is;
}

bool load_is_possible(int fd)
{
	return possible(fd, 0);
}
