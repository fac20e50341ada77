/* SPDX-License-Identifier: MIT */
/* Images under their names: a whole one, or what was there before. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "chain.h"
#include "mem.h"
#include "t.h"
#include "vhdx_chain.h"

static char dir[128], path[256];

static void fresh(void)
{
	char cmd[256];

	if (!dir[0])
		snprintf(dir, sizeof(dir), "%s", t_tmpdir());
	snprintf(cmd, sizeof(cmd), "find %s -type f -delete", dir);
	T_TRUE(system(cmd) == 0);
	snprintf(path, sizeof(path), "%s/image", dir);
}

/* Names in the folder; hidden ones count. */
static unsigned name_cnt(void)
{
	DIR *d = opendir(dir);
	unsigned cnt = 0;

	while (readdir(d))
		cnt++;
	closedir(d);
	return cnt - 2;
}

static struct vhdx_create_opts opts(enum vhdx_format f, enum vhdx_type t,
				    uint64_t size)
{
	return (struct vhdx_create_opts){ .format = f, .type = t,
		.type_given = true, .size_len = size };
}

static struct vhdx_info info_of(void)
{
	struct vhdx_info info;
	struct vhdx_blk *blk;

	T_OK(vhdx_open(path, NULL, &blk, &t_err));
	vhdx_get_info(blk, &info);
	T_OK(vhdx_blk_close(blk, &t_err));
	return info;
}

static void every_format_is_created_and_recognised(void)
{
	static const struct { enum vhdx_format f; enum vhdx_type t; } all[] = {
		{ VHDX_FORMAT_VHDX, VHDX_TYPE_DYNAMIC },
		{ VHDX_FORMAT_VHDX, VHDX_TYPE_FIXED },
		{ VHDX_FORMAT_VHD, VHDX_TYPE_DYNAMIC },
		{ VHDX_FORMAT_VHD, VHDX_TYPE_FIXED },
		{ VHDX_FORMAT_RAW, VHDX_TYPE_FIXED },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct vhdx_create_opts o = opts(all[i].f, all[i].t, 20 * MIB);
		struct vhdx_info info;

		fresh();
		T_OK(vhdx_create(path, &o, &t_err));
		T_EQ_U64(name_cnt(), 1);
		info = info_of();
		T_EQ_U64(info.format, all[i].f);
		T_EQ_U64(info.type, all[i].t);
		T_EQ_U64(info.size_len, 20 * MIB);
	}
}

static void defaults_make_a_dynamic_vhdx(void)
{
	struct vhdx_create_opts o = { .size_len = GIB };
	struct vhdx_info info;

	fresh();
	T_OK(vhdx_create(path, &o, &t_err));
	info = info_of();
	T_EQ_U64(info.format, VHDX_FORMAT_VHDX);
	T_EQ_U64(info.type, VHDX_TYPE_DYNAMIC);
	T_EQ_U64(info.block_len, 32 * MIB);
	T_EQ_U64(info.sector_len, 512);
	T_EQ_U64(info.physical_sector_len, 4096);
	T_EQ_U64(info.file_len, 4 * MIB);
	T_EQ_U64(info.header_seq, 2);
	T_EQ_U64(info.log_off, MIB);
	T_EQ_U64(info.log_len, MIB);
	T_TRUE(memcmp(info.file_write_guid, info.data_write_guid, 16) != 0);
}

static void the_largest_disk_takes_almost_nothing(void)
{
	struct vhdx_create_opts o = { .size_len = 64 * TIB, .block_len = MIB };
	struct stat st;

	fresh();
	T_OK(vhdx_create(path, &o, &t_err));
	T_TRUE(stat(path, &st) == 0);
	T_TRUE((uint64_t)st.st_blocks * 512 < 16 * MIB);
	T_EQ_U64(info_of().size_len, 64 * TIB);
}

static void an_existing_file_is_kept_unless_forced(void)
{
	struct vhdx_create_opts o = { .size_len = GIB };

	fresh();
	T_OK(vhdx_create(path, &o, &t_err));
	o.size_len = 2 * GIB;
	T_FAILS(vhdx_create(path, &o, &t_err), VHDX_E_EXISTS, "image");
	T_EQ_U64(info_of().size_len, GIB);
	o.force = true;
	T_OK(vhdx_create(path, &o, &t_err));
	T_EQ_U64(info_of().size_len, 2 * GIB);
	T_EQ_U64(name_cnt(), 1);
}

static void bad_options_leave_nothing_behind(void)
{
	struct vhdx_create_opts o = { .size_len = GIB, .block_len = 3 * MIB };

	fresh();
	T_FAILS(vhdx_create(path, &o, &t_err), VHDX_E_INVAL,
		"block size 3145728: it can be a power of two");
	T_EQ_U64(name_cnt(), 0);
}

static void a_fixed_disk_larger_than_the_host_leaves_nothing_behind(void)
{
	struct vhdx_create_opts o = opts(VHDX_FORMAT_VHDX, VHDX_TYPE_FIXED,
					 15 * TIB);

	fresh();
	T_FAILS(vhdx_create(path, &o, &t_err), VHDX_E_NOSPC,
		"bytes more, the host has");
	T_EQ_U64(name_cnt(), 0);
}

static void a_fixed_disk_has_its_space(void)
{
	struct vhdx_create_opts o = opts(VHDX_FORMAT_VHDX, VHDX_TYPE_FIXED,
					 64 * MIB);
	struct stat st;

	fresh();
	T_OK(vhdx_create(path, &o, &t_err));
	T_TRUE(stat(path, &st) == 0);
	T_TRUE((uint64_t)st.st_blocks * 512 >= 64 * MIB);
}

static void a_new_image_has_a_name_only_when_committed(void)
{
	struct vhdx_create_opts o = { .size_len = GIB };
	uint8_t in[512], out[512];
	struct vhdx_blk *blk;
	struct vhdx_new *n;

	fresh();
	t_fill(in, sizeof(in), 1);
	T_OK(vhdx_new_begin(path, &o, &n, &blk, &t_err));
	T_OK(vhdx_blk_write(blk, 5 * MIB, in, sizeof(in), &t_err));
	T_TRUE(access(path, F_OK) != 0);
	T_OK(vhdx_new_commit(n, &t_err));
	T_EQ_U64(name_cnt(), 1);
	T_OK(vhdx_open(path, NULL, &blk, &t_err));
	T_OK(vhdx_blk_read(blk, 5 * MIB, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void an_aborted_image_leaves_what_was_there(void)
{
	struct vhdx_create_opts o = { .size_len = GIB };
	struct vhdx_blk *blk;
	struct vhdx_new *n;

	fresh();
	T_OK(vhdx_new_begin(path, &o, &n, &blk, &t_err));
	T_OK(vhdx_blk_write(blk, 0, dir, 0, &t_err));
	vhdx_new_abort(n);
	T_EQ_U64(name_cnt(), 0);
	T_OK(vhdx_create(path, &o, &t_err));
	o.size_len = 3 * GIB;
	o.force = true;
	T_OK(vhdx_new_begin(path, &o, &n, &blk, &t_err));
	vhdx_new_abort(n);
	T_EQ_U64(info_of().size_len, GIB);
	vhdx_new_abort(NULL);
}

static void running_out_of_memory_leaves_nothing_behind(void)
{
	struct vhdx_create_opts o = { .size_len = GIB };
	uint64_t live;

	fresh();
	live = mem_live_cnt();
	for (uint64_t i = 1;; i++) {
		struct vhdx_blk *blk;
		struct vhdx_new *n;

		mem_fail_nth(i);
		int rc = vhdx_new_begin(path, &o, &n, &blk, &t_err);
		bool last = mem_fail_nth(0) < i;
		if (rc == 0)
			vhdx_new_abort(n);
		T_TRUE(rc == 0 || rc == VHDX_E_NOMEM);
		T_EQ_U64(mem_live_cnt(), live);
		T_EQ_U64(name_cnt(), 0);
		if (last)
			break;
	}
}

/* Layers of a chain, /0 the base; made without walking down it each time. */
static void put_tower(unsigned cnt)
{
	struct vhdx_create_opts o = opts(VHDX_FORMAT_VHD, VHDX_TYPE_DYNAMIC,
					 MIB);
	const struct chain_opts alone = { .flags = VHDX_OPEN_ALONE };
	char under[160];
	struct loop *loop;

	T_OK(loop_new(&loop, &t_err));
	snprintf(under, sizeof(under), "%s/0", dir);
	T_OK(vhdx_create(under, &o, &t_err));
	o.type = VHDX_TYPE_DIFFERENCING;
	o.parent = under;
	for (unsigned i = 1; i < cnt; i++) {
		uint64_t file_len, host_len;
		struct chain *c;
		struct file *f;

		snprintf(path, sizeof(path), "%s/%u", dir, i);
		T_OK(chain_open(&opener_default, loop, under, &alone, &c,
				&t_err));
		T_OK(opener_default.open(&opener_default, loop, path,
					 OPENER_WRITE | OPENER_CREATE, &f,
					 &t_err));
		T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
		T_OK(vhd1_image_create_child(f, path, &o, c->layers[0],
					     &t_err));
		file_close(f);
		T_OK(chain_close(c, &t_err));
		strcpy(under, path);
	}
	loop_free(loop);
}

static void no_layer_goes_where_no_chain_would_open(void)
{
	struct vhdx_create_opts o = opts(VHDX_FORMAT_VHD,
					 VHDX_TYPE_DIFFERENCING, 0);
	const struct vhdx_set_parent_opts any = { .ignore_id = true };
	struct vhdx_set_parent_result res;
	char top[160];

	fresh();
	put_tower(CHAIN_MAX - 1);
	strcpy(top, path);
	o.parent = top;
	snprintf(path, sizeof(path), "%s/other", dir);
	T_OK(vhdx_create(path, &o, &t_err));
	snprintf(path, sizeof(path), "%s/last", dir);
	T_OK(vhdx_create(path, &o, &t_err));
	T_EQ_U64(info_of().type, VHDX_TYPE_DIFFERENCING);
	T_FAILS(vhdx_set_parent(top, path, &any, &res, &t_err),
		VHDX_E_LINKAGE, "child of");
	strcpy(top, path);
	snprintf(path, sizeof(path), "%s/other", dir);
	T_FAILS(vhdx_set_parent(path, top, &any, &res, &t_err),
		VHDX_E_UNSUPPORTED, "deeper than 256");
	snprintf(path, sizeof(path), "%s/no", dir);
	T_FAILS(vhdx_create(path, &o, &t_err), VHDX_E_UNSUPPORTED,
		"256 layers");
	T_EQ_U64(name_cnt(), CHAIN_MAX + 1);
}

static const struct t_test tests[] = {
	T_TEST(every_format_is_created_and_recognised),
	T_TEST(defaults_make_a_dynamic_vhdx),
	T_TEST(the_largest_disk_takes_almost_nothing),
	T_TEST(an_existing_file_is_kept_unless_forced),
	T_TEST(bad_options_leave_nothing_behind),
	T_TEST(a_fixed_disk_larger_than_the_host_leaves_nothing_behind),
	T_TEST(a_fixed_disk_has_its_space),
	T_TEST(a_new_image_has_a_name_only_when_committed),
	T_TEST(an_aborted_image_leaves_what_was_there),
	T_TEST(running_out_of_memory_leaves_nothing_behind),
	T_TEST(no_layer_goes_where_no_chain_would_open),
	T_END,
};
const struct t_suite t_suite_create = { "create", tests };
