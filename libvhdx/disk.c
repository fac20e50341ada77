/* SPDX-License-Identifier: MIT */
/* Composition: a path becomes a device. */
#include <string.h>

#include "chain.h"

int vhdx_open(const char *path, const struct vhdx_open_opts *opts,
	      struct vhdx_blk **out, struct vhdx_err *e)
{
	static const struct vhdx_open_opts none;
	struct chain_opts co;
	struct chain *chain;
	struct loop *loop;
	int rc;

	*out = NULL;
	if (!opts)
		opts = &none;
	co = (struct chain_opts){
		.flags = opts->flags,
		.format = opts->format,
		.search = opts->search,
		.search_cnt = opts->search_cnt,
		.msg = opts->msg,
		.msg_arg = opts->msg_arg,
	};
	rc = loop_new(&loop, e);
	if (rc)
		return rc;
	rc = chain_open(&opener_default, loop, path, &co, &chain, e);
	if (rc)
		goto fail;
	rc = blk_new_chain(chain, loop, true, out, e);
	if (!rc)
		return 0;
	(void)chain_close(chain, NULL);
fail:
	loop_free(loop);
	return rc;
}
