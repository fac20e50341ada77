/* SPDX-License-Identifier: MIT */
/*
 * A handler may delete any descriptor, one that is ready in the same round
 * included: the round's list lives in the loop, and evloop_del() crosses the
 * entry out.
 */
#include "evloop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "err.h"
#include "mem.h"

#define ROUND 32

struct evloop {
	int fd;
	bool stop;
	struct epoll_event round[ROUND];
	int round_cnt, round_at;
};

int evloop_create(struct evloop **out, struct vhdx_err *e)
{
	struct evloop *l = mem_zalloc(sizeof(*l));

	if (!l)
		return err_set(e, VHDX_E_NOMEM, "event loop: out of memory");
	l->fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->fd < 0) {
		int rc = err_sys(e, errno, "event loop: epoll_create1");

		mem_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void evloop_destroy(struct evloop *l)
{
	if (!l)
		return;
	close(l->fd);
	mem_free(l);
}

int evloop_add(struct evloop *l, struct ev *ev, uint32_t events,
	       struct vhdx_err *e)
{
	struct epoll_event want = { .events = events, .data.ptr = ev };

	if (epoll_ctl(l->fd, EPOLL_CTL_ADD, ev->fd, &want) != 0)
		return err_sys(e, errno, "event loop: descriptor %d", ev->fd);
	return 0;
}

void evloop_mod(struct evloop *l, struct ev *ev, uint32_t events)
{
	struct epoll_event want = { .events = events, .data.ptr = ev };
	int rc = epoll_ctl(l->fd, EPOLL_CTL_MOD, ev->fd, &want);

	ASSERT(rc == 0);
}

void evloop_del(struct evloop *l, struct ev *ev)
{
	int rc = epoll_ctl(l->fd, EPOLL_CTL_DEL, ev->fd, NULL);

	ASSERT(rc == 0);
	for (int i = l->round_at; i < l->round_cnt; i++)
		if (l->round[i].data.ptr == ev)
			l->round[i].data.ptr = NULL;
}

void evloop_run(struct evloop *l)
{
	while (!l->stop) {
		l->round_cnt = epoll_wait(l->fd, l->round, ROUND, -1);
		ASSERT(l->round_cnt >= 0 || errno == EINTR);
		for (l->round_at = 0; l->round_at < l->round_cnt && !l->stop;) {
			struct epoll_event *now = &l->round[l->round_at++];
			struct ev *ev = now->data.ptr;

			if (ev)
				ev->fn(ev->arg, now->events);
		}
	}
	l->stop = false;
	l->round_at = l->round_cnt = 0;
}

void evloop_stop(struct evloop *l)
{
	l->stop = true;
}
