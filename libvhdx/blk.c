/* SPDX-License-Identifier: MIT */
/*
 * The block device over a chain of images: walks a request extent by extent,
 * moves the payload, completes it once.
 *
 *   per extent:
 *       READ           map_read  -> FILE_READ, zeros, or the next layer
 *       WRITE          map_write -> FILE_WRITE -> end_write
 *       COPY           [FILE_SCAN ->] map_write -> FILE_COPY -> end_write
 *       DISCARD/ZEROES unmap [-> FILE_PUNCH/FILE_ZERO -> end_write]
 *   -> [FUA: flush] -> unlock -> done() (on the next turn)
 *
 * A request's state lives in its own priv[]; nothing is allocated. Completion
 * always goes through a loop task, so done() never runs inside submit and the
 * stack stays flat however fast the image answers.
 */
#include "blk.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

_Static_assert(sizeof(struct breq) <=
		       sizeof(((struct vhdx_req *)0)->priv),
	       "vhdx_req.priv is too small");

static void step(struct breq *b);

int blk_new_chain(struct chain *chain, struct loop *loop, bool own_loop,
		  struct vhdx_blk **out, struct vhdx_err *e)
{
	struct vhdx_blk *blk = mem_zalloc(sizeof(*blk));
	int rc;

	*out = NULL;
	if (!blk)
		return err_set(e, VHDX_E_NOMEM, "no memory for a device");
	rc = owner_new(chain, &blk->owner, e);
	if (rc) {
		mem_free(blk);
		return rc;
	}
	blk->chain = chain;
	blk->img = chain->layers[0];
	blk->loop = loop;
	blk->own_loop = own_loop;
	range_init(&blk->ranges);
	list_init(&blk->active);
	list_init(&blk->gated);
	atomic_init(&blk->posted, 0);
	*out = blk;
	return 0;
}

int blk_new(struct image *img, struct loop *loop, bool own_loop,
	    struct vhdx_blk **out, struct vhdx_err *e)
{
	struct chain *chain;
	int rc = chain_of(img, &chain, e);

	if (rc)
		return rc;
	rc = blk_new_chain(chain, loop, own_loop, out, e);
	if (rc)
		mem_free(chain);
	return rc;
}

/* ---- the end of a request ----------------------------------------------- */

static void end_task(struct loop_task *t)
{
	struct breq *b = container_of(t, struct breq, task);
	struct vhdx_req *req = b->req;

	list_del(&b->node);
	blk_leave_gate(b);
	req->result = b->res;
	if (req->done)
		req->done(req); /* req may be gone */
}

void blk_finish(struct breq *b)
{
	b->state = BREQ_ENDED;
	if (b->lock.held)
		range_unlock(&b->blk->ranges, &b->lock);
	b->task.fn = end_task;
	loop_defer(b->blk->loop, &b->task);
}

void blk_fail(struct breq *b, int res, const struct vhdx_err *err)
{
	b->res = res;
	err_copy(b->req->err, err, res);
	blk_finish(b);
}

void blk_fail_canceled(struct breq *b)
{
	struct vhdx_err e;
	int rc = err_set(&e, VHDX_E_CANCELED,
			 "canceled when %llu of %llu bytes were done",
			 (unsigned long long)b->pos,
			 (unsigned long long)b->req->len);

	blk_fail(b, rc, &e);
}

static void flush_done(struct image_flush *fl)
{
	struct breq *b = container_of(fl, struct breq, flush);

	if (fl->res)
		blk_fail(b, fl->res, &fl->err);
	else
		blk_finish(b);
}

void blk_flush(struct breq *b)
{
	b->state = BREQ_FLUSHING;
	b->flush.done = flush_done;
	b->blk->img->ops->flush(b->blk->img, &b->flush);
}

/* All extents are done. */
static void transferred(struct breq *b)
{
	if (!(b->req->flags & VHDX_REQ_FUA) || b->req->op == VHDX_OP_READ ||
	    MUTATED(BLK_FUA_FLUSHES))
		blk_finish(b);
	else if (b->canceled) /* done, but not durable */
		blk_fail_canceled(b);
	else
		blk_flush(b);
}

/* ---- one extent ---------------------------------------------------------- */

/* Zeroes len bytes of the caller's buffers from pos on. */
static void zero_buffers(struct breq *b, uint64_t len)
{
	struct file_io span = {
		.iov = b->req->iov,
		.iov_cnt = b->req->iov_cnt,
		.len = b->pos + len,
	};
	struct iovec win[8];

	for (uint64_t pos = b->pos; pos < b->pos + len;) {
		size_t bytes;
		int n = file_iov_window(&span, pos, win, ARRAY_LEN(win),
					&bytes);

		for (int i = 0; i < n; i++)
			memset(win[i].iov_base, 0, win[i].iov_len);
		pos += bytes;
	}
}

static void next_extent(struct breq *b)
{
	b->pos += b->map.len;
	b->depth = 0;
	b->scanned = false;
	b->walk.active = false;
}

static void extent_done(struct breq *b)
{
	next_extent(b);
	step(b);
}

static void ended(struct breq *b)
{
	if (b->io.res)
		blk_fail(b, b->io.res, &b->io.err);
	else if (b->map.res)
		blk_fail(b, b->map.res, &b->map.err);
	else
		extent_done(b);
}

static void ended_later(struct image_map *m)
{
	ended(container_of(m, struct breq, map));
}

static void io_done(struct file_io *io)
{
	struct breq *b = container_of(io, struct breq, io);
	struct image *img = b->blk->img;

	if (b->req->op == VHDX_OP_READ) {
		b->map.res = 0;
		ended(b);
		return;
	}
	if (b->req->op == VHDX_OP_COPY) {
		b->req->copy->data_len += io->res_copied_len;
		b->req->copy->from_failed = io->res_from_failed;
	}
	b->map.done = ended_later;
	if (img->ops->end_write(img, &b->map, io->res == 0))
		ended(b);
}

static void aim_copy(struct breq *b)
{
	const struct vhdx_copy *c = b->req->copy;

	b->io.from = c->from->chain->layers[c->depth]->file;
	b->io.from_off = c->host_off + b->pos;
}

static void scan_done(struct file_io *io)
{
	struct breq *b = container_of(io, struct breq, io);

	b->req->copy->from_failed = io->res_from_failed;
	if (io->res) {
		blk_fail(b, io->res, &io->err);
		return;
	}
	if (b->req->flags & VHDX_REQ_ONTO_ZEROS)
		b->pos += align_down(io->res_zero_len,
				     b->blk->img->sector_len);
	else if (io->res_zero_len == io->len)
		b->pos = b->req->len;
	b->scanned = true;
	step(b);
}

/* Zeros must not make a block: the data that they are in front of is looked
 * for before the image is asked where it goes. */
static bool scans(struct breq *b)
{
	unsigned flags = b->req->flags;

	if (b->scanned || b->req->op != VHDX_OP_COPY ||
	    !(flags & VHDX_REQ_ONTO_ZEROS ||
	      (flags & VHDX_REQ_UNLESS_ZEROS && b->pos == 0)))
		return false;
	aim_copy(b);
	b->io.op = FILE_SCAN;
	b->io.off = 0;
	b->io.len = b->req->len - b->pos;
	b->io.done = scan_done;
	file_submit(b->blk->img->file, &b->io);
	return true;
}

/* In a child that the disk reads as zeros there says nothing of what lies where
 * the copy goes: it may be hidden so far. */
static bool leaves_zeros_out(const struct breq *b)
{
	return b->req->op == VHDX_OP_COPY &&
	       b->req->flags & VHDX_REQ_ONTO_ZEROS && !b->blk->img->parent;
}

static void start_io(struct breq *b)
{
	static const enum file_op op[] = {
		[VHDX_OP_READ] = FILE_READ,
		[VHDX_OP_WRITE] = FILE_WRITE,
		[VHDX_OP_DISCARD] = FILE_PUNCH,
		[VHDX_OP_WRITE_ZEROES] = FILE_ZERO,
		[VHDX_OP_COPY] = FILE_COPY,
	};

	b->io.op = op[b->req->op];
	b->io.off = b->map.file_off;
	b->io.len = b->map.len;
	b->io.iov = b->req->iov;
	b->io.iov_cnt = b->req->iov_cnt;
	b->io.iov_skip = b->pos;
	b->io.done = io_done;
	if (b->req->op == VHDX_OP_COPY)
		aim_copy(b);
	if (leaves_zeros_out(b))
		file_submit_skipping(b->map.file, &b->io);
	else
		file_submit(b->map.file, &b->io);
}

static void map_request_done(struct breq *b)
{
	static const enum vhdx_extent_kind kind[] = {
		[MAP_DATA] = VHDX_EXTENT_DATA,
		[MAP_ZERO] = VHDX_EXTENT_ZERO,
		[MAP_UNMAPPED] = VHDX_EXTENT_UNMAPPED,
		[MAP_PARENT] = VHDX_EXTENT_PARENT,
	};
	struct vhdx_extent *x = b->req->extent;

	*x = (struct vhdx_extent){
		.kind = kind[b->map.kind],
		.voff = b->map.voff,
		.len = b->map.len,
		.depth = b->depth,
	};
	if (b->map.kind == MAP_DATA) {
		x->host_off = b->map.file_off;
		x->host_path = b->map.file->path;
	}
	blk_finish(b);
}

static void fail_without_parent(struct breq *b)
{
	struct vhdx_err e;
	int rc = err_obj(&e, VHDX_E_NOPARENT, VHDX_OBJ_PARENT, ERR_NO_OFF,
			 NULL, "offset %llu is in the parent of %s, which is "
			 "not open", (unsigned long long)b->map.voff,
			 b->map.img->file->path);

	blk_fail(b, rc, &e);
}

/* The extent is the parent's to tell, if there is one. Beyond the end of a
 * smaller parent a disk reads as zeros. */
static bool goes_deeper(struct breq *b)
{
	struct chain *chain = b->blk->chain;

	if (b->map.kind != MAP_PARENT || b->depth + 1 == chain->cnt)
		return false;
	if (b->map.voff >= chain->layers[b->depth + 1]->size_len) {
		b->map.kind = MAP_ZERO;
		return false;
	}
	b->depth++;
	return true;
}

/* The extent at pos is known, or the next layer is to be asked (true). */
static bool mapped(struct breq *b)
{
	struct owner *owner = b->blk->owner;

	if (b->walk.survey) {
		owner_surveyed(owner, &b->walk, &b->map, &b->depth);
		return true;
	}
	if (b->walk.forward)
		owner_heard(owner, &b->walk, b->depth, &b->map);
	if (b->map.res) {
		blk_fail(b, b->map.res, &b->map.err);
		return false;
	}
	if (goes_deeper(b))
		return true;
	if (b->req->op == VHDX_OP_MAP) {
		map_request_done(b);
		return false;
	}
	if (b->map.kind == MAP_DATA) {
		start_io(b);
		return false;
	}
	if (b->map.kind == MAP_PARENT && b->req->op == VHDX_OP_READ) {
		fail_without_parent(b);
		return false;
	}
	if (b->req->op == VHDX_OP_READ)
		zero_buffers(b, b->map.len);
	next_extent(b);
	return true;
}

static void mapped_later(struct image_map *m)
{
	struct breq *b = container_of(m, struct breq, map);

	if (mapped(b))
		step(b);
}

/* Aims b->map at the next layer. True: the index knows its answer. */
static bool aim(struct breq *b)
{
	struct chain *chain = b->blk->chain;
	struct owner *owner = b->blk->owner;

	if (!b->depth && !b->walk.active) {
		b->map.voff = b->req->voff + b->pos;
		b->map.len = b->req->len - b->pos;
	}
	if (owner && b->req->op == VHDX_OP_READ && !b->walk.active &&
	    b->depth == owner_top(owner))
		owner_start(owner, &b->walk, &b->map, &b->depth);
	b->map.img = chain->layers[b->depth];
	if (b->depth) /* what the layer above left open */
		b->map.len = u64_min(b->map.len,
				     b->map.img->size_len - b->map.voff);
	return owner && b->req->op == VHDX_OP_MAP &&
	       owner_recalls(owner, &b->walk, b->depth, &b->map);
}

static bool start_map(struct breq *b)
{
	struct image *img;

	b->map.res = 0;
	b->map.done = mapped_later;
	if (aim(b))
		return true;
	img = b->map.img;
	switch (b->req->op) {
	case VHDX_OP_WRITE:
	case VHDX_OP_COPY:
		return img->ops->map_write(img, &b->map);
	case VHDX_OP_DISCARD:
		return img->ops->unmap(img, &b->map, false);
	case VHDX_OP_WRITE_ZEROES:
		return img->ops->unmap(img, &b->map, true);
	default:
		return img->ops->map_read(img, &b->map);
	}
}

/* Walks on until something has to be waited for. */
static void step(struct breq *b)
{
	while (b->pos < b->req->len) {
		if (b->canceled) {
			blk_fail_canceled(b);
			return;
		}
		if (scans(b) || !start_map(b) || !mapped(b))
			return;
	}
	transferred(b);
}

void blk_move(struct breq *b)
{
	b->state = BREQ_MOVING;
	step(b);
}

/* ---- the handle ---------------------------------------------------------- */

void vhdx_blk_geometry(const struct vhdx_blk *blk, struct vhdx_geometry *g)
{
	const struct image *img = blk->img;

	*g = (struct vhdx_geometry){
		.size_len = img->size_len,
		.sector_len = img->sector_len,
		.physical_sector_len = img->physical_sector_len,
		.block_len = img->block_len,
		.read_only = !img->writable,
		.can_discard = img->writable,
	};
}

unsigned vhdx_layer_cnt(const struct vhdx_blk *blk)
{
	return blk->chain->cnt;
}

void vhdx_get_layer(const struct vhdx_blk *blk, unsigned depth,
		    struct vhdx_info *info, const char **path)
{
	const struct image *img = blk->chain->layers[depth];

	*path = img->file->path;
	*info = img->info;
	info->size_len = img->size_len;
	info->file_len = img->file->size;
	info->host_len = file_host_len(img->file);
	info->block_len = img->block_len;
	info->sector_len = img->sector_len;
	info->physical_sector_len = img->physical_sector_len;
}

void vhdx_get_info(const struct vhdx_blk *blk, struct vhdx_info *info)
{
	const char *path;

	vhdx_get_layer(blk, 0, info, &path);
}

int vhdx_blk_turn(struct vhdx_blk *blk, int timeout_ms)
{
	return loop_turn(blk->loop, timeout_ms);
}

int vhdx_blk_fd(const struct vhdx_blk *blk)
{
	return loop_fd(blk->loop);
}

int vhdx_blk_close(struct vhdx_blk *blk, struct vhdx_err *e)
{
	int rc;

	if (!blk)
		return 0;
	vhdx_blk_drain(blk);
	owner_free(blk->owner);
	rc = chain_close(blk->chain, e);
	if (blk->own_loop)
		loop_free(blk->loop);
	mem_free(blk);
	return rc;
}
