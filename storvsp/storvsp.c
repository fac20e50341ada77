/* SPDX-License-Identifier: MIT */
/*
 * The controller's thread and its mailbox. What one iteration does is in
 * storvsp_int.h.
 *
 * The thread never waits but for events: an order that takes time is begun,
 * and ended by a later iteration's step. Opening, flushing and closing a disk
 * are the exceptions; the controller's other disks wait for that.
 */
#include "storvsp_int.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mem.h"

#define EVENTS 32

const uint8_t storvsp_if_type[16] = {
	0xd9, 0x63, 0x61, 0xba, 0xa1, 0x04, 0x29, 0x4d,
	0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f,
};

void storvsp_tell(struct storvsp *v, const char *fmt, ...)
{
	char text[600];
	va_list ap;
	if (!v->conf.tell)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->conf.tell(v->conf.arg, text);
}

bool storvsp_may_take(const struct storvsp *v)
{
	return !v->paused && list_empty(&v->resets);
}

/* ---- what the thread waits for ------------------------------------------ */

int storvsp_watch(struct storvsp *v, struct storvsp_source *s,
		  struct vhdx_err *e)
{
	struct epoll_event ev = {
		.events = EPOLLIN | (s->eventfd ? EPOLLET : 0), .data.ptr = s,
	};
	if (epoll_ctl(v->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) == 0)
		return 0;
	return err_sys(e, errno, "SCSI controller: epoll_ctl");
}

void storvsp_unwatch(struct storvsp *v, struct storvsp_source *s)
{
	epoll_ctl(v->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
}

static void wait_events(struct storvsp *v)
{
	struct epoll_event ev[EVENTS];
	bool busy = !list_empty(&v->ready) || !list_empty(&v->turning);
	int cnt = epoll_wait(v->epoll_fd, ev, EVENTS, busy ? 0 : -1);
	for (int i = 0; i < cnt; i++) {
		struct storvsp_source *s = ev[i].data.ptr;
		s->ready(s);
	}
}

/* ---- the mailbox -------------------------------------------------------- */

void storvsp_post(struct storvsp *v, struct storvsp_order *o)
{
	/* With the lock held: v may be gone when the order has been done. */
	pthread_mutex_lock(&v->lock);
	list_add_tail(&v->orders, &o->node);
	eventfd_write(v->mail.fd, 1);
	pthread_mutex_unlock(&v->lock);
}

int storvsp_call(struct storvsp *v, struct storvsp_order *o)
{
	ASSERT(!pthread_equal(pthread_self(), v->thread));
	storvsp_post(v, o);
	pthread_mutex_lock(&v->lock);
	while (!o->done)
		pthread_cond_wait(&v->cond, &v->lock);
	pthread_mutex_unlock(&v->lock);
	return o->rc;
}

void storvsp_done(struct storvsp *v, struct storvsp_order *o, int rc)
{
	pthread_mutex_lock(&v->lock);
	o->rc = rc;
	o->done = true;
	pthread_cond_broadcast(&v->cond);
	pthread_mutex_unlock(&v->lock);
}

static void mail(struct storvsp_source *s)
{
	struct storvsp *v = container_of(s, struct storvsp, mail);
	v->mail_there = true;
}

static void run_orders(struct storvsp *v)
{
	struct list orders, *it, *nx;
	if (!v->mail_there)
		return;
	v->mail_there = false;
	list_init(&orders);
	pthread_mutex_lock(&v->lock);
	list_splice(&orders, &v->orders);
	pthread_mutex_unlock(&v->lock);
	list_for_each_safe(it, nx, &orders) {
		struct storvsp_order *o =
			list_entry(it, struct storvsp_order, node);
		list_del(it);
		o->run(v, o);
	}
}

/* ---- pause -------------------------------------------------------------- */

static void pause_order(struct storvsp *v, struct storvsp_order *o)
{
	v->paused = true;
	list_add_tail(&v->pausing, &o->node);
	v->pending = true;
}

void storvsp_pause(struct storvsp *v)
{
	struct storvsp_order o = { .run = pause_order };
	(void)!storvsp_call(v, &o);
}

static bool pause_step(struct storvsp *v)
{
	struct list *it, *nx;
	if (list_empty(&v->pausing))
		return false;
	if (!storvsp_unit_idle(v) || !list_empty(&v->resets))
		return true;
	list_for_each_safe(it, nx, &v->pausing) {
		list_del(it);
		storvsp_done(v, list_entry(it, struct storvsp_order, node), 0);
	}
	return false;
}

static void continue_order(struct storvsp *v, struct storvsp_order *o)
{
	v->paused = false;
	storvsp_chan_go(v);
	storvsp_done(v, o, 0);
}

void storvsp_continue(struct storvsp *v)
{
	struct storvsp_order o = { .run = continue_order };
	(void)!storvsp_call(v, &o);
}

/* ---- the thread --------------------------------------------------------- */

static void serve(struct storvsp *v)
{
	struct list ready, *it, *nx;
	list_init(&ready);
	list_splice(&ready, &v->ready);
	list_for_each_safe(it, nx, &ready) {
		list_del(it);
		storvsp_chan_serve(list_entry(it, struct storvsp_chan, ready));
	}
}

static void step(struct storvsp *v)
{
	if (!v->pending)
		return;
	/* Channels last: what ends for units is answered to them. */
	bool waits = storvsp_unit_step(v);
	waits |= storvsp_chan_step(v);
	waits |= pause_step(v);
	v->pending = waits;
}

static void *controller(void *arg)
{
	struct storvsp *v = arg;
	while (!v->quit) {
		wait_events(v);
		serve(v);
		storvsp_unit_turns(v);
		storvsp_chan_interrupt(v);
		run_orders(v);
		step(v);
		storvsp_chan_interrupt(v);
	}
	return NULL;
}

/* ---- life --------------------------------------------------------------- */

static void free_controller(struct storvsp *v)
{
	if (v->mail.fd >= 0)
		close(v->mail.fd);
	if (v->epoll_fd >= 0)
		close(v->epoll_fd);
	pthread_cond_destroy(&v->cond);
	pthread_mutex_destroy(&v->lock);
	mem_free(v);
}

/* Signals are for other threads, but those of a crash here. */
static int start(struct storvsp *v)
{
	sigset_t all, old;
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int en = pthread_create(&v->thread, NULL, controller, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!en)
		pthread_setname_np(v->thread, "storvsp");
	return en;
}

int storvsp_create(const struct storvsp_conf *conf, struct storvsp **out,
		   struct vhdx_err *e)
{
	struct storvsp *v = mem_zalloc(sizeof(*v));
	if (!v)
		return err_set(e, VHDX_E_NOMEM, "SCSI controller: out of "
			       "memory");
	v->conf = *conf;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->cond, NULL);
	struct list *lists[] = { &v->orders, &v->chans, &v->ready, &v->held,
				 &v->turning, &v->resets, &v->pausing };
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		list_init(lists[i]);
	v->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	v->mail = (struct storvsp_source){
		mail, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), true,
	};
	int rc = 0, en = 0;
	if (v->epoll_fd < 0 || v->mail.fd < 0)
		rc = err_sys(e, errno, "SCSI controller: epoll, eventfd");
	else if (!(rc = storvsp_watch(v, &v->mail, e)) && (en = start(v)))
		rc = err_sys(e, en, "SCSI controller: its thread");
	if (rc) {
		free_controller(v);
		return rc;
	}
	*out = v;
	return 0;
}

static void quit_order(struct storvsp *v, struct storvsp_order *o)
{
	ASSERT(list_empty(&v->chans));
	v->quit = true;
	storvsp_done(v, o, storvsp_unit_close_all(v, o->e));
}

int storvsp_destroy(struct storvsp *v, struct vhdx_err *e)
{
	if (!v)
		return 0;
	struct storvsp_order o = { .run = quit_order, .e = e };
	int rc = storvsp_call(v, &o);
	pthread_join(v->thread, NULL);
	free_controller(v);
	return rc;
}
