/* SPDX-License-Identifier: MIT */
/* One examination of a VHD; what its two files share. */
#ifndef VHD1_CHECK_H
#define VHD1_CHECK_H

#include "check.h"
#include "vhd1_load.h"

#define VHD1_SPEC "VHD"

struct vhd1_check {
	struct check *c;
	struct file *f;
	struct vhd1_footers ft;
	struct vhd1_header h;
	struct vhd1_bat bat;
	uint64_t size_len;
	struct check_many bad, stray, gaps, hidden;
	uint8_t *buf, *bits; /* bits: one bitmap */
};

/* A differencing disk, after the audit of its BAT: what it says about its
 * parent, which is not looked for, and its sector bitmaps. NOMEM, IO. */
int vhd1_check_child(struct vhd1_check *k, struct vhdx_err *e) must_check;

#endif
