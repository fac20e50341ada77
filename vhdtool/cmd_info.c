/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "chain_show.h"
#include "cmd.h"
#include "img.h"
#include "out.h"

struct info_args {
	bool json;
	bool chs_size;
	bool chain;
	struct opt_list search;
};

/* What is said of a parent. */
struct parent {
	bool open;
	struct vhdx_err broken; /* code 0: nothing wrong */
	const char *path; /* the device's */
	struct vhdx_info info;
};

static const char *type_name(const struct vhdx_info *i)
{
	return i->format == VHDX_FORMAT_RAW ? "" : vhdx_type_name(i->type);
}

static void print_len(const char *name, uint64_t len)
{
	char buf[OUT_SIZE_LEN];
	printf("%-18s %s\n", name, out_size(len, buf));
}

static void print_guid(const char *name, const uint8_t id[16],
		       enum vhdx_format format)
{
	char buf[OUT_GUID_LEN];
	printf("%-18s %s\n", name, out_guid(id, format, buf));
}

static void print_area(const char *name, uint64_t off, uint64_t len)
{
	char buf[OUT_SIZE_LEN];
	printf("%-18s at %ju, %s\n", name, (uintmax_t)off, out_size(len, buf));
}

static void print_vhdx(const char *path, const struct vhdx_info *i)
{
	print_guid("disk id:", i->disk_id, i->format);
	print_guid("file write id:", i->file_write_guid, i->format);
	print_guid("data write id:", i->data_write_guid, i->format);
	printf("%-18s %ju\n", "header sequence:", (uintmax_t)i->header_seq);
	print_area("log:", i->log_off, i->log_len);
	print_area("BAT:", i->bat_off, i->bat_len);
	print_area("metadata:", i->meta_off, i->meta_len);
	if (!i->log_dirty) {
		printf("%-18s clean\n", "log state:");
		return;
	}
	printf("%-18s DIRTY: the last writer did not close the file; what is "
	       "shown here and\n%-18s read is the content after replay. To "
	       "bring the file itself up to date:\n%-18s vhdtool log replay "
	       "%s\n", "log state:", "", "", msg_shell_word(path));
}

static void print_vhd(const struct vhdx_info *i)
{
	print_guid("disk id:", i->disk_id, i->format);
	if (i->chs_len == i->current_len)
		return;
	print_len("size by field:", i->current_len);
	print_len("size by geometry:", i->chs_len);
	printf("%-18s the two differ; Hyper-V and most others use the field "
	       "(so does vhdtool,\n%-18s unless --chs-size is given), Virtual "
	       "PC the geometry\n", "", "");
}

static const uint8_t *link_id(const struct vhdx_info *i)
{
	return i->format == VHDX_FORMAT_VHDX ? i->data_write_guid : i->disk_id;
}

static void print_parent(const struct parent *p)
{
	if (p->open) {
		printf("%-18s %s\n", "parent:", out_clean(p->path));
		print_guid("parent's id:", link_id(&p->info), p->info.format);
	}
	if (p->broken.code)
		printf("%-18s %s\n", p->open ? "further parents:" : "parent:",
		       img_broken_word(&p->broken));
}

static void print_text(const char *path, const struct vhdx_info *i,
		       const struct parent *p)
{
	printf("%-18s %s\n", "file:", out_clean(path));
	printf("%-18s %s%s%s\n", "format:", vhdx_format_name(i->format),
	       *type_name(i) ? ", " : "", type_name(i));
	print_parent(p);
	print_len("virtual size:", i->size_len);
	print_len("file length:", i->file_len);
	print_len("space on host:", i->host_len);
	if (i->block_len)
		print_len("block size:", i->block_len);
	printf("%-18s %u logical, %u physical\n", "sector size:",
	       i->sector_len, i->physical_sector_len);
	if (i->creator[0])
		printf("%-18s %s\n", "creator:", i->creator);
	if (i->format == VHDX_FORMAT_VHDX)
		print_vhdx(path, i);
	else if (i->format == VHDX_FORMAT_VHD)
		print_vhd(i);
}

static void set_guid(json_t *j, const char *key, const uint8_t id[16],
		     enum vhdx_format format)
{
	char buf[OUT_GUID_LEN];
	json_object_set_new(j, key, json_string(out_guid(id, format, buf)));
}

static void set_area(json_t *j, const char *key, uint64_t off, uint64_t len)
{
	json_t *area = json_object();
	json_object_set_new(area, "offset", out_u64(off));
	json_object_set_new(area, "length", out_u64(len));
	json_object_set_new(j, key, area);
}

static void set_vhdx(json_t *j, const struct vhdx_info *i)
{
	set_guid(j, "file_write_id", i->file_write_guid, i->format);
	set_guid(j, "data_write_id", i->data_write_guid, i->format);
	set_guid(j, "log_id", i->log_guid, i->format);
	json_object_set_new(j, "log_dirty", json_boolean(i->log_dirty));
	json_object_set_new(j, "header_sequence", out_u64(i->header_seq));
	set_area(j, "log", i->log_off, i->log_len);
	set_area(j, "bat", i->bat_off, i->bat_len);
	set_area(j, "metadata", i->meta_off, i->meta_len);
}

static void set_parent(json_t *j, const struct parent *p)
{
	if (p->open) {
		json_t *parent = json_object();
		json_object_set_new(parent, "file", out_string(p->path));
		set_guid(parent, "id", link_id(&p->info), p->info.format);
		json_object_set_new(j, "parent", parent);
	}
	if (p->broken.code)
		json_object_set_new(j, "parent_problem",
				    out_error(&p->broken));
}

static json_t *to_json(const char *path, const struct vhdx_info *i,
		       const struct parent *p)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(path));
	json_object_set_new(j, "format",
			    json_string(vhdx_format_name(i->format)));
	if (*type_name(i))
		json_object_set_new(j, "type", json_string(type_name(i)));
	json_object_set_new(j, "virtual_size", out_u64(i->size_len));
	json_object_set_new(j, "file_length", out_u64(i->file_len));
	json_object_set_new(j, "host_length", out_u64(i->host_len));
	json_object_set_new(j, "block_size", out_u64(i->block_len));
	json_object_set_new(j, "sector_size", out_u64(i->sector_len));
	json_object_set_new(j, "physical_sector_size",
			    out_u64(i->physical_sector_len));
	json_object_set_new(j, "creator", out_string(i->creator));
	if (i->format != VHDX_FORMAT_RAW)
		set_guid(j, "disk_id", i->disk_id, i->format);
	if (i->format == VHDX_FORMAT_VHDX)
		set_vhdx(j, i);
	if (i->format == VHDX_FORMAT_VHD) {
		json_object_set_new(j, "chs_size", out_u64(i->chs_len));
		json_object_set_new(j, "current_size",
				    out_u64(i->current_len));
	}
	set_parent(j, p);
	return j;
}

static int show(const char *path, unsigned flags, const struct info_args *a)
{
	struct vhdx_blk *blk;
	struct parent p = { 0 };
	int status = img_open_anyhow(path, flags, &a->search, &blk, &p.broken);
	if (status)
		return status;
	struct vhdx_info info;
	vhdx_get_info(blk, &info);
	p.open = vhdx_layer_cnt(blk) > 1;
	if (p.open)
		vhdx_get_layer(blk, 1, &p.info, &p.path);
	if (!a->json)
		print_text(path, &info, &p);
	else if (out_json(to_json(path, &info, &p)))
		status = STATUS_FAILED;
	if (p.broken.code) {
		int broken = msg_err(path, &p.broken);
		status = status ? status : broken;
	}
	return img_close(path, blk, status);
}

static int exec_info(const struct cmd *c, int argc, char **argv)
{
	struct info_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	unsigned flags = a.chs_size ? VHDX_OPEN_CHS_SIZE : 0;
	if (a.chain)
		return chain_show(pos[0], flags, &a.search, a.json);
	return show(pos[0], flags, &a);
}

static const struct opt options[] = {
	{ "json", OPT_FLAG, offsetof(struct info_args, json), NULL,
	  "for programs: sizes in bytes only", NULL },
	{ "chain", OPT_FLAG, offsetof(struct info_args, chain), NULL,
	  "examine it and all its parents, a line for each", NULL },
	OPT_SEARCH(struct info_args, search),
	{ "chs-size", OPT_FLAG, offsetof(struct info_args, chs_size), NULL,
	  "vhd: take the size from the geometry", NULL },
	OPT_END
};

const struct cmd cmd_info = {
	.name = "info",
	.synopsis = "[OPTIONS] FILE",
	.brief = "show what an image is",
	.notes = "Changes nothing. A file that cannot be opened is explained "
		 "by: vhdtool check\nA child of which a parent is missing "
		 "(status 3) or another disk (6) is shown with\nthe parents "
		 "that there are.\n",
	.opts = options,
	.exec = exec_info,
};
