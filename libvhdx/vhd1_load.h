/* SPDX-License-Identifier: MIT */
/*
 * What a VHD file says about itself: its footer copies, the dynamic header and
 * the block allocation table. Used by open, which is strict, and by check,
 * which wants to know everything. Reads only; the blocking file calls are used.
 *
 * Memory is bounded by what the file really holds and by VHD1_BAT_MAX: a
 * table that the file is too short for is refused before it is allocated.
 *
 *   vhd1_load.c  footers and header; the end of the file put in order
 *   vhd1_bat.c	  the table, and the audit of all that takes space
 */
#ifndef VHD1_LOAD_H
#define VHD1_LOAD_H

#include "file.h"
#include "vhd1_format.h"

/* Entries of a BAT that are held in memory: 2040 GiB in blocks of 256 KiB. */
#define VHD1_BAT_MAX (UINT32_C(8) << 20)
/* BAT entries count sectors in 32 bits: nothing lies further out. */
#define VHD1_REACH_LEN ((uint64_t)UINT32_MAX * VHD1_SECTOR)

/* One footer: at the end of the file, or the copy at its start. */
struct vhd1_copy {
	bool valid;
	bool cookie;	 /* valid or not, it starts like a footer */
	uint64_t off;	 /* bytes */
	uint32_t len;	 /* 512, or 511 in the old form */
	uint8_t raw[VHD1_FOOTER_LEN];
	struct vhd1_footer f;
	struct vhdx_err why; /* !valid */
};

struct vhd1_footers {
	struct vhd1_copy end;
	struct vhd1_copy head;	/* never valid for a fixed disk */
	const struct vhd1_copy *use;
	/* Both are valid and name different headers, both sound: a change of
	 * the header was interrupted, and the end is right (vhd1_relink.c). */
	bool switched;
};

/* Chooses the footer in force: the one at the end, or else the copy. A footer
 * at the end that belongs to another disk, or that a block of this one covers,
 * is payload and not a footer: end.valid is then false. CORRUPT if there is no
 * valid one. *out must not be moved: `use` points into it. */
int vhd1_footers_load(struct file *f, struct vhd1_footers *out,
		      struct vhdx_err *e) must_check;

/* Neither end of the file has a footer, and the last sector is zeros: is the
 * last thing before them the footer of a fixed disk that fits there exactly?
 * Then the file was being made longer, for the disk to grow, and no more. */
int vhd1_find_lost_footer(struct file *f, struct vhd1_copy *c, bool *found,
			  struct vhdx_err *e) must_check;

/* Both are valid, but not the same. Grave: they disagree on the size, the type
 * or the place of the header, and it was no interrupted switch, so that one
 * cannot simply replace the other. */
bool vhd1_footers_differ(const struct vhd1_footers *ft, bool *grave);

enum vhd1_state {
	VHD1_NONE,	/* no place in the file; reads as zeros */
	VHD1_PLACED,	/* has a place; its bitmap is not written yet */
	VHD1_NEW,	/* bitmap written; no payload was acknowledged yet */
	VHD1_READY,	/* holds acknowledged payload; not synced yet */
	VHD1_SYNCING,	/* covered by the sync that is under way */
	VHD1_SYNCED,	/* durable: its BAT entry may be written */
};
#define VHD1_STATE_MASK 0x07u
#define VHD1_FULL 0x10u /* its bitmap is known to be all ones */
#define VHD1_BAD 0x20u	/* its BAT entry is damaged: not to be used */

/* Bytes of the file; len 0: none. */
struct vhd1_span {
	uint64_t off, len;
	bool lost;
};

/* The map of a dynamic or differencing disk. */
struct vhd1_bat {
	uint32_t *entry; /* first sector of each block; host order */
	uint8_t *flags;	 /* enum vhd1_state | VHD1_FULL | VHD1_BAD */
	uint32_t cnt;	 /* entries of the table */
	uint32_t need;	 /* of these, what the size of the disk takes */
	uint32_t loaded; /* cnt rounded up to whole BAT sectors */
	uint64_t off;	 /* of the table, bytes */
	uint64_t table_len;
	uint64_t header_off;
	uint32_t block_len, bitmap_len;
	uint64_t size_len; /* of the disk, bytes: cuts the last block */
	/* End of the last structure or block, bytes: as far as the disk needs
	 * it, without locators; and with them, and the whole of the disk's last
	 * block, which some writers cut short. */
	uint64_t data_end, whole_end;
	uint64_t bad_cnt;   /* of the first `need` entries */
	uint64_t stray_cnt; /* bad ones behind them */
	uint64_t used_cnt;
	/* What the locators of a differencing disk take, in whole sectors. They
	 * only say where a parent may be: one that lies over something else
	 * (lost, after an audit) gives way to it. */
	struct vhd1_span loc[VHD1_LOCATOR_CNT];
};

/* ft->use is not fixed. The whole table is loaded, as far as VHD1_BAT_MAX and
 * size_len allow. On success vhd1_bat_free() is due. */
int vhd1_bat_load(struct file *f, const struct vhd1_footers *ft,
		  const struct vhd1_header *h, uint64_t size_len,
		  struct vhd1_bat *out, struct vhdx_err *e) must_check;
void vhd1_bat_free(struct vhd1_bat *b); /* a zeroed one is allowed */

/* What h's locators claim, for the next audit. */
void vhd1_bat_note_locators(struct vhd1_bat *b, const struct vhd1_header *h);

/* Blocking. In a gap between two structures: how much of it, from its start, a
 * former header of this file and its locators took. 0: none, or unreadable. */
uint64_t vhd1_former_len(struct file *f, const struct vhd1_bat *b,
			 uint64_t off, uint64_t len);

int vhd1_header_load(struct file *f, const struct vhd1_footer *ft,
		     struct vhd1_header *out, struct vhdx_err *e) must_check;

/* File range of a block: its bitmap starts at vhd1_bat_off(), the payload
 * bitmap_len later. */
static inline uint64_t vhd1_bat_off(const struct vhd1_bat *b, uint32_t blk)
{
	return (uint64_t)b->entry[blk] * VHD1_SECTOR;
}

/* Payload bytes of the block that belong to the disk: the last one is cut. */
static inline uint32_t vhd1_bat_used_len(const struct vhd1_bat *b, uint32_t blk)
{
	uint64_t first = (uint64_t)blk * b->block_len;

	if (first >= b->size_len)
		return b->block_len; /* beyond the size: counts as whole */
	return (uint32_t)u64_min(b->block_len, b->size_len - first);
}

/* Tells fn of every entry that cannot be right, and marks it VHD1_BAD: outside
 * the file (limit: where its usable part ends), over a structure, or over
 * another block. Sets data_end, whole_end and the counts. `gap` (may be NULL)
 * is called for every range between two structures that nothing refers to. */
#define VHD1_BAD_WORDS 100u /* text is NULL from then on */
typedef void vhd1_bad_fn(void *arg, uint32_t blk, const char *text);
typedef void vhd1_gap_fn(void *arg, uint64_t off, uint64_t len);
int vhd1_bat_audit(struct vhd1_bat *b, uint64_t limit, vhd1_bad_fn *fn,
		   vhd1_gap_fn *gap, void *arg, struct vhdx_err *e) must_check;

/* Where usable space ends: the footer at the end, else the end of the file. */
uint64_t vhd1_limit(const struct file *f, const struct vhd1_footers *ft);

/* After an audit: a footer at the end that lies inside a block is no footer,
 * if there is a copy to stand in for it. */
void vhd1_footers_settle(struct vhd1_footers *ft, uint64_t data_end);

/* The footer stands right behind the last block: there the first bitmap of the
 * next block covers it, whoever writes that one. */
static inline uint64_t vhd1_footer_off(uint64_t end_off)
{
	return align_up(end_off, VHD1_SECTOR);
}

/* Less than this between two structures is alignment, not a leak. */
#define VHD1_SLACK_LEN (8 * KIB)

/* After an audit without findings: bytes at the end of the file that nothing
 * refers to, left over from a session that was not closed; else 0. */
uint64_t vhd1_tail_len(const struct file *f, const struct vhd1_footers *ft,
		       const struct vhd1_bat *b);

/* After such an audit, f is writable: restores a missing footer from the other
 * one and cuts off the tail, if there is one. At every moment one footer is
 * valid. *footer_off: where the one at the end is now. */
int vhd1_mend(struct file *f, const struct vhd1_footers *ft,
	      const struct vhd1_bat *b, uint64_t *footer_off,
	      struct vhdx_err *e) must_check;

#endif
