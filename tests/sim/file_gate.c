/* SPDX-License-Identifier: MIT */
#include "file_gate.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define PATIENCE_S 20

struct file_gate {
	struct file file;
	struct file *inner; /* owned */
	struct gate *gate;
	struct list held; /* file_io, by task.node; the loop's */
	struct loop_task wake;
	bool waking; /* with the gate's lock */
};

/* One request passed on; the wrapped one completes when it does. */
struct relay {
	struct file_io io;
	struct file_io *outer;
};

void gate_init(struct gate *g)
{
	*g = (struct gate){ .file = NULL };
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
}

void gate_fini(struct gate *g)
{
	ASSERT(!g->file);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->cond);
}

void gate_shut(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->shut = true;
	pthread_mutex_unlock(&g->lock);
}

void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->shut = false;
	if (g->held_cnt && !g->file->waking) {
		g->file->waking = true;
		loop_post(g->file->file.loop, &g->file->wake);
	}
	pthread_mutex_unlock(&g->lock);
}

static void set(struct gate *g, bool *flag, bool value)
{
	pthread_mutex_lock(&g->lock);
	*flag = value;
	pthread_mutex_unlock(&g->lock);
}

void gate_set_full(struct gate *g, bool full)
{
	set(g, &g->full, full);
}

void gate_set_sync_fails(struct gate *g, bool fails)
{
	set(g, &g->sync_fails, fails);
}

bool gate_wait_held(struct gate *g, unsigned cnt)
{
	struct timespec end;
	int rc = 0;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&g->lock);
	while (g->held_cnt < cnt && rc == 0)
		rc = pthread_cond_timedwait(&g->cond, &g->lock, &end);
	bool held = g->held_cnt >= cnt;
	pthread_mutex_unlock(&g->lock);
	return held;
}

static struct file_gate *gate_of(struct file *f)
{
	return container_of(f, struct file_gate, file);
}

static void relay_done(struct file_io *io)
{
	struct relay *r = container_of(io, struct relay, io);
	struct file_io *outer = r->outer;
	outer->res = io->res;
	outer->err = io->err;
	outer->res_punched = io->res_punched;
	outer->res_zero_len = io->res_zero_len;
	outer->file->size = io->file->size;
	free(r);
	outer->done(outer);
}

static void fail_now(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);
	io->done(io);
}

static bool takes_space(enum file_op op)
{
	return op == FILE_WRITE || op == FILE_TRUNCATE || op == FILE_ZERO ||
	       op == FILE_RESERVE;
}

/* True: io is over, with an error. */
static bool fails(struct file_gate *h, struct file_io *io)
{
	pthread_mutex_lock(&h->gate->lock);
	int en = h->gate->full && takes_space(io->op) ? ENOSPC :
		 h->gate->sync_fails && io->op == FILE_SYNC ? EIO : 0;
	pthread_mutex_unlock(&h->gate->lock);
	if (!en)
		return false;
	io->res = err_sys(&io->err, en, "the gate");
	loop_task_init(&io->task, fail_now);
	loop_defer(h->file.loop, &io->task);
	return true;
}

static void pass_on(struct file_gate *h, struct file_io *io)
{
	if (fails(h, io))
		return;
	struct relay *r = malloc(sizeof(*r));
	ASSERT(r);
	r->io = *io;
	loop_task_init(&r->io.task, NULL);
	r->io.done = relay_done;
	r->outer = io;
	if (io->skip_zeros)
		file_submit_skipping(h->inner, &r->io);
	else
		file_submit(h->inner, &r->io);
}

/* True: it stands before the gate. */
static bool hold(struct file_gate *h, struct file_io *io)
{
	pthread_mutex_lock(&h->gate->lock);
	bool held = h->gate->shut;
	if (held) {
		loop_task_init(&io->task, NULL);
		list_add_tail(&h->held, &io->task.node);
		h->gate->held_cnt++;
		pthread_cond_broadcast(&h->gate->cond);
	}
	pthread_mutex_unlock(&h->gate->lock);
	return held;
}

static void gate_submit(struct file *f, struct file_io *io)
{
	if (!hold(gate_of(f), io))
		pass_on(gate_of(f), io);
}

static void woken(struct loop_task *t)
{
	struct file_gate *h = container_of(t, struct file_gate, wake);
	struct list held, *it, *nx;
	list_init(&held);
	pthread_mutex_lock(&h->gate->lock);
	h->waking = false;
	if (!h->gate->shut) {
		list_splice(&held, &h->held);
		h->gate->held_cnt = 0;
	}
	pthread_mutex_unlock(&h->gate->lock);
	list_for_each_safe(it, nx, &held) {
		list_del(it);
		pass_on(h, list_entry(it, struct file_io, task.node));
	}
}

static int gate_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			  uint64_t *len, struct vhdx_err *e)
{
	return file_next_data(gate_of(f)->inner, off, data_off, len, e);
}

static void gate_close(struct file *f)
{
	struct file_gate *h = gate_of(f);
	pthread_mutex_lock(&h->gate->lock);
	ASSERT(!h->gate->held_cnt && !h->waking);
	h->gate->file = NULL;
	pthread_mutex_unlock(&h->gate->lock);
	file_close(h->inner);
	free(h);
}

static const struct file_ops ops = {
	.submit = gate_submit,
	.next_data = gate_next_data,
	.close = gate_close,
};

int file_gate_new(struct file *inner, struct gate *g, struct file **out,
		  struct vhdx_err *e)
{
	struct file_gate *h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, VHDX_E_NOMEM, "no memory for a gate");
	h->inner = inner;
	h->file = *inner;
	h->file.ops = &ops;
	h->gate = g;
	list_init(&h->held);
	loop_task_init(&h->wake, woken);
	pthread_mutex_lock(&g->lock);
	ASSERT(!g->file);
	g->file = h;
	pthread_mutex_unlock(&g->lock);
	*out = &h->file;
	return 0;
}
