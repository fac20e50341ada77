/* SPDX-License-Identifier: MIT */
/*
 * What is asked for is kept as one range per node: bounded, whatever happens.
 * A reply waits for the round that begins after it was asked for.
 */
#include "inval.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse_lowlevel.h>

#include "tree.h"

struct waiter {
	struct waiter *next;
	fuse_req_t freq;
	int err;
};

struct inval {
	struct fuse_session *se;
	pthread_t thread;
	bool running, stop, busy;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct node *wanted; /* by inval_next */
	struct waiter *first, **end;
};

struct inval *inval_new(struct fuse_session *se)
{
	struct inval *v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->se = se;
	v->end = &v->first;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->more, NULL);
	return v;
}

static void answer(struct waiter *w)
{
	while (w) {
		struct waiter *next = w->next;
		fuse_reply_err(w->freq, w->err);
		free(w);
		w = next;
	}
}

/* One round: what is wanted now, range by range. Called, and returns, with the
 * lock held. */
static void round_of(struct inval *v)
{
	struct node *list = v->wanted;
	v->wanted = NULL;
	while (list) {
		struct node *n = list;
		uint64_t ino = n->ino, off = n->inval_off;
		uint64_t len = n->inval_end - off;
		list = n->inval_next;
		n->inval_wanted = false; /* n may be freed from here on */
		pthread_mutex_unlock(&v->lock);
		fuse_lowlevel_notify_inval_inode(v->se, ino, (off_t)off,
						 (off_t)len);
		pthread_mutex_lock(&v->lock);
	}
}

static void *forget(void *arg)
{
	struct inval *v = arg;
	pthread_mutex_lock(&v->lock);
	while (!v->stop) {
		if (!v->wanted && !v->first) {
			pthread_cond_wait(&v->more, &v->lock);
			continue;
		}
		struct waiter *waiters = v->first;
		v->first = NULL;
		v->end = &v->first;
		v->busy = true;
		round_of(v);
		v->busy = false;
		pthread_mutex_unlock(&v->lock);
		answer(waiters);
		pthread_mutex_lock(&v->lock);
	}
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

/* The program's signals are for its own thread. */
static bool start(struct inval *v)
{
	if (v->running)
		return true;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	v->running = pthread_create(&v->thread, NULL, forget, v) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return v->running;
}

void inval_range(struct inval *v, struct node *n, uint64_t off, uint64_t len)
{
	pthread_mutex_lock(&v->lock);
	if (n->inval_wanted) {
		if (off < n->inval_off)
			n->inval_off = off;
		if (off + len > n->inval_end)
			n->inval_end = off + len;
	} else if (start(v)) {
		n->inval_wanted = true;
		n->inval_off = off;
		n->inval_end = off + len;
		n->inval_next = v->wanted;
		v->wanted = n;
		pthread_cond_signal(&v->more);
	}
	pthread_mutex_unlock(&v->lock);
}

void inval_then_reply(struct inval *v, fuse_req_t freq, int err)
{
	struct waiter *w = NULL;
	pthread_mutex_lock(&v->lock);
	bool wait = v->wanted || v->busy;
	if (wait && (w = malloc(sizeof(*w)))) {
		*w = (struct waiter){ NULL, freq, err };
		*v->end = w;
		v->end = &w->next;
		pthread_cond_signal(&v->more);
	}
	pthread_mutex_unlock(&v->lock);
	if (!w)
		fuse_reply_err(freq, wait ? ENOMEM : err);
}

void inval_free(struct inval *v)
{
	if (!v)
		return;
	if (v->running) {
		pthread_mutex_lock(&v->lock);
		v->stop = true;
		pthread_cond_signal(&v->more);
		pthread_mutex_unlock(&v->lock);
		pthread_join(v->thread, NULL);
	}
	answer(v->first);
	pthread_cond_destroy(&v->more);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
