/* SPDX-License-Identifier: MIT */
/*
 * A file that passes everything on to another one, counts it, and makes chosen
 * operations fail. Counting starts at file_fault_new() and includes failures.
 */
#ifndef FILE_FAULT_H
#define FILE_FAULT_H

#include "file_wrap.h"

#define FAULT_OP_CNT (FILE_SCAN + 1)
#define FAULT_ANY_CHANGE ((1u << FILE_WRITE) | (1u << FILE_TRUNCATE) | \
			  (1u << FILE_ZERO) | (1u << FILE_PUNCH) |     \
			  (1u << FILE_RESERVE) | (1u << FILE_COPY))
#define FAULT_ANY (FAULT_ANY_CHANGE | (1u << FILE_READ) | (1u << FILE_SYNC))

enum fault_extent {
	FAULT_NOTHING, /* nothing was done */
	FAULT_HALF,    /* the first half of the range was done (a truncate or
			  sync: all of it) */
	FAULT_DONE,    /* all was done, and still reported as failed */
};

struct fault_rule {
	unsigned ops;  /* 1u << FILE_x, or'ed */
	uint64_t nth;  /* of these, from now; 1 is the next; 0: no rule */
	int sys_errno; /* EIO, ENOSPC, ... */
	bool sticky;   /* all later ones fail as well */
	enum fault_extent extent;
};

struct file_fault {
	struct file_wrap w; /* owns inner */
	struct fault_rule rule;
	struct fault_rule *shared; /* NULL, or counts in place of `rule`, for
				      several files together */
	uint64_t cnt[FAULT_OP_CNT];   /* submitted, by enum file_op */
	uint64_t bytes[FAULT_OP_CNT];
	uint64_t failed_cnt;	      /* made to fail */
	uint64_t *failed_total;	      /* NULL, or counts along, for a caller
					 who asks after the close */
};

/* Takes over inner, closes it with the result. */
int file_fault_new(struct file *inner, struct file_fault **out,
		   struct vhdx_err *e) must_check;

/* Does the next operation of the kind (a bit of rule.ops) fail? Counts it. */
bool fault_due(struct fault_rule *r, unsigned op_bit);

/* Replaces the rule. */
void fault_set(struct file_fault *f, struct fault_rule rule);

#endif
