/* SPDX-License-Identifier: MIT */
/*
 * Finding and applying what a crashed writer left in the log (MS-VHDX 2.3.2,
 * 2.3.3). The scan reads each sector of the log at most twice and skips its
 * holes; memory is proportional to the number of entries in it, then of pages
 * the active sequence rewrites. Applying twice equals applying once.
 *
 * R1  Only the newest valid and complete sequence counts, from the entry that
 *     its head names as tail; earlier entries are already home and their
 *     targets may have been reused.
 * R2  LogGuid stays as it is until every replayed byte is durable.
 * R3  No entry may touch the identifier, the headers or the log itself.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "file.h"
#include "format.h"

/* One change, in the order of application. */
struct replay_item {
	uint64_t file_off; /* target, bytes, 4 KiB multiple */
	uint64_t len;	   /* bytes */
	uint64_t data_off; /* file offset of the data sector; 0: zeros */
	uint8_t leading[8];
	uint8_t trailing[4];
};

struct replay_seq {
	bool found;
	uint64_t tail_off, head_off; /* in the log */
	uint64_t first_seq, last_seq;
	uint64_t entry_cnt;
	uint64_t flushed_len, last_len; /* of the head entry */
	struct replay_item *items;	/* owned */
	size_t item_cnt;
};

/* More changes than this in one sequence are refused; the largest log that a
 * header can name has room for no more data sectors. */
#define REPLAY_ITEM_MAX (UINT32_C(1) << 20)

/* Blocking, reads only. Finds the active sequence: all of *out but items.
 * hdr->log is not zero. CORRUPT if no sequence is valid or the file is shorter
 * than the head's FlushedFileOffset. */
int replay_find(struct file *f, const struct fmt_header *hdr,
		struct replay_seq *out, struct vhdx_err *e) must_check;

/* The same, with the items. CORRUPT also where R3 is broken. */
int replay_scan(struct file *f, const struct fmt_header *hdr,
		struct replay_seq *out, struct vhdx_err *e) must_check;
void replay_free(struct replay_seq *s);

/* Blocking. Extends the file to last_len, writes every item home, syncs. The
 * caller updates the headers before (FileWriteGuid) and after (LogGuid). */
int replay_apply(struct file *f, const struct replay_seq *s,
		 struct vhdx_err *e) must_check;

/* A read-only file that shows f as it would be after replay_apply(). Takes
 * over f (closed with it) and s (emptied), on success only. A read that no
 * change touches goes on to f itself: io->file is f in its done(). */
int file_overlay_new(struct file *f, struct replay_seq *s, struct file **out,
		     struct vhdx_err *e) must_check;

/* Frees an overlay and gives f back, untouched. */
struct file *file_overlay_detach(struct file *overlay);

/* A data sector, as it lies in the log, becomes the page it carries. */
void replay_patch(const struct replay_item *it, uint8_t sector[4096]);

/* The size that the file has after replay_apply(). */
uint64_t replay_file_len(const struct file *f, const struct replay_seq *s);

/* Blocking. For each entry of the active sequence, tail to head: fn with desc
 * NULL, then fn for each of its descriptors. log_off is the entry's place in
 * the log. A value other than 0 from fn ends the walk and is returned. */
int replay_walk(struct file *f, const struct fmt_header *hdr,
		const struct replay_seq *s,
		int (*fn)(void *arg, uint64_t log_off,
			  const struct fmt_log_entry *entry,
			  const struct fmt_log_desc *desc),
		void *arg, struct vhdx_err *e) must_check;

#endif
