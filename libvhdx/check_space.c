/* SPDX-License-Identifier: MIT */
/*
 * Space of the file that nothing owns. A VHDX file has no list of its free
 * space: holes between blocks are normal after discards and are filled by
 * later writes, and writers extend the file in advance. So this is no fault,
 * only a fact; empty space at the end of the file can be given back.
 */
#include "vhdx_check.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"

#define BUF_LEN (64 * KIB)

struct free_space {
	uint64_t mib_cnt; /* all of it */
	uint64_t run_cnt; /* the pieces, without the tail */
	uint64_t tail_cnt; /* MiB at the end */
};

static struct free_space find_free(const struct mibmap *m)
{
	struct free_space s = { 0 };
	uint64_t mib = 0, cnt;

	for (;;) {
		mib = mibmap_free_run(m, mib, &cnt);
		if (!cnt)
			return s;
		s.mib_cnt += cnt;
		mib += cnt;
		if (mib == m->cnt)
			s.tail_cnt = cnt;
		else
			s.run_cnt++;
	}
}

/* Cutting the tail is safe when all owners are known for sure: nothing is
 * wrong with the file that stays so. A fixed disk keeps room for all its blocks
 * (LeaveBlockAllocated). And it must hold nothing: the BAT has no checksum, so
 * an entry that was lost cannot be told from one that never was (K4). */
static bool may_cut(const struct vck *v)
{
	return v->may_mend && v->c->stuck_errors == 0 &&
	       v->c->stuck_warnings == 0 &&
	       v->map.cnt == vck_mib_cnt(v) && (!v->fixed || v->all_present);
}

static int is_zero(struct vck *v, uint64_t off, bool *zero, struct vhdx_err *e)
{
	uint8_t *b = mem_alloc(BUF_LEN);
	uint64_t len;
	int rc = 0;

	*zero = true;
	if (!b)
		return err_set(e, VHDX_E_NOMEM,
			       "no memory to look at unused space");
	while (!rc && *zero) {
		rc = file_next_data(v->file, off, &off, &len, e);
		if (rc || len == 0)
			break;
		len = u64_min(len, BUF_LEN);
		rc = file_read(v->file, off, b, (size_t)len, e);
		*zero = b[0] == 0 && memcmp(b, b + 1, (size_t)len - 1) == 0;
		off += len;
	}
	mem_free(b);
	return rc;
}

static int say_tail(struct vck *v, uint64_t cnt, struct vhdx_err *e)
{
	uint64_t size = (v->map.cnt - cnt) * MIB;
	uint64_t tail_len = v->file->size - size;
	bool cut = may_cut(v), zero;
	int rc = is_zero(v, size, &zero, e);

	if (rc)
		return rc;
	cut = cut && zero;
	v->c->result->leaked_len += tail_len;
	if (cut && vck_mends(v)) {
		rc = vck_begin_mending(v, e);
		if (!rc)
			rc = file_truncate(v->c->file, size, e);
		if (!rc)
			rc = file_sync(v->c->file, e);
		if (rc)
			return rc;
		v->c->result->leaked_len -= tail_len;
	}
	check_say(v->c, VHDX_SEV_NOTE, cut ? vck_fix(v) : CHECK_NO_FIX,
		  VHDX_OBJ_PAYLOAD, size, "", "the last %" PRIu64 " bytes of "
		  "the file are not in use%s", tail_len,
		  zero ? "" : "; they hold data, so they are left alone");
	return 0;
}

int vck_space(struct vck *v, struct vhdx_err *e)
{
	struct free_space s;

	if (!v->have_bat || !v->have_hdr)
		return 0;
	if (v->map.cnt < vck_mib_cnt(v))
		check_warn(v->c, VHDX_OBJ_PAYLOAD, v->map.cnt * MIB, "",
			   "beyond the first %" PRIu64 " MiB of the file it "
			   "was not examined whether blocks overlap",
			   v->map.cnt);
	s = find_free(&v->map);
	v->c->result->leaked_len = (s.mib_cnt - s.tail_cnt) * MIB;
	if (s.run_cnt)
		check_note(v->c, VHDX_OBJ_PAYLOAD, ERR_NO_OFF, "",
			   "%" PRIu64 " bytes inside the file, in %" PRIu64
			   " place%s, are not in use (free for new blocks)",
			   (s.mib_cnt - s.tail_cnt) * MIB, s.run_cnt,
			   check_s(s.run_cnt));
	return s.tail_cnt ? say_tail(v, s.tail_cnt, e) : 0;
}
