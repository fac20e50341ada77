/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "img.h"
#include "msg.h"
#include "newimg.h"
#include "out.h"

const struct opt_choice newimg_types[] = {
	{ "dynamic", 1 + VHDX_TYPE_DYNAMIC },
	{ "fixed", 1 + VHDX_TYPE_FIXED },
	{ NULL, 0 },
};

static int narrow(const char *name, uint64_t len, uint32_t *out)
{
	if (len > UINT32_MAX)
		return say_usage("--%s: %ju is too much", name,
				 (uintmax_t)len);
	*out = (uint32_t)len;
	return STATUS_OK;
}

int newimg_opts(const char *path, const struct newimg_args *a,
		struct vhdx_create_opts *opts)
{
	*opts = (struct vhdx_create_opts){ .force = a->force };
	opts->format = (enum vhdx_format)a->format;
	if (opts->format == VHDX_FORMAT_PROBE)
		opts->format = img_format_of_name(path);
	opts->type_given = a->type != 0;
	if (a->type)
		opts->type = (enum vhdx_type)(a->type - 1);
	int status = narrow("block-size", a->block_len, &opts->block_len);
	if (!status)
		status = narrow("sector-size", a->sector_len,
				&opts->sector_len);
	if (!status)
		status = narrow("physical-sector-size", a->physical_sector_len,
				&opts->physical_sector_len);
	return status;
}

int newimg_plan(const char *path, struct vhdx_create_opts *opts,
		uint64_t *file_len, uint64_t *host_len)
{
	struct vhdx_err err;
	if (vhdx_create_plan(opts, file_len, host_len, &err))
		return msg_err(path, &err);
	int status = img_check_target(path, opts->force);
	/* With force, what is there goes, whatever hangs on it. */
	if (status == STATUS_OK && opts->force)
		status = img_guard_children_alone(path, true, NULL);
	return status;
}

void newimg_print(const char *path, const struct vhdx_create_opts *opts,
		  const char *verb)
{
	char size[OUT_SIZE_LEN], block[OUT_SIZE_LEN];
	printf("%s %s: ", verb, path);
	if (opts->format != VHDX_FORMAT_RAW)
		printf("%s ", vhdx_type_name(opts->type));
	printf("%s, %s", vhdx_format_name(opts->format),
	       out_size(opts->size_len, size));
	if (opts->block_len)
		printf(", blocks of %s", out_human(opts->block_len, block));
	if (opts->format == VHDX_FORMAT_VHDX)
		printf(", sectors %u/%u", opts->sector_len,
		       opts->physical_sector_len);
	putchar('\n');
}

void newimg_print_need(uint64_t file_len, uint64_t host_len)
{
	char file[OUT_SIZE_LEN], host[OUT_SIZE_LEN];
	printf("needs %s on the host; the file would be %s long\n",
	       out_size(host_len, host), out_size(file_len, file));
}
