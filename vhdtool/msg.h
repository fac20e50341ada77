/* SPDX-License-Identifier: MIT */
/* What vhdtool says beyond common/say.h: what to do next, ready to paste. */
#ifndef MSG_H
#define MSG_H

#include "say.h"

/* What the library says about `path`, and the next step, where there is one;
 * returns the exit status. */
int msg_err(const char *path, const struct vhdx_err *e);

/* path as it can be pasted into a shell, on one line. One of four static
 * buffers in turn, or path itself. */
const char *msg_shell_word(const char *path);

#endif
