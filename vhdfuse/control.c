/* SPDX-License-Identifier: MIT */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "report.h"
#include "say.h"
#include "usock.h"

#define LINE_LEN 4096u	/* of a request */
#define DEPTH_MAX 16u	/* of nested JSON */

struct client {
	int fd; /* -1: free */
	size_t in_len;
	char in[LINE_LEN];
	char *out; /* not yet sent */
	size_t out_len, out_off;
};

struct control {
	struct mnt *m;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct client clients[CONTROL_CLIENTS];
};

/* ---- answering ---------------------------------------------------------- */

static json_t *error(const char *code, const char *text)
{
	return json_pack("{s:{s:s, s:s}}", "error", "code", code, "text", text);
}

static json_t *do_status(struct mnt *m)
{
	return json_pack("{s:o}", "result", report_status(m));
}

static const struct {
	const char *name;
	json_t *(*run)(struct mnt *m);
} commands[] = {
	{ "status", do_status },
};

static json_t *run(struct mnt *m, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request,
							     "command"));
	if (!name)
		return error("INVAL", "a request is an object with a string "
			     "\"command\"");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(m);
	return error("UNSUPPORTED", "no such command; there is: status");
}

/* jansson nests as deep as its input does: count before it does. */
static bool nests_too_deep(const char *line, size_t len)
{
	unsigned depth = 0;
	for (size_t i = 0; i < len; i++) {
		if ((line[i] == '{' || line[i] == '[') && ++depth > DEPTH_MAX)
			return true;
		if ((line[i] == '}' || line[i] == ']') && depth)
			depth--;
	}
	return false;
}

static void answer(struct control *c, struct client *k, const char *line,
		   size_t len)
{
	json_t *request = NULL, *reply;
	if (!nests_too_deep(line, len))
		request = json_loadb(line, len, 0, NULL);
	if (request)
		reply = run(c->m, request);
	else
		reply = error("INVAL", "a line holds one JSON object");
	json_t *id = json_object_get(request, "id");
	if (id && (json_is_string(id) || json_is_integer(id)))
		(void)json_object_set(reply, "id", id);
	char *text = json_dumps(reply, JSON_COMPACT);
	json_decref(request);
	json_decref(reply);
	if (text && asprintf(&k->out, "%s\n", text) >= 0) {
		k->out_len = strlen(k->out);
		k->out_off = 0;
	} else {
		k->out = NULL;
	}
	free(text);
}

/* ---- clients ------------------------------------------------------------ */

static void hang_up(struct client *k)
{
	close(k->fd);
	free(k->out);
	*k = (struct client){ .fd = -1 };
}

static void send_rest(struct client *k)
{
	while (k->out) {
		ssize_t n = send(k->fd, k->out + k->out_off,
				 k->out_len - k->out_off, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			hang_up(k);
			return;
		}
		k->out_off += (size_t)n;
		if (k->out_off == k->out_len) {
			free(k->out);
			k->out = NULL;
		}
	}
}

/* One request at a time: the next line waits until the answer is sent. */
static void answer_lines(struct control *c, struct client *k)
{
	char *lf;
	while (k->fd >= 0 && !k->out &&
	       (lf = memchr(k->in, '\n', k->in_len))) {
		size_t len = (size_t)(lf - k->in);
		answer(c, k, k->in, len);
		k->in_len -= len + 1;
		memmove(k->in, lf + 1, k->in_len);
		send_rest(k);
	}
}

static void receive(struct control *c, struct client *k)
{
	ssize_t n = read(k->fd, k->in + k->in_len, LINE_LEN - k->in_len);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(k);
		return;
	}
	k->in_len += (size_t)n;
	answer_lines(c, k);
	if (k->fd >= 0 && !k->out && k->in_len == LINE_LEN)
		hang_up(k); /* no such long request exists */
}

static void greet(struct control *c)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	for (int i = 0; fd >= 0 && i < CONTROL_CLIENTS; i++) {
		if (c->clients[i].fd < 0) {
			c->clients[i].fd = fd;
			return;
		}
	}
	if (fd >= 0)
		close(fd);
}

int control_fds(const struct control *c, struct pollfd *fds)
{
	int cnt = 0;
	if (!c)
		return 0;
	fds[cnt++] = (struct pollfd){ c->fd, POLLIN, 0 };
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		const struct client *k = &c->clients[i];
		short events = k->out ? POLLOUT : POLLIN;
		fds[cnt++] = (struct pollfd){ k->fd, events, 0 };
	}
	return cnt;
}

void control_serve(struct control *c, const struct pollfd *fds, int cnt)
{
	for (int i = 1; i < cnt; i++) {
		struct client *k = &c->clients[i - 1];
		if (!fds[i].revents || k->fd < 0)
			continue;
		if (k->out) {
			send_rest(k);
			answer_lines(c, k);
		} else {
			receive(c, k);
		}
	}
	if (cnt && fds[0].revents)
		greet(c);
}

/* ---- the socket --------------------------------------------------------- */

/* False: there is no default place. */
static bool default_path(char *path, size_t cap)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0)
		run = "/run";
	if (!run || run[0] != '/')
		return false;
	int n = snprintf(path, cap, "%s/vhdkit", run);
	if (n < 0 || (size_t)n >= cap)
		return false;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return false;
	n = snprintf(path, cap, "%s/vhdkit/vhdfuse-%d.sock", run,
		     (int)getpid());
	return n > 0 && (size_t)n < cap;
}

int control_open(struct mnt *m, struct control **out)
{
	const char *given = m->conf->control;
	*out = NULL;
	if (given && strcmp(given, "none") == 0)
		return STATUS_OK;
	struct control *c = calloc(1, sizeof(*c));
	if (!c)
		return say_fail(STATUS_FAILED, NULL, "out of memory");
	c->m = m;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i].fd = -1;
	struct vhdx_err err;
	int rc = VHDX_E_NOTFOUND;
	if (given || default_path(c->path, sizeof(c->path)))
		rc = usock_listen(given ? given : c->path, &c->fd, &err);
	if (!rc) {
		if (given)
			snprintf(c->path, sizeof(c->path), "%s", given);
		*out = c;
		m->control_path = c->path;
		return STATUS_OK;
	}
	free(c);
	if (!given)
		return STATUS_OK;
	return say_fail(STATUS_FAILED, "control socket", "%s", err.text);
}

void control_close(struct control *c)
{
	if (!c)
		return;
	unlink(c->path);
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			hang_up(&c->clients[i]);
	close(c->fd);
	free(c);
}
