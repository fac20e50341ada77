/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "evloop.h"
#include "mem.h"
#include "usock.h"

struct client {
	struct ctl *c;
	struct ev ev; /* fd -1: free */
	uint32_t events;
	size_t in_len;
	char in[CTL_LINE_LEN];
	struct ctl_call *call; /* under way */
	bool at_it;	       /* in answer_lines() */
	char *out;	       /* not yet sent */
	size_t out_len, out_off;
};

struct ctl_call {
	struct client *k; /* NULL: has hung up */
	json_t *id;	  /* NULL: none */
};

struct ctl {
	struct evloop *loop;
	ctl_fn *fn;
	void *arg;
	struct ev listen;
	bool listening;
	char path[PATH_MAX];
	struct client clients[CTL_CLIENTS];
};

static void answer_lines(struct client *k);

/* ---- requests ----------------------------------------------------------- */

/* jansson nests as deep as its input does: count before it does. */
static bool nests_too_deep(const char *line, size_t len)
{
	unsigned depth = 0;
	for (size_t i = 0; i < len; i++) {
		if ((line[i] == '{' || line[i] == '[') && ++depth > CTL_DEPTH)
			return true;
		if ((line[i] == '}' || line[i] == ']') && depth)
			depth--;
	}
	return false;
}

json_t *ctl_parse(const char *line, size_t len, struct vhdx_err *e)
{
	json_t *request = NULL;
	if (!nests_too_deep(line, len))
		request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_string(json_object_get(request, "command")))
		return request;
	if (json_is_object(request))
		err_set(e, VHDX_E_INVAL, "a request is an object with a string "
			"\"command\"");
	else
		err_set(e, VHDX_E_INVAL, "a line holds one JSON object");
	json_decref(request);
	return NULL;
}

/* ---- clients ------------------------------------------------------------ */

/* Of a client whose order is under way only its end is of interest. */
static void wait_for(struct client *k, uint32_t events)
{
	if (k->events != events)
		evloop_mod(k->c->loop, &k->ev, events);
	k->events = events;
}

static void hang_up(struct client *k)
{
	evloop_del(k->c->loop, &k->ev);
	close(k->ev.fd);
	mem_free(k->out);
	if (k->call)
		k->call->k = NULL;
	k->call = NULL;
	k->out = NULL;
	k->in_len = 0;
	k->ev.fd = -1;
}

static void send_rest(struct client *k)
{
	while (k->out) {
		ssize_t n = send(k->ev.fd, k->out + k->out_off,
				 k->out_len - k->out_off, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			wait_for(k, EPOLLOUT);
			return;
		}
		if (n < 0) {
			hang_up(k);
			return;
		}
		k->out_off += (size_t)n;
		if (k->out_off == k->out_len) {
			mem_free(k->out);
			k->out = NULL;
		}
	}
	wait_for(k, EPOLLIN);
}

/* Takes reply. */
static void send_reply(struct client *k, json_t *reply)
{
	size_t len = reply ? json_dumpb(reply, NULL, 0, JSON_COMPACT) : 0;
	char *text = len ? mem_alloc(len + 1) : NULL;
	if (!text || json_dumpb(reply, text, len, JSON_COMPACT) != len) {
		mem_free(text);
		json_decref(reply);
		hang_up(k); /* better than an answer that never comes */
		return;
	}
	json_decref(reply);
	text[len] = '\n';
	k->out = text;
	k->out_len = len + 1;
	k->out_off = 0;
	send_rest(k);
}

static void reply_to(struct ctl_call *call, json_t *reply)
{
	struct client *k = call->k;
	if (reply && call->id)
		(void)json_object_set(reply, "id", call->id);
	json_decref(call->id);
	mem_free(call);
	if (!k) {
		json_decref(reply);
		return;
	}
	k->call = NULL;
	send_reply(k, reply);
}

void ctl_result(struct ctl_call *call, json_t *result)
{
	struct client *k = call->k;
	reply_to(call, json_pack("{s:o}", "result", result));
	if (k && k->ev.fd >= 0)
		answer_lines(k);
}

static json_t *error_of(const struct vhdx_err *e)
{
	/* A file name need not be UTF-8, JSON must. */
	char text[sizeof(e->text)];
	snprintf(text, sizeof(text), "%s", e->text);
	json_t *t = json_string(text);
	for (char *p = text; !t && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	if (!t)
		t = json_string(text);
	return json_pack("{s:{s:s, s:o}}", "error", "code",
			 vhdx_code_name(e->code), "text", t);
}

void ctl_error(struct ctl_call *call, const struct vhdx_err *e)
{
	struct client *k = call->k;
	reply_to(call, error_of(e));
	if (k && k->ev.fd >= 0)
		answer_lines(k);
}

/* ---- lines -------------------------------------------------------------- */

static void run(struct client *k, const char *line, size_t len)
{
	struct vhdx_err err;
	struct ctl_call *call = mem_zalloc(sizeof(*call));
	if (!call) {
		hang_up(k);
		return;
	}
	call->k = k;
	k->call = call;
	json_t *request = ctl_parse(line, len, &err);
	json_t *id = json_object_get(request, "id");
	if (json_is_string(id) || json_is_integer(id))
		call->id = json_incref(id);
	if (request)
		k->c->fn(k->c->arg, request, call);
	else
		reply_to(call, error_of(&err));
	json_decref(request);
}

/* One request at a time: the next line waits until the answer is sent. Not once
 * more from inside: the depth is not the client's to choose. */
static void answer_lines(struct client *k)
{
	char *lf;
	if (k->at_it)
		return;
	k->at_it = true;
	while (k->ev.fd >= 0 && !k->out && !k->call &&
	       (lf = memchr(k->in, '\n', k->in_len))) {
		char line[CTL_LINE_LEN];
		size_t len = (size_t)(lf - k->in);
		memcpy(line, k->in, len);
		k->in_len -= len + 1;
		memmove(k->in, lf + 1, k->in_len);
		run(k, line, len);
	}
	k->at_it = false;
	if (k->ev.fd >= 0 && k->call)
		wait_for(k, 0);
}

static void receive(struct client *k)
{
	ssize_t n = read(k->ev.fd, k->in + k->in_len,
			 CTL_LINE_LEN - k->in_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(k);
		return;
	}
	k->in_len += (size_t)n;
	answer_lines(k);
	if (k->ev.fd >= 0 && !k->out && !k->call && k->in_len == CTL_LINE_LEN)
		hang_up(k); /* no such long request exists */
}

static void on_client(void *arg, uint32_t events)
{
	struct client *k = arg;
	if (k->ev.fd < 0)
		return;
	if (k->call) {
		if (events & (EPOLLHUP | EPOLLERR))
			hang_up(k);
	} else if (k->out) {
		send_rest(k);
		answer_lines(k);
	} else {
		receive(k);
	}
}

static void on_connection(void *arg, uint32_t events)
{
	struct ctl *c = arg;
	struct vhdx_err err;
	(void)events;
	int fd = accept4(c->listen.fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);
	for (unsigned i = 0; fd >= 0 && i < CTL_CLIENTS; i++) {
		struct client *k = &c->clients[i];
		if (k->ev.fd >= 0)
			continue;
		k->ev = (struct ev){ fd, on_client, k };
		k->events = EPOLLIN;
		if (evloop_add(c->loop, &k->ev, EPOLLIN, &err) == 0)
			return;
		k->ev.fd = -1;
		break;
	}
	if (fd >= 0)
		close(fd);
}

/* ---- life --------------------------------------------------------------- */

int ctl_open(const char *path, struct evloop *loop, ctl_fn *fn, void *arg,
	     struct ctl **out, struct vhdx_err *e)
{
	struct ctl *c = mem_zalloc(sizeof(*c));
	*out = NULL;
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	c->loop = loop;
	c->fn = fn;
	c->arg = arg;
	for (unsigned i = 0; i < CTL_CLIENTS; i++)
		c->clients[i] = (struct client){ .c = c, .ev.fd = -1 };
	c->listen = (struct ev){ -1, on_connection, c };
	int rc = usock_listen(path, &c->listen.fd, e);
	if (!rc) {
		/* Now it is ours to remove. */
		snprintf(c->path, sizeof(c->path), "%s", path);
		rc = evloop_add(loop, &c->listen, EPOLLIN, e);
		c->listening = !rc;
	}
	if (rc) {
		ctl_close(c);
		return err_wrap(e, rc, "control socket");
	}
	*out = c;
	return 0;
}

void ctl_close(struct ctl *c)
{
	if (!c)
		return;
	if (c->path[0])
		unlink(c->path);
	for (unsigned i = 0; i < CTL_CLIENTS; i++)
		if (c->clients[i].ev.fd >= 0)
			hang_up(&c->clients[i]);
	if (c->listening)
		evloop_del(c->loop, &c->listen);
	if (c->listen.fd >= 0)
		close(c->listen.fd);
	mem_free(c);
}
