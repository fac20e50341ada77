/* SPDX-License-Identifier: MIT */
/* Empty VHDX images: what is in them, what making them costs, in which order
 * it is written, and what other programs say. */
#include <fcntl.h>
#include <unistd.h>

#include "file_mem.h"
#include "file_trace.h"
#include "header.h"
#include "image.h"
#include "layout.h"
#include "le.h"
#include "mem.h"
#include "t.h"
#include "vhdx_create.h"

static struct loop *loop;
static struct memimg img;
static struct file_trace *tr;
static struct file *f;
static struct header_pair hp;
static struct layout l;
static struct vhdx_create_opts o;

/* Zero: the default. */
static void plan(uint64_t size, uint64_t block, bool fixed)
{
	uint64_t file_len, host_len;

	o = (struct vhdx_create_opts){ .size_len = size, .type_given = true,
		.block_len = (uint32_t)block,
		.type = fixed ? VHDX_TYPE_FIXED : VHDX_TYPE_DYNAMIC };
	T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
}

static void make(void)
{
	struct file *inner;

	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "mem", &img, &inner, &t_err));
	T_OK(file_trace_new(inner, &tr, &t_err));
	f = &tr->w.file;
	T_OK(vhdx_image_create(f, &o, &t_err));
}

static void load(void)
{
	T_OK(header_load(f, &hp, &t_err));
	T_OK(layout_load(f, &hp.cur, &l, &t_err));
}

static void drop(void)
{
	layout_free(&l);
	file_close(f);
	loop_free(loop);
	memimg_free(&img);
}

static uint64_t bytes_written(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < tr->cnt; i++)
		if (tr->ops[i].op == FILE_WRITE)
			sum += tr->ops[i].len;
	return sum;
}

static void an_empty_dynamic_disk_is_a_file_of_4_mib(void)
{
	plan(10 * GIB, 0, false);
	make();
	load();
	T_EQ_U64(img.size, 4 * MIB);
	T_EQ_U64(hp.cur.log_off, MIB);
	T_EQ_U64(hp.cur.log_len, MIB);
	T_EQ_U64(l.meta_off, 2 * MIB);
	T_EQ_U64(l.bat_off, 3 * MIB);
	T_EQ_U64(l.block_len, 32 * MIB);
	T_EQ_U64(l.size_len, 10 * GIB);
	T_EQ_U64(l.sector_len, 512);
	T_EQ_U64(l.physical_sector_len, 4096);
	T_TRUE(!l.leave_allocated && !l.has_parent && l.region_bad == -1);
	drop();
}

static void both_headers_are_valid_and_tell_the_same(void)
{
	plan(GIB, 0, false);
	make();
	load();
	T_TRUE(hp.valid[0] && hp.valid[1]);
	T_EQ_U64(hp.copy[0].seq + 1, hp.copy[1].seq);
	hp.copy[0].seq++;
	T_TRUE(memcmp(&hp.copy[0], &hp.copy[1], sizeof(hp.copy[0])) == 0);
	T_TRUE(guid_is_zero(&hp.cur.log));
	T_TRUE(!guid_is_zero(&hp.cur.file_write));
	T_TRUE(!guid_eq(&hp.cur.file_write, &hp.cur.data_write));
	drop();
}

static void no_two_images_have_the_same_identity(void)
{
	struct guid id[2], data[2];

	plan(GIB, 0, false);
	for (unsigned i = 0; i < 2; i++) {
		make();
		load();
		id[i] = l.disk_id;
		data[i] = hp.cur.data_write;
		drop();
	}
	T_TRUE(!guid_eq(&id[0], &id[1]));
	T_TRUE(!guid_eq(&data[0], &data[1]));
}

static void the_creator_is_named(void)
{
	char text[64];

	plan(GIB, 0, false);
	make();
	load();
	layout_creator(&l.ident, text, sizeof(text));
	T_TRUE(strncmp(text, "vhdkit ", 7) == 0);
	drop();
}

static void options_reach_the_metadata(void)
{
	plan(3 * MIB, MIB, true);
	o.sector_len = o.physical_sector_len = 4096;
	make();
	load();
	T_EQ_U64(l.sector_len, 4096);
	T_EQ_U64(l.physical_sector_len, 4096);
	T_EQ_U64(l.block_len, MIB);
	T_EQ_U64(l.size_len, 3 * MIB);
	T_TRUE(l.leave_allocated);
	drop();
}

/* Every block present, each MiB of the file used once, in order. */
static void a_fixed_disk_has_all_its_blocks(void)
{
	uint8_t e[8];

	plan(9 * GIB + 512, MIB, true); /* three chunks, a partial block */
	make();
	load();
	T_EQ_U64(img.size, l.bat_off + l.bat_len + 9217 * MIB);
	for (uint64_t blk = 0; blk < l.geom.block_cnt; blk++) {
		memimg_read(&img, l.bat_off +
			    8 * bat_payload_index(&l.geom, blk), e, 8);
		T_EQ_U64(get_le64(e), (l.bat_off + l.bat_len + blk * MIB) | 6);
	}
	memimg_read(&img, l.bat_off + 8 * bat_bitmap_index(&l.geom, 0), e, 8);
	T_EQ_U64(get_le64(e), 0);
	memimg_read(&img, l.bat_off + 8 * l.geom.entry_cnt, e, 8);
	T_EQ_U64(get_le64(e), 0);
	drop();
}

static void a_fixed_disk_takes_its_space_first(void)
{
	plan(GIB, 0, true);
	make();
	T_EQ_U64(tr->ops[0].op, FILE_TRUNCATE);
	T_EQ_U64(tr->ops[1].op, FILE_RESERVE);
	T_EQ_U64(tr->ops[1].off, 0);
	T_EQ_U64(tr->ops[1].len, img.size);
	drop();
}

static void the_largest_disk_costs_less_than_16_mib(void)
{
	plan(64 * TIB, MIB, false);
	make();
	load();
	T_EQ_U64(l.geom.block_cnt, 1u << 26);
	T_EQ_U64(l.bat_len, 513 * MIB);
	T_EQ_U64(hp.cur.log_len, 8 * MIB);
	T_TRUE(bytes_written() < 16 * MIB);
	drop();
}

static void every_size_has_room_for_a_later_parent(void)
{
	static const uint64_t sizes[] = { 512, 4 * GIB, 4 * GIB + 512,
		127 * GIB, 128 * GIB, 64 * TIB };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct create_place p;
		struct bat_geom g;

		plan(sizes[i], MIB, false);
		create_place_init(&p, &o);
		bat_geom_init(&g, sizes[i], MIB, 512, true);
		T_TRUE(8 * g.entry_cnt <= p.bat_len);
		T_TRUE(is_aligned(p.file_len, MIB));
	}
}

/* N1: whatever had been written when it stopped, nothing opens it. */
static void a_creation_cut_short_is_no_image(void)
{
	unsigned sync = 0, after = 0;

	plan(GIB, 0, true);
	make();
	for (unsigned i = 0; i < tr->cnt; i++) {
		if (tr->ops[i].op == FILE_SYNC && ++sync == 1)
			after = i + 1;
		else if (tr->ops[i].op == FILE_WRITE && sync == 0)
			T_TRUE(tr->ops[i].off >= FMT_REGION_OFF(0) ||
			       tr->ops[i].off + tr->ops[i].len <=
			       FMT_HEADER_OFF(0));
	}
	T_EQ_U64(sync, 2);
	T_EQ_U64(tr->cnt, after + 2);
	T_EQ_U64(tr->ops[after].off, FMT_HEADER_OFF(0));
	T_TRUE(tr->ops[after].len <= 2 * 64 * KIB);
	drop();
}

/* N2, N3 */
static void the_log_is_written_and_the_bat_is_not(void)
{
	uint64_t off, len;

	plan(GIB, 0, false);
	make();
	memimg_next_data(&img, MIB, &off, &len);
	T_EQ_U64(off, MIB);
	T_TRUE(len >= MIB);
	memimg_next_data(&img, 3 * MIB, &off, &len);
	T_EQ_U64(len, 0);
	drop();
}

static void the_plan_tells_the_length_of_the_file(void)
{
	static const uint64_t sizes[] = { 512, 3 * GIB, 20 * GIB + 512 };

	for (unsigned i = 0; i < 6; i++) {
		uint64_t file_len, host_len;

		plan(sizes[i / 2], 2 * MIB, i % 2);
		T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
		make();
		T_EQ_U64(img.size, file_len);
		T_TRUE(memimg_page_cnt(&img) * 4096 <= host_len);
		drop();
	}
}

static void running_out_of_memory_is_an_error_and_no_leak(void)
{
	uint64_t live = mem_live_cnt();
	struct file *g;

	plan(GIB, 0, true);
	T_OK(loop_new(&loop, &t_err));
	for (uint64_t n = 1;; n++) {
		T_OK(file_mem_new(loop, "mem", NULL, &g, &t_err));
		mem_fail_nth(n);
		int rc = vhdx_image_create(g, &o, &t_err);
		bool last = mem_fail_nth(0) < n;
		file_close(g);
		if (last) {
			T_OK(rc);
			break;
		}
		T_EQ_U64(rc, VHDX_E_NOMEM);
	}
	loop_free(loop);
	T_EQ_U64(mem_live_cnt(), live);
}

/* ---- other programs ------------------------------------------------------ */

static const char *real_file(void)
{
	static char path[256];
	int fd;

	if (!path[0])
		snprintf(path, sizeof(path), "%s/image.vhdx", t_tmpdir());
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_posix_new(loop, fd, path, true, &f, &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
	loop_free(loop);
	return path;
}

/* Does `tool` exist, and if so, does `cmd` (with the image for %s) succeed and
 * print `part`? */
static bool other_says(const char *tool, const char *cmd, const char *part)
{
	char line[1024], out[8192] = "";
	FILE *p;
	size_t n;

	snprintf(line, sizeof(line), "command -v %s >/dev/null", tool);
	if (system(line) != 0)
		return true;
	snprintf(line, sizeof(line), cmd, real_file());
	p = popen(line, "r");
	n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = 0;
	if (pclose(p) == 0 && strstr(out, part))
		return true;
	fprintf(stderr, "\n%s:\n%s\n", line, out);
	return false;
}

static void qemu_finds_nothing_wrong(void)
{
	static const struct { uint64_t size, block; bool fixed; } d[] = {
		{ 10 * GIB, 0, false }, { 64 * MIB + 512, MIB, true },
		{ 5 * GIB, MIB, false }, { 300 * MIB, 256 * MIB, true },
		{ 64 * TIB, 256 * MIB, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(d); i++) {
		plan(d[i].size, d[i].block, d[i].fixed);
		T_TRUE(other_says("qemu-img", "qemu-img check -f vhdx %s 2>&1",
				  "No errors were found"));
	}
}

static void qemu_sees_the_size(void)
{
	plan(64 * TIB, MIB, false);
	T_TRUE(other_says("qemu-img", "qemu-img info -f vhdx %s 2>&1",
			  "virtual size: 64 TiB"));
}

static void qemu_can_write_into_it(void)
{
	plan(GIB, 0, true);
	T_TRUE(other_says("qemu-io", "qemu-io -f vhdx -c 'write -P 7 5M 1M' "
			  "-c 'read -P 7 5M 1M' -c 'read -P 0 0 5M' %s 2>&1",
			  "read 5242880/5242880 bytes"));
}

static void libvhdi_sees_type_and_size(void)
{
	plan(10 * GIB, 0, false);
	T_TRUE(other_says("vhdiinfo", "vhdiinfo %s 2>&1", "Dynamic"));
	T_TRUE(other_says("vhdiinfo", "vhdiinfo %s 2>&1",
			  "10737418240 bytes"));
	plan(64 * MIB, 0, true);
	T_TRUE(other_says("vhdiinfo", "vhdiinfo %s 2>&1", "Fixed"));
}

static const struct t_test tests[] = {
	T_TEST(an_empty_dynamic_disk_is_a_file_of_4_mib),
	T_TEST(both_headers_are_valid_and_tell_the_same),
	T_TEST(no_two_images_have_the_same_identity),
	T_TEST(the_creator_is_named),
	T_TEST(options_reach_the_metadata),
	T_TEST(a_fixed_disk_has_all_its_blocks),
	T_TEST(a_fixed_disk_takes_its_space_first),
	T_TEST(the_largest_disk_costs_less_than_16_mib),
	T_TEST(every_size_has_room_for_a_later_parent),
	T_TEST(a_creation_cut_short_is_no_image),
	T_TEST(the_log_is_written_and_the_bat_is_not),
	T_TEST(the_plan_tells_the_length_of_the_file),
	T_TEST(running_out_of_memory_is_an_error_and_no_leak),
	T_TEST(qemu_finds_nothing_wrong),
	T_TEST(qemu_sees_the_size),
	T_TEST(qemu_can_write_into_it),
	T_TEST(libvhdi_sees_type_and_size),
	T_END,
};
const struct t_suite t_suite_vhdx_create = { "vhdx_create", tests };
