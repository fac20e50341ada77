/* SPDX-License-Identifier: MIT */
/*
 * vhdx_check(): opens the file as the task needs, finds out what it is, and
 * hands it to the checker of its format.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "check.h"
#include "header.h"
#include "mem.h"

/* ---- raw files ----------------------------------------------------------- */

static bool named(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n >= m && strcasecmp(path + n - m, suffix) == 0;
}

/* A file without any identifier has no structure to check - unless it lost the
 * identifier: the name, or a sound VHDX header behind it, gives that away. The
 * name decides nothing but what is said. */
static int check_raw(struct check *c, struct vhdx_err *e)
{
	struct file *f = c->file;
	struct header_pair *p = mem_zalloc(sizeof(*p));
	struct vhdx_err why;
	bool header;
	int rc;

	if (!p)
		return err_set(e, VHDX_E_NOMEM, "no memory to check %s",
			       f->path);
	rc = header_load(f, p, &why);
	header = p->valid[0] || p->valid[1];
	mem_free(p);
	if (rc && rc != VHDX_E_CORRUPT && rc != VHDX_E_UNSUPPORTED)
		return err_copy(e, &why, rc);
	if (header)
		check_error(c, VHDX_OBJ_IDENT, 0, "2.2.1",
			    "the file has a valid VHDX header but no file type "
			    "identifier \"vhdxfile\" at its beginning; it is "
			    "not rewritten, because what stands there may be a "
			    "raw disk written over an old VHDX file");
	else if (named(f->path, ".vhdx") || named(f->path, ".avhdx"))
		check_error(c, VHDX_OBJ_IDENT, 0, "2.2.1",
			    "the name says VHDX, but the file (%" PRIu64
			    " bytes) has neither the identifier \"vhdxfile\" "
			    "nor a valid header", f->size);
	else if (named(f->path, ".vhd") || named(f->path, ".avhd"))
		check_error(c, VHDX_OBJ_FOOTER, ERR_NO_OFF, "VHD",
			    "the name says VHD, but the file (%" PRIu64
			    " bytes) has no footer \"conectix\" at its end nor "
			    "a copy of one at its beginning", f->size);
	else
		check_note(c, VHDX_OBJ_NONE, ERR_NO_OFF, "",
			   "a raw image has no structure: nothing to check");
	return 0;
}

/* ---- entry --------------------------------------------------------------- */

static int check_file(struct check *c, struct vhdx_err *e)
{
	int rc = image_probe(c->file, &c->result->format, e);

	if (rc)
		return rc;
	switch (c->result->format) {
	case VHDX_FORMAT_VHDX:
		return vhdx_image_check(c, e);
	case VHDX_FORMAT_VHD:
		return vhd1_image_check(c, e);
	default:
		return check_raw(c, e);
	}
}

int image_check(const struct opener *o, struct loop *l, const char *path,
		unsigned flags, vhdx_finding_fn *fn, void *arg,
		struct vhdx_check_result *result, struct vhdx_err *e)
{
	struct check c = {
		.repair = flags & VHDX_CHECK_REPAIR,
		.dry_run = flags & VHDX_CHECK_DRY_RUN,
		.in_chain = flags & CHECK_IN_CHAIN,
		.fn = fn,
		.arg = arg,
		.result = result,
	};
	int rc;

	memset(c.result, 0, sizeof(*c.result));
	rc = o->open(o, l, path, check_mending(&c) ? OPENER_WRITE : 0, &c.file,
		     e);
	if (rc)
		return rc;
	rc = check_file(&c, e);
	file_close(c.file);
	return rc;
}

int vhdx_check(const char *path, unsigned flags, vhdx_finding_fn *fn,
	       void *arg, struct vhdx_check_result *result,
	       struct vhdx_err *e)
{
	struct vhdx_check_result unwanted;
	struct loop *l;
	int rc;

	if (!result)
		result = &unwanted;
	memset(result, 0, sizeof(*result));
	rc = loop_new(&l, e);
	if (rc)
		return rc;
	rc = image_check(&opener_default, l, path, flags, fn, arg, result, e);
	loop_free(l);
	return rc;
}
