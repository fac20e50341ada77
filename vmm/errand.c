/* SPDX-License-Identifier: MIT */
#include "errand.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "err.h"
#include "evloop.h"
#include "mem.h"

struct errands {
	struct evloop *loop;
	struct ev ev; /* an eventfd: some are done */
	bool watched;
	unsigned cnt; /* under way */
	pthread_mutex_t lock;
	struct errand *ready; /* under the lock */
};

static void *run(void *arg)
{
	struct errand *w = arg;
	struct errands *s = w->errands;
	w->work(w);
	pthread_mutex_lock(&s->lock);
	w->next = s->ready;
	s->ready = w;
	/* Under the lock: once it is given up, w and s may be gone. */
	eventfd_write(s->ev.fd, 1);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void on_ready(void *arg, uint32_t events)
{
	struct errands *s = arg;
	eventfd_t n;
	(void)events;
	eventfd_read(s->ev.fd, &n);
	pthread_mutex_lock(&s->lock);
	struct errand *w = s->ready, *next;
	s->ready = NULL;
	pthread_mutex_unlock(&s->lock);
	for (; w; w = next) {
		next = w->next;
		pthread_join(w->thread, NULL);
		s->cnt--;
		w->done(w);
	}
}

int errands_create(struct evloop *loop, struct errands **out,
		   struct vhdx_err *e)
{
	struct errands *s = mem_zalloc(sizeof(*s));
	*out = NULL;
	if (!s)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	s->loop = loop;
	pthread_mutex_init(&s->lock, NULL);
	s->ev = (struct ev){
		eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_ready, s,
	};
	int rc = s->ev.fd < 0 ? err_sys(e, errno, "eventfd") :
		 evloop_add(loop, &s->ev, EPOLLIN, e);
	s->watched = !rc;
	if (rc) {
		errands_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

void errands_destroy(struct errands *s)
{
	if (!s)
		return;
	while (s->cnt) {
		struct pollfd p = { s->ev.fd, POLLIN, 0 };
		poll(&p, 1, -1);
		on_ready(s, 0);
	}
	if (s->watched)
		evloop_del(s->loop, &s->ev);
	if (s->ev.fd >= 0)
		close(s->ev.fd);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

int errand_start(struct errands *s, struct errand *w, struct vhdx_err *e)
{
	if (s->cnt == ERRANDS_MAX)
		return err_set(e, VHDX_E_BUSY, "%u orders are under way: try "
			       "again when one of them is done", ERRANDS_MAX);
	w->errands = s;
	w->next = NULL;
	int en = pthread_create(&w->thread, NULL, run, w);
	if (en)
		return err_sys(e, en, "a thread for the order");
	s->cnt++;
	return 0;
}
