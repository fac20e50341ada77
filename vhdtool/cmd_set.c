/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "img.h"
#include "out.h"
#include "vhdx_edit.h"

struct set_args {
	struct opt_list search;
	const char *disk_id;
	uint64_t physical_sector_len;
	bool force;
	bool dry_run;
	bool json;
};

static int print_json(const char *path, const struct set_args *a,
		      const struct vhdx_set_result *r)
{
	char was[OUT_GUID_LEN], id[OUT_GUID_LEN];
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(path));
	json_object_set_new(j, "old_disk_id", json_string(out_guid(
				    r->was_disk_id, r->format, was)));
	json_object_set_new(j, "disk_id", json_string(out_guid(
				    r->disk_id, r->format, id)));
	json_object_set_new(j, "old_physical_sector_size",
			    out_u64(r->was_physical_sector_len));
	json_object_set_new(j, "physical_sector_size",
			    out_u64(r->physical_sector_len));
	json_object_set_new(j, "changed",
			    json_boolean(r->changed && !a->dry_run));
	json_object_set_new(j, "dry_run", json_boolean(a->dry_run));
	return out_json(j);
}

static int print_text(const char *path, const struct set_args *a,
		      const struct vhdx_set_result *r)
{
	char was[OUT_GUID_LEN], id[OUT_GUID_LEN];
	bool fresh = a->dry_run && a->disk_id &&
		     strcmp(a->disk_id, "new") == 0;
	if (memcmp(r->was_disk_id, r->disk_id, 16) != 0)
		printf("disk id: %s, was %s\n", fresh ? "a new one" :
		       out_guid(r->disk_id, r->format, id),
		       out_guid(r->was_disk_id, r->format, was));
	if (r->was_physical_sector_len != r->physical_sector_len)
		printf("physical sector size: %u, was %u\n",
		       r->physical_sector_len, r->was_physical_sector_len);
	if (!r->changed)
		printf("%s: it is all so already; nothing was changed\n",
		       path);
	else if (a->dry_run)
		printf("nothing was changed yet\n");
	return STATUS_OK;
}

static int exec_set(const struct cmd *c, int argc, char **argv)
{
	struct set_args a = { .physical_sector_len = 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	if (!a.disk_id && !a.physical_sector_len)
		return say_usage("what is to be set? --disk-id, "
				 "--physical-sector-size");
	if (a.physical_sector_len > UINT32_MAX)
		return say_usage("--physical-sector-size is 512 or 4096");
	status = img_guard_children_alone(pos[0], a.force, &a.search);
	if (status)
		return status;
	struct vhdx_set_opts opts = {
		.disk_id = a.disk_id,
		.physical_sector_len = (uint32_t)a.physical_sector_len,
		.dry_run = a.dry_run,
		.msg = say_from_library,
		.msg_arg = pos[0],
	};
	struct vhdx_set_result r;
	struct vhdx_err err;
	if (vhdx_set(pos[0], &opts, &r, &err))
		return msg_err(pos[0], &err);
	return a.json ? print_json(pos[0], &a, &r)
		      : print_text(pos[0], &a, &r);
}

static const struct opt options[] = {
	{ "disk-id", OPT_STRING, offsetof(struct set_args, disk_id),
	  "GUID|new", "what the disk is called by (SCSI page 83)", NULL },
	{ "physical-sector-size", OPT_SIZE,
	  offsetof(struct set_args, physical_sector_len), "SIZE",
	  "512 or 4096; VHDX", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct set_args, dry_run), NULL,
	  "only say what would change", NULL },
	OPT_JSON(struct set_args, json),
	OPT_GUARD_FORCE(struct set_args, force),
	OPT_SEARCH(struct set_args, search),
	OPT_END
};

const struct cmd cmd_set = {
	.name = "set",
	.synopsis = "[OPTIONS] FILE",
	.brief = "change the disk's id or physical sector size",
	.notes = "A copy of a disk that runs beside the original needs an id "
		 "of its own:\n--disk-id new. The image becomes another parent "
		 "by it: children that it has\nwould not open any more, so it "
		 "is refused where there are known ones.\n",
	.opts = options,
	.exec = exec_set,
};
