/* SPDX-License-Identifier: MIT */
#include "t_chain.h"

#include <string.h>

#include "chain.h"
#include "t.h"

void t_chain_begin(struct t_chain *c, const struct crash_tree *tree)
{
	T_OK(loop_new(&c->loop, &t_err));
	opener_crash_init(&c->oc, NULL, tree);
}

void t_chain_end(struct t_chain *c)
{
	T_EQ_U64(opener_crash_open_cnt(&c->oc), 0);
	opener_crash_fini(&c->oc);
	loop_free(c->loop);
}

void t_chain_restart(struct t_chain *c)
{
	opener_crash_restart(&c->oc, NULL, NULL);
}

static int open_disk(struct t_chain *c, const char *path, unsigned flags,
		     struct vhdx_blk **out)
{
	struct chain_opts co = { .flags = flags };
	struct chain *chain;
	int rc = chain_open(&c->oc.opener, c->loop, path, &co, &chain, &t_err);

	if (rc)
		return rc;
	rc = blk_new_chain(chain, c->loop, false, out, &t_err);
	if (rc)
		(void)chain_close(chain, NULL);
	return rc;
}

void t_chain_create(struct t_chain *c, const char *path, const char *parent,
		    uint32_t block_len, uint64_t size_len)
{
	struct vhdx_create_opts o = { .format = c->format ? c->format :
						VHDX_FORMAT_VHDX,
				      .type = VHDX_TYPE_DYNAMIC,
				      .type_given = true,
				      .block_len = block_len,
				      .size_len = size_len };
	struct opener *op = &c->oc.opener;
	struct chain_opts co = { 0 };
	uint64_t file_len, host_len;
	struct chain *chain;
	struct file *f;

	T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
	T_OK(op->open(op, c->loop, path, OPENER_WRITE | OPENER_CREATE, &f,
		      &t_err));
	if (parent) {
		o.type = VHDX_TYPE_DIFFERENCING;
		o.parent = parent;
		T_OK(chain_open(op, c->loop, parent, &co, &chain, &t_err));
		T_OK((c->format == VHDX_FORMAT_VHD ? vhd1_image_create_child :
		      vhdx_image_create_child)(f, path, &o,
					       chain->layers[0], &t_err));
		T_OK(chain_close(chain, &t_err));
	} else {
		T_OK((c->format == VHDX_FORMAT_VHD ? vhd1_image_create :
		      vhdx_image_create)(f, &o, &t_err));
	}
	file_close(f);
}

void t_chain_write(struct t_chain *c, const char *path, uint64_t voff,
		   uint64_t len, uint64_t seed)
{
	uint8_t *buf = malloc(len);
	struct vhdx_blk *blk;

	t_fill(buf, len, seed);
	T_OK(open_disk(c, path, VHDX_OPEN_WRITE, &blk));
	T_OK(vhdx_blk_write(blk, voff, buf, len, &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
	free(buf);
}

void t_chain_zero(struct t_chain *c, const char *path, uint64_t voff,
		  uint64_t len)
{
	struct vhdx_blk *blk;

	T_OK(open_disk(c, path, VHDX_OPEN_WRITE, &blk));
	T_OK(vhdx_blk_write_zeroes(blk, voff, len, &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
}

void t_chain_discard(struct t_chain *c, const char *path, uint64_t voff,
		     uint64_t len)
{
	struct vhdx_blk *blk;

	T_OK(open_disk(c, path, VHDX_OPEN_WRITE, &blk));
	T_OK(vhdx_blk_discard(blk, voff, len, &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
}

int t_chain_read(struct t_chain *c, const char *path, uint8_t *buf)
{
	struct vhdx_geometry g;
	struct vhdx_blk *blk;
	int rc = open_disk(c, path, 0, &blk);

	if (rc)
		return rc;
	memset(buf, 0, T_CHAIN_LEN);
	vhdx_blk_geometry(blk, &g);
	ASSERT(g.size_len <= T_CHAIN_LEN);
	rc = vhdx_blk_read(blk, 0, buf, g.size_len, &t_err);
	(void)vhdx_blk_close(blk, NULL);
	return rc;
}

bool t_chain_exists(struct t_chain *c, const char *path)
{
	struct crash_tree *t = calloc(1, sizeof(*t));
	bool there;

	opener_crash_now(&c->oc, t);
	there = crash_tree_find(t, path);
	crash_tree_free(t);
	free(t);
	return there;
}

void t_chain_sound(struct t_chain *c, const char *path)
{
	struct vhdx_check_result res = { 0 };
	struct check ck = { .result = &res };
	struct opener *op = &c->oc.opener;

	T_OK(op->open(op, c->loop, path, 0, &ck.file, &t_err));
	T_OK((c->format == VHDX_FORMAT_VHD ? vhd1_image_check :
	      vhdx_image_check)(&ck, &t_err));
	file_close(ck.file);
	T_EQ_U64(res.errors, 0);
	T_EQ_U64(res.warnings, 0);
}
