/* SPDX-License-Identifier: MIT */
/*
 * A small language for making VHDX images and damaging them, one command a
 * line; the golden cases and the unit tests of check speak it. Fields are
 * changed where they lie, checksums follow only on request.
 *
 *	create size=64M [type=fixed] [block=1M] [sector=512] [physical=4096]
 *	block B [state=6]	give block B space at the end of the file
 *	bat I VALUE		entry I of the BAT
 *	put8|put16|put32|put64 WHERE VALUE
 *	puts WHERE TEXT		bytes of TEXT, no NUL
 *	guid WHERE GUID
 *	fill WHERE LEN BYTE
 *	flip WHERE		inverts one byte
 *	copy FROM TO LEN
 *	crc header1|header2|region1|region2
 *	truncate LEN		either way
 *	item GUID|locator OFF LEN FLAGS	one more metadata entry, item at
 *				meta+OFF
 *	items N GUID		N more entries, GUID counting up, empty, user
 *	region GUID OFF LEN REQUIRED	one more region, in both copies
 *	parent [KEY=VALUE...]	HasParent, and a locator with these keys
 *	dirty N			LogGuid: sixteen bytes N, in both headers
 *	entry AT seq=N [tail=AT] [flushed=LEN] [last=LEN] [guid=N]
 *	      [bat=I:VALUE] [fill=WHERE:BYTE] [zero=WHERE:LEN]...
 *				a log entry at log+AT, around the ring's end;
 *				bat= and fill= are data descriptors
 *	seal AT			its checksum, after a change
 *
 *	create format=vhd ...	a VHD, with these places: footer (at the end,
 *				as created), copy (0), dyn (512), vbat
 *	be32|be64 WHERE VALUE	big-endian
 *	sum footer|copy|dyn	its checksum
 *	vblock B		block B at the end, footer behind it
 *	vparent NAME [KIND=PATH...]	a child of NAME (`-`: no name), id
 *				01020304-..., each path in 512 bytes at the end
 *
 * Numbers: decimal, 0x, with K M G T, `max` (2^64 - 1). WHERE is a sum of
 * numbers and places: ident header1 header2 region1 region2 log meta bat end;
 * params size id lss pss (the items); entry.params ... (their table entries);
 * region1.bat region1.meta region2.bat region2.meta (table entries). Places
 * are those of the image as created.
 */
#ifndef DAMAGE_H
#define DAMAGE_H

#include "file.h"
#include "format.h"

#define DAMAGE_ITEMS 5

struct damage {
	struct file *file;
	uint64_t log_off, meta_off, bat_off;
	uint32_t log_len, block_len;
	struct bat_geom geom;
	uint64_t item_off[DAMAGE_ITEMS];
	uint64_t entry_off[DAMAGE_ITEMS];
	uint64_t region_off[2]; /* BAT, metadata; in copy 1 */
	bool vhd;
	uint64_t footer_off, vbat_off;
};

/* Learns the places of a sound image; an empty file waits for `create`. */
int damage_begin(struct damage *d, struct file *f,
		 struct vhdx_err *e) must_check;

/* Runs the lines of a script; '#' begins a comment. */
int damage_run(struct damage *d, const char *script,
	       struct vhdx_err *e) must_check;

#endif
