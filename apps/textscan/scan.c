// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORD_MAX	128	/* longer words are counted by their beginning */

/* ASCII letters, and every byte of a non-ASCII UTF-8 character. */
static inline bool is_word(unsigned char c)
{
	return (unsigned char)((c | 0x20) - 'a') < 26 || c >= 0x80;
}

/*
 * Count the words that begin in [start, end) of data[size]. A word that runs
 * over a chunk's end belongs to the chunk it begins in.
 */
static int count_words(struct table *t, const char *data, size_t size,
		       size_t start, size_t end)
{
	char word[WORD_MAX];
	size_t i = start;
	uint32_t len;

	if (i && is_word(data[i - 1]))
		while (i < end && is_word(data[i]))
			i++;
	while (i < end) {
		if (!is_word(data[i])) {
			i++;
			continue;
		}
		for (len = 0; i < size && is_word(data[i]); i++) {
			unsigned char c = data[i];

			if (len < WORD_MAX)
				word[len++] = c < 0x80 ? c | 0x20 : c;
		}
		if (table_add(t, word, len, 1))
			return -ENOMEM;
	}
	return 0;
}

static int count_file(struct worker *w, const char *path)
{
	struct stat st;
	size_t size = 0;
	ssize_t n = 0;
	char *data;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		err = -errno;
		close(fd);
		return err;
	}
	data = malloc(st.st_size + 1);
	if (!data) {
		close(fd);
		return -ENOMEM;
	}
	while (size < (size_t)st.st_size &&
	       (n = read(fd, data + size, st.st_size - size)) > 0)
		size += n;
	err = n < 0 ? -errno : count_words(&w->table, data, size, 0, size);
	free(data);
	close(fd);
	w->files++;
	w->bytes += size;
	return err;
}

static void do_job(struct worker *w, struct job *job)
{
	int err;

	if (job->map) {
		err = count_words(&w->table, job->map->data, job->map->size,
				  job->start, job->end);
		w->files += job->start == 0;
		w->bytes += job->end - job->start;
		mapping_put(job->map);
	} else {
		err = count_file(w, job->path);
	}
	if (err) {
		fprintf(stderr, "textscan: %s: %s\n", job->path ? job->path : "mapped file",
			strerror(-err));
		w->failed++;
	}
	free(job->path);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct dune_stats stats;
	struct job job;

	if (w->scan->dune && dune_enter()) {
		fprintf(stderr, "textscan: dune_enter: %s\n", dune_why());
		w->failed++;
	}
	/* All vCPUs exist at once: nobody gets one that another has left. */
	pthread_barrier_wait(&w->scan->start);
	while (queue_get(&w->scan->queue, &job))
		do_job(w, &job);

	if (w->scan->dune) {
		w->inside = dune_inside();
		w->vcpu_fd = dune_vcpu_fd();
		dune_stats(&stats);
		memcpy(w->vcpu, stats.vcpu, sizeof(w->vcpu));
		if (dune_exit()) {
			fprintf(stderr, "textscan: the thread is not in Dune mode any more\n");
			w->failed++;
		}
	}
	return NULL;
}

int scan_run(struct scan *s, char *const paths[], unsigned int nr_workers,
	     enum scan_mode mode)
{
	unsigned int i;

	memset(s, 0, sizeof(*s));
	s->dune = mode == SCAN_DUNE;
	s->nr_workers = nr_workers;
	s->workers = calloc(nr_workers, sizeof(*s->workers));
	if (!s->workers)
		return -ENOMEM;
	queue_init(&s->queue);
	pthread_barrier_init(&s->start, NULL, nr_workers);

	for (i = 0; i < nr_workers; i++) {
		int err;

		s->workers[i].scan = s;
		s->workers[i].vcpu_fd = -1;
		err = pthread_create(&s->workers[i].thread, NULL, worker_main, &s->workers[i]);
		if (err) {
			/* The others wait for this one at the barrier: give up. */
			fprintf(stderr, "textscan: thread %u: %s\n", i, strerror(err));
			exit(1);
		}
	}
	for (; *paths; paths++)
		s->failed += queue_walk(&s->queue, *paths);
	queue_close(&s->queue);

	for (i = 0; i < nr_workers; i++) {
		struct worker *w = &s->workers[i];

		pthread_join(w->thread, NULL);
		if (table_merge(&s->table, &w->table)) {
			fprintf(stderr, "textscan: out of memory\n");
			s->failed++;
		}
		s->files += w->files;
		s->bytes += w->bytes;
		s->failed += w->failed;
	}
	pthread_barrier_destroy(&s->start);
	queue_destroy(&s->queue);
	return 0;
}

int scan_print(const struct scan *s, size_t top, FILE *out)
{
	fprintf(out, "%" PRIu64 " files, %" PRIu64 " bytes, %" PRIu64 " words, %zu distinct\n",
		s->files, s->bytes, s->table.total, s->table.used);
	return table_print(&s->table, top, out);
}

void scan_free(struct scan *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_workers; i++)
		table_free(&s->workers[i].table);
	table_free(&s->table);
	free(s->workers);
}
