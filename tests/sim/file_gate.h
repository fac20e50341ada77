/* SPDX-License-Identifier: MIT */
/*
 * A file whose disk belongs to another thread than the test's: the test closes
 * a gate before it, waits until something stands there, and opens it again;
 * or it makes the file's host full, or its syncs fail.
 */
#ifndef FILE_GATE_H
#define FILE_GATE_H

#include <pthread.h>

#include "file.h"

/* Outlives the files that go through it, one at a time. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct file_gate *file; /* NULL: closed */
	bool shut, full, sync_fails;
	unsigned held_cnt;
};

void gate_init(struct gate *g);
void gate_fini(struct gate *g);

/* [any thread] */
void gate_shut(struct gate *g);
void gate_open(struct gate *g);
void gate_set_full(struct gate *g, bool full); /* what takes space fails */
void gate_set_sync_fails(struct gate *g, bool fails);
/* Until cnt operations are held. False: that takes too long. */
bool gate_wait_held(struct gate *g, unsigned cnt) must_check;

/* Takes over inner; closed with the result. */
int file_gate_new(struct file *inner, struct gate *g, struct file **out,
		  struct vhdx_err *e) must_check;

#endif
