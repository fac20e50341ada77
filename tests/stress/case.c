/* SPDX-License-Identifier: MIT */
#include "case.h"

#include <errno.h>

#include "crew.h"
#include "file_fault.h"
#include "guid.h"
#include "report.h"
#include "t.h"

#define PIECE (256 * KIB)

struct life {
	const struct case_profile *profile;
	struct case_tally *tally;
	struct site site;
	struct truth *truth;
	uint64_t rng;
};

static uint64_t below(struct life *l, uint64_t n)
{
	return t_rand_below(&l->rng, n);
}

/* ---- looking at it ------------------------------------------------------ */

static void read_piece(struct life *l, struct vhdx_blk *blk, uint64_t voff,
		       uint8_t *buf, uint64_t len, bool crashed)
{
	struct truth_op op = { .kind = TRUTH_READ, .voff = voff, .len = len };
	struct truth_bad bad;
	struct vhdx_err e;
	bool good;

	if (!crashed)
		truth_begin(l->truth, &op);
	if (vhdx_blk_read(blk, voff, buf, len, &e))
		report_finding("reading all of it: %s", e.text);
	if (crashed)
		good = truth_verify_crash(l->truth, voff, len, buf, &bad);
	else
		good = truth_end_read(l->truth, &op, buf, &bad);
	if (!good)
		report_finding("opened again%s: %s", crashed ?
			       " after a failure" : "", bad.text);
}

/* The disk as it is now, from its first byte to its last; from then on it is
 * what it is. */
static void look(struct life *l, bool crashed)
{
	uint64_t size = l->site.size_len;
	struct vhdx_blk *blk;
	struct vhdx_err e;
	uint8_t *all = malloc(size);
	char text[600];

	ASSERT(all);
	if (site_open(&l->site, crashed || below(l, 2), &blk, &e))
		report_finding("opening it again: %s", e.text);
	for (uint64_t at = 0; at < size; at += PIECE)
		read_piece(l, blk, at, all + at, u64_min(PIECE, size - at),
			   crashed);
	if (vhdx_blk_close(blk, &e))
		report_finding("closing it again: %s", e.text);
	if (!site_check(&l->site, true, text, sizeof(text)))
		report_finding("%s", text);
	for (uint64_t i = 0; i < size / UNIT_LEN; i++)
		truth_rebase(l->truth, i,
			     truth_gen(l->truth, all + i * UNIT_LEN));
	free(all);
}

/* ---- a session ---------------------------------------------------------- */

static struct fault_rule pick_fault(struct life *l)
{
	static const unsigned ops[] = {
		1u << FILE_WRITE, 1u << FILE_SYNC, 1u << FILE_TRUNCATE,
		1u << FILE_ZERO | 1u << FILE_PUNCH, 1u << FILE_RESERVE,
		1u << FILE_READ, FAULT_ANY_CHANGE, FAULT_ANY };
	struct fault_rule r = { 0 };

	r.ops = ops[below(l, ARRAY_LEN(ops))];
	r.nth = UINT64_C(1) << below(l, 6); /* some are rare */
	r.sys_errno = below(l, 3) ? EIO : ENOSPC;
	r.sticky = below(l, 3) == 0;
	r.extent = (enum fault_extent)below(l, FAULT_DONE + 1);
	return r;
}

static struct crew_opts pick_opts(struct life *l)
{
	static const unsigned depths[] = { 1, 4, 16, 64, CREW_DEPTH_MAX };
	bool sim = l->site.backing == BACK_SIM;
	struct crew_opts o = { 0 };

	if (l->profile->threads)
		o.threads = 1 + (unsigned)below(l, CREW_MAX);
	o.depth = depths[below(l, ARRAY_LEN(depths))];
	o.requests = 100 + (unsigned)below(l, 500);
	o.requests /= o.threads ? o.threads : 1;
	if (o.depth == CREW_DEPTH_MAX) /* more than pass the gate at once */
		o.requests += 2 * CREW_DEPTH_MAX / (o.threads + 1);
	o.cancels = below(l, 3);
	if (below(l, 3) == 0)
		o.fault = pick_fault(l);
	o.cut = sim && below(l, 3) == 0;
	return o;
}

static void session(struct life *l)
{
	static struct crash_tree tree;
	struct crew_opts o = pick_opts(l);
	struct crew_result res;
	struct vhdx_blk *blk;
	struct vhdx_err e;
	char text[600];
	int rc;

	if (site_open(&l->site, below(l, 8), &blk, &e))
		report_finding("opening: %s", e.text);
	rc = crew_session(&l->site, l->truth, blk, &o, t_rand(&l->rng), &tree,
			  &res);
	l->tally->sessions++;
	l->tally->requests += res.ended;
	l->tally->canceled += res.canceled;
	l->tally->failed += res.failed;
	l->tally->broken += res.device_failed;
	l->tally->cuts += res.was_cut;
	if (res.was_cut)
		site_restart(&l->site, &tree);
	else if (!rc && !site_check(&l->site, true, text, sizeof(text)))
		report_finding("closed without a word: %s", text);
	look(l, rc || res.was_cut);
	site_settle(&l->site);
}

void case_run(const struct case_profile *p, uint64_t seed,
	      struct case_tally *tally)
{
	struct life l = { .profile = p, .tally = tally };
	char text[600];

	l.rng = seed ^ (uint64_t)(p->kind - kinds) << 32 ^
		(uint64_t)p->backing << 40;
	guid_seed_for_tests(seed + 1);
	if (!site_begin(&l.site, p->kind, p->backing, t_rand(&l.rng), &l.truth,
			text, sizeof(text)))
		report_finding("%s", text);
	for (uint64_t n = 1 + below(&l, 4); n; n--)
		session(&l);
	site_end(&l.site);
	truth_free(l.truth);
	tally->cases++;
}
