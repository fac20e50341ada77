/* SPDX-License-Identifier: MIT */
/*
 * The inside of conf.h: one table of keys, which the command line (conf.c) and
 * JSON (conf_json.c) fill in the same way, as text. Also what the control
 * socket takes a new disk by.
 */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include <jansson.h>

#include "conf.h"

struct conf_key {
	const char *name;
	bool is_list; /* may be given more than once */
	int (*set)(struct conf *c, const char *text, struct vhdx_err *e);
};

/* In no order; ends with a NULL name. */
extern const struct conf_key conf_keys[];

/* conf_disk.c: one key of a disk; flags ("ro", "force") have text NULL. */
int conf_disk_set(struct conf_disk *d, const char *key, const char *text,
		  struct vhdx_err *e) must_check;
/* A new disk of c, which takes what *d owns also on failure. */
int conf_disk_add(struct conf *c, struct conf_disk *d, struct vhdx_err *e)
	must_check;
/* Gives a place to those that have none, and refuses a place taken twice. */
int conf_disk_place(struct conf *c, struct vhdx_err *e) must_check;

/* conf_json.c: fills c from the file. */
int conf_load(struct conf *c, const char *path, struct vhdx_err *e) must_check;
/* A string as for --disk, or an object with its keys. *d is cleared on failure.
 * A path that is not absolute is one in `folder` (NULL: the current one). */
int conf_disk_json(const json_t *j, const char *folder, struct conf_disk *d,
		   struct vhdx_err *e) must_check;

/* Digits only, at most max. */
bool conf_number(const char *text, uint64_t max, uint64_t *v) must_check;

#endif
