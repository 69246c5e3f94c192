// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "dune.h"

struct snapshot_shared {
	struct row buffer[BUFFER_ROWS];
	struct summary summary;
};

#define SHARED_SIZE	((sizeof(struct snapshot_shared) + 4095) & ~4095ul)

void snapshot_init(struct snapshot *s, const struct snapshot_way *way, const struct table *table,
		   int fd)
{
	int err = 0;

	*s = (struct snapshot){ .way = way, .table = table, .fd = fd };
	s->shared = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	if (s->shared == MAP_FAILED)
		cli_die("no memory for a buffer: %m");
	if (way == &snapshot_clone)
		err = dune_vm_share(s->shared, SHARED_SIZE);
	if (err)
		cli_die("dune_vm_share: %s", strerror(-err));
}

void snapshot_destroy(struct snapshot *s)
{
	munmap(s->shared, SHARED_SIZE);
}

const struct summary *snapshot_summary(const struct snapshot *s)
{
	return &s->shared->summary;
}

static unsigned long rows_at(const struct table *table, unsigned long first)
{
	return table->nr - first < BUFFER_ROWS ? table->nr - first : BUFFER_ROWS;
}

/*
 * In the snapshot. Linux knows the original's memory only: what write() is given
 * is copied to the buffer first. And what is written elsewhere than to the
 * stack and the buffer would be the snapshot's own.
 */
static int save_rows(const struct table *table, struct snapshot_shared *shared, int fd)
{
	struct summary summary = { 0 };

	for (unsigned long first = 0; first < table->nr; first += BUFFER_ROWS) {
		unsigned long nr = rows_at(table, first);
		ssize_t size = nr * sizeof(struct row);

		memcpy(shared->buffer, &table->rows[first], size);
		summary_add(&summary, &table->rows[first], first, nr);
		if (pwrite(fd, shared->buffer, size, first * sizeof(struct row)) != size)
			return -EIO;
	}
	shared->summary = summary;
	return 0;
}

int snapshot_read_back(const struct snapshot *s, struct summary *summary)
{
	struct row *rows = s->shared->buffer;

	memset(summary, 0, sizeof(*summary));
	for (unsigned long first = 0; first < s->table->nr; first += BUFFER_ROWS) {
		unsigned long nr = rows_at(s->table, first);
		ssize_t size = nr * sizeof(struct row);

		if (pread(s->fd, rows, size, first * sizeof(struct row)) != size)
			return -EIO;
		summary_add(summary, rows, first, nr);
	}
	return 0;
}

/* --- a clone of the root --- */

static int clone_make(struct snapshot *s)
{
	return dune_root_clone(NULL, &s->root);
}

static int clone_save(struct snapshot *s)
{
	int back, err = dune_root_switch(s->root);

	if (err)
		return err;
	err = save_rows(s->table, s->shared, s->fd);
	back = dune_root_switch(NULL);
	return err ? err : back;
}

static void clone_drop(struct snapshot *s)
{
	int err = dune_root_free(s->root);

	if (err)
		cli_die("dune_root_free: %s", strerror(-err));
}

const struct snapshot_way snapshot_clone = {
	.name = "dune_root_clone()",
	.make = clone_make,
	.save = clone_save,
	.drop = clone_drop,
};

/* --- a child --- */

/* It saves at once, beside the threads of the parent. */
static int fork_make(struct snapshot *s)
{
	s->child = fork();
	if (s->child < 0)
		return -errno;
	if (!s->child)
		_exit(save_rows(s->table, s->shared, s->fd) ? 1 : 0);
	return 0;
}

static int fork_save(struct snapshot *s)
{
	int status;

	while (waitpid(s->child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static void fork_drop(struct snapshot *s)
{
	s->child = 0;
}

const struct snapshot_way snapshot_fork = {
	.name = "fork()",
	.make = fork_make,
	.save = fork_save,
	.drop = fork_drop,
};
