/* SPDX-License-Identifier: MIT */
/*
 * A ring: a header page, then data pages that need not be neighbours.
 *
 *	header	0  u32 write index	bytes into the data, multiples of 8;
 *		4  u32 read index	equal: empty. Never filled completely.
 *		8  u32 interrupt mask	the reader's: nonzero: do not signal
 *		12 u32 pending size	the writer's: signal me when there is
 *					more room than this; 0: no need
 *		64 u32 features		the writer's: b0: it uses 12
 *	packet	0  u16 type, u16 offset of the payload / 8, u16 length / 8,
 *		   u16 flags, u64 transaction id
 *		   payload, padded to 8; then, not counted in the length,
 *		   u32 0, u32 where the packet starts
 *
 * Invariants:
 *  R1  Our own index is private; the guest's is read once for each decision
 *      and checked, and so is a descriptor. Nothing is read a second time.
 *  R2  Data before the index: a packet is complete when the write index shows
 *      it, and copied when the read index gives its place away.
 *  R3  What is stored and then what is looked at, in this order for everyone:
 *	  write index, then mask and read index	 (must the reader be told?)
 *	  mask 0, then write index		 (has something come?)
 *	  read index, then pending size		 (does the writer wait?)
 *	  pending size, then read index		 (is there room by now?)
 *      The other side does the second of a pair: without a full barrier in
 *      between on both, each could miss the other. Such stores and loads are
 *      sequentially consistent, which on x86 is an xchg and a mov.
 *  R4  The read index is looked at after the mask, and the write index after
 *      the pending size: an older one would still show the state in which
 *      nobody had to be told.
 *  R5  A reader that shows itself (mask 0) has published its read index: the
 *      guest signals only when the ring was empty before.
 *  R6  Every store to guest memory is marked (gmem.c, G3).
 */
#include "ring.h"

#include <stdarg.h>
#include <string.h>

#include "le.h"

enum {
	WRITE_OFF = 0,
	READ_OFF = 4,
	MASK_OFF = 8,
	PENDING_OFF = 12,
	FEATURES_OFF = 64,
	FEATURE_PENDING = 1,
};

#define DESC_LEN 16u
#define TRAILER_LEN 8u

static uint32_t *word(const struct ring *r, unsigned off)
{
	return (uint32_t *)(void *)(r->page[0] + off);
}

static uint32_t load(const struct ring *r, unsigned off)
{
	return le32toh(__atomic_load_n(word(r, off), __ATOMIC_SEQ_CST));
}

static void store(struct ring *r, unsigned off, uint32_t v)
{
	__atomic_store_n(word(r, off), htole32(v), __ATOMIC_SEQ_CST);
	gmem_dirty(r->mem, word(r, off), sizeof(v));
}

void ring_init(struct ring *r, const struct gmem *mem, uint8_t **page,
	       unsigned page_cnt, bool is_out)
{
	ASSERT(page_cnt >= 2 && page_cnt - 1 <= RING_PAGES_MAX);
	memset(r, 0, sizeof(*r));
	r->mem = mem;
	r->page = page;
	r->data_len = (page_cnt - 1) * (uint32_t)GMEM_PAGE;
	if (is_out) {
		store(r, PENDING_OFF, 0);
		store(r, FEATURES_OFF, load(r, FEATURES_OFF) | FEATURE_PENDING);
		store(r, WRITE_OFF, 0);
	} else {
		store(r, READ_OFF, 0);
		store(r, MASK_OFF, 0);
	}
}

enum ring_result ring_break(struct ring *r, const char *fmt, ...)
{
	va_list ap;

	if (!r->broken) {
		va_start(ap, fmt);
		vsnprintf(r->why, sizeof(r->why), fmt, ap);
		va_end(ap);
	}
	r->broken = true;
	return RING_BROKEN;
}

static bool is_index(const struct ring *r, uint32_t v)
{
	return v < r->data_len && is_aligned(v, 8);
}

static enum ring_result bad_index(struct ring *r, const char *which, uint32_t v)
{
	return ring_break(r, "the guest's %s index is %u, not a multiple "
			     "of 8 below %u",
			  which, v, r->data_len);
}

/* Bytes from index a on to index b. */
static uint32_t distance(const struct ring *r, uint32_t a, uint32_t b)
{
	return b >= a ? b - a : r->data_len - a + b;
}

static uint32_t advance(const struct ring *r, uint32_t a, uint32_t len)
{
	return len < r->data_len - a ? a + len : a + len - r->data_len;
}

/* The data at index `pos`: *len bytes of it, at most, in its page. */
static uint8_t *data_at(const struct ring *r, uint32_t pos, uint32_t *len)
{
	uint32_t in_page = pos % (uint32_t)GMEM_PAGE;

	if (*len > GMEM_PAGE - in_page)
		*len = (uint32_t)GMEM_PAGE - in_page;
	return r->page[1 + pos / GMEM_PAGE] + in_page;
}

static void copy_from(const struct ring *r, uint32_t pos, uint8_t *buf,
		      uint32_t len)
{
	while (len) {
		uint32_t part = len;
		const uint8_t *from = data_at(r, pos, &part);

		memcpy(buf, from, part);
		buf += part;
		len -= part;
		pos = advance(r, pos, part);
	}
	/* The compiler does not read again what may have changed (R1). */
	atomic_signal_fence(memory_order_seq_cst);
}

/* The descriptor, to decide by. */
static void load_desc(const struct ring *r, uint8_t *buf)
{
	for (uint32_t i = 0; i < DESC_LEN; i += 8) {
		uint32_t len = 8;
		void *at = data_at(r, advance(r, r->pos, i), &len);
		uint64_t v = __atomic_load_n((uint64_t *)at, __ATOMIC_RELAXED);

		memcpy(buf + i, &v, sizeof(v));
	}
}

/* Returns the index behind it. */
static uint32_t copy_to(struct ring *r, uint32_t pos, const void *buf,
			uint32_t len)
{
	const uint8_t *from = buf;

	while (len) {
		uint32_t part = len;
		uint8_t *to = data_at(r, pos, &part);

		memcpy(to, from, part);
		gmem_dirty(r->mem, to, part);
		from += part;
		len -= part;
		pos = advance(r, pos, part);
	}
	return pos;
}

/* ---- guest to host ------------------------------------------------------ */

/* A place of `freed` bytes was given away: does a writer wait for what there is
 * now? Guests differ in whether exactly the pending size is enough for them, so
 * reaching it and passing it are both told. */
static bool is_awaited(const struct ring *r, uint32_t freed)
{
	uint32_t pending, in, room;

	if (!(load(r, FEATURES_OFF) & FEATURE_PENDING))
		return false;
	pending = load(r, PENDING_OFF);
	if (!pending)
		return false;
	in = load(r, WRITE_OFF);
	if (!is_index(r, in))
		return false; /* told with the next packet */
	room = r->data_len - distance(r, r->pos, in);
	return room >= pending && room - pending <= freed;
}

/* The descriptor in buf describes a packet that may be in `there` bytes. */
static enum ring_result look_at(struct ring *r, const uint8_t *buf,
				uint32_t there, uint32_t *len)
{
	uint32_t payload_off = get_le16(buf + 2) * 8u;

	*len = get_le16(buf + 4) * 8u;
	if (*len < DESC_LEN || *len > RING_PACKET_MAX)
		return ring_break(r, "a packet has %u bytes, allowed are %u "
				     "to %u", *len, DESC_LEN, RING_PACKET_MAX);
	if (*len > there - TRAILER_LEN)
		return ring_break(r, "a packet has %u bytes and a trailer, but "
				     "the ring shows %u", *len, there);
	if (payload_off < DESC_LEN || payload_off > *len)
		return ring_break(r, "a packet's payload starts at %u, allowed "
				     "are %u to %u", payload_off, DESC_LEN,
				  *len);
	return RING_OK;
}

enum ring_result ring_take(struct ring *r, uint8_t *buf, uint32_t *len,
			   bool *signal)
{
	uint32_t in, there;

	*signal = false;
	if (r->broken)
		return RING_BROKEN;
	in = load(r, WRITE_OFF);
	if (!is_index(r, in))
		return bad_index(r, "write", in);
	there = distance(r, r->pos, in);
	if (!there)
		return RING_EMPTY;
	if (there < DESC_LEN + TRAILER_LEN)
		return ring_break(r, "the ring shows %u bytes, a packet has at "
				     "least %u", there, DESC_LEN + TRAILER_LEN);
	load_desc(r, buf);
	if (look_at(r, buf, there, len) != RING_OK)
		return RING_BROKEN;
	copy_from(r, advance(r, r->pos, DESC_LEN), buf + DESC_LEN,
		  *len - DESC_LEN);
	r->pos = advance(r, r->pos, *len + TRAILER_LEN);
	store(r, READ_OFF, r->pos);
	*signal = is_awaited(r, *len + TRAILER_LEN);
	return RING_OK;
}

void ring_mask(struct ring *r)
{
	store(r, MASK_OFF, 1);
}

bool ring_unmask(struct ring *r)
{
	store(r, MASK_OFF, 0);
	return load(r, WRITE_OFF) != r->pos;
}

/* ---- host to guest ------------------------------------------------------ */

/* OK: more than `need` bytes are free, so that the ring does not look empty
 * when they are filled. */
static enum ring_result has_room(struct ring *r, uint32_t need)
{
	uint32_t out = load(r, READ_OFF);

	if (!is_index(r, out))
		return bad_index(r, "read", out);
	return r->data_len - distance(r, out, r->pos) > need ? RING_OK :
							       RING_FULL;
}

static void ask_for_room(struct ring *r, uint32_t pending)
{
	r->pending = pending;
	store(r, PENDING_OFF, pending);
}

/* One step more than what is needed: some guests signal when exactly the
 * pending size is free, which is not enough, and no more after that. An empty
 * ring must count as more. */
static uint32_t pending_for(const struct ring *r, uint32_t need)
{
	return (uint32_t)u64_min(need + 8, r->data_len - 8);
}

static enum ring_result make_room(struct ring *r, uint32_t need)
{
	enum ring_result res;

	if (need > r->data_len - 8)
		return ring_break(r, "a packet of %u bytes has no room in the "
				     "guest's ring of %u", need, r->data_len);
	res = has_room(r, need);
	if (res == RING_FULL) {
		ask_for_room(r, pending_for(r, need));
		res = has_room(r, need);
	}
	if (res == RING_OK && r->pending)
		ask_for_room(r, 0);
	return res;
}

enum ring_result ring_put(struct ring *r, const void *head, uint32_t head_len,
			  const void *body, uint32_t body_len, bool *signal)
{
	static const uint8_t zeros[8];
	uint32_t len = head_len + body_len;
	uint32_t pad = (uint32_t)align_up(len, 8) - len;
	uint32_t old = r->pos, pos;
	uint8_t trailer[TRAILER_LEN] = { 0 };
	enum ring_result res;

	ASSERT(head_len <= RING_PACKET_MAX && body_len <= RING_PACKET_MAX &&
	       len <= RING_PACKET_MAX);
	*signal = false;
	if (r->broken)
		return RING_BROKEN;
	res = make_room(r, len + pad + TRAILER_LEN);
	if (res != RING_OK)
		return res;
	put_le32(trailer + 4, old);
	pos = copy_to(r, old, head, head_len);
	pos = copy_to(r, pos, body, body_len);
	pos = copy_to(r, pos, zeros, pad);
	r->pos = copy_to(r, pos, trailer, TRAILER_LEN);
	store(r, WRITE_OFF, r->pos);
	*signal = !load(r, MASK_OFF) && load(r, READ_OFF) == old;
	return RING_OK;
}
