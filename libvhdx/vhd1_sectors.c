/* SPDX-License-Identifier: MIT */
/*
 * A bitmap in memory is what a reader is to see. The file is behind: a bit
 * gets there only after the payload it stands for is durable, so bits that are
 * set wait for a round of vhd1_flush.c, which captures and writes them.
 *
 *   idle --ask--> busy (being read) --io_done--> idle
 *   idle --mark--> dirty --capture--> round --written--> idle
 *                    ^-- bits were set meanwhile --'
 *
 * (the lists a bitmap is on). Only idle ones make room for others, the one not
 * used for longest first. At most three quarters may be dirty or in the round,
 * so that a reader always finds one; a writer that finds none starts a round
 * and waits. A block whose bits are all set, in the file too, is VHD1_FULL and
 * needs no bitmap any more.
 *
 * A block that holds nothing yet (NEW) has no bit set, whatever is in the
 * file: its first bitmap is made here.
 */
#include "vhd1_sectors.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

/* Bitmaps in memory: what takes 1 MiB, but not more, or fewer, than these. */
#define SECS_MAX 2048u
#define SECS_MIN 32u

/* What a map asks for; in its priv[0]. */
enum want { WANT_READ, WANT_DISCARD, WANT_MARK };

struct sec {
	struct vhd1_sectors *ss;
	struct list node;    /* ss->idle, busy, dirty or round */
	struct list waiting; /* image_map: until it is read */
	bool used;	     /* it is blk's */
	bool reading;
	bool dirty;	     /* bits were set since it was read or captured */
	bool in_round;
	uint32_t blk;
	uint8_t *bits;	   /* as readers see it */
	uint8_t *captured; /* as it is to be written */
	struct iovec iov;
	struct file_io io;
};

struct vhd1_sectors {
	struct vhd1 *v;
	struct list idle, busy, dirty, round; /* sec */
	struct list wait;   /* image_map: no bitmap to be had */
	uint32_t held_cnt;  /* dirty or in the round */
	uint32_t held_max;
	uint32_t writing_cnt;
	int res;	    /* of this round's writes: the first failure */
	struct vhdx_err why;
	uint16_t *index;    /* by block: its sec + 1, or 0 */
	uint8_t *mem;
	uint32_t cnt;
	struct sec s[];
};

static void move(struct sec *s, struct list *to)
{
	list_del(&s->node);
	list_add_tail(to, &s->node);
}

static void release(struct sec *s)
{
	if (s->used)
		s->ss->index[s->blk] = 0;
	s->used = false;
	list_del(&s->node);
	list_add_head(&s->ss->idle, &s->node); /* the next to be taken */
}

/* It is in the file as it is in memory. */
static void settle(struct sec *s)
{
	struct vhd1_bat *b = &s->ss->v->bat;

	if (vhd1_bits_full(s->bits, vhd1_bat_used_len(b, s->blk) /
				    VHD1_SECTOR)) {
		b->flags[s->blk] |= VHD1_FULL;
		release(s);
	} else {
		move(s, &s->ss->idle);
	}
}

static void submit(struct sec *s, enum file_op op, uint8_t *buf)
{
	s->io.op = op;
	s->io.off = vhd1_bat_off(&s->ss->v->bat, s->blk);
	s->iov = (struct iovec){ buf, s->ss->v->bat.bitmap_len };
	file_submit(s->ss->v->img.file, &s->io);
}

/* ---- answering ----------------------------------------------------------- */

static bool wait_for_room(struct vhd1_sectors *ss, struct image_map *m)
{
	list_add_tail(&ss->wait, &m->node);
	return false;
}

static void data_here(struct vhd1 *v, struct image_map *m)
{
	vhd1_map_data(v, m);
	if (!v->img.writable)
		raw_extent_apply(&v->extent, m);
}

/* The sectors from m's first on that are in the same place. */
static void find_run(const struct sec *s, struct image_map *m)
{
	struct vhd1 *v = s->ss->v;
	uint64_t first = m->voff % v->bat.block_len / VHD1_SECTOR;
	uint64_t max = v->bat.block_len / VHD1_SECTOR - first;

	m->res = 0;
	m->len = VHD1_SECTOR * vhd1_bits_run(s->bits, first,
					     u64_min(m->len / VHD1_SECTOR,
						     max));
	if (vhd1_bit(s->bits, first))
		data_here(v, m);
	else
		m->kind = m->priv[0] == WANT_READ ? MAP_PARENT : MAP_UNMAPPED;
}

static bool mark(struct sec *s, struct image_map *m)
{
	struct vhd1_sectors *ss = s->ss;
	struct vhd1 *v = ss->v;
	bool held = s->dirty || s->in_round;

	if (!held && ss->held_cnt == ss->held_max) {
		vhd1_flush_kick(v);
		return wait_for_room(ss, m);
	}
	m->res = 0;
	if (vhd1_state_of(v, s->blk) == VHD1_NEW)
		vhd1_holds_payload(v, s->blk);
	if (!vhd1_bits_set(s->bits, m->voff % v->bat.block_len / VHD1_SECTOR,
			   m->len / VHD1_SECTOR))
		return true;
	s->dirty = true;
	/* Rounds may have come and gone while the bitmap was being read: none
	 * of them knew of these bits (V10). */
	if (!MUTATED(VHD_BITS_COUNT))
		v->unsynced = true;
	if (!held) {
		ss->held_cnt++;
		move(s, &ss->dirty);
	}
	return true;
}

static struct sec *sec_of(struct vhd1_sectors *ss, uint32_t blk)
{
	uint16_t i = ss->index[blk];

	return i ? &ss->s[i - 1] : NULL;
}

/* A bitmap for blk, to be filled; NULL: there is none. */
static struct sec *take(struct vhd1_sectors *ss, uint32_t blk)
{
	struct sec *s;

	if (list_empty(&ss->idle))
		return NULL;
	s = list_first(&ss->idle, struct sec, node);
	release(s);
	s->used = true;
	s->blk = blk;
	ss->index[blk] = (uint16_t)(s - ss->s + 1);
	if (vhd1_state_of(ss->v, blk) == VHD1_NEW) {
		memset(s->bits, 0, ss->v->bat.bitmap_len);
		move(s, &ss->idle);
		return s;
	}
	s->reading = true;
	move(s, &ss->busy);
	submit(s, FILE_READ, s->bits);
	return s;
}

static bool answer(struct vhd1_sectors *ss, struct image_map *m)
{
	struct vhd1 *v = ss->v;
	uint32_t blk = vhd1_blk_of(v, m);
	struct sec *s = sec_of(ss, blk);

	if (m->priv[0] != WANT_READ && v->failed) {
		m->res = vhd1_refuse(v, &m->err);
		return true;
	}
	if (v->bat.flags[blk] & VHD1_FULL) {
		data_here(v, m);
		return true;
	}
	if (!s)
		s = take(ss, blk);
	if (!s)
		return wait_for_room(ss, m);
	if (s->reading) {
		list_add_tail(&s->waiting, &m->node);
		return false;
	}
	if (!s->dirty && !s->in_round)
		move(s, &ss->idle); /* used last */
	if (m->priv[0] == WANT_MARK)
		return mark(s, m);
	find_run(s, m);
	return true;
}

static bool ask(struct vhd1 *v, struct image_map *m, enum want want)
{
	m->priv[0] = want;
	return answer(v->sectors, m);
}

bool vhd1_sectors_read(struct vhd1 *v, struct image_map *m)
{
	return ask(v, m, WANT_READ);
}

bool vhd1_sectors_discard(struct vhd1 *v, struct image_map *m)
{
	return ask(v, m, WANT_DISCARD);
}

bool vhd1_sectors_mark(struct vhd1 *v, struct image_map *m)
{
	return ask(v, m, WANT_MARK);
}

static void answer_all(struct vhd1_sectors *ss, struct list *maps)
{
	while (!list_empty(maps)) {
		struct image_map *m = list_first(maps, struct image_map, node);

		list_del(&m->node);
		if (answer(ss, m))
			m->done(m);
	}
}

void vhd1_sectors_retry(struct vhd1 *v)
{
	struct list maps;

	list_init(&maps);
	list_splice(&maps, &v->sectors->wait);
	answer_all(v->sectors, &maps);
}

/* ---- reading and writing ------------------------------------------------- */

static void was_read(struct sec *s)
{
	struct vhd1_sectors *ss = s->ss;
	struct vhdx_err why;
	struct list maps;
	int res = s->io.res ? err_copy(&why, &s->io.err, s->io.res) : 0;

	list_init(&maps);
	list_splice(&maps, &s->waiting);
	s->reading = false;
	if (res) {
		err_wrap(&why, res, "sector bitmap of block %u", s->blk);
		release(s);
		vhd1_complete_maps(&maps, res, &why);
	} else {
		settle(s);
		answer_all(ss, &maps);
	}
	vhd1_sectors_retry(ss->v);
}

static void was_written(struct sec *s)
{
	struct vhd1_sectors *ss = s->ss;

	if (s->io.res && !ss->res) {
		ss->res = err_copy(&ss->why, &s->io.err, s->io.res);
		err_wrap(&ss->why, ss->res, "sector bitmap of block %u",
			 s->blk);
	}
	s->in_round = false;
	if (s->dirty || s->io.res) { /* ahead of the file */
		s->dirty = true;
		move(s, &ss->dirty);
	} else {
		ss->held_cnt--;
		settle(s);
	}
	if (--ss->writing_cnt)
		return;
	vhd1_flush_bits_done(ss->v, ss->res, &ss->why);
	vhd1_sectors_retry(ss->v);
}

static void io_done(struct file_io *io)
{
	struct sec *s = io->opaque;

	if (s->reading)
		was_read(s);
	else
		was_written(s);
}

bool vhd1_sectors_capture(struct vhd1 *v)
{
	struct vhd1_sectors *ss = v->sectors;
	struct list *it;

	list_for_each(it, &ss->dirty) {
		struct sec *s = list_entry(it, struct sec, node);

		memcpy(s->captured, s->bits, v->bat.bitmap_len);
		s->dirty = false;
		s->in_round = true;
	}
	list_splice(&ss->round, &ss->dirty);
	return !list_empty(&ss->round);
}

void vhd1_sectors_write(struct vhd1 *v)
{
	struct vhd1_sectors *ss = v->sectors;
	struct list *it, *nx;

	ss->res = 0;
	list_for_each(it, &ss->round)
		ss->writing_cnt++;
	list_for_each_safe(it, nx, &ss->round) {
		struct sec *s = list_entry(it, struct sec, node);

		submit(s, FILE_WRITE, MUTATED(VHD_BITS_CAPTURED)
					      ? s->bits : s->captured);
	}
}

/* ---- life ---------------------------------------------------------------- */

static void init_one(struct vhd1_sectors *ss, struct sec *s, uint8_t *mem)
{
	s->ss = ss;
	s->bits = mem;
	s->captured = mem + ss->v->bat.bitmap_len; /* if writable */
	list_init(&s->waiting);
	s->io.iov = &s->iov;
	s->io.iov_cnt = 1;
	s->io.len = ss->v->bat.bitmap_len;
	s->io.done = io_done;
	s->io.opaque = s;
	list_init(&s->node);
	list_add_tail(&ss->idle, &s->node);
}

int vhd1_sectors_init(struct vhd1 *v, struct vhdx_err *e)
{
	size_t len = v->bat.bitmap_len * (v->img.writable ? 2u : 1u);
	uint32_t cnt = (uint32_t)u64_min(SECS_MAX, u64_max(SECS_MIN,
						MIB / v->bat.bitmap_len));
	struct vhd1_sectors *ss = mem_zalloc(sizeof(*ss) +
					     cnt * sizeof(ss->s[0]));

	v->sectors = ss;
	if (ss) {
		ss->mem = mem_array(cnt, len);
		ss->index = mem_array(v->bat.loaded, sizeof(*ss->index));
	}
	if (!ss || !ss->mem || !ss->index)
		return err_set(e, VHDX_E_NOMEM, "no memory for %u sector "
			       "bitmaps of %u bytes", cnt, v->bat.bitmap_len);
	ss->v = v;
	ss->cnt = cnt;
	ss->held_max = cnt / 4 * 3;
	list_init(&ss->idle);
	list_init(&ss->busy);
	list_init(&ss->dirty);
	list_init(&ss->round);
	list_init(&ss->wait);
	for (uint32_t i = 0; i < cnt; i++)
		init_one(ss, &ss->s[i], ss->mem + i * len);
	return 0;
}

int vhd1_sectors_fit(struct vhd1 *v, uint32_t had, struct vhdx_err *e)
{
	struct vhd1_sectors *ss = v->sectors;
	uint16_t *index;

	if (!ss || v->bat.loaded <= had)
		return 0;
	index = mem_resize(ss->index, v->bat.loaded, sizeof(*index));
	if (!index)
		return err_set(e, VHDX_E_NOMEM, "no memory for an index of %u "
			       "blocks", v->bat.loaded);
	memset(index + had, 0, (v->bat.loaded - had) * sizeof(*index));
	ss->index = index;
	return 0;
}

void vhd1_sectors_free(struct vhd1 *v)
{
	if (!v->sectors)
		return;
	mem_free(v->sectors->mem);
	mem_free(v->sectors->index);
	mem_free(v->sectors);
}
