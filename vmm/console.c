/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "err.h"
#include "evloop.h"
#include "mem.h"
#include "say.h"
#include "term.h"
#include "usock.h"

#define FLUSH_MS 1000 /* at the end, for a reader that does not read */
#define INPUT 512u

/* A watched descriptor; fd -1: not open. `events` 0: not in the loop. */
struct watch {
	struct ev ev;
	uint32_t events;
};

struct console {
	struct evloop *loop;
	void (*quit)(void *arg);
	void *arg;
	char name[PATH_MAX + 8];
	bool stdio;
	const char *path; /* of the socket, in name; to be removed */
	int guest_in, guest_out; /* the VM's ends */
	struct watch to_guest, from_guest; /* ours */
	struct watch in, out; /* the user's */
	struct watch listen;
	int slave_fd; /* held open: a master without one always hangs up */
	struct term_keys keys;
	/* stdin is a file: there is something to read until its end. */
	bool always;
	char in_buf[INPUT];
	size_t in_off, in_len;
	char kept[CONSOLE_KEPT];
	size_t kept_off, kept_len;
};

/* ---- watching ----------------------------------------------------------- */

static int set_events(struct console *c, struct watch *w, uint32_t events)
{
	struct vhdx_err err;
	int rc = 0;
	if (w->events == events || w->ev.fd < 0)
		return 0;
	if (!events)
		evloop_del(c->loop, &w->ev);
	else if (w->events)
		evloop_mod(c->loop, &w->ev, events);
	else
		rc = evloop_add(c->loop, &w->ev, events, &err);
	w->events = rc ? 0 : events;
	return rc;
}

static void drop(struct console *c, struct watch *w)
{
	(void)set_events(c, w, 0);
	if (w->ev.fd >= 0)
		close(w->ev.fd);
	w->ev.fd = -1;
}

/* ---- the guest's output ------------------------------------------------- */

static void keep(struct console *c, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t at = (c->kept_off + c->kept_len) % CONSOLE_KEPT;
		c->kept[at] = text[i];
		if (c->kept_len < CONSOLE_KEPT)
			c->kept_len++;
		else
			c->kept_off = (c->kept_off + 1) % CONSOLE_KEPT;
	}
}

static void lost_user(struct console *c)
{
	drop(c, &c->in);
	drop(c, &c->out);
	c->in_len = 0;
	(void)set_events(c, &c->to_guest, 0);
	(void)set_events(c, &c->listen, c->listen.ev.fd < 0 ? 0 : EPOLLIN);
}

/* False: the user is gone. */
static bool give(struct console *c)
{
	while (c->kept_len && c->out.ev.fd >= 0) {
		size_t len = u64_min(c->kept_len, CONSOLE_KEPT - c->kept_off);
		ssize_t n = write(c->out.ev.fd, c->kept + c->kept_off, len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			return false;
		c->kept_off = (c->kept_off + (size_t)n) % CONSOLE_KEPT;
		c->kept_len -= (size_t)n;
	}
	(void)set_events(c, &c->out, c->kept_len ? EPOLLOUT : 0);
	return true;
}

static void on_guest_output(void *arg, uint32_t events)
{
	struct console *c = arg;
	char buf[4096];
	ssize_t n = read(c->from_guest.ev.fd, buf, sizeof(buf));
	(void)events;
	if (n > 0)
		keep(c, buf, (size_t)n);
	else if (n == 0)
		(void)set_events(c, &c->from_guest, 0);
	if (!give(c))
		lost_user(c);
}

static void on_user_room(void *arg, uint32_t events)
{
	struct console *c = arg;
	(void)events;
	if (!give(c))
		lost_user(c);
}

/* ---- the user's input --------------------------------------------------- */

/* Reads only what the guest has taken the last of. */
static void wait_for_input(struct console *c)
{
	bool guest = c->in_len || (c->always && c->in.ev.fd >= 0);
	(void)set_events(c, &c->to_guest, guest ? EPOLLOUT : 0);
	(void)set_events(c, &c->in, guest ? 0 : EPOLLIN);
}

static void pass_on(struct console *c)
{
	while (c->in_len) {
		ssize_t n = write(c->to_guest.ev.fd, c->in_buf + c->in_off,
				  c->in_len);
		if (n <= 0)
			break;
		c->in_off += (size_t)n;
		c->in_len -= (size_t)n;
	}
	wait_for_input(c);
}

static void on_user_input(void *arg, uint32_t events)
{
	struct console *c = arg;
	(void)events;
	ssize_t n = read(c->in.ev.fd, c->in_buf, sizeof(c->in_buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && c->stdio) { /* no more input; the output goes on */
		drop(c, &c->in);
		(void)set_events(c, &c->to_guest, 0);
		return;
	}
	if (n <= 0) {
		lost_user(c);
		return;
	}
	c->in_off = 0;
	c->in_len = (size_t)n;
	if (c->stdio)
		c->in_len = term_filter(&c->keys, c->in_buf, (size_t)n);
	pass_on(c);
	if (c->keys.quit)
		c->quit(c->arg);
}

static void on_guest_room(void *arg, uint32_t events)
{
	struct console *c = arg;
	if (c->in_len)
		pass_on(c);
	else if (c->always && c->in.ev.fd >= 0)
		on_user_input(c, events);
}

/* Something to talk to: both are ours from now on. */
static void greet(struct console *c, int in_fd, int out_fd)
{
	c->in.ev = (struct ev){ in_fd, on_user_input, c };
	c->out.ev = (struct ev){ out_fd, on_user_room, c };
	/* What cannot be waited for, such as a file, is always ready. */
	c->always = in_fd >= 0 && set_events(c, &c->in, EPOLLIN) != 0;
	wait_for_input(c);
	if (!give(c))
		lost_user(c);
}

/* ---- stdio, pty, unix --------------------------------------------------- */

/* Non-blocking without changing what other processes share with us; a file
 * stays itself, as it never blocks and has a position. */
static int reopen(int fd, int mode)
{
	struct stat st;
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) != 0)
		return -1;
	int own = -1;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own >= 0 && S_ISSOCK(st.st_mode))
		fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK);
	return own;
}

static int open_stdio(struct console *c)
{
	snprintf(c->name, sizeof(c->name), "stdio");
	c->stdio = true;
	term_raw();
	greet(c, reopen(STDIN_FILENO, O_RDONLY),
	      reopen(STDOUT_FILENO, O_WRONLY));
	return 0;
}

static int open_pty(struct console *c, struct vhdx_err *e)
{
	struct termios t;
	char slave[64];
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0 ||
	    ptsname_r(fd, slave, sizeof(slave)) != 0) {
		int rc = err_sys(e, errno, "console: no pseudo terminal");
		if (fd >= 0)
			close(fd);
		return rc;
	}
	c->slave_fd = open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->slave_fd >= 0 && tcgetattr(c->slave_fd, &t) == 0) {
		cfmakeraw(&t); /* the guest has an echo of its own */
		tcsetattr(c->slave_fd, TCSANOW, &t);
	}
	snprintf(c->name, sizeof(c->name), "pty:%s", slave);
	say_note("console", "%s", slave);
	greet(c, fd, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	return 0;
}

static void on_client(void *arg, uint32_t events)
{
	struct console *c = arg;
	(void)events;
	int fd = accept4(c->listen.ev.fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (c->in.ev.fd >= 0) { /* somebody is there */
		close(fd);
		return;
	}
	greet(c, fd, fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

static int open_unix(struct console *c, const char *path, struct vhdx_err *e)
{
	int fd;
	snprintf(c->name, sizeof(c->name), "unix:%s", path);
	int rc = usock_listen(path, &fd, e);
	if (rc)
		return err_wrap(e, rc, "console");
	c->path = c->name + strlen("unix:");
	c->listen.ev = (struct ev){ fd, on_client, c };
	return set_events(c, &c->listen, EPOLLIN) ?
	       err_set(e, VHDX_E_NOMEM, "out of memory") : 0;
}

/* ---- life --------------------------------------------------------------- */

static int make_pipes(struct console *c, struct vhdx_err *e)
{
	int a[2], b[2];
	if (pipe2(a, O_CLOEXEC | O_NONBLOCK) != 0)
		return err_sys(e, errno, "console");
	if (pipe2(b, O_CLOEXEC | O_NONBLOCK) != 0) {
		close(a[0]);
		close(a[1]);
		return err_sys(e, errno, "console");
	}
	c->guest_in = a[0];
	c->to_guest.ev = (struct ev){ a[1], on_guest_room, c };
	c->from_guest.ev = (struct ev){ b[0], on_guest_output, c };
	c->guest_out = b[1];
	return set_events(c, &c->from_guest, EPOLLIN) ?
	       err_set(e, VHDX_E_NOMEM, "out of memory") : 0;
}

int console_open(const char *how, struct evloop *loop, void (*quit)(void *arg),
		 void *arg, struct console **out, struct vhdx_err *e)
{
	struct console *c = mem_zalloc(sizeof(*c));
	*out = NULL;
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	c->loop = loop;
	c->quit = quit;
	c->arg = arg;
	c->guest_in = c->guest_out = c->slave_fd = -1;
	c->to_guest.ev.fd = c->from_guest.ev.fd = -1;
	c->in.ev.fd = c->out.ev.fd = c->listen.ev.fd = -1;
	int rc = make_pipes(c, e);
	if (!rc && strcmp(how, "stdio") == 0)
		rc = open_stdio(c);
	else if (!rc && strcmp(how, "pty") == 0)
		rc = open_pty(c, e);
	else if (!rc)
		rc = open_unix(c, how + strlen("unix:"), e);
	if (rc) {
		console_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

/* A reader that is there gets the rest, if he reads. */
void console_flush(struct console *c)
{
	char buf[4096];
	ssize_t n;
	if (!c)
		return;
	while (c->from_guest.ev.fd >= 0 &&
	       (n = read(c->from_guest.ev.fd, buf, sizeof(buf))) > 0)
		keep(c, buf, (size_t)n);
	while (c->out.ev.fd >= 0 && give(c) && c->kept_len) {
		struct pollfd p = { c->out.ev.fd, POLLOUT, 0 };
		if (poll(&p, 1, FLUSH_MS) <= 0)
			break;
	}
}

void console_close(struct console *c)
{
	if (!c)
		return;
	console_flush(c);
	drop(c, &c->in);
	drop(c, &c->out);
	drop(c, &c->listen);
	drop(c, &c->to_guest);
	drop(c, &c->from_guest);
	int left[] = { c->guest_in, c->guest_out, c->slave_fd };
	for (size_t i = 0; i < ARRAY_LEN(left); i++)
		if (left[i] >= 0)
			close(left[i]);
	if (c->path)
		unlink(c->path);
	if (c->stdio)
		term_restore();
	mem_free(c);
}

int console_in_fd(const struct console *c)
{
	return c->guest_in;
}

int console_out_fd(const struct console *c)
{
	return c->guest_out;
}

const char *console_name(const struct console *c)
{
	return c->name;
}
