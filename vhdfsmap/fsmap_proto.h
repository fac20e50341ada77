/* SPDX-License-Identifier: MIT */
/*
 * What vhdtool (the parent) and vhdfsmap (the helper) say to each other over
 * one socket: messages of one size, in the machine's own byte order.
 *
 *   parent: HELLO off = size of the disk, len = its sector size
 *   helper: READ off, len (at most FSMAP_READ_MAX)
 *   parent:	DATA len = as asked, then that many bytes; 0: cannot be read
 *   helper: PART off, len, text: from now on it is about that part of the disk
 *   helper: UNUSED off, len: bytes of that part that nothing uses
 *   helper: VERDICT text: what was found in that part
 *   helper: NOTE text: about the disk as a whole
 *   helper: DONE
 *
 * PARTs do not overlap. Nor do UNUSED in a part; they ascend, and each is at
 * least FSMAP_UNUSED_MIN long. NOTE comes once. The parent believes none of
 * this.
 */
#ifndef FSMAP_PROTO_H
#define FSMAP_PROTO_H

#include <stdint.h>

#define FSMAP_TEXT_LEN 104
#define FSMAP_READ_MAX (UINT64_C(64) << 10)
#define FSMAP_UNUSED_MIN (UINT64_C(64) << 10)
#define FSMAP_PART_MAX 256u

enum fsmap_type {
	FSMAP_HELLO = 0x76660001,
	FSMAP_READ,
	FSMAP_DATA,
	FSMAP_PART,
	FSMAP_UNUSED,
	FSMAP_VERDICT,
	FSMAP_NOTE,
	FSMAP_DONE,
};

struct fsmap_msg {
	uint32_t type, zero;
	uint64_t off, len; /* bytes */
	char text[FSMAP_TEXT_LEN];
};

_Static_assert(sizeof(struct fsmap_msg) == 128, "no holes");

#endif
