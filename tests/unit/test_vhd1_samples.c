/* SPDX-License-Identifier: MIT */
/* VHDs that Windows tools wrote. */
#include <string.h>

#include "t.h"
#include "t_sample.h"
#include "t_vhd1.h"

/* True: open, with what the file says in *info. */
static bool open_sample(const char *name, unsigned flags,
			struct vhdx_info *info)
{
	if (!t_sample(name, &tv.disk))
		return false;
	T_OK(loop_new(&tv.loop, &t_err));
	tv_open(flags);
	vhdx_get_info(tv.blk, info);
	T_EQ_U64(info->format, VHDX_FORMAT_VHD);
	T_EQ_U64(info->type, VHDX_TYPE_DYNAMIC);
	T_EQ_U64(info->block_len, 2 * MIB);
	CU_ASSERT_STRING_EQUAL(tv.msg, "");
	return true;
}

static void reads_what_disk2vhd_wrote(void)
{
	struct vhdx_info i;

	if (!open_sample("d2v-zerofilled.vhd", 0, &i))
		return;
	T_EQ_U64(i.size_len, 263454720);
	T_EQ_U64(i.disk_id[0], 0xe7);
	CU_ASSERT_STRING_EQUAL(i.creator, "d2v 1.0 (Wi2k)");
	T_TRUE(tv_zero(0, 65536) && tv_zero(i.size_len - 65536, 65536));
	tv_close();
	tv_end();
}

static void reads_what_hyper_v_wrote(void)
{
	struct vhdx_info i;

	if (!open_sample("hyperv2012r2-dynamic.vhd", VHDX_OPEN_WRITE, &i))
		return;
	T_EQ_U64(i.size_len, UINT64_C(136365211648));
	CU_ASSERT_STRING_EQUAL(i.creator, "win 6.3 (Wi2k)");
	tv_put(100 * GIB, 1);
	tv_close();
	tv_open(0);
	T_TRUE(tv_has(100 * GIB, 1) && tv_zero(99 * GIB, 4096));
	tv_close();
	tv_end();
}

static void reads_what_virtual_pc_wrote(void)
{
	struct vhdx_info i;

	if (!open_sample("virtualpc-dynamic.vhd", VHDX_OPEN_CHS_SIZE, &i))
		return;
	T_EQ_U64(i.size_len, UINT64_C(136363130880));
	T_EQ_U64(i.chs_len, UINT64_C(136363130880));
	T_EQ_U64(i.current_len, UINT64_C(136365211648));
	CU_ASSERT_STRING_EQUAL(i.creator, "vpc 1.0 (Wi2k)");
	T_TRUE(tv_zero(0, 65536));
	tv_close();
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(reads_what_disk2vhd_wrote),
	T_TEST(reads_what_hyper_v_wrote),
	T_TEST(reads_what_virtual_pc_wrote),
	T_END,
};

const struct t_suite t_suite_vhd1_samples = { "vhd1_samples", tests };
