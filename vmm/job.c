/* SPDX-License-Identifier: MIT */
#include "job.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "err.h"
#include "evloop.h"
#include "mem.h"

struct jobs {
	struct evloop *loop;
	struct ev ev; /* an eventfd: some are done */
	bool watched;
	unsigned cnt; /* under way */
	pthread_mutex_t lock;
	struct job *ready; /* under the lock */
};

static void *run(void *arg)
{
	struct job *j = arg;
	struct jobs *s = j->jobs;
	j->work(j);
	pthread_mutex_lock(&s->lock);
	j->next = s->ready;
	s->ready = j;
	/* Under the lock: once it is given up, j and s may be gone. */
	eventfd_write(s->ev.fd, 1);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void on_ready(void *arg, uint32_t events)
{
	struct jobs *s = arg;
	eventfd_t n;
	(void)events;
	eventfd_read(s->ev.fd, &n);
	pthread_mutex_lock(&s->lock);
	struct job *j = s->ready, *next;
	s->ready = NULL;
	pthread_mutex_unlock(&s->lock);
	for (; j; j = next) {
		next = j->next;
		pthread_join(j->thread, NULL);
		s->cnt--;
		j->done(j);
	}
}

int jobs_create(struct evloop *loop, struct jobs **out, struct vhdx_err *e)
{
	struct jobs *s = mem_zalloc(sizeof(*s));
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
		jobs_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

void jobs_destroy(struct jobs *s)
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

int job_start(struct jobs *s, struct job *j, struct vhdx_err *e)
{
	if (s->cnt == JOBS_MAX)
		return err_set(e, VHDX_E_BUSY, "%u orders are under way: try "
			       "again when one of them is done", JOBS_MAX);
	j->jobs = s;
	j->next = NULL;
	int en = pthread_create(&j->thread, NULL, run, j);
	if (en)
		return err_sys(e, en, "a thread for the order");
	s->cnt++;
	return 0;
}
