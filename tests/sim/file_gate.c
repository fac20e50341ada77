/* SPDX-License-Identifier: MIT */
#include "file_gate.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "file_wrap.h"

#define PATIENCE_S 20

struct file_gate {
	struct file_wrap w; /* owns inner */
	struct gate *gate;
	struct list held; /* file_io, by task.node; the loop's */
	struct loop_task wake;
	bool waking; /* with the gate's lock */
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
		loop_post(g->file->w.file.loop, &g->file->wake);
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
	return container_of(f, struct file_gate, w.file);
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
	file_wrap_fail(&h->w, io, en);
	return true;
}

static void pass_on(struct file_gate *h, struct file_io *io)
{
	if (!fails(h, io))
		file_wrap_pass(&h->w, io);
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

static void gate_close(struct file *f)
{
	struct file_gate *h = gate_of(f);
	pthread_mutex_lock(&h->gate->lock);
	ASSERT(!h->gate->held_cnt && !h->waking);
	h->gate->file = NULL;
	pthread_mutex_unlock(&h->gate->lock);
	file_close(h->w.inner);
	free(h);
}

static const struct file_ops ops = {
	.submit = gate_submit,
	.next_data = file_wrap_next_data,
	.close = gate_close,
};

int file_gate_new(struct file *inner, struct gate *g, struct file **out,
		  struct vhdx_err *e)
{
	struct file_gate *h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, VHDX_E_NOMEM, "no memory for a gate");
	file_wrap_init(&h->w, inner, &ops);
	h->gate = g;
	list_init(&h->held);
	loop_task_init(&h->wake, woken);
	pthread_mutex_lock(&g->lock);
	ASSERT(!g->file);
	g->file = h;
	pthread_mutex_unlock(&g->lock);
	*out = &h->w.file;
	return 0;
}
