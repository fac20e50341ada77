/* SPDX-License-Identifier: MIT */
/*
 * Making writes durable: rounds, one at a time. A round serves every flush
 * that was asked for before its first sync was submitted; later ones wait for
 * the next. vhd1_io.c says what has to hold (V3, V4, V5, V6, V8, V10).
 *
 *   IDLE --begin--> FOOTER --footer_done--> SYNC1 --sync1_done--> [BITS]
 *                     | host full             | nothing to write    |
 *                     '--> EXTEND --'         |                     v
 *                                             |                   [BAT]
 *                                             v     sync2_done      |
 *                                           IDLE <---- SYNC2 <------'
 *
 * BITS (a child's sector bitmaps) and BAT are what SYNC1 has made true; of the
 * two, either may reach the disk without the other.
 *
 * The footer is written first, so that the file is as long as the blocks that
 * are about to be published, and opens in other programs as well.
 */
#include <string.h>

#include "le.h"
#include "mem.h"
#include "mutation.h"
#include "vhd1_sectors.h"

static void begin(struct vhd1 *v);
static void publish(struct vhd1 *v);

static void set_bit(uint64_t *set, uint32_t i)
{
	set[i / 64] |= UINT64_C(1) << (i % 64);
}

static void clear_bit(uint64_t *set, uint32_t i)
{
	set[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static bool has_bit(const uint64_t *set, uint32_t i)
{
	return set[i / 64] >> (i % 64) & 1;
}

/* The first bit at or after i, or cnt. */
static uint32_t next_bit(const uint64_t *set, uint32_t i, uint32_t cnt)
{
	while (i < cnt) {
		uint64_t word = set[i / 64] >> (i % 64);

		if (word)
			return i + (uint32_t)__builtin_ctzll(word);
		i = (uint32_t)align_down(i, 64) + 64;
	}
	return cnt;
}

void vhd1_dirty(struct vhd1 *v, uint32_t blk)
{
	set_bit(v->dirty, blk / VHD1_BAT_PER_SECTOR);
	v->any_dirty = true;
}

static void advance(struct vhd1 *v, uint32_t sector, enum vhd1_state from,
		    enum vhd1_state to)
{
	uint32_t blk = sector * VHD1_BAT_PER_SECTOR;
	uint32_t end = (uint32_t)u64_min(blk + VHD1_BAT_PER_SECTOR, v->bat.cnt);

	for (; blk < end; blk++)
		if (vhd1_state_of(v, blk) == from)
			vhd1_state_set(v, blk, to);
}

/* What is READY now is covered by a sync that is submitted next. */
static void capture(struct vhd1 *v)
{
	uint32_t cnt = v->bat_sectors;

	for (uint32_t s = next_bit(v->dirty, 0, cnt); s < cnt;
	     s = next_bit(v->dirty, s + 1, cnt)) {
		advance(v, s, VHD1_READY, VHD1_SYNCING);
		clear_bit(v->dirty, s);
		set_bit(v->round_set, s);
		v->round_bat = true;
	}
	v->any_dirty = false;
	v->round_again = false;
	/* Not by the second sync: what ends between the two has no bits and no
	 * entry on the disk yet (V5, V10). */
	v->unsynced = false;
	v->round_bits = v->sectors && vhd1_sectors_capture(v);
	list_splice(&v->flush_now, &v->flush_next);
}

static void submit(struct vhd1 *v, enum vhd1_round round, enum file_op op,
		   uint64_t off, void *buf, uint64_t len)
{
	v->round = round;
	v->round_io.op = op;
	v->round_io.off = off;
	v->round_io.len = len;
	v->round_iov = (struct iovec){ buf, (size_t)len };
	if (op == FILE_SYNC)
		v->synced_change_cnt = v->img.file->change_cnt;
	file_submit(v->img.file, &v->round_io);
}

static void finish(struct vhd1 *v, int res, const struct vhdx_err *why)
{
	struct list done;

	list_init(&done);
	list_splice(&done, &v->flush_now);
	while (!list_empty(&done)) {
		struct image_flush *fl = list_first(&done, struct image_flush,
						    node);

		list_del(&fl->node);
		fl->res = res ? err_copy(&fl->err, why, res) : 0;
		fl->done(fl);
	}
	v->round = VHD1_ROUND_IDLE;
	if (!list_empty(&v->flush_next) || v->round_again)
		begin(v);
}

static void fail_for(struct vhd1 *v, const struct vhdx_err *io,
		     const char *what)
{
	struct vhdx_err why = *io;

	err_wrap(&why, why.code, "%s", what);
	vhd1_fail(v, &why);
	list_splice(&v->flush_now, &v->flush_next);
	v->round_again = false;
	finish(v, why.code, &why);
	if (v->sectors)
		vhd1_sectors_retry(v);
}

static void fail(struct vhd1 *v, const char *what)
{
	fail_for(v, &v->round_io.err, what);
}

static void write_bits(struct vhd1 *v)
{
	v->round = VHD1_ROUND_BITS;
	vhd1_sectors_write(v);
}

static void sync1(struct vhd1 *v)
{
	capture(v);
	if (v->round_bat && MUTATED(VHD_SYNC_BEFORE_BAT)) {
		publish(v);
		return;
	}
	if (v->round_bits && !v->round_bat && MUTATED(VHD_BITS_AFTER_SYNC)) {
		write_bits(v);
		return;
	}
	submit(v, VHD1_ROUND_SYNC1, FILE_SYNC, 0, NULL, 0);
}

static void footer_done(struct vhd1 *v)
{
	int res = v->round_io.res;
	uint64_t end = v->end_off;

	if (res == VHDX_E_NOSPC && v->round == VHD1_ROUND_FOOTER) {
		/* No block is placed meanwhile: this can only lengthen it. */
		submit(v, VHD1_ROUND_EXTEND, FILE_TRUNCATE,
		       u64_max(end, v->img.file->size), NULL, 0);
		return;
	}
	if (res) {
		fail(v, "writing the footer");
		vhd1_place_release(v);
		return;
	}
	if (v->round == VHD1_ROUND_FOOTER)
		v->footer_stale = false;
	sync1(v);
	vhd1_place_release(v);
}

static void sync1_done(struct vhd1 *v)
{
	if (v->round_io.res)
		fail(v, "making the payload durable");
	else if (v->round_bits)
		write_bits(v);
	else if (v->round_bat)
		publish(v);
	else
		finish(v, 0, NULL);
}

static void sync2(struct vhd1 *v)
{
	bool skip = v->round_bat ? MUTATED(VHD_SYNC_AFTER_BAT)
				 : MUTATED(VHD_SYNC_AFTER_BITS);

	v->round_bat = false;
	if (skip)
		finish(v, 0, NULL);
	else
		submit(v, VHD1_ROUND_SYNC2, FILE_SYNC, 0, NULL, 0);
}

void vhd1_flush_bits_done(struct vhd1 *v, int res, const struct vhdx_err *why)
{
	if (res)
		fail_for(v, why, "writing sector bitmaps");
	else if (v->round_bat)
		publish(v);
	else
		sync2(v);
}

/* V5: the entry of a block that no sync covers yet stays absent. */
static void encode_sector(const struct vhd1 *v, uint32_t sector, uint8_t *out)
{
	uint32_t blk = sector * VHD1_BAT_PER_SECTOR;

	for (uint32_t i = 0; i < VHD1_BAT_PER_SECTOR; i++, blk++) {
		enum vhd1_state least = MUTATED(VHD_BAT_COVERED)
						? VHD1_READY : VHD1_SYNCED;
		bool hide = blk < v->bat.cnt &&
			    vhd1_state_of(v, blk) < least;

		put_be32(out + 4 * i,
			 hide ? VHD1_ABSENT : v->bat.entry[blk]);
	}
}

/* Writes the next run of BAT sectors of this round, or ends the round. */
static void bat_step(struct vhd1 *v)
{
	uint32_t cnt = v->bat_sectors;
	uint32_t first = next_bit(v->round_set, v->round_next, cnt), n = 0;

	if (first == cnt) {
		sync2(v);
		return;
	}
	while (first + n < cnt && has_bit(v->round_set, first + n) &&
	       n < VHD1_BAT_CHUNK / VHD1_SECTOR) {
		clear_bit(v->round_set, first + n);
		encode_sector(v, first + n, v->bat_buf + n * VHD1_SECTOR);
		n++;
	}
	v->round_next = first + n;
	submit(v, VHD1_ROUND_BAT, FILE_WRITE,
	       v->bat.off + (uint64_t)first * VHD1_SECTOR, v->bat_buf,
	       (uint64_t)n * VHD1_SECTOR);
}

static void publish(struct vhd1 *v)
{
	uint32_t cnt = v->bat_sectors;

	for (uint32_t s = next_bit(v->round_set, 0, cnt); s < cnt;
	     s = next_bit(v->round_set, s + 1, cnt))
		advance(v, s, VHD1_SYNCING, VHD1_SYNCED);
	v->round_next = 0;
	bat_step(v);
}

static void bat_done(struct vhd1 *v)
{
	if (v->round_io.res)
		fail(v, "writing the BAT");
	else
		bat_step(v);
}

static void sync2_done(struct vhd1 *v)
{
	if (v->round_io.res)
		fail(v, "making the metadata durable");
	else
		finish(v, 0, NULL);
}

static void round_io_done(struct file_io *io)
{
	struct vhd1 *v = io->opaque;

	ASSERT(v->round != VHD1_ROUND_IDLE && v->round != VHD1_ROUND_BITS &&
	       v->round != VHD1_ROUND_REFUSE);
	switch (v->round) {
	case VHD1_ROUND_FOOTER:
	case VHD1_ROUND_EXTEND:
		footer_done(v);
		break;
	case VHD1_ROUND_SYNC1:
		sync1_done(v);
		break;
	case VHD1_ROUND_BAT:
		bat_done(v);
		break;
	case VHD1_ROUND_SYNC2:
		sync2_done(v);
		break;
	case VHD1_ROUND_BITS: /* has its own */
	case VHD1_ROUND_IDLE:
	case VHD1_ROUND_REFUSE:
		break;
	}
}

static void refused(struct loop_task *t)
{
	struct vhd1 *v = container_of(t, struct vhd1, refuse);
	struct vhdx_err why;
	int rc = v->failed ? vhd1_refuse(v, &why) : 0;

	finish(v, rc, &why);
}

/* A write may have been under way while the last sync was, and ended since
 * (unsynced), or is still (the flush does not cover it). The first flush always
 * syncs: whoever wrote before us may have been killed before he could. */
static bool is_all_durable(const struct vhd1 *v)
{
	return !v->unsynced && !v->any_dirty && !v->round_again &&
	       v->synced_change_cnt == v->img.file->change_cnt;
}

static void begin(struct vhd1 *v)
{
	list_splice(&v->flush_now, &v->flush_next);
	if (v->failed || !v->img.writable || is_all_durable(v)) {
		v->round = VHD1_ROUND_REFUSE;
		loop_defer(v->img.file->loop, &v->refuse);
	} else if (v->any_dirty && v->footer_stale) {
		if (!MUTATED(VHD_FOOTER_ALONE))
			vhd1_place_hold(v);
		submit(v, VHD1_ROUND_FOOTER, FILE_WRITE,
		       vhd1_footer_off(v->end_off), v->footer,
		       VHD1_FOOTER_LEN);
	} else {
		sync1(v);
	}
}

void vhd1_flush(struct image *img, struct image_flush *fl)
{
	struct vhd1 *v = container_of(img, struct vhd1, img);

	list_add_tail(&v->flush_next, &fl->node);
	if (v->round == VHD1_ROUND_IDLE)
		begin(v);
}

/* What the round that is under way has captured is not enough: whoever waits
 * for it may be the only one left, so another one follows. */
void vhd1_flush_kick(struct vhd1 *v)
{
	if (v->round == VHD1_ROUND_IDLE)
		begin(v);
	else
		v->round_again = true;
}

int vhd1_flush_init(struct vhd1 *v, struct vhdx_err *e)
{
	size_t words;

	list_init(&v->flush_now);
	list_init(&v->flush_next);
	loop_task_init(&v->refuse, refused);
	v->round_io.iov = &v->round_iov;
	v->round_io.iov_cnt = 1;
	v->round_io.done = round_io_done;
	v->round_io.opaque = v;
	v->unsynced = !MUTATED(FIRST_FLUSH_SYNCS);
	v->synced_change_cnt = v->img.file->change_cnt;
	if (!v->img.writable)
		return 0;
	v->bat_sectors = v->bat.loaded / VHD1_BAT_PER_SECTOR;
	words = (size_t)div_up(v->bat_sectors, 64);
	v->dirty = mem_array(words, sizeof(*v->dirty));
	v->round_set = mem_array(words, sizeof(*v->round_set));
	v->bat_buf = mem_alloc(VHD1_BAT_CHUNK);
	if (!v->dirty || !v->round_set || !v->bat_buf)
		return err_set(e, VHDX_E_NOMEM, "no memory to flush a BAT of "
			       "%u entries", v->bat.cnt);
	return 0;
}
