/* SPDX-License-Identifier: MIT */
/*
 * Several submitters at work on one device for the length of a session: the
 * owner's own thread, by vhdx_blk_submit(), and others, by vhdx_blk_post().
 * The owner turns the device, gives requests up, drains, and is told of every
 * end, where all is judged:
 *
 * E1  done() runs exactly once for each request, on the owner's thread, and
 *     never from inside a call that submits or gives up.
 * E2  CANCELED is the end of those only that were given up, a failure only of
 *     those that may have met one, and a read fails only if reading did.
 * E3  Once a request ends with FAILED, or a flush with any error, nothing that
 *     alters succeeds that was begun later.
 * E4  A drain ends what was submitted before it, a close all there is.
 *
 * A finding ends the process (report.h).
 */
#ifndef CREW_H
#define CREW_H

#include "site.h"

#define CREW_MAX 4
#define CREW_DEPTH_MAX 400

struct crew_opts {
	unsigned threads;  /* beside the owner; <= CREW_MAX */
	unsigned depth;	   /* requests in flight, each */
	unsigned requests; /* in all, each */
	bool cancels;
	struct fault_rule fault; /* nth: 0: none; else armed at some time */
	bool cut; /* power fails at some moment; see crew_session() */
};

struct crew_result {
	uint64_t ended, canceled, failed, drains;
	bool device_failed; /* E3 */
	bool was_cut;
};

/* One session on an open device, which it closes. With opts->cut, *tree is what
 * the power failure left. Returns the close's code. */
int crew_session(struct site *s, struct truth *t, struct vhdx_blk *blk,
		 const struct crew_opts *opts, uint64_t seed,
		 struct crash_tree *tree, struct crew_result *res);

/* Where everybody is, for a hang. */
void crew_tell(char *text, size_t len);

#endif
