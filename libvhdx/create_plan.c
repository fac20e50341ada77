/* SPDX-License-Identifier: MIT */
/*
 * What an image to be created will look like: fills in defaults, holds every
 * rule about sizes and how they go together, and says what the empty image
 * takes. Touches no file, so that a dry run and the real thing cannot differ.
 */
#include "err.h"
#include "format.h"
#include "vhdx_create.h"

#define VHD_SIZE_MAX (2040 * GIB)
#define VHD_BLOCK_MIN (512 * KIB)
#define VHD_FOOTER_LEN 512u
#define VHD_DYNHEADER_LEN 1024u
#define VHD_LOCATORS_LEN (16 * KIB + 512) /* a child's */

static void set_default(uint32_t *field, uint64_t value)
{
	if (*field == 0)
		*field = (uint32_t)value;
}

static int check_size(const struct vhdx_create_opts *o, uint64_t max,
		      struct vhdx_err *e)
{
	if (o->size_len == 0)
		return err_set(e, VHDX_E_INVAL, "the size must not be 0");
	if (o->size_len % o->sector_len)
		return err_set(e, VHDX_E_INVAL,
			       "size %ju is not a multiple of the sector size "
			       "%u; the next that is: %ju",
			       (uintmax_t)o->size_len, o->sector_len,
			       (uintmax_t)align_up(o->size_len, o->sector_len));
	if (o->size_len > max)
		return err_set(e, VHDX_E_INVAL,
			       "size %ju is above the limit of the %s format, "
			       "%ju bytes", (uintmax_t)o->size_len,
			       vhdx_format_name(o->format), (uintmax_t)max);
	return 0;
}

static int check_sectors(const struct vhdx_create_opts *o, struct vhdx_err *e)
{
	if (o->sector_len != 512 && o->sector_len != 4096)
		return err_set(e, VHDX_E_INVAL,
			       "sector size %u: it can be 512 or 4096",
			       o->sector_len);
	if (o->physical_sector_len != 512 && o->physical_sector_len != 4096)
		return err_set(e, VHDX_E_INVAL,
			       "physical sector size %u: it can be 512 or 4096",
			       o->physical_sector_len);
	if (o->physical_sector_len < o->sector_len)
		return err_set(e, VHDX_E_INVAL,
			       "physical sector size %u is below the logical "
			       "sector size %u", o->physical_sector_len,
			       o->sector_len);
	return 0;
}

static int check_block(const struct vhdx_create_opts *o, uint64_t min,
		       struct vhdx_err *e)
{
	if (is_pow2(o->block_len) && o->block_len >= min &&
	    o->block_len <= FMT_BLOCK_MAX)
		return 0;
	return err_set(e, VHDX_E_INVAL,
		       "block size %u: it can be a power of two from %ju to "
		       "%ju", o->block_len, (uintmax_t)min,
		       (uintmax_t)FMT_BLOCK_MAX);
}

static int plan_vhdx(struct vhdx_create_opts *o, uint64_t *file_len,
		     uint64_t *written_len, struct vhdx_err *e)
{
	set_default(&o->block_len, o->type == VHDX_TYPE_DIFFERENCING
					   ? 2 * MIB : 32 * MIB);
	set_default(&o->sector_len, 512);
	set_default(&o->physical_sector_len, 4096);
	int rc = check_sectors(o, e);
	if (!rc)
		rc = check_size(o, FMT_SIZE_MAX, e);
	if (!rc)
		rc = check_block(o, FMT_BLOCK_MIN, e);
	if (rc)
		return rc;
	struct create_place p;
	create_place_init(&p, o);
	*file_len = p.file_len;
	*written_len = p.bat_off; /* the BAT of a dynamic disk is sparse */
	return 0;
}

static int plan_vhd(struct vhdx_create_opts *o, uint64_t *file_len,
		    struct vhdx_err *e)
{
	bool fixed = o->type == VHDX_TYPE_FIXED;
	if (fixed && o->block_len)
		return err_set(e, VHDX_E_INVAL,
			       "a fixed VHD has no blocks: leave the block "
			       "size out");
	set_default(&o->sector_len, 512);
	set_default(&o->physical_sector_len, 512);
	if (o->sector_len != 512 || o->physical_sector_len != 512)
		return err_set(e, VHDX_E_INVAL,
			       "sector size %u/%u: the VHD format has 512 only",
			       o->sector_len, o->physical_sector_len);
	if (!fixed)
		set_default(&o->block_len, 2 * MIB);
	int rc = check_size(o, VHD_SIZE_MAX, e);
	if (!rc && !fixed)
		rc = check_block(o, VHD_BLOCK_MIN, e);
	if (rc)
		return rc;
	if (fixed)
		*file_len = o->size_len + VHD_FOOTER_LEN;
	else
		*file_len = 2 * VHD_FOOTER_LEN + VHD_DYNHEADER_LEN +
			    align_up(4 * div_up(o->size_len, o->block_len),
				     512);
	if (o->type == VHDX_TYPE_DIFFERENCING)
		*file_len += VHD_LOCATORS_LEN;
	return 0;
}

static int plan_raw(struct vhdx_create_opts *o, uint64_t *file_len,
		    struct vhdx_err *e)
{
	if (o->block_len)
		return err_set(e, VHDX_E_INVAL,
			       "a raw image has no blocks: leave the block "
			       "size out");
	if (o->type_given && o->type != VHDX_TYPE_FIXED)
		return err_set(e, VHDX_E_INVAL,
			       "a raw image has no %s type: leave the type out",
			       vhdx_type_name(o->type));
	o->type = VHDX_TYPE_FIXED;
	set_default(&o->sector_len, 512);
	set_default(&o->physical_sector_len, o->sector_len);
	int rc = check_sectors(o, e);
	if (!rc)
		rc = check_size(o, INT64_MAX - 4095, e);
	*file_len = o->size_len;
	return rc;
}

int vhdx_create_plan(struct vhdx_create_opts *opts, uint64_t *file_len,
		     uint64_t *host_len, struct vhdx_err *e)
{
	if (opts->format == VHDX_FORMAT_PROBE)
		opts->format = VHDX_FORMAT_VHDX;
	if (!opts->type_given)
		opts->type = VHDX_TYPE_DYNAMIC;
	int rc;
	uint64_t written_len = 4 * MIB;
	if (opts->format == VHDX_FORMAT_VHDX)
		rc = plan_vhdx(opts, file_len, &written_len, e);
	else if (opts->format == VHDX_FORMAT_VHD)
		rc = plan_vhd(opts, file_len, e);
	else
		rc = plan_raw(opts, file_len, e);
	if (rc)
		return rc;
	opts->type_given = true;
	bool full = opts->type == VHDX_TYPE_FIXED &&
		    opts->format != VHDX_FORMAT_RAW;
	*host_len = full ? *file_len : u64_min(*file_len, written_len);
	if (opts->format == VHDX_FORMAT_RAW)
		*host_len = 0;
	return 0;
}
