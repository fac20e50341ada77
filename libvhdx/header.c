/* SPDX-License-Identifier: MIT */
/*
 * H1  The copy that is current is never written to. An update goes to the
 *     other one, which becomes current when it is durable.
 * H2  A copy that is intact by signature and checksum counts, whatever its
 *     fields say: where the newer one asks for something we cannot do, falling
 *     back to the older one would bring back a state of the past (a log that
 *     is already gone, for one).
 */
#include "header.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

static int choose(struct header_pair *p, bool identical, struct vhdx_err *e)
{
	if (!p->valid[0] && !p->valid[1]) {
		err_copy(e, &p->why[0], VHDX_E_CORRUPT);
		return err_wrap(e, VHDX_E_CORRUPT, "neither header is valid");
	}
	if (p->valid[0] && p->valid[1] && p->copy[0].seq == p->copy[1].seq &&
	    !identical)
		return err_corrupt(e, VHDX_OBJ_HEADER, FMT_HEADER_OFF(0),
				   "2.2.2", "both headers have sequence number "
				   "%llu but differ, neither is current",
				   (unsigned long long)p->copy[0].seq);
	p->cur_slot = 0;
	if (!p->valid[0] ||
	    (p->valid[1] && p->copy[1].seq > p->copy[0].seq))
		p->cur_slot = 1;
	p->cur = p->copy[p->cur_slot];
	return 0;
}

int header_load(struct file *f, struct header_pair *p, struct vhdx_err *e)
{
	uint8_t *buf = mem_alloc(2 * (size_t)FMT_HEADER_LEN);
	int rc = 0;

	memset(p, 0, sizeof(*p));
	if (!buf)
		return err_set(e, VHDX_E_NOMEM, "no memory for the headers");
	for (int slot = 0; slot < 2 && !rc; slot++) {
		uint8_t *b = buf + slot * (int)FMT_HEADER_LEN;

		rc = file_read(f, FMT_HEADER_OFF(slot), b, FMT_HEADER_LEN, e);
		if (!rc)
			p->valid[slot] = header_parse(
				b, FMT_HEADER_OFF(slot), &p->copy[slot],
				&p->why[slot]) == 0;
	}
	if (!rc)
		rc = choose(p, memcmp(buf, buf + FMT_HEADER_LEN,
				      FMT_HEADER_LEN) == 0, e);
	if (!rc) /* H2 */
		rc = header_verify(&p->cur, FMT_HEADER_OFF(p->cur_slot), e);
	mem_free(buf);
	return rc;
}

int header_next(struct header_pair *p, uint8_t buf[FMT_HEADER_LEN],
		uint64_t *off, struct vhdx_err *e)
{
	int slot = 1 - p->cur_slot; /* H1 */
	struct fmt_header next = p->cur;

	/* A number that wrapped to 0 would look older than any other. */
	if (ckd_add(p->copy[p->cur_slot].seq, UINT64_C(1), &next.seq))
		return err_corrupt(e, VHDX_OBJ_HEADER,
				   FMT_HEADER_OFF(p->cur_slot), "2.2.2.1",
				   "header: sequence number %llu has no "
				   "successor",
				   (unsigned long long)p->cur.seq);
	p->copy[slot] = next;
	p->valid[slot] = false;
	header_encode(&next, buf);
	*off = FMT_HEADER_OFF(slot);
	return 0;
}

void header_wrote(struct header_pair *p)
{
	p->cur_slot = 1 - p->cur_slot;
	p->valid[p->cur_slot] = true;
	p->cur.seq = p->copy[p->cur_slot].seq;
}

int header_update(struct file *f, struct header_pair *p, struct vhdx_err *e)
{
	uint8_t buf[FMT_HEADER_LEN];
	uint64_t off = 0;

	for (int i = MUTATED(HEADER_BOTH); i < 2; i++) {
		int rc = header_next(p, buf, &off, e);

		if (!rc)
			rc = file_write(f, off, buf, sizeof(buf), e);
		if (!rc && (i == 1 || !MUTATED(HEADER_SYNC)))
			rc = file_sync(f, e);
		if (rc)
			return rc;
		header_wrote(p);
	}
	return 0;
}
