/* SPDX-License-Identifier: MIT */
#include "fsmap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "intr.h"

#ifndef LIBEXECDIR
#define LIBEXECDIR "/usr/local/libexec/vhdkit"
#endif

#define ANSWER_MS 120000    /* between two messages */
#define WAIT_MAX_MS 900000  /* for all of them; it has 600 s of CPU time */
#define RANGES_MAX 4000000u /* of all parts */

struct range {
	uint64_t off, len;
};

struct talk {
	struct fsmap *map;
	struct vhdx_blk *disk;
	struct vhdx_unused *to;
	uint64_t size_len;
	pid_t pid;
	int fd;
	char *buf; /* owned; FSMAP_READ_MAX */
	/* The part it is about. */
	struct fsmap_part *part;
	uint64_t end;	    /* no range may begin before */
	struct range *held; /* owned; until the part is complete */
	size_t cnt, cap;
	uint64_t range_cnt; /* of all parts */
	uint64_t read_cnt, read_max;
	int64_t waited_ms;
};

static int fail(struct vhdx_err *e, int code, const char *text)
{
	memset(e, 0, sizeof(*e));
	e->code = code;
	e->off = UINT64_MAX;
	snprintf(e->text, sizeof(e->text), "%.500s", text);
	return code;
}

/* ---- the program -------------------------------------------------------- */

/* Beside this program (the build tree), or where it is installed. */
static bool find_helper(char *path, size_t len)
{
	char self[4000];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash)
			*slash = '\0';
		snprintf(path, len, "%s/vhdfsmap", self);
		if (access(path, X_OK) == 0)
			return true;
	}
	snprintf(path, len, "%s/vhdfsmap", LIBEXECDIR);
	return access(path, X_OK) == 0;
}

static int spawn(const char *path, int sock, pid_t *pid)
{
	char *argv[] = { (char []){ "vhdfsmap" }, NULL };
	char *envp[] = { NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&fa, sock, STDIN_FILENO);
	posix_spawn_file_actions_addopen(&fa, STDOUT_FILENO, "/dev/null",
					 O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&fa, STDERR_FILENO, "/dev/null",
					 O_WRONLY, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	/* Ctrl-C is for us; we end it. */
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETPGROUP);
	int rc = posix_spawn(pid, path, &fa, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return rc;
}

static bool start(struct talk *t, struct vhdx_err *e)
{
	char path[4096], text[500];
	int sv[2];
	if (!find_helper(path, sizeof(path))) {
		snprintf(text, sizeof(text), "--fs needs the program "
			 "%.300s/vhdfsmap, which is not there (it is built "
			 "where the file system libraries are installed)",
			 LIBEXECDIR);
		fail(e, VHDX_E_UNSUPPORTED, text);
		return false;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv)) {
		fail(e, VHDX_E_IO, strerror(errno));
		return false;
	}
	int rc = spawn(path, sv[1], &t->pid);
	close(sv[1]);
	t->fd = sv[0];
	if (rc) {
		close(t->fd);
		fail(e, VHDX_E_IO, strerror(rc));
		return false;
	}
	return true;
}

static void finish(struct talk *t)
{
	int status;
	close(t->fd);
	kill(t->pid, SIGKILL); /* it has nothing to lose */
	while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
		;
	free(t->buf);
	free(t->held);
}

/* ---- messages ----------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What ends the talk; NULL: nothing so far. Who answers byte by byte gets no
 * more time than who is silent. */
static const char *wait_for(struct talk *t, short what)
{
	struct pollfd p[2] = { { t->fd, what, 0 }, { intr_fd(), POLLIN, 0 } };
	int64_t began = now_ms();
	int n;
	do
		n = poll(p, intr_fd() < 0 ? 1 : 2, ANSWER_MS);
	while (n < 0 && errno == EINTR);
	t->waited_ms += now_ms() - began;
	if (intr_caught())
		return "interrupted";
	return n > 0 && t->waited_ms < WAIT_MAX_MS ? NULL : "it took too long";
}

static const char *receive(struct talk *t, void *buf, size_t len)
{
	char *p = buf;
	while (len) {
		const char *why = wait_for(t, POLLIN);
		if (why)
			return why;
		ssize_t n = recv(t->fd, p, len, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return "it ended";
		p += n;
		len -= (size_t)n;
	}
	return NULL;
}

static const char *reply(struct talk *t, const void *buf, size_t len)
{
	const char *p = buf;
	while (len) {
		const char *why = wait_for(t, POLLOUT);
		if (why)
			return why;
		ssize_t n = send(t->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return "it ended";
		p += n;
		len -= (size_t)n;
	}
	return NULL;
}

/* Printable, terminated. */
static void clean(char *out, const char in[FSMAP_TEXT_LEN])
{
	size_t i;
	for (i = 0; i < FSMAP_TEXT_LEN - 1 && in[i]; i++)
		out[i] = in[i] >= ' ' && in[i] <= '~' ? in[i] : '?';
	out[i] = '\0';
}

static const char *on_read(struct talk *t, const struct fsmap_msg *m)
{
	struct fsmap_msg answer = { .type = FSMAP_DATA };
	struct vhdx_err err;
	if (!m->len || m->len > FSMAP_READ_MAX || m->off > t->size_len ||
	    m->len > t->size_len - m->off || ++t->read_cnt > t->read_max)
		return "it asks for what is not there";
	if (vhdx_blk_read(t->disk, m->off, t->buf, m->len, &err) == 0)
		answer.len = m->len;
	const char *why = reply(t, &answer, sizeof(answer));
	return why ? why : reply(t, t->buf, answer.len);
}

/* Is [off, off + len) of the disk a part that none of the others overlaps? */
static bool can_be_part(const struct talk *t, uint64_t off, uint64_t len)
{
	const struct fsmap *map = t->map;
	if (!len || off > t->size_len || len > t->size_len - off)
		return false;
	for (unsigned i = 0; i < map->cnt; i++) {
		const struct fsmap_part *p = &map->parts[i];
		if (off < p->off + p->len && p->off < off + len)
			return false;
	}
	return true;
}

static const char *on_part(struct talk *t, const struct fsmap_msg *m)
{
	struct fsmap *map = t->map;
	if (t->part || map->cnt == FSMAP_PART_MAX ||
	    !can_be_part(t, m->off, m->len))
		return "it names a part that cannot be";
	t->part = &map->parts[map->cnt++];
	t->part->off = m->off;
	t->part->len = m->len;
	clean(t->part->name, m->text);
	t->end = m->off;
	t->cnt = 0;
	return NULL;
}

static const char *on_unused(struct talk *t, const struct fsmap_msg *m)
{
	const struct fsmap_part *p = t->part;
	if (!p || m->len < FSMAP_UNUSED_MIN || m->off < t->end ||
	    m->off > p->off + p->len || m->len > p->off + p->len - m->off)
		return "it names a range that cannot be";
	if (t->range_cnt++ == RANGES_MAX)
		return "it names too many ranges";
	if (t->cnt == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 1024;
		struct range *v = realloc(t->held, cap * sizeof(*v));
		if (!v)
			return "out of memory";
		t->held = v;
		t->cap = cap;
	}
	t->held[t->cnt++] = (struct range){ m->off, m->len };
	t->end = m->off + m->len;
	return NULL;
}

/* The part is complete: only now its ranges count. */
static const char *on_verdict(struct talk *t, const struct fsmap_msg *m)
{
	struct vhdx_err err;
	if (!t->part)
		return "it speaks out of turn";
	clean(t->part->text, m->text);
	for (size_t i = 0; i < t->cnt; i++) {
		if (vhdx_unused_add(t->to, t->held[i].off, t->held[i].len,
				    &err))
			return "out of memory";
		t->part->unused_len += t->held[i].len;
	}
	t->part = NULL;
	return NULL;
}

static const char *on_note(struct talk *t, const struct fsmap_msg *m)
{
	if (t->map->note[0])
		return "it speaks out of turn";
	clean(t->map->note, m->text);
	return NULL;
}

/* "" when it is done. */
static const char *next(struct talk *t)
{
	struct fsmap_msg m;
	const char *why = receive(t, &m, sizeof(m));
	if (why)
		return why;
	switch (m.type) {
	case FSMAP_READ:
		return on_read(t, &m);
	case FSMAP_PART:
		return on_part(t, &m);
	case FSMAP_UNUSED:
		return on_unused(t, &m);
	case FSMAP_VERDICT:
		return on_verdict(t, &m);
	case FSMAP_NOTE:
		return on_note(t, &m);
	case FSMAP_DONE:
		return t->part ? "it stopped in the middle" : "";
	default:
		return "it talks nonsense";
	}
}

static void talk(struct talk *t)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(t->disk, &g);
	struct fsmap_msg hello = { .type = FSMAP_HELLO, .off = g.size_len,
				   .len = g.sector_len };
	t->size_len = g.size_len;
	/* Enough for any file system, and not for ever. */
	t->read_max = 1000000 + g.size_len / 65536;
	const char *why = reply(t, &hello, sizeof(hello));
	while (!why)
		why = next(t);
	if (!*why)
		return;
	if (t->part)
		snprintf(t->part->text, sizeof(t->part->text),
			 "left alone: looking at it failed (%s)", why);
	else
		snprintf(t->map->note, sizeof(t->map->note), "what follows is "
			 "left alone: looking at it failed (%s)", why);
}

static int by_off(const void *a, const void *b)
{
	const struct fsmap_part *x = a, *y = b;
	return (x->off > y->off) - (x->off < y->off);
}

int fsmap_unused(void *arg, struct vhdx_blk *disk, struct vhdx_unused *to,
		 struct vhdx_err *e)
{
	struct talk t = { .map = arg, .disk = disk, .to = to };
	t.buf = malloc(FSMAP_READ_MAX);
	if (!t.buf)
		return fail(e, VHDX_E_NOMEM, "out of memory");
	if (!start(&t, e)) {
		free(t.buf);
		return e->code;
	}
	talk(&t);
	finish(&t);
	qsort(t.map->parts, t.map->cnt, sizeof(t.map->parts[0]), by_off);
	if (intr_caught())
		return fail(e, VHDX_E_CANCELED, "interrupted");
	return 0;
}
