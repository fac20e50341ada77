/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a unix socket of mode 0600, a JSON object a line in, a
 * JSON object a line out (docs/vmm-control.md). Who may connect may order; what
 * he sends is not trusted: lines, nesting and clients are bounded, and one who
 * sends a longer line is hung up on. Orders of one connection are carried out
 * one after the other; an answer may come later, and nobody waits meanwhile.
 *
 * All on the bus thread.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>

#include "base.h"

#define CTL_CLIENTS 8u
#define CTL_LINE_LEN 8192u /* of a request */
#define CTL_DEPTH 16u	   /* of nested JSON */

struct ctl;
struct ctl_call; /* a request that is to be answered once */
struct evloop;
struct vhdx_err;

/* request is an object with a string "command", borrowed during the call. */
typedef void ctl_fn(void *arg, const json_t *request, struct ctl_call *call);

/* BUSY: somebody listens at path. */
int ctl_open(const char *path, struct evloop *loop, ctl_fn *fn, void *arg,
	     struct ctl **out, struct vhdx_err *e) must_check;
/* Every call is answered. NULL allowed. */
void ctl_close(struct ctl *c);

/* {"result": result}, which is taken (NULL: out of memory). Frees the call. */
void ctl_result(struct ctl_call *call, json_t *result);
void ctl_error(struct ctl_call *call, const struct vhdx_err *e);

/* ---- for tests ---------------------------------------------------------- */

/* The request of a line; NULL if it is none, and *e says why. */
json_t *ctl_parse(const char *line, size_t len, struct vhdx_err *e) must_check;

#endif
