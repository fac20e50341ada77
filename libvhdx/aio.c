/* SPDX-License-Identifier: MIT */
/*
 * An op waits in `queue`, is in the kernel, and comes back through the ring.
 * The kernel counts completions into the loop's eventfd, so a sleeping loop
 * wakes; a loop that is awake looks into the ring's memory, without a system
 * call.
 */
#include "aio.h"

#include <errno.h>
#include <stdatomic.h>

#include "mem.h"

#define AIO_DEPTH 256u
#define REAP_MAX 64
/* The kernel tells the device of them when it has prepared all of one call: a
 * device that waits for work is to begin before the last is prepared. */
#define SUBMIT_MAX 4

struct aio {
	struct loop_source source;
	struct loop *loop;
	io_context_t ctx;
	struct bufpool *bufs;
	struct list queue;
	unsigned in_kernel;
};

/* The head of the ring as the kernel maps it (linux/fs/aio.c, ABI). */
struct ring {
	unsigned id, nr, head;
	_Atomic unsigned tail;
	unsigned magic, compat, incompat, header_len;
};

#define RING_MAGIC 0xa10a10a1u

/* The first of the queue cannot be submitted, for this reason. */
static void refuse_first(struct aio *a, int en)
{
	struct aio_op *op = list_first(&a->queue, struct aio_op, node);

	list_del(&op->node);
	op->res = -en;
	loop_defer(a->loop, &op->task);
}

static void submit_queued(struct aio *a)
{
	while (!list_empty(&a->queue) && a->in_kernel < AIO_DEPTH) {
		struct iocb *batch[SUBMIT_MAX];
		unsigned room = AIO_DEPTH - a->in_kernel;
		long cnt = 0;
		int n;

		for (struct list *i = a->queue.next;
		     i != &a->queue && cnt < SUBMIT_MAX && cnt < (long)room;
		     i = i->next) {
			batch[cnt] = &container_of(i, struct aio_op, node)->cb;
			io_set_eventfd(batch[cnt++], loop_fd(a->loop));
		}
		do
			n = io_submit(a->ctx, cnt, batch);
		while (n == -EINTR);
		if (n == -EAGAIN && a->in_kernel)
			return; /* a completion makes room */
		if (n <= 0) {
			refuse_first(a, n ? -n : EAGAIN);
			continue;
		}
		for (; n; n--) {
			list_del(a->queue.next);
			a->in_kernel++;
		}
	}
}

static bool ring_is_empty(const struct aio *a)
{
	struct ring *r = (struct ring *)(void *)a->ctx;

	return r->magic == RING_MAGIC && r->incompat == 0 &&
	       r->head == atomic_load_explicit(&r->tail, memory_order_acquire);
}

static void reap(struct aio *a)
{
	static struct timespec now; /* never written: zero */
	struct io_event ev[REAP_MAX];
	int n;

	while (a->in_kernel && !ring_is_empty(a)) {
		n = io_getevents(a->ctx, 0, REAP_MAX, ev, &now);
		if (n <= 0)
			return;
		a->in_kernel -= (unsigned)n;
		for (int i = 0; i < n; i++) {
			struct aio_op *op = container_of(ev[i].obj,
							 struct aio_op, cb);

			op->res = (long)ev[i].res;
			loop_ready(a->loop, &op->task);
		}
	}
}

static void aio_poll(struct loop_source *s)
{
	struct aio *a = container_of(s, struct aio, source);

	reap(a);
	submit_queued(a);
}

static void aio_free(struct loop_source *s)
{
	struct aio *a = container_of(s, struct aio, source);

	ASSERT(a->in_kernel == 0 && list_empty(&a->queue));
	io_destroy(a->ctx);
	bufpool_free(a->bufs);
	mem_free(a);
}

int loop_aio(struct loop *l, struct aio **out, struct vhdx_err *e)
{
	struct loop_source *s = loop_find_source(l, aio_poll);
	struct aio *a;
	int rc;

	if (s) {
		*out = container_of(s, struct aio, source);
		return 0;
	}
	a = mem_zalloc(sizeof(*a));
	if (!a)
		return err_set(e, VHDX_E_NOMEM, "no memory for an aio ring");
	rc = bufpool_new(&a->bufs, e);
	if (rc) {
		mem_free(a);
		return rc;
	}
	rc = io_setup((int)AIO_DEPTH, &a->ctx);
	if (rc < 0) {
		bufpool_free(a->bufs);
		mem_free(a);
		return err_sys(e, -rc, "aio: the host has no ring of %u to "
			       "give (fs.aio-max-nr limits them)", AIO_DEPTH);
	}
	a->loop = l;
	a->source.poll = aio_poll;
	a->source.free = aio_free;
	list_init(&a->queue);
	loop_add_source(l, &a->source);
	*out = a;
	return 0;
}

struct bufpool *aio_bufs(struct aio *a)
{
	return a->bufs;
}

void aio_submit(struct aio *a, struct aio_op *op)
{
	list_init(&op->node);
	list_init(&op->task.node);
	list_add_tail(&a->queue, &op->node);
	if (!loop_in_turn(a->loop))
		submit_queued(a);
}
