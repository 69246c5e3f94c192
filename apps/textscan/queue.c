// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files up to this size are read, larger ones are mapped, in chunks of it. */
#define CHUNK_SIZE	(256u << 10)

void queue_init(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->not_empty, NULL);
	pthread_cond_init(&q->not_full, NULL);
}

void queue_destroy(struct queue *q)
{
	pthread_cond_destroy(&q->not_full);
	pthread_cond_destroy(&q->not_empty);
	pthread_mutex_destroy(&q->lock);
}

void queue_put(struct queue *q, const struct job *job)
{
	pthread_mutex_lock(&q->lock);
	while (q->count == QUEUE_SIZE)
		pthread_cond_wait(&q->not_full, &q->lock);
	q->jobs[(q->head + q->count++) % QUEUE_SIZE] = *job;
	pthread_cond_signal(&q->not_empty);
	pthread_mutex_unlock(&q->lock);
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->not_empty);
	pthread_mutex_unlock(&q->lock);
}

bool queue_get(struct queue *q, struct job *job)
{
	bool got = false;

	pthread_mutex_lock(&q->lock);
	while (!q->count && !q->closed)
		pthread_cond_wait(&q->not_empty, &q->lock);
	if (q->count) {
		*job = q->jobs[q->head];
		q->head = (q->head + 1) % QUEUE_SIZE;
		q->count--;
		pthread_cond_signal(&q->not_full);
		got = true;
	}
	pthread_mutex_unlock(&q->lock);
	return got;
}

void mapping_put(struct mapping *map)
{
	if (__atomic_sub_fetch(&map->users, 1, __ATOMIC_ACQ_REL))
		return;
	munmap(map->data, map->size);
	free(map);
}

static int put_big(struct queue *q, const char *path, size_t size)
{
	struct mapping *map = malloc(sizeof(*map));
	struct job job = { .map = map };
	int fd, err;

	if (!map)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		free(map);
		return err;
	}
	map->data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	err = -errno;
	close(fd);
	if (map->data == MAP_FAILED) {
		free(map);
		return err;
	}
	map->size = size;
	map->users = 1;		/* ours, until all chunks are put */
	for (job.start = 0; job.start < size; job.start = job.end) {
		job.end = size - job.start > CHUNK_SIZE ? job.start + CHUNK_SIZE : size;
		__atomic_add_fetch(&map->users, 1, __ATOMIC_RELAXED);
		queue_put(q, &job);
	}
	mapping_put(map);
	return 0;
}

static int put_file(struct queue *q, const char *path, size_t size)
{
	struct job job = { .path = NULL };

	if (size > CHUNK_SIZE)
		return put_big(q, path, size);
	job.path = strdup(path);
	if (!job.path)
		return -ENOMEM;
	queue_put(q, &job);
	return 0;
}

unsigned int queue_walk(struct queue *q, const char *path)
{
	char *paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	unsigned int failed = 0;
	FTSENT *e;
	int err;

	if (!fts) {
		fprintf(stderr, "textscan: %s: %m\n", path);
		return 1;
	}
	while ((e = fts_read(fts))) {
		err = 0;
		switch (e->fts_info) {
		case FTS_F:
			err = put_file(q, e->fts_path, e->fts_statp->st_size);
			break;
		case FTS_DNR:
		case FTS_ERR:
		case FTS_NS:
			err = -e->fts_errno;
			break;
		}
		if (err) {
			fprintf(stderr, "textscan: %s: %s\n", e->fts_path, strerror(-err));
			failed++;
		}
	}
	fts_close(fts);
	return failed;
}
