/* SPDX-License-Identifier: MIT */
/*
 * What a merge is going to do, found out without changing anything: the whole
 * chain opens and is proved, the ancestor is chosen, what it would take is
 * measured map against map, and all that stands against it is said before the
 * first step.
 */
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "mem.h"
#include "merge.h"

struct plan {
	struct merge *m;
	struct chain *chain; /* owned; from the target on: lower's */
	struct chain *rest;  /* owned: the target and its ancestors */
	unsigned n;	     /* layers to be merged; the target is layer n */
	struct vhdx_blk *upper, *lower; /* own the images */
	struct image *target;
	uint64_t *data_len, *zero_len; /* per layer; owned */
	uint64_t counted_blk; /* blocks of the target below are counted */
};

/* ---- which ancestor ---------------------------------------------------- */

static int choose_into(struct plan *p, struct vhdx_err *e)
{
	const struct merge *m = p->m;

	for (p->n = 1; p->n < p->chain->cnt; p->n++)
		if (chain_same_file(p->chain->layers[p->n]->file->path,
				 m->opts->into))
			return 0;
	return err_set(e, VHDX_E_INVAL, "%s: is no ancestor of %s (info "
		       "--chain shows those)", m->opts->into, m->child);
}

/* The ancestor that the cut off merge was changing. */
static int choose_again(struct plan *p, struct vhdx_err *e)
{
	const struct merge *m = p->m;
	const struct merge_journal *j = &m->j;
	const struct guid *id;

	for (p->n = 1; p->n < p->chain->cnt; p->n++) {
		id = &p->chain->layers[p->n]->identity;
		if (guid_eq(id, &j->new_id) || guid_eq(id, &j->target.id))
			break;
	}
	/* The child on the target alone: the merge was about to end when
	 * somebody wrote to the child. */
	if (p->n < p->chain->cnt && (p->n == j->layers.cnt + 1 || p->n == 1))
		return 0;
	return err_set(e, VHDX_E_LINKAGE, "%s: a merge into %s was cut off, "
		       "and the chain between the two was changed since; it "
		       "cannot be finished (%s is what remembers it)", m->child,
		       j->target.path, m->journal_path);
}

static int choose(struct plan *p, struct vhdx_err *e)
{
	const struct merge *m = p->m;
	unsigned depth = m->opts->depth ? m->opts->depth : 1;

	if (p->chain->cnt == 1)
		return err_set(e, VHDX_E_INVAL, "%s: is no child: there is "
			       "nothing to merge it into", m->child);
	if (m->has_journal)
		return choose_again(p, e);
	if (m->opts->into)
		return choose_into(p, e);
	p->n = depth;
	if (depth < p->chain->cnt)
		return 0;
	return err_set(e, VHDX_E_INVAL, "%s: has %u ancestor%s, so its depth "
		       "is at most %u, not %u", m->child, p->chain->cnt - 1,
		       p->chain->cnt > 2 ? "s" : "", p->chain->cnt - 1, depth);
}

/* ---- who is who -------------------------------------------------------- */

/* The path under which the journal can name the file, wherever it is read, and
 * under which it can be removed: not that of a symbolic link. */
static int add_name(struct merge *m, struct merge_names *names,
		    const struct image *img, struct vhdx_err *e)
{
	const char *path = img->file->path, *slash = strrchr(m->child, '/');
	size_t folder_len = slash ? (size_t)(slash - m->child) + 1 : 0;
	bool near = strncmp(path, m->child, folder_len) == 0;
	char real[PATH_MAX];
	struct stat st;
	bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);

	if ((link || (path[0] != '/' && !near)) && realpath(path, real))
		path = real;
	return merge_names_add(names, path, &img->identity, e);
}

static int note_names(struct plan *p, struct vhdx_err *e)
{
	struct merge *m = p->m;
	struct merge_names all = { 0 };
	int rc = 0;

	for (unsigned i = 0; !rc && i <= p->n; i++)
		rc = add_name(m, &all, p->chain->layers[i], e);
	for (unsigned i = 0; !rc && i < p->n; i++)
		rc = merge_names_add(&m->layers, all.v[i].path, &all.v[i].id,
				     e);
	if (!rc)
		rc = merge_name_set(&m->j.child, m->child, &all.v[0].id, e);
	m->target_id = p->target->identity;
	if (!rc && m->has_journal) /* where the chain leads, not the journal */
		rc = merge_name_set(&m->j.target, all.v[p->n].path,
				    &m->j.target.id, e);
	if (rc || m->has_journal)
		goto out;
	m->j.keep = m->opts->keep;
	rc = merge_name_set(&m->j.target, all.v[p->n].path, &all.v[p->n].id, e);
	for (unsigned i = 1; !rc && i < p->n; i++)
		rc = merge_names_add(&m->j.layers, all.v[i].path, &all.v[i].id,
				     e);
	if (m->format == VHDX_FORMAT_VHD)
		m->j.new_id = m->target_id;
	else
		guid_random(&m->j.new_id);
out:
	merge_names_free(&all);
	return rc;
}

/* ---- what cannot be done ------------------------------------------------ */

static int lacks(const struct image *img, const char *what, struct vhdx_err *e)
{
	return err_set(e, VHDX_E_UNSUPPORTED, "%s: a merge would have to %s, "
		       "which cannot be done with a %s", img->file->path, what,
		       vhdx_format_name(img->info.format));
}

static int check_possible(const struct plan *p, struct vhdx_err *e)
{
	const struct merge *m = p->m;
	const struct image *child = p->chain->layers[0];
	const struct image *next = p->chain->layers[p->n - 1];
	bool vhd = m->format == VHDX_FORMAT_VHD;

	if (m->format != VHDX_FORMAT_VHDX && !vhd)
		return lacks(child, "know its parent", e);
	if (!next->ops->set_parent && (!vhd || p->n > 1))
		return lacks(next, "change its parent", e);
	if (vhd && m->j.keep && p->n > 1)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: with --keep, the "
			       "files between it and %s would show wrong data "
			       "without notice, as a VHD cannot tell: merge "
			       "one level at a time, or without --keep",
			       m->child, p->target->file->path);
	if (child->size_len != p->target->size_len && !p->target->ops->resize)
		return lacks(p->target, "change its size", e);
	if (vhd && child->size_len < p->target->size_len)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: is smaller than %s, "
			       "which as a VHD cannot shrink: make it as large "
			       "first (vhdtool resize), or convert it",
			       m->child, p->target->file->path);
	if (!vhd && !p->target->ops->adopt &&
	    memcmp(child->info.disk_id, p->target->info.disk_id, 16) != 0)
		return lacks(p->target, "take over the disk id", e);
	return 0;
}

/* ---- how much ----------------------------------------------------------- */

/* Whether any part of the target's block is in its own file. */
static int block_has_space(struct plan *p, uint64_t blk, bool *has,
			   struct vhdx_err *e)
{
	uint64_t voff = blk * p->target->block_len;
	uint64_t end = u64_min(voff + p->target->block_len,
			       p->target->size_len);
	struct vhdx_extent x;
	int rc = 0;

	for (*has = false; !rc && !*has && voff < end; voff += x.len) {
		rc = vhdx_blk_map(p->lower, voff, end - voff, &x, e);
		*has = !rc && x.kind == VHDX_EXTENT_DATA && x.depth == 0;
	}
	return rc;
}

/* The target gets data, or zeros in a part of a block, here. */
static int count_blocks(struct plan *p, uint64_t voff, uint64_t len,
			struct vhdx_err *e)
{
	uint64_t block_len = p->target->block_len, blk, end;
	bool has;
	int rc;

	if (!block_len)
		return 0;
	blk = u64_max(voff / block_len, p->counted_blk);
	end = div_up(voff + len, block_len);
	for (; blk < end; blk++) {
		rc = block_has_space(p, blk, &has, e);
		if (rc)
			return rc;
		if (!has)
			p->m->result->alloc_len += block_len;
		p->counted_blk = blk + 1;
	}
	return 0;
}

/* What the host has not given space to, of the target's data at x. */
static int count_holes(struct plan *p, const struct vhdx_extent *x,
		       struct vhdx_err *e)
{
	uint64_t pos = x->host_off, end = x->host_off + x->len, off, len;
	int rc;

	while (pos < end) {
		rc = file_next_data(p->target->file, pos, &off, &len, e);
		if (rc)
			return rc;
		if (!len || off > end)
			off = end;
		p->m->result->need_len += off - pos;
		pos = off + len;
	}
	return 0;
}

static int count_need(struct plan *p, uint64_t voff, uint64_t len,
		      struct vhdx_err *e)
{
	uint64_t end = voff + len;
	struct vhdx_extent x;
	int rc = count_blocks(p, voff, len, e);

	while (!rc && voff < end && voff < p->target->size_len) {
		rc = vhdx_blk_map(p->lower, voff,
				  u64_min(end, p->target->size_len) - voff, &x,
				  e);
		if (rc)
			return rc;
		if (x.kind == VHDX_EXTENT_DATA && x.depth == 0)
			rc = count_holes(p, &x, e);
		else
			p->m->result->need_len += x.len;
		voff += x.len;
	}
	if (!rc && voff < end) /* the target has to grow */
		p->m->result->need_len += end - voff;
	return rc;
}

/* Zeros take space only where a block of a child is partly theirs. */
static int count_zeros(struct plan *p, uint64_t voff, uint64_t len,
		       struct vhdx_err *e)
{
	uint64_t block_len = p->target->block_len, end = voff + len;
	uint64_t head, tail;
	int rc;

	if (!p->target->parent || !block_len)
		return 0;
	head = u64_min(end, div_up(voff, block_len) * block_len);
	tail = u64_max(head, end - end % block_len);
	rc = head > voff ? count_need(p, voff, head - voff, e) : 0;
	if (!rc && tail < end)
		rc = count_need(p, tail, end - tail, e);
	return rc;
}

static int measure(struct plan *p, struct vhdx_err *e)
{
	struct vhdx_merge_result *res = p->m->result;
	uint64_t voff = 0, size_len = p->m->size_len;
	struct vhdx_extent x;
	int rc = 0;

	for (; !rc && voff < size_len; voff += x.len) {
		rc = vhdx_blk_map(p->upper, voff, size_len - voff, &x, e);
		if (rc)
			return rc;
		if (x.kind == VHDX_EXTENT_DATA) {
			p->data_len[x.depth] += x.len;
			res->data_len += x.len;
			rc = count_need(p, voff, x.len, e);
		} else if (x.kind != VHDX_EXTENT_PARENT) {
			p->zero_len[x.depth] += x.len;
			res->zero_len += x.len;
			rc = count_zeros(p, voff, x.len, e);
		}
	}
	/* Tables, bitmaps and the journal. */
	if (size_len > p->target->size_len && p->target->block_len)
		res->need_len += size_len / p->target->block_len * 8;
	if (res->need_len)
		res->need_len += res->need_len / 1024 + MIB;
	return rc;
}

static void report(const struct plan *p)
{
	const struct vhdx_merge_opts *o = p->m->opts;
	struct vhdx_merge_file f = { .role = VHDX_MERGE_LAYER };

	for (unsigned i = 0; o->file && i < p->n; i++) {
		f.path = p->m->layers.v[i].path;
		f.data_len = p->data_len[i];
		f.zero_len = p->zero_len[i];
		f.goes = !p->m->j.keep;
		o->file(o->file_arg, &f);
	}
	f = (struct vhdx_merge_file){ .role = VHDX_MERGE_TARGET,
				      .path = p->m->j.target.path };
	if (o->file)
		o->file(o->file_arg, &f);
}

/* Told also where something else stands in the way. */
static void look_for_space(const struct merge *m)
{
	const struct opener *o = m->opener;

	if (o->free_len)
		m->result->free_len = o->free_len(o, m->j.target.path);
}

static int check_space(const struct merge *m, struct vhdx_err *e)
{
	const struct vhdx_merge_result *res = m->result;

	if (res->need_len <= res->free_len)
		return 0;
	return err_set(e, VHDX_E_NOSPC, "%s: takes %llu bytes more, and its "
		       "file system has %llu free: %llu bytes are missing",
		       m->j.target.path, (unsigned long long)res->need_len,
		       (unsigned long long)res->free_len,
		       (unsigned long long)(res->need_len - res->free_len));
}

/* ---- all of it ---------------------------------------------------------- */

/* Two devices of the one chain: what is merged, and the rest. */
static int split(struct plan *p, struct vhdx_err *e)
{
	struct loop *l = p->m->loop;
	int rc = chain_of(p->target, &p->rest, e);

	if (rc)
		return rc;
	for (unsigned i = p->n + 1; i < p->chain->cnt; i++)
		p->rest->layers[p->rest->cnt++] = p->chain->layers[i];
	p->chain->cnt = p->n;
	rc = blk_new_chain(p->chain, l, false, &p->upper, e);
	if (rc)
		return rc;
	p->chain = NULL;
	rc = blk_new_chain(p->rest, l, false, &p->lower, e);
	if (!rc)
		p->rest = NULL;
	return rc;
}

static int plan_chain(struct plan *p, struct vhdx_err *e)
{
	struct merge *m = p->m;
	int rc = choose(p, e);

	if (rc)
		return rc;
	p->target = p->chain->layers[p->n];
	m->format = p->target->info.format;
	m->size_len = p->chain->layers[0]->size_len;
	if (p->n + 1 < p->chain->cnt)
		m->parent_len = p->chain->layers[p->n + 1]->size_len;
	rc = note_names(p, e);
	if (!rc)
		rc = check_possible(p, e);
	if (!rc)
		rc = split(p, e);
	if (rc)
		return rc;
	p->data_len = mem_array(p->n, sizeof(*p->data_len));
	p->zero_len = mem_array(p->n, sizeof(*p->zero_len));
	if (!p->data_len || !p->zero_len)
		return err_set(e, VHDX_E_NOMEM, "no memory for a merge");
	rc = measure(p, e);
	if (!rc)
		report(p);
	return rc;
}

int merge_plan(struct merge *m, struct vhdx_err *e)
{
	struct chain_opts co = {
		.search = m->opts->search,
		.search_cnt = m->opts->search_cnt,
		/* The first run has told; that it did not end is known. */
		.msg = m->has_journal ? NULL : m->opts->msg,
		.msg_arg = m->opts->msg_arg,
	};
	struct plan p = { .m = m };
	int rc = chain_open(m->opener, m->loop, m->child, &co, &p.chain, e);

	if (rc)
		return rc;
	rc = plan_chain(&p, e);
	(void)vhdx_blk_close(p.upper, NULL);
	(void)vhdx_blk_close(p.lower, NULL);
	(void)chain_close(p.chain, NULL);
	(void)chain_close(p.rest, NULL);
	mem_free(p.data_len);
	mem_free(p.zero_len);
	if (!rc)
		look_for_space(m);
	if (!rc)
		rc = merge_kin(m, false, e);
	return rc ? rc : check_space(m, e);
}
