/* SPDX-License-Identifier: MIT */
/*
 * The block device over a chain of images: checks requests, locks their range,
 * walks them extent by extent, moves the payload, completes them once.
 *
 *   submit -> CHECKED -> range lock -> per extent:
 *       READ           map_read  -> FILE_READ, zeros, or the next layer
 *       WRITE          map_write -> FILE_WRITE -> end_write
 *       DISCARD/ZEROES unmap [-> FILE_PUNCH/FILE_ZERO -> end_write]
 *   -> [FUA: flush] -> unlock -> finish (on the next turn)
 *
 * A request's state lives in its own priv[]; nothing is allocated. Completion
 * always goes through a loop task, so done() never runs inside submit and the
 * stack stays flat however fast the image answers.
 */
#include <string.h>

#include "chain.h"
#include "mem.h"
#include "owner.h"
#include "range.h"

struct breq {
	struct list node; /* of blk->active */
	struct vhdx_req *req;
	struct vhdx_blk *blk;
	struct loop_task finish;
	struct range_lock lock;
	uint64_t pos; /* bytes done */
	unsigned depth; /* the layer being asked */
	int res;
	struct owner_walk walk;
	struct image_map map;
	struct file_io io;
	struct image_flush flush;
};

struct vhdx_blk {
	struct chain *chain; /* owned */
	struct image *img;   /* the leaf: layer 0 */
	struct owner *owner; /* owned; NULL: a short chain has none */
	struct loop *loop;
	bool own_loop;
	struct range_set ranges;
	struct list active;
};

_Static_assert(sizeof(struct breq) <=
		       sizeof(((struct vhdx_req *)0)->priv),
	       "vhdx_req.priv is too small");

static void step(struct breq *b);

static struct breq *breq_of(struct vhdx_req *req)
{
	return (struct breq *)(void *)req->priv;
}

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

static void finish_task(struct loop_task *t)
{
	struct breq *b = container_of(t, struct breq, finish);
	struct vhdx_req *req = b->req;

	list_del(&b->node);
	req->result = b->res;
	if (req->done)
		req->done(req); /* req may be gone */
}

static void finish(struct breq *b)
{
	if (b->lock.held)
		range_unlock(&b->blk->ranges, &b->lock);
	loop_defer(b->blk->loop, &b->finish);
}

static void fail(struct breq *b, int res, const struct vhdx_err *err)
{
	b->res = res;
	err_copy(b->req->err, err, res);
	finish(b);
}

static void flush_done(struct image_flush *fl)
{
	struct breq *b = container_of(fl, struct breq, flush);

	if (fl->res)
		fail(b, fl->res, &fl->err);
	else
		finish(b);
}

static void start_flush(struct breq *b)
{
	b->flush.done = flush_done;
	b->blk->img->ops->flush(b->blk->img, &b->flush);
}

/* All extents are done. */
static void transferred(struct breq *b)
{
	if (b->req->flags & VHDX_REQ_FUA && b->req->op != VHDX_OP_READ)
		start_flush(b);
	else
		finish(b);
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
		fail(b, b->io.res, &b->io.err);
	else if (b->map.res)
		fail(b, b->map.res, &b->map.err);
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
	b->map.done = ended_later;
	if (img->ops->end_write(img, &b->map, io->res == 0))
		ended(b);
}

static void start_io(struct breq *b)
{
	static const enum file_op op[] = {
		[VHDX_OP_READ] = FILE_READ,
		[VHDX_OP_WRITE] = FILE_WRITE,
		[VHDX_OP_DISCARD] = FILE_PUNCH,
		[VHDX_OP_WRITE_ZEROES] = FILE_ZERO,
	};

	b->io.op = op[b->req->op];
	b->io.off = b->map.file_off;
	b->io.len = b->map.len;
	b->io.iov = b->req->iov;
	b->io.iov_cnt = b->req->iov_cnt;
	b->io.iov_skip = b->pos;
	b->io.done = io_done;
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
	finish(b);
}

static void fail_without_parent(struct breq *b)
{
	struct vhdx_err e;
	int rc = err_obj(&e, VHDX_E_NOPARENT, VHDX_OBJ_PARENT, ERR_NO_OFF,
			 NULL, "offset %llu is in the parent of %s, which is "
			 "not open", (unsigned long long)b->map.voff,
			 b->map.img->file->path);

	fail(b, rc, &e);
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
		fail(b, b->map.res, &b->map.err);
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
		if (!start_map(b) || !mapped(b))
			return;
	}
	transferred(b);
}

/* ---- the start of a request ---------------------------------------------- */

static int check_range(const struct image *img, const struct vhdx_req *req,
		       struct vhdx_err *e)
{
	uint64_t end;

	if (!is_aligned(req->voff, img->sector_len) ||
	    !is_aligned(req->len, img->sector_len))
		return err_set(e, VHDX_E_RANGE,
			       "offset %llu, length %llu: both must be "
			       "multiples of the sector size %u",
			       (unsigned long long)req->voff,
			       (unsigned long long)req->len, img->sector_len);
	if (ckd_add(req->voff, req->len, &end) || end > img->size_len)
		return err_set(e, VHDX_E_RANGE,
			       "offset %llu, length %llu reaches beyond the "
			       "end of the disk at %llu",
			       (unsigned long long)req->voff,
			       (unsigned long long)req->len,
			       (unsigned long long)img->size_len);
	return 0;
}

static int check_buffers(const struct vhdx_req *req, struct vhdx_err *e)
{
	uint64_t sum = 0;

	for (int i = 0; i < req->iov_cnt && sum < req->len; i++)
		sum += req->iov[i].iov_len;
	if (sum >= req->len)
		return 0;
	return err_set(e, VHDX_E_INVAL, "buffers of %llu bytes for %llu",
		       (unsigned long long)sum, (unsigned long long)req->len);
}

static int check(const struct image *img, const struct vhdx_req *req,
		 struct vhdx_err *e)
{
	bool changes = req->op == VHDX_OP_WRITE || req->op == VHDX_OP_DISCARD ||
		       req->op == VHDX_OP_WRITE_ZEROES;
	int rc;

	if (req->op == VHDX_OP_FLUSH)
		return 0;
	if (changes && !img->writable)
		return err_set(e, VHDX_E_READONLY,
			       "the image is opened read-only");
	rc = check_range(img, req, e);
	if (rc)
		return rc;
	if (req->op == VHDX_OP_MAP && (!req->len || !req->extent))
		return err_set(e, VHDX_E_INVAL, "an empty range to map");
	if (req->op == VHDX_OP_READ || req->op == VHDX_OP_WRITE)
		return check_buffers(req, e);
	return 0;
}

static void locked(struct range_lock *rl)
{
	step(container_of(rl, struct breq, lock));
}

static void start(struct breq *b)
{
	struct image *img = b->blk->img;
	uint64_t unit = img->block_len ? img->block_len : img->sector_len;

	if (b->req->op == VHDX_OP_FLUSH) {
		if (img->writable)
			start_flush(b);
		else
			finish(b);
		return;
	}
	b->lock.exclusive = b->req->op == VHDX_OP_DISCARD ||
			    b->req->op == VHDX_OP_WRITE_ZEROES;
	b->lock.start = align_down(b->req->voff, unit);
	b->lock.end = align_up(b->req->voff + b->req->len, unit);
	b->lock.granted = locked;
	if (range_lock(&b->blk->ranges, &b->lock))
		step(b);
}

void vhdx_blk_submit(struct vhdx_blk *blk, struct vhdx_req *req)
{
	struct breq *b = breq_of(req);
	struct vhdx_err e;
	int rc;

	b->req = req;
	b->blk = blk;
	b->pos = 0;
	b->depth = 0;
	b->walk = (struct owner_walk){ 0 };
	b->res = 0;
	b->lock.held = false;
	b->io.res = 0;
	loop_task_init(&b->io.task, NULL);
	loop_task_init(&b->finish, finish_task);
	list_add_tail(&blk->active, &b->node);
	rc = check(blk->img, req, &e);
	if (rc)
		fail(b, rc, &e);
	else
		start(b);
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

void vhdx_blk_drain(struct vhdx_blk *blk)
{
	while (!list_empty(&blk->active))
		loop_turn(blk->loop, -1);
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
