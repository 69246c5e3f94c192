/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The work queue: one thread walks the paths and produces, the workers
 * consume. Bounded, so both sides sleep and wake: that is part of the point.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* A mapped file, shared by the jobs of its chunks. */
struct mapping {
	char *data;
	size_t size;
	unsigned int users;	/* atomic; the last one unmaps */
};

struct job {
	char *path;		/* a small file to read, or NULL */
	struct mapping *map;	/* else: words that begin in [start, end) */
	size_t start;
	size_t end;
};

#define QUEUE_SIZE	64

struct queue {
	pthread_mutex_t lock;	/* protects the rest */
	pthread_cond_t not_empty;
	pthread_cond_t not_full;
	struct job jobs[QUEUE_SIZE];
	size_t head;
	size_t count;
	bool closed;		/* no more put() */
};

void queue_init(struct queue *q);
void queue_put(struct queue *q, const struct job *job);
void queue_close(struct queue *q);
/* False: closed and empty. */
bool queue_get(struct queue *q, struct job *job);
void queue_destroy(struct queue *q);

/* Put a job for each file under path; the number of files that failed. */
unsigned int queue_walk(struct queue *q, const char *path);

void mapping_put(struct mapping *map);

#endif /* QUEUE_H */
