/* SPDX-License-Identifier: MIT */
/* vhdx_edit.h, and a part of vhdx_chain.h, on the host's files: each call makes
 * a loop of its own. */
#include "chain_check.h"
#include "disk_set.h"
#include "relink.h"

int vhdx_set_parent(const char *child, const char *parent,
		    const struct vhdx_set_parent_opts *opts,
		    struct vhdx_set_parent_result *result, struct vhdx_err *e)
{
	static const struct vhdx_set_parent_opts none;
	struct vhdx_set_parent_result unwanted;
	struct loop *l;
	int rc = loop_new(&l, e);

	if (rc)
		return rc;
	rc = set_parent_image(&opener_default, l, child, parent,
			      opts ? opts : &none,
			      result ? result : &unwanted, e);
	loop_free(l);
	return rc;
}

int vhdx_set(const char *path, const struct vhdx_set_opts *opts,
	     struct vhdx_set_result *result, struct vhdx_err *e)
{
	struct vhdx_set_result unwanted;
	struct loop *l;
	int rc = loop_new(&l, e);

	if (rc)
		return rc;
	rc = set_image(&opener_default, l, path, opts,
		       result ? result : &unwanted, e);
	loop_free(l);
	return rc;
}

int vhdx_check_chain(const char *path, const struct vhdx_chain_check_opts *opts,
		     struct vhdx_chain_check_result *result, struct vhdx_err *e)
{
	struct vhdx_chain_check_result unwanted;
	struct loop *l;
	int rc = loop_new(&l, e);

	if (rc)
		return rc;
	rc = check_chain(&opener_default, l, path, opts,
			 result ? result : &unwanted, e);
	loop_free(l);
	return rc;
}
