/* SPDX-License-Identifier: MIT */
/*
 * The file type identifier and the two headers. One header update writes both
 * copies anew from the current one; that mends whatever is wrong with the pair
 * as long as it is known which copy is current.
 */
#include "vhdx_check.h"

#include <inttypes.h>

/* Room for the updates of one repair before the number would overflow. */
#define SEQ_LAST_USABLE (UINT64_MAX - 16)

#define HEADER_FIELDS_LEN 80u /* the rest of the 4 KiB is reserved */

int vck_ident(struct vck *v, struct vhdx_err *e)
{
	uint8_t b[FMT_HEADER_LEN];
	struct fmt_ident ident;
	struct vhdx_err why;
	int rc = file_read(v->file, 0, b, sizeof(b), e);

	if (rc)
		return rc;
	if (ident_decode(b, &ident, &why))
		check_say_err(v->c, VHDX_SEV_ERROR, CHECK_NO_FIX, &why);
	if (v->file->size < FMT_FIRST_OFF)
		check_error(v->c, VHDX_OBJ_IDENT, ERR_NO_OFF, "2.2",
			    "the file ends at %" PRIu64 ", inside the 1 MiB of "
			    "its headers and region tables", v->file->size);
	else if (!is_aligned(v->file->size, MIB))
		check_note(v->c, VHDX_OBJ_NONE, ERR_NO_OFF, "2.1",
			   "the file's size, %" PRIu64 ", is not a multiple of "
			   "1 MiB", v->file->size);
	return 0;
}

/* Told at once, because a header update clears them. */
static int say_reserved(struct vck *v, struct vhdx_err *e)
{
	uint8_t b[FMT_HEADER_LEN];

	for (int i = 0; i < 2; i++) {
		size_t k = HEADER_FIELDS_LEN;
		int rc = file_read(v->file, FMT_HEADER_OFF(i), b, sizeof(b),
				   e);

		if (rc)
			return rc;
		while (k < sizeof(b) && b[k] == 0)
			k++;
		if (v->hdr.valid[i] && k < sizeof(b))
			check_note(v->c, VHDX_OBJ_HEADER, FMT_HEADER_OFF(i) + k,
				   "2.2.2", "header (copy %d of 2): reserved "
				   "byte %zu is 0x%02x, is to be 0 and is "
				   "ignored", i + 1, k, b[k]);
	}
	return 0;
}

int vck_headers(struct vck *v, struct vhdx_err *e)
{
	int rc = header_load(v->file, &v->hdr, &v->hdr_why);

	if (rc && rc != VHDX_E_CORRUPT && rc != VHDX_E_UNSUPPORTED)
		return err_copy(e, &v->hdr_why, rc);
	v->found = v->hdr;
	v->have_hdr = rc == 0;
	v->may_mend = v->have_hdr && v->hdr.cur.seq <= SEQ_LAST_USABLE &&
		      v->file->size >= FMT_FIRST_OFF;
	return say_reserved(v, e);
}

int vck_begin_mending(struct vck *v, struct vhdx_err *e)
{
	int rc;

	ASSERT(vck_mends(v));
	if (v->mending)
		return 0;
	guid_random(&v->hdr.cur.file_write);
	rc = header_update(v->c->file, &v->hdr, e);
	if (!rc)
		v->mending = true;
	return rc;
}

/* ---- what is wrong with a pair that has a current copy ------------------- */

static bool is_twin(const struct header_pair *p)
{
	return p->valid[0] && p->valid[1] && p->copy[0].seq == p->copy[1].seq;
}

static bool breaks_rules(const struct header_pair *p, int slot,
			 struct vhdx_err *why)
{
	return header_verify(&p->copy[slot], FMT_HEADER_OFF(slot), why) != 0;
}

static bool names_dead_log(const struct header_pair *p, int slot)
{
	return guid_is_zero(&p->cur.log) && !guid_is_zero(&p->copy[slot].log);
}

static bool wants_update(const struct header_pair *p)
{
	int other = !p->cur_slot;
	struct vhdx_err why;

	return !p->valid[other] || is_twin(p) ||
	       breaks_rules(p, other, &why) || names_dead_log(p, other);
}

static void say_other(const struct vck *v, enum check_fix fix)
{
	const struct header_pair *p = &v->found;
	int other = !p->cur_slot;
	uint64_t off = FMT_HEADER_OFF(other);
	struct vhdx_err why;

	if (!p->valid[other])
		check_say(v->c, VHDX_SEV_ERROR, fix, VHDX_OBJ_HEADER, off,
			  "2.2.2", "%s (copy %d of 2; the other one is used)",
			  p->why[other].text, other + 1);
	else if (is_twin(p))
		check_say(v->c, VHDX_SEV_WARNING, fix, VHDX_OBJ_HEADER, off,
			  "2.2.2", "both headers have the SequenceNumber %"
			  PRIu64 "; they are identical, so either will do "
			  "(Disk2VHD makes such files)", p->copy[0].seq);
	else if (breaks_rules(p, other, &why))
		check_say(v->c, VHDX_SEV_WARNING, fix, VHDX_OBJ_HEADER, off,
			  why.spec, "%s (copy %d of 2, the older one)",
			  why.text, other + 1);
	else if (names_dead_log(p, other))
		check_say(v->c, VHDX_SEV_NOTE, fix, VHDX_OBJ_HEADER, off,
			  "2.2.2.1", "the older header (copy %d of 2) names a "
			  "log that is done with; it would be replayed again "
			  "if the newer header were lost", other + 1);
}

static void say_current(const struct vck *v)
{
	const struct fmt_header *h = &v->found.cur;
	uint64_t off = FMT_HEADER_OFF(v->found.cur_slot);

	if (h->seq > SEQ_LAST_USABLE)
		check_warn(v->c, VHDX_OBJ_HEADER, off, "2.2.2",
			   "header: SequenceNumber is %" PRIu64 ", which "
			   "leaves no room for updates: the file can only be "
			   "read",
			   h->seq);
	if (h->log_len == 0)
		check_note(v->c, VHDX_OBJ_HEADER, off, "2.2.2",
			   "header: LogLength is 0: without a log the file can "
			   "only be read");
}

/* No copy is current: each one's own fault, then why none was chosen. */
static void say_none(const struct vck *v)
{
	const struct header_pair *p = &v->found;

	for (int i = 0; i < 2; i++)
		if (!p->valid[i])
			check_error(v->c, VHDX_OBJ_HEADER, FMT_HEADER_OFF(i),
				    "2.2.2", "%s (copy %d of 2)",
				    p->why[i].text, i + 1);
	if (p->valid[0] || p->valid[1])
		check_say_err(v->c, VHDX_SEV_ERROR, CHECK_NO_FIX, &v->hdr_why);
}

int vck_headers_say(struct vck *v, struct vhdx_err *e)
{
	int rc = 0;

	if (!v->have_hdr) {
		say_none(v);
		return 0;
	}
	if (vck_mends(v) && wants_update(&v->found))
		rc = vck_begin_mending(v, e);
	if (rc)
		return rc;
	say_other(v, vck_fix(v));
	say_current(v);
	return 0;
}
