/* SPDX-License-Identifier: MIT */
/*
 * Inside a real file: what file_posix.c, which moves the data, shares with
 * posix_space.c, which changes the size of the file and what it occupies.
 */
#ifndef POSIX_FILE_H
#define POSIX_FILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "file.h"
#include "workers.h"

struct file_posix {
	struct file file;
	struct workers *workers;
	struct workers_lane writes, short_writes;
	char *path;
	int fd;
	bool is_device;
	unsigned in_flight;
	/* Reads without waiting: not to be had; how many reads not to try next
	 * and how many the last miss cost. */
	bool no_now;
	unsigned now_skip, now_miss;
	/* The last job, as long as its round lasts. */
	struct file_io *last;
	uint64_t last_round, last_end, last_len;
	int last_cnt; /* of pieces of memory */
	atomic_bool no_zero_range; /* the host said so, once */
	atomic_bool no_punch, no_reserve;
	pthread_mutex_t sync_lock;
	int sync_errno; /* X1 */
	/* What next_data() found last: some hosts look for the end of a long
	 * run page by page. Forgotten when a part may have become a hole. */
	uint64_t data_off, data_end;
};

/* Raises what a system call on io's range left in errno. */
int posix_io_failed(struct file_io *io, int en, const char *what) must_check;

/* The host does not have this call for this file. */
bool posix_no_such_call(int en);

/* 0 or errno. */
int posix_current_size(const struct file_posix *p, uint64_t *size) must_check;

/* Blocking, [any]: an operation of file.h, as far as it is the host's. */
int posix_truncate(const struct file_posix *p, struct file_io *io) must_check;
int posix_zero(struct file_posix *p, struct file_io *io) must_check;
int posix_punch(struct file_posix *p, struct file_io *io) must_check;
int posix_reserve(struct file_posix *p, struct file_io *io) must_check;

#endif
