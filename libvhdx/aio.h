/* SPDX-License-Identifier: MIT */
/*
 * The kernel's ring for asynchronous transfers (libaio), one per loop. It is
 * asynchronous only for O_DIRECT descriptors; whatever else is asked for is
 * done inside the submission, which is slow, not wrong.
 *
 * What is submitted during a turn goes to the kernel together at the turn's
 * end. Any number may be submitted; what exceeds the ring waits here, in order.
 */
#ifndef AIO_H
#define AIO_H

#include <libaio.h>

#include "bufpool.h"
#include "loop.h"

struct aio;

struct aio_op {
	struct iocb cb;	  /* io_prep_*(), by the submitter */
	struct list node; /* while it waits: till then cb may be changed */
	/* Runs on the loop, exactly once, never inside aio_submit(); fn is the
	 * submitter's. */
	struct loop_task task;
	/* Bytes transferred, or -errno; -EAGAIN: the kernel does not take it
	 * now, do it another way. */
	long res;
};

/* [loop] The loop's own ring, made on first use, freed with the loop. An error
 * if the host has none to give. */
int loop_aio(struct loop *l, struct aio **out, struct vhdx_err *e) must_check;

/* [loop] For what is not aligned as the kernel wants it. */
struct bufpool *aio_bufs(struct aio *a);

/* [loop] cb and task.fn are set; op, its buffers and its iovec are the ring's
 * until the task runs. */
void aio_submit(struct aio *a, struct aio_op *op);

#endif
