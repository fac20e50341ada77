/* SPDX-License-Identifier: MIT */
/*
 * What the crash suite runs. Small disks, so that every touched sector can be
 * read thousands of times; each profile leans on another part of the engine.
 */
#include "workload.h"

#define VHDX VHDX_FORMAT_VHDX
#define VHD VHDX_FORMAT_VHD
#define DYN VHDX_TYPE_DYNAMIC
#define FIX VHDX_TYPE_FIXED
#define DIFF VHDX_TYPE_DIFFERENCING

#define KB(n) ((uint32_t)((n) * 1024u))
#define MB(n) ((uint32_t)((n) * 1024u * 1024u))

/* name fmt type size block sector spread sessions requests depth len_max
 * reads flushes discards zeroes fua foreign */
const struct profile profiles[] = {
	/* Few requests, one at a time: every subset of what is in flight. */
	{ "tiny", VHDX, DYN, 4 * MIB, MB(1), 512, SPREAD_ANY, 2, 6, 1, KB(8),
	  0, 300, 100, 50, 100, NULL },
	{ "mixed", VHDX, DYN, 24 * MIB, MB(1), 512, SPREAD_ANY, 2, 60, 6,
	  KB(64), 150, 100, 60, 60, 60, NULL },
	/* Freed space goes to other blocks as fast as possible. */
	{ "hot", VHDX, DYN, 10 * MIB, MB(1), 512, SPREAD_HOT, 2, 120, 4,
	  KB(8), 50, 120, 260, 60, 80, NULL },
	/* Differencing: blocks that are partly the parent's. */
	{ "child", VHDX, DIFF, 20 * MIB, MB(1), 512, SPREAD_CHILD, 2, 50, 6,
	  KB(32), 120, 100, 70, 60, 60, NULL },
	{ "child4k", VHDX, DIFF, 20 * MIB, MB(2), 4096, SPREAD_CHILD, 2, 50, 6,
	  KB(64), 120, 100, 70, 60, 60, NULL },
	/* A new page of the BAT with each write: the log goes round. */
	{ "wide", VHDX, DYN, 8 * TIB, MB(1), 512, SPREAD_WIDE, 1, 700, 24,
	  KB(4), 30, 8, 60, 10, 0, NULL },
	{ "sync", VHDX, DYN, 16 * MIB, MB(1), 512, SPREAD_HOT, 1, 80, 3, KB(8),
	  30, 350, 80, 30, 300, NULL },
	{ "reopen", VHDX, DYN, 12 * MIB, MB(2), 512, SPREAD_HOT, 6, 12, 3,
	  KB(16), 60, 60, 160, 60, 60, NULL },
	{ "4k", VHDX, DYN, 24 * MIB, MB(2), 4096, SPREAD_ANY, 2, 60, 6,
	  KB(64), 100, 100, 60, 60, 60, NULL },
	{ "big", VHDX, DYN, 70 * MIB, MB(32), 512, SPREAD_ANY, 2, 50, 6,
	  KB(64), 100, 100, 60, 60, 60, NULL },
	/* The file grows with every new block. */
	{ "grow", VHDX, DYN, 4 * GIB, MB(32), 512, SPREAD_GROW, 1, 40, 4,
	  KB(4), 30, 200, 180, 30, 60, NULL },
	/* A block's bits take two pages. */
	{ "childbig", VHDX, DIFF, 72 * MIB, MB(32), 512, SPREAD_CHILD, 2, 50, 6,
	  KB(64), 120, 100, 70, 60, 60, NULL },
	/* Several sector bitmaps, made while blocks ask for them. */
	{ "childwide", VHDX, DIFF, 16 * GIB, MB(1), 512, SPREAD_CHILD, 2, 60, 8,
	  KB(8), 100, 100, 70, 60, 60, NULL },
	{ "fixed", VHDX, FIX, 6 * MIB, MB(1), 512, SPREAD_ANY, 2, 50, 6,
	  KB(32), 100, 100, 60, 60, 60, NULL },
	{ "vhd", VHD, DYN, 12 * MIB, KB(512), 512, SPREAD_ANY, 2, 60, 4,
	  KB(64), 100, 120, 60, 60, 60, NULL },
	{ "vhdchild", VHD, DIFF, 12 * MIB, KB(512), 512, SPREAD_CHILD, 2, 60, 6,
	  KB(32), 120, 120, 60, 60, 60, NULL },
	/* A bitmap takes several sectors. */
	{ "vhdchildbig", VHD, DIFF, 36 * MIB, MB(16), 512, SPREAD_CHILD, 2, 50,
	  6, KB(64), 120, 100, 60, 60, 60, NULL },
	{ "vhdfixed", VHD, FIX, 4 * MIB, 0, 512, SPREAD_ANY, 2, 40, 6, KB(32),
	  100, 100, 60, 60, 60, NULL },
	{ "raw", VHDX_FORMAT_RAW, FIX, 4 * MIB, 0, 512, SPREAD_ANY, 2, 40, 6,
	  KB(32), 100, 100, 60, 60, 60, NULL },
	{ "hyperv", VHDX, DYN, 0, 0, 0, SPREAD_ANY, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	  "testdata/hyperv-images/iotest-dirtylog-10G-4M.vhdx.bz2" },
};
const size_t profile_cnt = ARRAY_LEN(profiles);
