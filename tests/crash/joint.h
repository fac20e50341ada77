/* SPDX-License-Identifier: MIT */
/*
 * Power failures over a whole chain at one joint instant. A case builds a few
 * images that stand on each other, runs one operation on them while every file
 * and every name is recorded, and then for many instants, and many choices of
 * what survives in which file:
 *
 * J1  Every image that the operation leaves usable opens, read-only without a
 *     byte being changed anywhere, and shows through its chain what it showed
 *     before or what it is to show afterwards, as promised image by image.
 * J2  check finds no error in any file.
 * J3  The same operation, started again, completes; then every image is there
 *     or gone as it is to be, shows what it is to show, check finds nothing at
 *     all, and no file is left over.
 * J4  That holds when the power fails during the second run too.
 * J5  Once the operation has returned 0, no choice shows anything but its
 *     result.
 * J6  What is written to the image in between is in the result.
 */
#ifndef JOINT_H
#define JOINT_H

#include "case.h"
#include "disks.h"
#include "t.h"

#define VERSIONS_MAX 48

/* A content that the image may show from the instant `begun` on, and must not
 * fall behind any more from `durable` on. */
struct version {
	struct memimg view; /* owned */
	uint64_t begun, durable;
};

/* What the operation promises of one image. */
struct promise {
	char path[OPENER_CRASH_PATH];
	bool before, after; /* is there */
	bool steady; /* usable at any time, as long as it is there */
	bool mixed;  /* versions mix sector by sector; else one of them. Of one
			image at most */
	bool by_size; /* versions of the size that it has mix, in the end it is
			 the last */
	bool strict; /* the operation writes it, so check is content in the
			end: neither a warning nor a dirty log */
	int heir;    /* when this one is gone, that one shows its last version;
			index, or -1 */
	unsigned version_cnt; /* 0: it may show anything */
	struct version v[VERSIONS_MAX];
};

struct joint {
	const struct joint_op *op;
	uint64_t seed, rng;
	struct loop *loop;
	struct verdict *v;
	struct disks ds; /* as built */
	struct crash_tree tree; /* the files of it */
	struct promise p[DISKS_MAX]; /* of each disk of ds, and more */
	unsigned promise_cnt;
	/* The operation's parameters. */
	int subject; /* index of the image it is given */
	char target[OPENER_CRASH_PATH];
	int shown_by; /* J6: who shows the subject's content in the end */
	unsigned depth;
	uint64_t size_len;
	bool keep;
	uint64_t op_seed;
	struct crash_world *world; /* that records */
	/* What the mixed one shows after this power failure; it is settled. */
	struct memimg seen;
};

struct joint_op {
	const char *name;
	enum vhdx_format format;
	/* Builds and promises (joint_build.c has the parts). False: v. */
	bool (*plan)(struct joint *j);
	/* The first run may add versions, by j->world's clock; others leave *j
	 * alone. */
	int (*run)(struct joint *j, const struct opener *o, bool first,
		   struct vhdx_err *e);
	bool no_faults; /* fault.c does them */
	bool in_use; /* J6 */
};

extern const struct joint_op joint_ops[];
extern const size_t joint_op_cnt;

bool joint_run(const struct joint_op *op, uint64_t seed,
	       const struct only *only, struct tally *t, struct verdict *v);

/* The operation with the Nth file operation failing, whatever it is, for many
 * N (joint_fault.c). */
bool joint_fault_run(const struct joint_op *op, uint64_t seed,
		     const struct only_fault *only, struct tally *t,
		     struct verdict *v);

/* ---- joint_build.c: parts of a plan ------------------------------------- */

static inline uint64_t joint_below(struct joint *j, uint64_t n)
{
	return t_rand_below(&j->rng, n);
}

/* A chain with random contents: base, children up to `depth` of them, each of
 * its own block size and length (same_size: all of one). The last is the leaf;
 * its index. -1: v. */
int joint_chain(struct joint *j, unsigned depth, bool same_size);

/* Another child of disk `parent`, called name, with contents. */
int joint_child(struct joint *j, int parent, const char *name);

/* Blocks of disk i are filled, and emptied again in all ways there are, so that
 * its file has holes. It has no children. */
bool joint_churn(struct joint *j, int i);

bool joint_resize_now(struct joint *j, int i, uint64_t size_len);

/* Promises: every disk stays, and shows what it shows. */
void joint_promise_all(struct joint *j);
/* A further version of p; the view is copied. */
void joint_version(struct promise *p, const struct memimg *view,
		   uint64_t begun, uint64_t durable);

void joint_free(struct joint *j);

/* ---- joint_look.c: judging what is there -------------------------------- */

/* J1 and J2 of a tree that a power failure at `at` left. Sets j->seen. */
void joint_look(struct joint *j, const struct crash_tree *t, uint64_t at);

/* J3, of a tree after an operation that returned 0. */
void joint_look_final(struct joint *j, const struct crash_tree *t);

#endif
