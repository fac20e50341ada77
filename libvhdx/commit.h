/* SPDX-License-Identifier: MIT */
/*
 * Making changes durable: turns dirty metadata pages into log entries, takes
 * them home, answers flushes. One round at a time; whatever arrives during a
 * round waits for the next one, so concurrent flushes share their syncs. A
 * flush with metadata costs two syncs, or one where the order of payload and
 * metadata cannot be told from the disk (C9); one without metadata costs one,
 * one with nothing new costs none.
 *
 * The ordering rules C1..C9 stand at the head of commit.c. All functions:
 * [loop].
 */
#ifndef COMMIT_H
#define COMMIT_H

#include "hdrwrite.h"
#include "image.h"
#include "log.h"
#include "mcache.h"

struct commit;

struct commit_ops {
	/* Dirty pages have been taken: others may be claimed now. */
	void (*taken)(void *arg);
	/* Every change numbered below commit_durable() is durable. */
	void (*durable)(void *arg);
	/* The image has failed for good. */
	void (*failed)(void *arg);
};

/* pair, mc and ops are borrowed for commit's life; writes go to f. */
int commit_new(struct file *f, struct header_pair *pair, struct mcache *mc,
	       const struct commit_ops *ops, void *arg, struct commit **out,
	       struct vhdx_err *e) must_check;
void commit_free(struct commit *cm); /* NULL allowed; no round may be running */

/* Payload has been written: the next flush must cover it, and it must be
 * durable before a log entry that was built after this call. */
void commit_wrote(struct commit *cm);

/* Payload has been written: the next flush must cover it. Whatever the log
 * says, and whatever is lost of the payload, a reader finds there what was
 * there before (C9). */
void commit_wrote_freely(struct commit *cm);

/* The file has changed in a way that no flush waits for, but the next log
 * entry relies on: it has grown, say, or space in it was zeroed. */
void commit_changed(struct commit *cm);

/* Everything changed or written so far becomes durable; fl->done runs later,
 * never inside the call. */
void commit_flush(struct commit *cm, struct image_flush *fl);

/* Start a round in the background if there are dirty pages. */
void commit_kick(struct commit *cm);

/* The same, if enough of them have piled up to be worth a round. */
void commit_kick_if_due(struct commit *cm);

/* mcache change numbers below this one are durable. */
uint64_t commit_durable(const struct commit *cm);

/* Sticky failure. commit_fail keeps the first cause only. */
void commit_fail(struct commit *cm, const struct vhdx_err *why);
bool commit_failed(const struct commit *cm);
/* FAILED, with the first cause in the text. */
int commit_failure(const struct commit *cm, struct vhdx_err *e);

bool commit_is_idle(const struct commit *cm);

/* Blocking; idle and flushed. Everything home and durable, LogGuid zero. */
int commit_close(struct commit *cm, struct vhdx_err *e) must_check;

#endif
