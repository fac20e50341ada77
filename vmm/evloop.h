/* SPDX-License-Identifier: MIT */
/*
 * The bus thread's event loop: file descriptors and what to call when they are
 * readable (or writable). One per process, level triggered, one thread.
 */
#ifndef EVLOOP_H
#define EVLOOP_H

#include "base.h"

struct evloop;
struct vhdx_err;

typedef void ev_fn(void *arg, uint32_t events); /* EPOLL* */

struct ev {
	int fd;
	ev_fn *fn;
	void *arg;
};

int evloop_create(struct evloop **out, struct vhdx_err *e) must_check;
void evloop_destroy(struct evloop *l);

/* ev stays the caller's, and where it is, until evloop_del(); which may be
 * called from any handler, its own included. */
int evloop_add(struct evloop *l, struct ev *ev, uint32_t events,
	       struct vhdx_err *e) must_check;
void evloop_mod(struct evloop *l, struct ev *ev, uint32_t events);
void evloop_del(struct evloop *l, struct ev *ev);

/* Until evloop_stop(). */
void evloop_run(struct evloop *l);
void evloop_stop(struct evloop *l);

#endif
