/* SPDX-License-Identifier: MIT */
/*
 * Two damaged images, one of them named as the other's parent: checked as a
 * chain, linked, given another id, merged in what belongs to the disk.
 *
 *  C1  Looking at a chain changes no byte.
 *  C2  A chain that check finds complete and free of errors opens, and reads.
 *  C3  A parent that set-parent has recorded is found, and the child keeps its
 *      own identity. A refusal changes no byte.
 *  C4  A repair leaves no more errors than there were.
 *  C5  What a parent has adopted is the child's, and it still opens.
 */
#include <string.h>

#include "chain_check.h"
#include "disk_set.h"
#include "fuzz.h"
#include "relink.h"

#define CHILD "/t/child"
#define PARENT "/t/parent.vhdx"

static struct memimg imgs[2]; /* child, parent */

static struct memimg *img_at(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	if (strcmp(name, "child") == 0)
		return &imgs[0];
	return strncmp(name, "parent", 6) == 0 ? &imgs[1] : NULL;
}

static int fuzz_opener_open(const struct opener *o, struct loop *l,
			    const char *path, unsigned flags,
			    struct file **out, struct vhdx_err *e)
{
	struct memimg *img = img_at(path);
	int rc;

	(void)o;
	if (!img)
		return err_set(e, VHDX_E_NOTFOUND, "%s: not there", path);
	rc = file_mem_new(l, path, img, out, e);
	if (!rc)
		(*out)->writable = flags & OPENER_WRITE;
	return rc;
}

static const struct opener opener = { .open = fuzz_opener_open };

static int check(unsigned flags, struct vhdx_chain_check_result *res)
{
	struct vhdx_chain_check_opts o = { .flags = flags };

	return check_chain(&opener, fuzz_loop(), CHILD, &o, res, NULL);
}

static struct chain *open_it(const char *path, unsigned flags)
{
	struct chain_opts co = { .flags = flags };
	struct chain *c = NULL;

	if (chain_open(&opener, fuzz_loop(), path, &co, &c, NULL))
		return NULL;
	return c;
}

static void read_some(struct chain *c)
{
	static uint8_t buf[8192];
	struct vhdx_geometry g;
	struct vhdx_blk *blk;

	ASSERT(blk_new_chain(c, fuzz_loop(), false, &blk, NULL) == 0);
	vhdx_blk_geometry(blk, &g);
	for (uint64_t i = 0; i < 6; i++) {
		uint64_t voff = align_down(g.size_len / 6 * i, 4096);
		uint64_t len = u64_min(sizeof(buf), g.size_len - voff);

		ASSERT(vhdx_blk_read(blk, voff, buf, len, NULL) == 0);
	}
	ASSERT(vhdx_blk_close(blk, NULL) == 0);
}

static void look(struct vhdx_chain_check_result *res)
{
	struct memimg was[2];
	int rc;

	memimg_clone(&was[0], &imgs[0]);
	memimg_clone(&was[1], &imgs[1]);
	rc = check(0, res);
	if (rc == 0 && !res->errors && !res->broken.code) { /* C2 */
		struct chain *c = open_it(CHILD, 0);

		ASSERT(c);
		read_some(c);
	}
	for (int i = 0; i < 2; i++) {
		ASSERT(memimg_eq(&was[i], &imgs[i], NULL)); /* C1 */
		memimg_free(&was[i]);
	}
}

static void link_them(void)
{
	struct vhdx_set_parent_opts o = { .ignore_id = true };
	struct vhdx_set_parent_result res;
	struct chain *c = open_it(CHILD, VHDX_OPEN_ALONE);
	struct memimg was;
	struct guid id;
	int rc;

	if (!c)
		return;
	id = c->layers[0]->identity;
	ASSERT(chain_close(c, NULL) == 0);
	memimg_clone(&was, &imgs[0]);
	rc = set_parent_image(&opener, fuzz_loop(), CHILD, PARENT, &o, &res,
			      NULL);
	if (rc == VHDX_E_LINKAGE || rc == VHDX_E_NOPARENT)
		ASSERT(memimg_eq(&was, &imgs[0], NULL)); /* C3 */
	memimg_free(&was);
	if (rc)
		return;
	c = open_it(CHILD, 0);
	ASSERT(c && c->cnt >= 2);
	ASSERT(guid_eq(&id, &c->layers[0]->identity));
	ASSERT(chain_close(c, NULL) == 0);
}

static void mend(void)
{
	struct vhdx_chain_check_result first, second;

	if (check(VHDX_CHECK_REPAIR, &first))
		return;
	ASSERT(check(0, &second) == 0);
	/* What was hidden behind a parent that did not open may show now. */
	if (first.layer_cnt == second.layer_cnt)
		ASSERT(second.errors <= first.errors); /* C4 */
}

static void adopt(void)
{
	struct chain *from = open_it(CHILD, VHDX_OPEN_ALONE);
	struct chain *to = open_it(PARENT, VHDX_OPEN_ALONE | VHDX_OPEN_WRITE);
	struct vhdx_info want, got;
	int rc = VHDX_E_UNSUPPORTED;

	if (from && to && to->layers[0]->ops->adopt) {
		rc = to->layers[0]->ops->adopt(to->layers[0], from->layers[0],
					       NULL);
		want = from->layers[0]->info;
	}
	(void)chain_close(from, NULL);
	if (chain_close(to, NULL) || rc || want.format != VHDX_FORMAT_VHDX)
		return;
	to = open_it(PARENT, VHDX_OPEN_ALONE); /* C5 */
	ASSERT(to);
	got = to->layers[0]->info;
	ASSERT(memcmp(got.disk_id, want.disk_id, 16) == 0);
	ASSERT(chain_close(to, NULL) == 0);
}

static void name_anew(void)
{
	struct vhdx_set_opts o = { .disk_id = "new" };
	struct vhdx_set_result res;
	struct chain *c;

	if (set_image(&opener, fuzz_loop(), PARENT, &o, &res, NULL))
		return;
	c = open_it(PARENT, VHDX_OPEN_ALONE);
	ASSERT(c && memcmp(c->layers[0]->info.disk_id, res.disk_id, 16) == 0);
	ASSERT(chain_close(c, NULL) == 0);
}

/* The first byte: the format; the next one: how much is the child's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len }, child;
	enum vhdx_format format = fuzz_u8(&in) & 1 ? VHDX_FORMAT_VHD
						   : VHDX_FORMAT_VHDX;
	size_t n = fuzz_u8(&in);
	struct vhdx_chain_check_result res;

	child = (struct fuzz_in){ in.p, n < in.len ? n : in.len };
	in.p += child.len;
	in.len -= child.len;
	fuzz_image(&child, format, &imgs[0]);
	fuzz_image(&in, format, &imgs[1]);
	look(&res);
	link_them();
	look(&res);
	adopt();
	name_anew();
	mend();
	memimg_free(&imgs[0]);
	memimg_free(&imgs[1]);
	return 0;
}
