/* SPDX-License-Identifier: MIT */
/*
 * `vmm ctl SOCKET COMMAND [ARG...]`: one order for a running VM, its answer on
 * stdout.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <jansson.h>

#include "vhdx.h"

/* argv[0] is "ctl". The exit status; what is wrong was told. */
int client_main(int argc, char **argv);

/* The request for COMMAND [ARG...]. Paths become absolute: vmm has another
 * current folder. */
int client_request(int argc, char **argv, json_t **out, struct vhdx_err *e);

#endif
