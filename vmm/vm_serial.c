/* SPDX-License-Identifier: MIT */
#include "vm_serial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "err.h"
#include "io.h"

#define BATCH_NS 4000000L
#define FINISH_MS 1000

/* ---- under the lock ----------------------------------------------------- */

static void ring(struct vm_serial *s, bool hurry)
{
	struct itimerspec at = { .it_value.tv_nsec = hurry ? 1 : BATCH_NS };

	if (s->timer_on && (s->hurry || !hurry))
		return;
	s->timer_on = true;
	s->hurry = hurry;
	timerfd_settime(s->timer_fd, 0, &at, NULL);
}

/* What KVM has collected comes before what is done now. Other vCPUs go on
 * writing meanwhile: theirs is for the next time. */
static void catch_up(struct vm_serial *s)
{
	unsigned last;

	if (!s->ring)
		return;
	last = __atomic_load_n(&s->ring->last, __ATOMIC_ACQUIRE);
	while (s->ring->first != last) {
		unsigned at = s->ring->first;
		const struct kvm_coalesced_mmio *w =
			&s->ring->coalesced_mmio[at];

		serial_write(&s->model,
			     (unsigned)(w->phys_addr - VM_SERIAL_PORT) %
				     SERIAL_REGS,
			     w->data[0]);
		__atomic_store_n(&s->ring->first, (at + 1) % s->ring_len,
				 __ATOMIC_RELEASE);
	}
}

/* The model has changed: the interrupt line and the bus thread follow. */
static void follow(struct vm_serial *s)
{
	bool level = serial_irq(&s->model);

	if (level != s->irq_level) {
		struct kvm_irq_level line = { .irq = VM_SERIAL_GSI,
					      .level = level };

		ioctl(s->vm_fd, KVM_IRQ_LINE, &line);
		s->irq_level = level;
	}
	if (s->model.tx_cnt)
		ring(s, s->model.tx_cnt > SERIAL_TX / 2);
	if (s->wants_room && serial_rx_room(&s->model)) {
		s->wants_room = false;
		ring(s, true);
	}
}

/* ---- vCPU threads ------------------------------------------------------- */

static uint8_t port_read(void *arg, unsigned off)
{
	struct vm_serial *s = arg;
	uint8_t value;

	pthread_mutex_lock(&s->lock);
	catch_up(s);
	value = serial_read(&s->model, off);
	follow(s);
	pthread_mutex_unlock(&s->lock);
	return value;
}

static void port_write(void *arg, unsigned off, uint8_t value)
{
	struct vm_serial *s = arg;

	pthread_mutex_lock(&s->lock);
	catch_up(s);
	serial_write(&s->model, off, value);
	follow(s);
	pthread_mutex_unlock(&s->lock);
}

/* ---- bus thread --------------------------------------------------------- */

static void set_on(struct vm_serial *s, struct ev *ev, bool *on, bool want,
		   uint32_t events)
{
	if (*on == want)
		return;
	*on = want;
	if (!want)
		evloop_del(s->loop, ev);
	else if (evloop_add(s->loop, ev, events, NULL) != 0)
		*on = false;
}

static void drop_in(struct vm_serial *s)
{
	set_on(s, &s->in, &s->in_on, false, 0);
	s->in.fd = -1;
}

static void drop_out(struct vm_serial *s)
{
	set_on(s, &s->out, &s->out_on, false, 0);
	if (s->out.fd >= 0)
		close(s->out.fd);
	s->out.fd = -1;
}

/* False: nothing more now. */
static bool feed_once(struct vm_serial *s)
{
	uint8_t got[SERIAL_FIFO];
	unsigned room;
	ssize_t n;

	pthread_mutex_lock(&s->lock);
	room = serial_rx_room(&s->model);
	s->wants_room = room == 0;
	pthread_mutex_unlock(&s->lock);
	if (room == 0)
		return false;
	n = read(s->in.fd, got, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		drop_in(s);
		return false;
	}
	/* The guest may have changed its mind since: what it does not take
	 * then is lost as on a real line. */
	pthread_mutex_lock(&s->lock);
	serial_rx(&s->model, got, (unsigned)n);
	follow(s);
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* A terminal is read when the loop says so, what epoll does not take at
 * once (a file). */
static void feed(struct vm_serial *s)
{
	while (s->in.fd >= 0 && feed_once(s) && !s->in_polls)
		;
	if (s->in.fd >= 0 && s->wants_room)
		set_on(s, &s->in, &s->in_on, false, 0);
}

static void want_in(struct vm_serial *s)
{
	if (s->in.fd < 0)
		return;
	if (s->in_polls)
		set_on(s, &s->in, &s->in_on, true, EPOLLIN);
	else
		feed(s);
}

/* False: nothing is left. */
static bool refill(struct vm_serial *s)
{
	if (s->buf_cnt)
		return true;
	pthread_mutex_lock(&s->lock);
	catch_up(s);
	s->timer_on = s->hurry = false;
	s->buf_at = 0;
	s->buf_cnt = serial_tx_take(&s->model, s->buf, sizeof(s->buf));
	follow(s);
	pthread_mutex_unlock(&s->lock);
	return s->buf_cnt != 0;
}

static void drain(struct vm_serial *s)
{
	while (refill(s)) {
		ssize_t n = s->out.fd < 0 ? (ssize_t)s->buf_cnt :
					    write(s->out.fd, s->buf + s->buf_at,
						  s->buf_cnt);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			set_on(s, &s->out, &s->out_on, true, EPOLLOUT);
			return;
		}
		if (n < 0) { /* nobody listens any more */
			drop_out(s);
			continue;
		}
		s->buf_at += (unsigned)n;
		s->buf_cnt -= (unsigned)n;
	}
	set_on(s, &s->out, &s->out_on, false, 0);
}

static void on_timer(void *arg, uint32_t events)
{
	struct vm_serial *s = arg;
	uint64_t rings;

	(void)events;
	if (read(s->timer_fd, &rings, sizeof(rings)) != sizeof(rings))
		return;
	drain(s);
	want_in(s);
}

static void on_in(void *arg, uint32_t events)
{
	(void)events;
	feed(arg);
}

static void on_out(void *arg, uint32_t events)
{
	(void)events;
	drain(arg);
}

/* ---- life --------------------------------------------------------------- */

int vm_serial_create(struct vm_serial *s, int vm_fd, struct evloop *loop,
		     struct io *io, struct vhdx_err *e)
{
	struct io_dev dev = { VM_SERIAL_PORT, SERIAL_REGS, port_read,
			      port_write, s, false };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return err_sys(e, errno, "console: timer");
	*s = (struct vm_serial){
		.vm_fd = vm_fd,
		.loop = loop,
		.timer_fd = fd,
		.timer = { fd, on_timer, s },
		.in = { -1, on_in, s },
		.out = { -1, on_out, s },
	};
	pthread_mutex_init(&s->lock, NULL);
	serial_reset(&s->model);
	io_add(io, &dev);
	return evloop_add(loop, &s->timer, EPOLLIN, e);
}

void vm_serial_destroy(struct vm_serial *s)
{
	if (!s->loop)
		return;
	drop_in(s);
	drop_out(s);
	close(s->timer_fd); /* leaves the loop by that */
	pthread_mutex_destroy(&s->lock);
	s->loop = NULL;
}

void vm_serial_collect(struct vm_serial *s, void *page, size_t page_len)
{
	struct kvm_coalesced_mmio_zone zone = {
		.addr = VM_SERIAL_PORT,
		.size = 1,
		.pio = 1,
	};

	if (ioctl(s->vm_fd, KVM_REGISTER_COALESCED_MMIO, &zone) != 0)
		return;
	s->ring = page;
	s->ring_len = (unsigned)((page_len - sizeof(*s->ring)) /
				 sizeof(s->ring->coalesced_mmio[0]));
}

int vm_serial_console(struct vm_serial *s, int in_fd, int out_fd,
		      struct vhdx_err *e)
{
	struct vhdx_err why;

	drop_in(s);
	drop_out(s);
	if (out_fd >= 0) {
		/* An own number: a terminal comes as the same one twice, and
		 * epoll takes it once. */
		s->out.fd = fcntl(out_fd, F_DUPFD_CLOEXEC, 0);
		if (s->out.fd < 0)
			return err_sys(e, errno, "console: descriptor %d",
				       out_fd);
	}
	s->in.fd = in_fd;
	if (in_fd >= 0) {
		int rc = evloop_add(s->loop, &s->in, EPOLLIN, &why);

		s->in_on = s->in_polls = rc == 0;
		if (rc && why.sys_errno != EPERM)
			return err_copy(e, &why, rc);
	}
	drain(s);
	want_in(s);
	return 0;
}

void vm_serial_reset(struct vm_serial *s)
{
	pthread_mutex_lock(&s->lock);
	catch_up(s);
	serial_reset(&s->model);
	follow(s);
	pthread_mutex_unlock(&s->lock);
}

void vm_serial_finish(struct vm_serial *s)
{
	struct pollfd p = { .fd = s->out.fd, .events = POLLOUT };

	drain(s);
	while (s->buf_cnt && s->out.fd >= 0 && poll(&p, 1, FINISH_MS) > 0)
		drain(s);
}
