/* SPDX-License-Identifier: MIT */
/*
 * Unix stream sockets that only the owner may connect to (mode 0600). What a
 * killed process has left is replaced; what answers is left alone.
 */
#ifndef USOCK_H
#define USOCK_H

#include "base.h"

struct vhdx_err;

/* Non-blocking. BUSY: somebody listens there. INVAL: the path is too long. */
int usock_listen(const char *path, int *fd, struct vhdx_err *e) must_check;
/* Blocking. NOTFOUND: nobody listens. */
int usock_connect(const char *path, int *fd, struct vhdx_err *e) must_check;

#endif
