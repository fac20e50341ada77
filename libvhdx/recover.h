/* SPDX-License-Identifier: MIT */
/*
 * Bringing a VHDX file that its last writer left dirty back to a state whose
 * log is empty, in place. The one sequence that every writable open, `log
 * replay` and `check --repair` use:
 *
 * V1  Both headers get a new FileWriteGuid, LogGuid unchanged, durably, before
 *     any other byte changes (MS-VHDX 2.2.2).
 * V2  Every replayed byte and the file's new size are durable before the
 *     first header says LogGuid = 0.
 * V3  Both headers say LogGuid = 0 on success, so that no later damage of one
 *     brings a dead log back.
 * V4  DataWriteGuid stays: what a reader sees does not change.
 *
 * A crash anywhere leaves a file that the same call recovers.
 */
#ifndef RECOVER_H
#define RECOVER_H

#include "header.h"

/* Blocking. f is writable and p was loaded from it. Nothing is written when
 * both headers say that the log is empty, or when it cannot be replayed
 * (CORRUPT); where only one says so, the other is brought up to it. *entries
 * (may be NULL): how many log entries were applied. On success p->cur is
 * current with LogGuid zero; after an error load p anew before using it. */
int recover_log(struct file *f, struct header_pair *p, uint64_t *entries,
		struct vhdx_err *e) must_check;

#endif
