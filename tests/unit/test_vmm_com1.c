/* SPDX-License-Identifier: MIT */
/* COM1 between ports and descriptors, without KVM: nobody takes its interrupts,
 * and the ring KVM collects writes in is made here. */
#include "t.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io.h"
#include "vm_serial.h"

static struct vm_serial s;
static struct evloop *loop;
static struct io io;
static int in_pipe[2], out_pipe[2];

static void out(unsigned reg, uint8_t value)
{
	io_access(&io, VM_SERIAL_PORT + reg, true, &value, 1, 1);
}

static uint8_t in(unsigned reg)
{
	uint8_t value;

	io_access(&io, VM_SERIAL_PORT + reg, false, &value, 1, 1);
	return value;
}

static void open_com1(void)
{
	memset(&io, 0, sizeof(io));
	T_OK(evloop_create(&loop, &t_err));
	T_OK(vm_serial_create(&s, -1, loop, &io, &t_err));
	T_TRUE(pipe2(in_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
	T_TRUE(pipe2(out_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
}

static void close_com1(void)
{
	vm_serial_destroy(&s);
	evloop_destroy(loop);
	close(in_pipe[0]);
	close(out_pipe[0]);
	close(out_pipe[1]);
	if (in_pipe[1] >= 0)
		close(in_pipe[1]);
}

static void listen(void) /* as a guest's driver */
{
	out(2, 1);
	out(1, 1);
}

static void stop_loop(void *arg, uint32_t events)
{
	(void)events;
	evloop_stop(arg);
}

/* One round: what is ready is served, now or the next time. */
static void turn(void)
{
	struct ev ev = { eventfd(1, EFD_CLOEXEC), stop_loop, loop };

	T_OK(evloop_add(loop, &ev, EPOLLIN, &t_err));
	evloop_run(loop);
	evloop_del(loop, &ev);
	close(ev.fd);
}

#define TURN_UNTIL(cond)                                         \
	do {                                                     \
		for (unsigned n_ = 0; !(cond) && n_ < 1000000; n_++) \
			turn();                                  \
		T_TRUE(cond);                                    \
	} while (0)

static bool has_output(void)
{
	struct pollfd p = { .fd = out_pipe[0], .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void expect_out(const char *want)
{
	char got[64] = "";

	T_EQ_U64(read(out_pipe[0], got, sizeof(got) - 1), strlen(want));
	T_TRUE(strcmp(got, want) == 0);
}

static void what_the_guest_writes_comes_out(void)
{
	open_com1();
	T_OK(vm_serial_console(&s, -1, out_pipe[1], &t_err));
	out(0, 'h');
	out(0, 'i');
	TURN_UNTIL(has_output());
	expect_out("hi");
	close_com1();
}

static void what_was_written_last_is_not_lost_at_the_end(void)
{
	open_com1();
	T_OK(vm_serial_console(&s, -1, out_pipe[1], &t_err));
	out(0, 'x');
	vm_serial_finish(&s);
	expect_out("x");
	close_com1();
}

/* A console that nobody drains: the guest waits, then nothing is missing. */
static void a_full_pipe_holds_the_guest_back(void)
{
	uint8_t got[4096];
	unsigned sent = 0, seen = 0;
	ssize_t n;

	open_com1();
	T_TRUE(fcntl(out_pipe[1], F_SETPIPE_SZ, 4096) == 4096);
	T_OK(vm_serial_console(&s, -1, out_pipe[1], &t_err));
	for (unsigned round = 0; round < 3; round++, vm_serial_finish(&s)) {
		for (; in(5) & 0x20; sent++)
			out(0, (uint8_t)sent);
		while ((n = read(out_pipe[0], got, sizeof(got))) > 0)
			for (ssize_t i = 0; i < n; i++)
				T_EQ_U64(got[i], (uint8_t)seen++);
	}
	T_TRUE(sent > SERIAL_TX);
	while (seen < sent) {
		TURN_UNTIL(has_output());
		n = read(out_pipe[0], got, sizeof(got));
		for (ssize_t i = 0; i < n; i++)
			T_EQ_U64(got[i], (uint8_t)seen++);
	}
	close_com1();
}

/* KVM's side of the ring. */
static void collect(struct kvm_coalesced_mmio_ring *r, unsigned len, uint8_t c)
{
	r->coalesced_mmio[r->last] = (struct kvm_coalesced_mmio){
		.phys_addr = VM_SERIAL_PORT, .len = 1, .data = { c }
	};
	r->last = (r->last + 1) % len;
}

static void collected_writes_come_before_later_ones(void)
{
	static uint8_t page[4096] __attribute__((aligned(8)));
	struct kvm_coalesced_mmio_ring *r = (void *)page;

	open_com1();
	T_OK(vm_serial_console(&s, -1, out_pipe[1], &t_err));
	s.ring = r;
	s.ring_len = 5;
	r->first = r->last = 3; /* around the end */
	collect(r, 5, 'a');
	collect(r, 5, 'b');
	collect(r, 5, 'c');
	out(0, 'd');
	collect(r, 5, 'e');
	T_EQ_U64(in(5) & 0x60, 0x60);
	T_EQ_U64(r->first, r->last);
	collect(r, 5, 'f');
	vm_serial_finish(&s);
	expect_out("abcdef");
	close_com1();
}

static void input_waits_until_the_guest_listens(void)
{
	open_com1();
	T_OK(vm_serial_console(&s, in_pipe[0], -1, &t_err));
	T_TRUE(write(in_pipe[1], "ok", 2) == 2);
	TURN_UNTIL(!s.in_on); /* no busy loop meanwhile */
	T_EQ_U64(in(5) & 1, 0);
	listen();
	TURN_UNTIL(in(5) & 1);
	T_EQ_U64(in(0), 'o');
	T_EQ_U64(in(0), 'k');
	close_com1();
}

/* More than the FIFO takes: the rest comes as the guest reads. */
static void long_input_arrives_whole(void)
{
	unsigned got = 0;

	open_com1();
	listen();
	T_OK(vm_serial_console(&s, in_pipe[0], -1, &t_err));
	for (unsigned i = 0; i < 100; i++)
		T_TRUE(write(in_pipe[1], &(uint8_t){ (uint8_t)i }, 1) == 1);
	while (got < 100) {
		TURN_UNTIL(in(5) & 1);
		T_EQ_U64(in(0), got++);
	}
	close_com1();
}

static void the_end_of_input_is_no_busy_loop(void)
{
	open_com1();
	listen();
	T_OK(vm_serial_console(&s, in_pipe[0], out_pipe[1], &t_err));
	close(in_pipe[1]);
	in_pipe[1] = -1;
	TURN_UNTIL(s.in.fd < 0);
	T_TRUE(!s.in_on);
	close_com1();
}

/* epoll refuses files; a script on stdin is input all the same. */
static void a_file_is_input_too(void)
{
	int fd = open(t_tmpdir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	T_TRUE(write(fd, "run", 3) == 3 && lseek(fd, 0, SEEK_SET) == 0);
	open_com1();
	listen();
	T_OK(vm_serial_console(&s, fd, -1, &t_err));
	T_EQ_U64(in(0), 'r');
	T_EQ_U64(in(0), 'u');
	T_EQ_U64(in(0), 'n');
	close_com1();
	close(fd);
}

static const struct t_test tests[] = {
	T_TEST(what_the_guest_writes_comes_out),
	T_TEST(what_was_written_last_is_not_lost_at_the_end),
	T_TEST(a_full_pipe_holds_the_guest_back),
	T_TEST(collected_writes_come_before_later_ones),
	T_TEST(input_waits_until_the_guest_listens),
	T_TEST(long_input_arrives_whole),
	T_TEST(the_end_of_input_is_no_busy_loop),
	T_TEST(a_file_is_input_too),
	T_END
};
const struct t_suite t_suite_vmm_com1 = { "vmm_com1", tests };
