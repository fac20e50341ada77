/* SPDX-License-Identifier: MIT */
/* What file_crash.c records and crash_state.c reads. */
#ifndef CRASH_RECORD_H
#define CRASH_RECORD_H

#include "file_crash.h"

#define CRASH_NEVER UINT64_MAX
#define CRASH_SECTOR 512u

/* A change or a sync. Events are numbered from 1; NEVER: not yet. */
struct crash_op {
	struct loop_task task;
	struct crash_disk *disk;
	struct file_io *io; /* until complete */
	enum file_op op;
	uint64_t off, len;
	uint8_t *data; /* WRITE */
	unsigned exec_delay, done_delay;
	bool grows; /* its end was beyond the size when it took effect, or
		     * until then, when it was submitted */
	uint64_t submitted, completed;
	bool executed;
	/* SYNC, at submission: the longest prefix of `order` that was complete,
	 * and the content it amounts to. */
	size_t base_idx;
	struct memimg base;
};

struct crash_ops {
	struct crash_op **v;
	size_t cnt, room;
};

/* One change that counts at an instant. */
struct crash_slot {
	const struct crash_op *op;
	bool must; /* L1 */
};

/* Everything needed to build contents at instant k; kept for the next one. */
struct crash_window {
	uint64_t k; /* NEVER: nothing here yet */
	uint64_t seen; /* crash_now() when it was made */
	const struct memimg *base;
	struct crash_slot *slots;
	size_t cnt, room;
	uint64_t op_cnt, atom_cnt;
};

struct crash_disk {
	struct crash_world *world;
	char *name;
	unsigned open_cnt;
	unsigned waiting; /* submitted, without effect yet */
	struct memimg now;
	struct memimg initial;
	struct memimg stable;	/* all up to stable_idx of order, no other */
	size_t stable_idx;
	struct crash_ops all;	/* in order of submission */
	struct crash_ops order; /* changes, in the order they took effect */
	struct crash_ops syncs; /* in the order they completed */
	struct crash_window window;
};

struct crash_event {
	const struct crash_op *op; /* NULL: a mark */
	bool completed;		   /* else submitted */
	char *mark;
};

struct crash_world {
	struct crash_opts opts;
	uint64_t rand;
	struct crash_event *events;
	size_t event_cnt, event_room;
	struct crash_disk **disks;
	size_t disk_cnt;
};

/* Sectors that the range of the op touches; 0 for truncate and sync. */
uint64_t crash_sector_cnt(const struct crash_op *op);

/* What becomes of a change. */
enum crash_fate_kind {
	FATE_LOST,
	FATE_WHOLE,
	FATE_PREFIX, /* sectors below arg */
	FATE_SUFFIX, /* sectors from arg on */
	FATE_RANDOM, /* seeded by arg */
	FATE_MASK,   /* bit i of arg: sector i */
};

struct crash_fate {
	enum crash_fate_kind kind;
	uint64_t arg;
	bool size; /* L3 */
};

/* Applies op to content *m whose size is kept apart in *size. */
void crash_apply(struct memimg *m, uint64_t *size, const struct crash_op *op,
		 const struct crash_fate *fate);

#endif
