/* SPDX-License-Identifier: MIT */
/* V1..V4 stand in recover.h. */
#include "recover.h"

#include <string.h>

#include "mutation.h"
#include "replay.h"

static int apply(struct file *f, struct header_pair *p,
		 const struct replay_seq *seq, struct vhdx_err *e)
{
	int rc;

	guid_random(&p->cur.file_write); /* V1 */
	rc = MUTATED(RECOVERY_GUID) ? 0 : header_update(f, p, e);
	if (rc)
		return rc;

	rc = replay_apply(f, seq, e); /* ends with a sync: V2 */
	if (rc)
		return rc;

	memset(&p->cur.log, 0, sizeof(p->cur.log));
	return header_update(f, p, e); /* both copies: V3 */
}

/* A power failure between the two copies of a header update leaves one that is
 * damaged or still names the log that is gone. */
static bool is_settled(const struct header_pair *p)
{
	for (int i = 0; i < 2; i++)
		if (!p->valid[i] || !guid_is_zero(&p->copy[i].log))
			return false;
	return true;
}

int recover_log(struct file *f, struct header_pair *p, uint64_t *entries,
		struct vhdx_err *e)
{
	struct replay_seq seq = { 0 };
	uint64_t cnt = 0;
	int rc = 0;

	if (!guid_is_zero(&p->cur.log)) {
		rc = replay_scan(f, &p->cur, &seq, e);
		if (!rc)
			rc = apply(f, p, &seq, e);
		if (rc)
			rc = err_wrap(e, rc, "replaying the log of %s",
				      f->path);
		else
			cnt = seq.entry_cnt;
		replay_free(&seq);
	} else if (!is_settled(p)) {
		guid_random(&p->cur.file_write);
		rc = header_update(f, p, e); /* V3 */
	}
	if (entries)
		*entries = cnt;
	return rc;
}
