/* SPDX-License-Identifier: MIT */
/*
 * What vhdfuse tells of itself, as JSON: the text of info.json (what stays) and
 * the answer to `status` (what changes). docs/vhdfuse-control.md names every
 * field.
 */
#ifndef REPORT_H
#define REPORT_H

#include "mnt.h"

/* Makes m->info anew; false: out of memory, the old one stays. */
bool report_make_info(struct mnt *m);

json_t *report_status(const struct mnt *m);

#endif
