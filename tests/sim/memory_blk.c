/* SPDX-License-Identifier: MIT */
#include "memory_blk.h"

#include <string.h>

#include "blk.h"

static void peek(struct file *f, uint64_t off, void *buf, size_t len)
{
	(void)f;
	memcpy(buf, (const void *)(uintptr_t)off, len);
}

struct vhdx_blk *memory_blk(void)
{
	static const struct file_ops ops = { .peek = peek };
	static struct file file = { .ops = &ops, .path = "memory" };
	static struct image img = { .file = &file };
	static struct chain chain = { .cnt = 1, .layers = { &img } };
	static struct vhdx_blk blk = { .chain = &chain, .img = &img };

	return &blk;
}

struct vhdx_copy memory_blk_copy(const void *p)
{
	return (struct vhdx_copy){ .from = memory_blk(),
				   .host_off = (uintptr_t)p };
}
