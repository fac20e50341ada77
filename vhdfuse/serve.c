/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control.h"
#include "io.h"
#include "say.h"

/* Taken in a row before what is complete is answered: requests, and bytes of
 * them; whoever asks is idle if all of what he asked for waits here. */
#define TAKE_CNT 32
#define TAKE_LEN (64 * 1024)

enum { FD_FUSE, FD_BLK, FD_ASIDE, FD_SIGNAL, FD_SYNCED, FD_CONTROL };

/* ---- asked to end ------------------------------------------------------- */

/*
 * What was changed through mmap is still in the kernel, and unmounting under
 * open files would lose it: have it written first. That calls back to us, so
 * it is a thread's work.
 */
struct ending {
	struct mnt *m;
	pthread_t thread;
	int done_fd;
	bool begun, over;
};

static void *sync_mount(void *arg)
{
	struct ending *e = arg;
	int fd = open(e->m->mountpoint, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		syncfs(fd);
		close(fd);
	}
	eventfd_write(e->done_fd, 1);
	return NULL;
}

static void asked_to_end(struct ending *e, int signal_fd)
{
	struct signalfd_siginfo si;
	if (read(signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	/* The second time it is meant. */
	if (e->begun || pthread_create(&e->thread, NULL, sync_mount, e) != 0)
		e->over = true;
	else
		e->begun = true;
}

/* ---- the kernel's requests ---------------------------------------------- */

/* Negative errno, 0: unmounted, else something was there. */
static int take_one(struct mnt *m)
{
	m->incoming = pool_get(&m->pool);
	if (!m->incoming)
		return -ENOBUFS;
	struct fuse_buf buf = { .mem = m->incoming->mem };
	int got = fuse_session_receive_buf(m->se, &buf);
	if (got > 0)
		fuse_session_process_buf(m->se, &buf);
	if (m->incoming)
		pool_put(&m->pool, m->incoming);
	m->incoming = NULL;
	return got;
}

static bool take_requests(struct mnt *m, int *rc)
{
	int len = 0;
	for (int i = 0; i < TAKE_CNT && len < TAKE_LEN; i++) {
		int got = take_one(m);
		if (got == -EINTR)
			continue;
		if (got == -EAGAIN || got == -ENOBUFS)
			break;
		if (got <= 0) {
			*rc = got;
			return false;
		}
		len += got;
	}
	return true;
}

/*
 * An answer wakes the program that waits for it, which asks anew on another
 * processor. That is to reach the device while the rest is answered, or the
 * device stands still and then gets everything at once.
 */
static bool answer_and_take(struct mnt *m, int *rc)
{
	while (io_go_on(m))
		if (!take_requests(m, rc))
			return false;
	return true;
}

/* ---- the loop ----------------------------------------------------------- */

static void drain(struct mnt *m)
{
	struct pollfd fds[] = {
		{ .fd = vhdx_blk_fd(m->blk), .events = POLLIN },
		{ .fd = aside_fd(m->aside), .events = POLLIN },
	};
	while (m->in_flight || aside_is_busy(m->aside)) {
		while (vhdx_blk_turn(m->blk, 0) > 0)
			;
		while (io_go_on(m))
			;
		aside_turn(m->aside);
		if (m->in_flight || aside_is_busy(m->aside))
			(void)poll(fds, 2, -1);
	}
}

int serve_run(struct mnt *m, int signal_fd, struct control *control,
	      void (*ready)(struct mnt *m))
{
	struct pollfd fds[FD_CONTROL + CONTROL_FDS] = {
		[FD_FUSE].fd = fuse_session_fd(m->se),
		[FD_BLK] = { .fd = vhdx_blk_fd(m->blk), .events = POLLIN },
		[FD_ASIDE] = { .fd = aside_fd(m->aside), .events = POLLIN },
		[FD_SIGNAL] = { .fd = signal_fd, .events = POLLIN },
	};
	struct ending ending = { .m = m, .done_fd = eventfd(0, EFD_CLOEXEC) };
	int rc = 0;
	bool on = ending.done_fd >= 0;
	fds[FD_SYNCED] = (struct pollfd){ ending.done_fd, POLLIN, 0 };
	fcntl(fds[FD_FUSE].fd, F_SETFL,
	      fcntl(fds[FD_FUSE].fd, F_GETFL) | O_NONBLOCK);
	while (on && !ending.over && !fuse_session_exited(m->se)) {
		int cnt = FD_CONTROL + control_fds(control, fds + FD_CONTROL);
		fds[FD_FUSE].events = m->pool.free_cnt ? POLLIN : 0;
		if (poll(fds, (nfds_t)cnt, -1) < 0 && errno != EINTR) {
			rc = -errno;
			break;
		}
		if (fds[FD_FUSE].revents && m->pool.free_cnt)
			on = take_requests(m, &rc);
		if (fds[FD_ASIDE].revents)
			aside_turn(m->aside);
		while (vhdx_blk_turn(m->blk, 0) > 0)
			;
		on = on && answer_and_take(m, &rc);
		if (m->ready && ready) {
			ready(m);
			ready = NULL;
		}
		if (fds[FD_SIGNAL].revents)
			asked_to_end(&ending, signal_fd);
		if (fds[FD_SYNCED].revents)
			ending.over = true;
		control_serve(control, fds + FD_CONTROL, cnt - FD_CONTROL);
	}
	drain(m);
	/* Its calls end when the file system is unmounted. */
	fuse_session_unmount(m->se);
	if (ending.begun)
		pthread_join(ending.thread, NULL);
	close(ending.done_fd);
	if (rc < 0)
		return say_fail(STATUS_FAILED, m->mountpoint, "talking to the "
				"kernel: %s", strerror(-rc));
	return STATUS_OK;
}
