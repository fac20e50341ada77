/* SPDX-License-Identifier: MIT */
/*
 * The life of a round:
 *
 *  IDLE --start--> PAYLOAD_SYNC --> LOG_WRITE --> LOG_SYNC --> (HEADER) -+
 *    ^    |             | no dirty pages ^                               |
 *    |    +--joins------|----------------+                               |
 *    +------------------+                                                |
 *    +----------------------------- APPLY <------ flushes answered ------+
 *
 *  HEADER happens once: the first entry of a session. Any failed operation
 *  leads to FAILED, for good.
 *
 * What is ordered before what:
 *
 *  C1  Payload is durable before the log entry that maps it is written (but
 *      for C9). A page is copied when PAYLOAD_SYNC is submitted, and a BAT
 *      entry enters a page only after its payload write has completed: so the
 *      sync covers it. The same sync makes the file size durable that the
 *      entry promises.
 *  C2  A log entry is durable before any page it carries is written home: else
 *      a power failure could leave a torn page with nothing to mend it.
 *  C3  An entry names itself as tail only if the pages of the one before are
 *      durable at home: APPLY ends before the next round starts, and that
 *      round's PAYLOAD_SYNC covers the home writes. A round that joins (C9)
 *      names its predecessor as tail, whose own predecessor's pages the sync of
 *      that round has covered. What the last durable entry needs, from its tail
 *      on, is never overwritten (log.h).
 *  C4  LogGuid goes into the headers after the entry that carries it is
 *      durable (a nonzero LogGuid without a valid entry is a corrupt file),
 *      and into both before the round is acknowledged or applied (else losing
 *      one header would lose the log).
 *  C5  LogGuid returns to zero after everything is home and durable.
 *  C6  A flush is answered when all that was complete at its arrival is
 *      durable: payload by a sync submitted since, metadata by an entry.
 *  C7  Every entry carries all the pages that are dirty when it is built: the
 *      metadata as a whole, at one moment. So changes made together, to any
 *      number of pages, become durable together or not at all.
 *  C8  After a failed sync, log or header write nobody knows what is on disk:
 *      nothing is retried, nothing is acknowledged, the file is left as it is
 *      for the next open to replay.
 *  C9  Payload and entry may go in one sync, LOG_SYNC, in whatever order they
 *      reach the medium, if nothing that the entry says depends on the order:
 *      a lost payload write must leave what the disk read there before. So it
 *      is where a base disk's block, which read as zeros, gets space that
 *      reads as zeros, durably, inside a file size that is durable, and where a
 *      block that has its place is overwritten: after a power failure each
 *      sector is old or new, as in a raw file, and a flush is answered when
 *      both are durable, as ever (C6). What does depend on it - bits of a
 *      sector bitmap, blocks that hide a parent's, copies of blocks, growth,
 *      zeroed or punched space - is counted by commit_wrote() and
 *      commit_changed(), and makes the next round sync before it writes.
 */
#include "commit.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

enum state {
	IDLE,
	PAYLOAD_SYNC,
	LOG_WRITE,
	LOG_SYNC,
	HEADER,
	APPLY,
	FAILED,
};

struct home {
	struct commit *cm;
	struct mpage *page; /* pinned until its copy is home */
	struct file_io io;
	struct iovec iov;
};

/* Numbers of operations. */
struct done {
	uint64_t payload; /* writes: what flushes wait for */
	uint64_t ordered; /* what the next entry relies on (C9) */
	uint64_t home;	  /* rounds taken home */
};

struct commit {
	struct file *file;
	struct header_pair *pair;
	struct mcache *mc;
	const struct commit_ops *ops;
	void *arg;
	struct log log;
	enum state state;
	struct list flushes;
	struct loop_task task; /* answers flushes that need no I/O */
	struct done done;    /* completed operations */
	struct done durable; /* how many of them a sync has covered */
	struct done syncing; /* how many the running one covers */
	/* The running round. */
	unsigned page_cnt;
	uint64_t round_seq;	/* oldest change it carries, or CLEAN */
	unsigned pending; /* operations under way */
	int res;	  /* first failure among them */
	struct vhdx_err why;
	bool log_live; /* the headers carry our LogGuid */
	bool kicked;   /* somebody waits for pages to be cleaned */
	struct file_io io[2];
	struct hdr_write hw;
	struct home *homes;  /* owned; page_max of them */
	uint8_t *copies;     /* owned; page_max pages, as logged */
};

static void start_round(struct commit *cm);
static void start_log_write(struct commit *cm);
static void flush_task(struct loop_task *t);

int commit_new(struct file *f, struct header_pair *pair, struct mcache *mc,
	       const struct commit_ops *ops, void *arg, struct commit **out,
	       struct vhdx_err *e)
{
	struct commit *cm = mem_zalloc(sizeof(*cm));
	int rc;

	*out = NULL;
	if (!cm)
		return err_set(e, VHDX_E_NOMEM, "no memory to write the log");
	cm->file = f;
	cm->pair = pair;
	cm->mc = mc;
	cm->ops = ops;
	cm->arg = arg;
	cm->round_seq = MCACHE_CLEAN;
	/* C6: whoever wrote before us may have been killed before a flush. */
	if (!MUTATED(FIRST_FLUSH_SYNCS))
		commit_wrote(cm);
	list_init(&cm->flushes);
	loop_task_init(&cm->task, flush_task);
	rc = log_init(&cm->log, &pair->cur, e);
	if (rc)
		goto fail;
	cm->homes = mem_zalloc(cm->log.page_max * sizeof(*cm->homes));
	cm->copies = mem_alloc((size_t)cm->log.page_max * MPAGE_LEN);
	if (!cm->homes || !cm->copies) {
		rc = err_set(e, VHDX_E_NOMEM, "no memory to write the log");
		goto fail;
	}
	mcache_set_claim_max(mc, cm->log.page_max);
	*out = cm;
	return 0;
fail:
	commit_free(cm);
	return rc;
}

void commit_free(struct commit *cm)
{
	if (!cm)
		return;
	log_fini(&cm->log);
	mem_free(cm->homes);
	mem_free(cm->copies);
	mem_free(cm);
}

/* ---- flushes ---------------------------------------------------------- */

uint64_t commit_durable(const struct commit *cm)
{
	return u64_min(cm->round_seq, mcache_oldest_dirty(cm->mc));
}

/* C6 */
static bool is_satisfied(const struct commit *cm, const struct image_flush *fl)
{
	return cm->durable.payload >= fl->payload_ticket &&
	       commit_durable(cm) > fl->meta_ticket;
}

static void answer(struct image_flush *fl, int res, const struct vhdx_err *why)
{
	list_del(&fl->node);
	fl->res = res;
	if (res)
		fl->err = *why;
	fl->done(fl);
}

static void answer_flushes(struct commit *cm)
{
	struct vhdx_err why;
	struct list *it, *nx, all;

	/* done() may submit another flush: walk a list nobody else touches. */
	list_init(&all);
	list_splice(&all, &cm->flushes);
	list_for_each_safe(it, nx, &all) {
		struct image_flush *fl =
			list_entry(it, struct image_flush, node);

		if (cm->state == FAILED)
			answer(fl, commit_failure(cm, &why), &why);
		else if (is_satisfied(cm, fl))
			answer(fl, 0, NULL);
	}
	list_splice(&all, &cm->flushes);
	list_splice(&cm->flushes, &all);
}

static void flush_task(struct loop_task *t)
{
	struct commit *cm = container_of(t, struct commit, task);

	answer_flushes(cm);
	if (cm->state == IDLE && !list_empty(&cm->flushes))
		start_round(cm);
}

void commit_flush(struct commit *cm, struct image_flush *fl)
{
	fl->payload_ticket = cm->done.payload;
	fl->meta_ticket = mcache_seq(cm->mc);
	list_add_tail(&cm->flushes, &fl->node);
	if (list_empty(&cm->task.node))
		loop_defer(cm->file->loop, &cm->task);
}

/* ---- failure ---------------------------------------------------------- */

void commit_fail(struct commit *cm, const struct vhdx_err *why)
{
	struct vhdx_err e;

	if (cm->state == FAILED)
		return;
	cm->state = FAILED;
	cm->why = *why;
	commit_failure(cm, &e);
	mcache_fail(cm->mc, &e);
	if (!MUTATED(COMMIT_FAIL_ANSWERS))
		answer_flushes(cm);
	cm->ops->failed(cm->arg);
}

bool commit_failed(const struct commit *cm)
{
	return cm->state == FAILED;
}

int commit_failure(const struct commit *cm, struct vhdx_err *e)
{
	return err_set(e, VHDX_E_FAILED,
		       "no more writes since an earlier failure: %.300s; "
		       "reopen the image to recover what was flushed",
		       cm->why.text);
}

/* ---- a round, in order of its states ---------------------------------- */

/* Early enough that writers seldom have to wait for a page to claim. */
static bool is_due(const struct commit *cm)
{
	return mcache_dirty_cnt(cm->mc) >= cm->log.page_max / 2;
}

static void end_round(struct commit *cm)
{
	cm->state = IDLE;
	if (!list_empty(&cm->flushes) || cm->kicked || is_due(cm))
		start_round(cm);
}

/* One of the operations of the current state is complete. True when it was the
 * last one; after a failure the round ends there. */
static bool step_done(struct commit *cm, const struct file_io *io)
{
	if (io->res && !cm->res) {
		cm->res = io->res;
		cm->why = io->err;
	}
	if (--cm->pending)
		return false;
	if (cm->res) {
		struct vhdx_err why = cm->why;

		commit_fail(cm, &why);
		return false;
	}
	return cm->state != FAILED;
}

static void home_done(struct file_io *io)
{
	struct home *h = container_of(io, struct home, io);
	struct commit *cm = h->cm;
	struct mpage *page = h->page;

	if (!io->res)
		mcache_put(cm->mc, page); /* C3: the file holds this version */
	if (!step_done(cm, io))
		return;
	cm->done.home++;
	end_round(cm);
}

static void start_apply(struct commit *cm)
{
	cm->state = APPLY;
	cm->pending = cm->page_cnt;
	for (unsigned i = 0; i < cm->page_cnt; i++) {
		struct home *h = &cm->homes[i];

		h->iov = (struct iovec){ cm->copies + (size_t)i * MPAGE_LEN,
					 MPAGE_LEN };
		h->io.op = FILE_WRITE;
		h->io.off = h->page->off;
		h->io.len = MPAGE_LEN;
		h->io.iov = &h->iov;
		h->io.iov_cnt = 1;
		h->io.iov_skip = 0;
		h->io.done = home_done;
		file_submit(cm->file, &h->io);
	}
}

/* The entry counts: everything it carries is durable. */
static void entry_durable(struct commit *cm)
{
	cm->round_seq = MCACHE_CLEAN;
	start_apply(cm);
	answer_flushes(cm);
	cm->ops->durable(cm->arg);
}

static void header_done(struct hdr_write *hw)
{
	struct commit *cm = container_of(hw, struct commit, hw);

	if (!step_done(cm, &hw->io))
		return;
	cm->log_live = true;
	if (MUTATED(LOG_BEFORE_GUID))
		start_log_write(cm);
	else
		entry_durable(cm);
}

static void start_header(struct commit *cm)
{
	struct vhdx_err e;

	cm->state = HEADER;
	cm->pending = 1;
	cm->pair->cur.log = cm->log.guid;
	cm->hw.file = cm->file;
	cm->hw.pair = cm->pair;
	cm->hw.done = header_done;
	if (hdr_write_start(&cm->hw, &e))
		commit_fail(cm, &e);
}

static void log_sync_done(struct file_io *io)
{
	struct commit *cm = container_of(io, struct commit, io[0]);

	if (!step_done(cm, io))
		return;
	cm->durable = cm->syncing;
	if (cm->log_live)
		entry_durable(cm);
	else
		start_header(cm); /* C4 */
}

static void sync_then(struct commit *cm, enum state state,
		      void (*done)(struct file_io *))
{
	cm->state = state;
	cm->pending = 1;
	cm->syncing = cm->done;
	cm->io[0].op = FILE_SYNC;
	cm->io[0].done = done;
	file_submit(cm->file, &cm->io[0]);
}

static void log_write_done(struct file_io *io)
{
	struct commit *cm = io->opaque;

	if (!step_done(cm, io))
		return;
	if (MUTATED(COMMIT_LOG_SYNC)) {
		cm->pending = 1;
		cm->syncing = cm->done;
		log_sync_done(&cm->io[0]);
		return;
	}
	sync_then(cm, LOG_SYNC, log_sync_done); /* C2 */
}

static void start_log_write(struct commit *cm)
{
	cm->state = LOG_WRITE;
	cm->pending = (unsigned)cm->log.part_cnt;
	for (int i = 0; i < cm->log.part_cnt; i++) {
		struct file_io *io = &cm->io[i];

		io->op = FILE_WRITE;
		io->off = cm->log.part_off[i];
		io->len = cm->log.iov[i].iov_len;
		io->iov = &cm->log.iov[i];
		io->iov_cnt = 1;
		io->iov_skip = 0;
		io->opaque = cm;
		io->done = log_write_done;
		file_submit(cm->file, io);
	}
}

static void payload_sync_done(struct file_io *io)
{
	struct commit *cm = container_of(io, struct commit, io[0]);

	if (!step_done(cm, io))
		return;
	cm->durable = cm->syncing;
	if (cm->page_cnt) {
		if (MUTATED(LOG_BEFORE_GUID) && !cm->log_live)
			start_header(cm);
		else
			start_log_write(cm);
		return;
	}
	answer_flushes(cm);
	end_round(cm);
}

/* Takes all dirty pages, as they are now (C7): later changes make them dirty
 * again and wait for the next round. */
static void take_pages(struct commit *cm, bool joins)
{
	struct mpage *pages[FMT_LOG_SECTOR / FMT_LOG_DESC_LEN], *p;
	uint64_t size = align_down(cm->file->size, MIB);

	cm->round_seq = mcache_oldest_dirty(cm->mc);
	for (cm->page_cnt = 0; (p = mcache_take(cm->mc)); cm->page_cnt++) {
		ASSERT(cm->page_cnt < cm->log.page_max);
		memcpy(cm->copies + (size_t)cm->page_cnt * MPAGE_LEN, p->data,
		       MPAGE_LEN);
		cm->homes[cm->page_cnt].cm = cm;
		cm->homes[cm->page_cnt].page = p;
		pages[cm->page_cnt] = p;
	}
	if (!cm->page_cnt)
		return;
	/* C3 */
	log_build(&cm->log, pages, cm->page_cnt, size,
		  joins && !MUTATED(COMMIT_HOME_SYNC));
	cm->ops->taken(cm->arg);
}

/* C9 */
static bool joins(const struct commit *cm)
{
	unsigned cnt = mcache_dirty_cnt(cm->mc);

	if (!cm->log_live || !cnt || !log_may_join(&cm->log, cnt))
		return false;
	return cm->done.ordered == cm->durable.ordered || MUTATED(JOIN_FRESH);
}

static void start_round(struct commit *cm)
{
	bool join = joins(cm), payload, other;

	ASSERT(cm->state == IDLE);
	cm->kicked = false;
	take_pages(cm, join);
	if (join) {
		start_log_write(cm);
		return;
	}
	payload = cm->done.payload != cm->durable.payload;
	other = cm->done.ordered != cm->durable.ordered ||
		(cm->done.home != cm->durable.home &&
		 !MUTATED(COMMIT_HOME_SYNC));
	if (!cm->page_cnt && !payload)
		return;
	if ((payload || other) && !MUTATED(COMMIT_PAYLOAD_SYNC)) {
		sync_then(cm, PAYLOAD_SYNC, payload_sync_done); /* C1, C3 */
		return;
	}
	cm->state = PAYLOAD_SYNC;
	cm->pending = 1;
	cm->syncing = cm->done;
	cm->io[0].res = 0;
	payload_sync_done(&cm->io[0]);
}

/* ---- the outside ------------------------------------------------------ */

void commit_wrote(struct commit *cm)
{
	cm->done.payload++;
	cm->done.ordered++;
}

void commit_wrote_freely(struct commit *cm)
{
	cm->done.payload++;
}

void commit_changed(struct commit *cm)
{
	cm->done.ordered++;
}

void commit_kick_if_due(struct commit *cm)
{
	if (is_due(cm))
		commit_kick(cm);
}

void commit_kick(struct commit *cm)
{
	if (!mcache_dirty_cnt(cm->mc))
		return;
	if (cm->state == IDLE)
		start_round(cm);
	else
		cm->kicked = true;
}

bool commit_is_idle(const struct commit *cm)
{
	return (cm->state == IDLE || cm->state == FAILED) && !cm->pending &&
	       list_empty(&cm->flushes) && list_empty(&cm->task.node);
}

int commit_close(struct commit *cm, struct vhdx_err *e)
{
	int rc = 0;

	ASSERT(commit_is_idle(cm));
	if (commit_failed(cm))
		return commit_failure(cm, e);
	if (!cm->log_live)
		return 0;
	if ((cm->done.home != cm->durable.home ||
	     cm->done.ordered != cm->durable.ordered) &&
	    !MUTATED(CLOSE_HOME_SYNC))
		rc = file_sync(cm->file, e); /* C5 */
	if (rc)
		return rc;
	memset(&cm->pair->cur.log, 0, sizeof(cm->pair->cur.log));
	return header_update(cm->file, cm->pair, e);
}
