/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "acpi.h"
#include "boot.h"
#include "le.h"

#define CODE_LEN (64 * KIB)
#define FILE_LEN (5 * 512 + CODE_LEN)

static uint8_t image[FILE_LEN];

/* The smallest kernel that is one: 4 sectors of setup, 64 KiB of code. */
static void make_image(void)
{
	memset(image, 0, sizeof(image));
	t_fill(image + 5 * 512, CODE_LEN, 1);
	image[0x1f1] = 4;
	put_le32(image + 0x1f4, CODE_LEN / 16);
	put_le16(image + 0x1fe, 0xaa55);
	image[0x200] = 0xeb;
	image[0x201] = 0x6a;
	memcpy(image + 0x202, "HdrS", 4);
	put_le16(image + 0x206, 0x20f);
	put_le32(image + 0x22c, 0x7fffffff);
	put_le32(image + 0x230, 2 * MIB);
	image[0x234] = 1;
	put_le16(image + 0x236, 1);
	put_le32(image + 0x238, 2047);
	put_le64(image + 0x258, 16 * MIB);
	put_le32(image + 0x260, 40 * MIB);
}

static int decode(struct boot_head *h)
{
	return boot_head_decode(image, BOOT_HEAD_LEN, FILE_LEN, h, &t_err);
}

static void a_kernel_is_understood(void)
{
	struct boot_head h;

	make_image();
	T_OK(decode(&h));
	T_EQ_U64(h.code_off, 5 * 512);
	T_EQ_U64(h.code_len, CODE_LEN);
	T_EQ_U64(h.init_len, 40 * MIB);
	T_EQ_U64(h.setup_end, 0x26c);
	image[0x1f1] = 0; /* stands for 4 */
	T_OK(decode(&h));
	T_EQ_U64(h.code_off, 5 * 512);
}

static void what_is_no_bzimage_is_named(void)
{
	struct boot_head h;

	make_image();
	T_FAILS(boot_head_decode(image, 0x263, FILE_LEN, &h, &t_err),
		VHDX_E_UNSUPPORTED, "not a bzImage");
	T_FAILS(boot_head_decode(image, 0, 0, &h, &t_err), VHDX_E_UNSUPPORTED,
		"not a bzImage");
	image[0x202] = 'X';
	T_FAILS(decode(&h), VHDX_E_UNSUPPORTED, "not a bzImage");
	memcpy(image, "\x7f" "ELF", 4);
	T_FAILS(decode(&h), VHDX_E_UNSUPPORTED, "vmlinux");
	memcpy(image, "\x1f\x8b", 2);
	T_FAILS(decode(&h), VHDX_E_UNSUPPORTED, "gzip");
}

static void old_and_32_bit_kernels_are_refused(void)
{
	struct boot_head h;

	make_image();
	put_le16(image + 0x206, 0x20b);
	T_FAILS(decode(&h), VHDX_E_UNSUPPORTED, "protocol 2.11");
	make_image();
	put_le16(image + 0x236, 0);
	T_FAILS(decode(&h), VHDX_E_UNSUPPORTED, "32-bit");
}

static void a_file_cut_off_is_not_started(void)
{
	struct boot_head h;

	make_image();
	T_FAILS(boot_head_decode(image, BOOT_HEAD_LEN, FILE_LEN - 1, &h,
				 &t_err),
		VHDX_E_CORRUPT, "cut off");
	put_le32(image + 0x1f4, UINT32_MAX);
	T_FAILS(decode(&h), VHDX_E_CORRUPT, "cut off");
	put_le32(image + 0x1f4, 0);
	T_FAILS(decode(&h), VHDX_E_CORRUPT, "length 0");
}

static void senseless_headers_are_refused(void)
{
	static const struct {
		unsigned off;
		uint64_t value;
		const char *part;
	} bad[] = {
		{ 0x230, 0, "kernel_alignment" },
		{ 0x230, 3 * MIB, "kernel_alignment" },
		{ 0x230, 512, "kernel_alignment" },
		{ 0x258, 0, "pref_address" },
		{ 0x258, 16 * MIB + 1, "pref_address" },
	};
	struct boot_head h;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		make_image();
		if (bad[i].off == 0x230)
			put_le32(image + 0x230, (uint32_t)bad[i].value);
		else
			put_le64(image + bad[i].off, bad[i].value);
		T_FAILS(decode(&h), VHDX_E_CORRUPT, bad[i].part);
	}
	make_image();
	image[0x201] = 0x61;
	T_FAILS(decode(&h), VHDX_E_CORRUPT, "setup header");
}

/* ---- places ------------------------------------------------------------- */

static struct boot_plan plan;

static int place(uint64_t low_len, uint64_t initrd_len, size_t cmdline_len)
{
	struct boot_head h;

	T_OK(decode(&h));
	return boot_plan(&h, low_len, initrd_len, cmdline_len, &plan, &t_err);
}

static void the_kernel_goes_where_it_prefers(void)
{
	make_image();
	T_OK(place(56 * MIB, 0, 0));
	T_EQ_U64(plan.kernel_gpa, 16 * MIB);
	T_EQ_U64(plan.initrd_gpa, 0);
}

static void with_little_memory_the_kernel_moves_down(void)
{
	make_image();
	T_OK(place(42 * MIB, 0, 0));
	T_EQ_U64(plan.kernel_gpa, 2 * MIB);
	T_FAILS(place(42 * MIB - 1, 0, 0), VHDX_E_NOMEM, "needs 40 MiB");
	image[0x234] = 0;
	T_FAILS(place(55 * MIB, 0, 0), VHDX_E_NOMEM, "0x1000000");
}

static void the_initrd_ends_at_the_top(void)
{
	make_image();
	T_OK(place(512 * MIB, MIB + 1, 0));
	T_EQ_U64(plan.initrd_gpa, 511 * MIB - 4096);
	T_EQ_U64(plan.initrd_len, MIB + 1);
	T_OK(place(BOOT_LOW_MAX, MIB, 0)); /* the kernel's limit: 2 GiB */
	T_EQ_U64(plan.initrd_gpa, 2 * GIB - MIB);
}

static void an_initrd_too_large_is_told_with_sizes(void)
{
	make_image();
	T_OK(place(512 * MIB, 456 * MIB, 0));
	T_EQ_U64(plan.initrd_gpa, 56 * MIB);
	T_FAILS(place(512 * MIB, 456 * MIB + 1, 0), VHDX_E_NOMEM, "457 MiB");
	T_FAILS(place(512 * MIB, UINT64_MAX, 0), VHDX_E_NOMEM, "initrd");
}

static void a_command_line_too_long_is_refused(void)
{
	make_image();
	T_OK(place(512 * MIB, 0, 2047));
	T_FAILS(place(512 * MIB, 0, 2048), VHDX_E_INVAL, "2047");
	put_le32(image + 0x238, UINT32_MAX);
	T_FAILS(place(512 * MIB, 0, BOOT_CMDLINE_MAX), VHDX_E_INVAL, "65535");
}

/* ---- the zero page ------------------------------------------------------ */

static uint8_t page[4096];

static void fill_page(uint64_t mem_len)
{
	struct boot_head h;

	make_image();
	T_OK(decode(&h));
	T_OK(boot_plan(&h, u64_min(mem_len, BOOT_LOW_MAX), 5000, 0, &plan,
		       &t_err));
	memset(page, 0xee, sizeof(page));
	boot_params(page, image, &h, &plan, mem_len);
}

static bool e820_is(unsigned i, uint64_t from, uint64_t len, uint32_t type)
{
	const uint8_t *e = page + 0x2d0 + 20 * i;

	return get_le64(e) == from && get_le64(e + 8) == len &&
	       get_le32(e + 16) == type;
}

static void e820_has_memory_and_the_hole_for_tables(void)
{
	fill_page(512 * MIB);
	T_EQ_U64(page[0x1e8], 3);
	T_TRUE(e820_is(0, 0, 0x9fc00, 1));
	T_TRUE(e820_is(1, 0x9fc00, 0x60400, 2));
	T_TRUE(e820_is(2, MIB, 511 * MIB, 1));
}

static void memory_beyond_3_gib_is_told_at_4(void)
{
	fill_page(3 * GIB);
	T_EQ_U64(page[0x1e8], 3);
	fill_page(3 * GIB + MIB);
	T_EQ_U64(page[0x1e8], 4);
	T_TRUE(e820_is(2, MIB, 3 * GIB - MIB, 1));
	T_TRUE(e820_is(3, 4 * GIB, MIB, 1));
}

static void the_page_has_the_header_and_what_a_loader_adds(void)
{
	fill_page(512 * MIB);
	T_TRUE(memcmp(page + 0x202, "HdrS", 4) == 0);
	T_EQ_U64(page[0x210], 0xff);
	T_EQ_U64(get_le32(page + 0x218), plan.initrd_gpa);
	T_EQ_U64(get_le32(page + 0x21c), 5000);
	T_EQ_U64(get_le32(page + 0x228), BOOT_CMDLINE_GPA);
	T_EQ_U64(get_le64(page + 0x070), ACPI_GPA);
	T_EQ_U64(page[0x1ef], 0); /* "sentinel": not copied from the file */
	T_EQ_U64(page[0x290], 0);
}

/* ---- all of it ---------------------------------------------------------- */

static const char *put_file(const char *name, const void *data, size_t len)
{
	static char path[2][512];
	static unsigned turn;
	char *p = path[turn++ % 2];
	FILE *f;

	snprintf(p, sizeof(path[0]), "%s/%s", t_tmpdir(), name);
	f = fopen(p, "w");
	T_TRUE(f && fwrite(data, 1, len, f) == len && fclose(f) == 0);
	return p;
}

static int load_into(uint8_t *ram, uint64_t len, const struct boot_files *f,
		     struct boot_start *start)
{
	struct gmem m = { .region = { { .gpa = 0, .len = len, .hva = ram } },
			  .cnt = 1 };

	return boot_load(&m, len, 2, f, start, &t_err);
}

static void a_load_puts_everything_in_its_place(void)
{
	uint8_t *ram = calloc(1, 64 * MIB);
	struct boot_start start;
	struct boot_files f = { .cmdline = "quiet" };

	make_image();
	f.kernel = put_file("kernel", image, sizeof(image));
	f.initrd = put_file("initrd", "cpio", 4);
	T_OK(load_into(ram, 64 * MIB, &f, &start));
	/* mov dx, 0xcf9; mov al, 6; out dx, al */
	T_TRUE(memcmp(ram + 0xffff0, "\xba\xf9\x0c\xb0\x06\xee", 6) == 0);
	T_EQ_U64(start.rip, 16 * MIB + 0x200);
	T_EQ_U64(start.rsi, BOOT_PARAMS_GPA);
	T_TRUE(memcmp(ram + 16 * MIB, image + 5 * 512, CODE_LEN) == 0);
	T_TRUE(memcmp(ram + 64 * MIB - 4096, "cpio", 4) == 0);
	T_TRUE(strcmp((char *)ram + BOOT_CMDLINE_GPA, "quiet") == 0);
	T_TRUE(memcmp(ram + ACPI_GPA, "RSD PTR ", 8) == 0);
	T_EQ_U64(get_le64(ram + BOOT_GDT_GPA + BOOT_CS) >> 53 & 1, 1);
	free(ram);
}

/* The address that the boot page tables translate `va` to. */
static uint64_t walk(const uint8_t *ram, uint64_t cr3, uint64_t va)
{
	uint64_t e = get_le64(ram + cr3 + 8 * (va >> 39 & 511));

	T_EQ_U64(e & 1, 1);
	e = get_le64(ram + align_down(e, 4096) + 8 * (va >> 30 & 511));
	T_EQ_U64(e & 1, 1);
	e = get_le64(ram + align_down(e, 4096) + 8 * (va >> 21 & 511));
	T_EQ_U64(e & 0x81, 0x81);
	return align_down(e, 2 * MIB) + va % (2 * MIB);
}

static void page_tables_map_4_gib_one_to_one(void)
{
	uint8_t *ram = calloc(1, 64 * MIB);
	struct boot_start start;
	struct boot_files f = { 0 };

	make_image();
	f.kernel = put_file("kernel", image, sizeof(image));
	T_OK(load_into(ram, 64 * MIB, &f, &start));
	for (uint64_t va = 0x123; va < 4 * GIB; va += 2 * MIB)
		T_EQ_U64(walk(ram, start.cr3, va), va);
	free(ram);
}

static void files_that_cannot_be_read_are_named(void)
{
	uint8_t *ram = calloc(1, 64 * MIB);
	struct boot_start start;
	struct boot_files f = { .kernel = "/nowhere/vmlinuz" };

	T_FAILS(load_into(ram, 64 * MIB, &f, &start), VHDX_E_NOTFOUND,
		"/nowhere/vmlinuz");
	f.kernel = t_tmpdir();
	T_FAILS(load_into(ram, 64 * MIB, &f, &start), VHDX_E_UNSUPPORTED,
		"not a regular file");
	make_image();
	f.kernel = put_file("kernel", image, 1000);
	T_FAILS(load_into(ram, 64 * MIB, &f, &start), VHDX_E_CORRUPT, "kernel");
	f.kernel = put_file("kernel", image, 0);
	T_FAILS(load_into(ram, 64 * MIB, &f, &start), VHDX_E_UNSUPPORTED,
		"not a bzImage");
	f.kernel = put_file("kernel", image, sizeof(image));
	f.initrd = "/nowhere/initrd";
	T_FAILS(load_into(ram, 64 * MIB, &f, &start), VHDX_E_NOTFOUND,
		"/nowhere/initrd");
	T_FAILS(load_into(ram, 16 * MIB, &f, &start), VHDX_E_NOTFOUND, "");
	f.initrd = NULL;
	T_FAILS(load_into(ram, 16 * MIB, &f, &start), VHDX_E_NOMEM, "");
	free(ram);
}

/* Any header: an error, or a plan inside memory. */
static void random_headers_never_leave_memory(void)
{
	uint64_t seed = 11, low = 256 * MIB;
	uint8_t good[BOOT_HEAD_LEN];
	struct boot_head h;

	make_image();
	memcpy(good, image, sizeof(good));
	for (unsigned i = 0; i < 100000; i++) {
		memcpy(image, good, sizeof(good));
		for (unsigned k = 0; k < 3; k++)
			image[0x1f1 + t_rand_below(&seed, 0x90)] =
				(uint8_t)t_rand(&seed);
		if (decode(&h) || boot_plan(&h, low, t_rand_below(&seed, low),
					    5, &plan, &t_err))
			continue;
		T_TRUE(plan.kernel_gpa >= MIB && h.code_len <= h.init_len);
		T_TRUE(plan.kernel_gpa + h.init_len <= low);
		T_TRUE(plan.initrd_gpa >= plan.kernel_gpa + h.init_len ||
		       !plan.initrd_len);
		T_TRUE(plan.initrd_gpa + plan.initrd_len <= low);
		boot_params(page, image, &h, &plan, low);
		T_EQ_U64(page[0x1e8], 3);
	}
}

static const struct t_test tests[] = {
	T_TEST(a_kernel_is_understood),
	T_TEST(what_is_no_bzimage_is_named),
	T_TEST(old_and_32_bit_kernels_are_refused),
	T_TEST(a_file_cut_off_is_not_started),
	T_TEST(senseless_headers_are_refused),
	T_TEST(the_kernel_goes_where_it_prefers),
	T_TEST(with_little_memory_the_kernel_moves_down),
	T_TEST(the_initrd_ends_at_the_top),
	T_TEST(an_initrd_too_large_is_told_with_sizes),
	T_TEST(a_command_line_too_long_is_refused),
	T_TEST(e820_has_memory_and_the_hole_for_tables),
	T_TEST(memory_beyond_3_gib_is_told_at_4),
	T_TEST(the_page_has_the_header_and_what_a_loader_adds),
	T_TEST(a_load_puts_everything_in_its_place),
	T_TEST(page_tables_map_4_gib_one_to_one),
	T_TEST(files_that_cannot_be_read_are_named),
	T_TEST(random_headers_never_leave_memory),
	T_END
};
const struct t_suite t_suite_vmm_boot = { "vmm_boot", tests };
