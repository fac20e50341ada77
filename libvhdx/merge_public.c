/* SPDX-License-Identifier: MIT */
/* vhdx_merge(): host files, and a loop of its own. */
#include "family.h"
#include "merge.h"

int vhdx_merge(const char *child, const struct vhdx_merge_opts *opts,
	       struct vhdx_merge_result *result, struct vhdx_err *e)
{
	static const struct vhdx_merge_opts none;
	struct loop *loop;
	int rc = loop_new(&loop, e);

	if (rc)
		return rc;
	rc = merge_chain_on(&opener_default, &family_host_default, loop, child,
			    opts ? opts : &none, result, e);
	loop_free(loop);
	return rc;
}
