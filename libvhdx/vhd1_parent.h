/* SPDX-License-Identifier: MIT */
/*
 * What a differencing VHD says about its parent: the unique id it must have,
 * and where it may be. Which parent it is, only the id proves; a path that
 * cannot be read is one hint less, never an error.
 *
 * Locators hold paths as Windows has them. Two are written, as Windows does:
 * W2ru, from the child's folder, and W2ku, absolute; both UTF-16LE, with their
 * space counted in bytes.
 */
#ifndef VHD1_PARENT_H
#define VHD1_PARENT_H

#include "image.h"
#include "vhd1_format.h"

/* Longer data is no path. */
#define VHD1_PATH_MAX ((uint32_t)(64 * KIB))

/* The space the two locators get; what does not fit is not written. Both are
 * multiples of 512. */
#define VHD1_ROOM_RELATIVE ((uint32_t)(8 * KIB))
#define VHD1_ROOM_ABSOLUTE ((uint32_t)(8 * KIB + 512))
#define VHD1_ROOM_LEN (VHD1_ROOM_RELATIVE + VHD1_ROOM_ABSOLUTE)

/* "W2ru", ...: the kinds whose data is a path. NULL: not one of them. */
const char *vhd1_locator_kind(const struct vhd1_locator *l);

/* Blocking. The path in UTF-8, to be given to mem_free(). *out is NULL if
 * there is none that makes sense: the kind is unknown, or the data is empty,
 * too long or outside the file. NOMEM, IO. */
int vhd1_locator_text(struct file *f, const struct vhd1_locator *l, char **out,
		      struct vhdx_err *e) must_check;

/* Blocking. header_off for messages. CORRUPT: no id is given, unless `alone`:
 * then nothing is accepted as the parent. */
int vhd1_parent_load(struct file *f, const struct vhd1_header *h,
		     uint64_t header_off, bool alone, struct parent_ref **out,
		     struct vhdx_err *e) must_check;

/* Fills in what h says about its parent: the name, the time stamp, and two
 * locators whose data, room[VHD1_ROOM_LEN], is to be written at room_off. The
 * id is the caller's to set. Looks at the folders of the two and at the
 * parent's time, opens nothing. INVAL: a name that cannot be recorded, or
 * parent and child are one. */
int vhd1_parent_record(const char *child_path, const char *parent_path,
		       struct vhd1_header *h, uint64_t room_off, uint8_t *room,
		       struct vhdx_err *e) must_check;

#endif
