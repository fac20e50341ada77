/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "evloop.h"

struct source {
	struct ev ev;
	struct evloop *l;
	struct source *victim; /* deleted by the handler */
	unsigned cnt, stop_at;
	uint32_t seen;
};

static void on_event(void *arg, uint32_t events)
{
	struct source *s = arg;
	eventfd_t v;

	s->seen = events;
	if (events & EPOLLIN)
		T_TRUE(eventfd_read(s->ev.fd, &v) == 0);
	if (s->victim)
		evloop_del(s->l, &s->victim->ev);
	s->victim = NULL;
	if (++s->cnt == s->stop_at)
		evloop_stop(s->l);
}

/* Ready from the start. */
static struct source make(struct evloop *l, unsigned stop_at)
{
	return (struct source){
		.ev = { .fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK),
			.fn = on_event },
		.l = l,
		.stop_at = stop_at,
	};
}

static void add(struct source *s)
{
	s->ev.arg = s;
	T_OK(evloop_add(s->l, &s->ev, EPOLLIN, &t_err));
}

static void a_ready_descriptor_calls_its_handler(void)
{
	struct evloop *l;

	T_OK(evloop_create(&l, &t_err));
	struct source s = make(l, 1);
	add(&s);
	evloop_run(l);
	T_EQ_U64(s.cnt, 1);
	T_EQ_U64(s.seen, EPOLLIN);
	evloop_destroy(l);
	close(s.ev.fd);
}

/* Both are ready in the same round: whichever comes first deletes the other. */
static void a_deleted_neighbour_is_not_called(void)
{
	struct evloop *l;

	T_OK(evloop_create(&l, &t_err));
	struct source a = make(l, 0), b = make(l, 0), c = make(l, 1);
	a.victim = &b;
	b.victim = &a;
	add(&a);
	add(&b);
	add(&c);
	evloop_run(l);
	T_EQ_U64(a.cnt + b.cnt, 1);
	evloop_destroy(l);
	close(a.ev.fd);
	close(b.ev.fd);
	close(c.ev.fd);
}

static void a_handler_may_delete_itself(void)
{
	struct evloop *l;

	T_OK(evloop_create(&l, &t_err));
	struct source a = make(l, 1);
	a.victim = &a;
	add(&a);
	evloop_run(l);
	T_EQ_U64(a.cnt, 1);
	a.stop_at = 2;
	T_TRUE(eventfd_write(a.ev.fd, 1) == 0);
	T_OK(evloop_add(l, &a.ev, EPOLLIN, &t_err)); /* and come back */
	evloop_run(l);
	T_EQ_U64(a.cnt, 2);
	evloop_destroy(l);
	close(a.ev.fd);
}

static void what_is_waited_for_can_change(void)
{
	struct evloop *l;

	T_OK(evloop_create(&l, &t_err));
	struct source s = make(l, 1);
	add(&s);
	evloop_mod(l, &s.ev, EPOLLOUT);
	evloop_run(l);
	T_EQ_U64(s.seen, EPOLLOUT);
	evloop_destroy(l);
	close(s.ev.fd);
}

static void a_stop_before_the_start_counts(void)
{
	struct evloop *l;

	T_OK(evloop_create(&l, &t_err));
	evloop_stop(l);
	evloop_run(l); /* would wait for ever */
	struct source s = make(l, 1);
	add(&s);
	evloop_run(l); /* a stop stops once */
	T_EQ_U64(s.cnt, 1);
	evloop_destroy(l);
	close(s.ev.fd);
}

/* The console falls back to reading files directly: it knows by the errno. */
static void a_file_is_refused_with_its_errno(void)
{
	struct evloop *l;
	char name[] = "/tmp/vhdkit-evloop-XXXXXX";
	struct ev ev = { .fd = mkstemp(name), .fn = on_event };

	unlink(name);
	T_OK(evloop_create(&l, &t_err));
	T_FAILS(evloop_add(l, &ev, EPOLLIN, &t_err), VHDX_E_PERM, "descriptor");
	T_EQ_U64(t_err.sys_errno, 1 /* EPERM */);
	evloop_destroy(l);
	close(ev.fd);
}

static const struct t_test tests[] = {
	T_TEST(a_ready_descriptor_calls_its_handler),
	T_TEST(a_deleted_neighbour_is_not_called),
	T_TEST(a_handler_may_delete_itself),
	T_TEST(what_is_waited_for_can_change),
	T_TEST(a_stop_before_the_start_counts),
	T_TEST(a_file_is_refused_with_its_errno),
	T_END
};
const struct t_suite t_suite_vmm_evloop = { "vmm_evloop", tests };
