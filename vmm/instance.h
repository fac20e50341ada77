/* SPDX-License-Identifier: MIT */
/*
 * The GUID by which a guest knows a controller again: the same for the same VM
 * name and controller number at every start, on every host. Linux names the
 * device after it, Windows keeps settings under it.
 */
#ifndef INSTANCE_H
#define INSTANCE_H

#include "base.h"

/* As on the wire. */
void instance_id(const char *vm_name, unsigned controller, uint8_t out[16]);

#endif
