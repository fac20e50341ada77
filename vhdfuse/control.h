/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a unix socket of mode 0600, a JSON object a line in, a
 * JSON object a line out (docs/vhdfuse-control.md). Who may connect may ask;
 * what he sends is not trusted: lines, clients and answers are bounded, and one
 * who does not read what he asked for is hung up on.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <poll.h>

#include "mnt.h"

#define CONTROL_CLIENTS 8
#define CONTROL_FDS (CONTROL_CLIENTS + 1)

struct control;

/* STATUS_OK with *out NULL where there is to be none, or where the default
 * place cannot be used; else an exit status after a message. Sets
 * m->control_path. */
int control_open(struct mnt *m, struct control **out);
void control_close(struct control *c); /* NULL allowed */

/* What to wait for: fills up to CONTROL_FDS of fds, returns how many. */
int control_fds(const struct control *c, struct pollfd *fds);
/* Does what poll found. */
void control_serve(struct control *c, const struct pollfd *fds, int cnt);

#endif
