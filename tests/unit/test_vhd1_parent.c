/* SPDX-License-Identifier: MIT */
/*
 * What a differencing VHD says about its parent: the kinds of locators, their
 * encodings and order, bytes that make no sense, and what is written for a new
 * child.
 */
#include <string.h>

#include "file_mem.h"
#include "le.h"
#include "t.h"
#include "utf16.h"
#include "vhd1_parent.h"

static struct loop *loop;
static struct memimg disk;
static struct file *file;
static struct vhd1_header h;
static unsigned used; /* locators */
static struct parent_ref *ref;

static void begin(void)
{
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "child.vhd", &disk, &file, &t_err));
	memset(&h, 0, sizeof(h));
	memset(h.parent_uuid, 7, sizeof(h.parent_uuid));
	used = 0;
}

static void end(void)
{
	parent_ref_free(ref);
	ref = NULL;
	file_close(file);
	memimg_free(&disk);
	loop_free(loop);
}

/* One more locator, its data 4 KiB further on. */
static struct vhd1_locator *add_bytes(const char *kind, const void *data,
				      uint32_t len)
{
	struct vhd1_locator *l = &h.locators[used];

	memcpy(l->code, kind, 4);
	l->space = 512;
	l->len = len;
	l->off = 4096 * (uint64_t)++used;
	memimg_write(&disk, l->off, data, len);
	memimg_resize(&disk, l->off + 4096);
	file->size = disk.size;
	return l;
}

static struct vhd1_locator *add_wide(const char *kind, const char *text)
{
	uint8_t b[512];
	size_t n = utf16le_from_utf8(text, strlen(text), b, sizeof(b) / 2);

	return add_bytes(kind, b, 2 * (uint32_t)n);
}

static void load(void)
{
	T_OK(vhd1_parent_load(file, &h, 512, false, &ref, &t_err));
}

#define IS(i, want) CU_ASSERT_STRING_EQUAL_FATAL(ref->paths[i].text, want)

static void paths_come_relative_first_and_the_name_last(void)
{
	begin();
	add_wide("Wi2k", "C:\\e.vhd");
	add_bytes("MacX", "file:///c.vhd", 13);
	add_wide("W2ku", "C:\\b.vhd");
	add_wide("Wi2r", "d.vhd");
	add_wide("W2ru", ".\\a.vhd");
	strcpy(h.parent_name, "n.vhd");
	load();
	T_EQ_U64(ref->path_cnt, 6);
	IS(0, ".\\a.vhd");
	IS(1, "C:\\b.vhd");
	IS(2, "/c.vhd");
	IS(3, "d.vhd");
	IS(4, "C:\\e.vhd");
	IS(5, "n.vhd");
	T_EQ_U64(ref->linkage_cnt, 1);
	T_EQ_U64(ref->linkage[0].b[0], 7);
	end();
}

static void the_name_has_its_place_after_eight_locators(void)
{
	begin();
	for (int i = 0; i < 8; i++)
		add_wide("W2ru", i ? "b.vhd" : "a.vhd");
	strcpy(h.parent_name, "n.vhd");
	load();
	T_EQ_U64(ref->path_cnt, 8);
	IS(0, "a.vhd");
	IS(7, "n.vhd");
	end();
}

static void deprecated_paths_come_in_either_encoding(void)
{
	begin();
	add_bytes("Wi2r", "a.vhd", 5);
	add_wide("Wi2k", "C:\\b.vhd");
	load();
	IS(0, "a.vhd");
	IS(1, "C:\\b.vhd");
	end();
}

static void urls_are_decoded(void)
{
	static const char *const url[] = { "file://localhost/a%20b%2fc",
					   "file:///%zz%4", "x%00y", "/p%e4" };
	static const char *const want[] = { "/a b/c", "/%zz%4", "x%00y",
					    "/p\xe4" };

	for (size_t i = 0; i < ARRAY_LEN(url); i++) {
		begin();
		add_bytes("MacX", url[i], (uint32_t)strlen(url[i]));
		load();
		IS(0, want[i]);
		end();
	}
}

static void a_path_ends_at_its_nul(void)
{
	begin();
	add_bytes("W2ru", "a\0b\0\0\0c\0", 8);
	add_bytes("MacX", "/a\0b", 4);
	load();
	IS(0, "ab");
	IS(1, "/a");
	end();
}

static void data_that_makes_no_sense_is_one_hint_less(void)
{
	begin();
	add_wide("W2ru", "a.vhd")->off = UINT64_MAX - 3;
	add_wide("W2ru", "a.vhd")->off = 1u << 30;
	add_wide("W2ku", "a.vhd")->len = VHD1_PATH_MAX + 1;
	add_wide("W2ku", "a.vhd")->len = 0;
	add_bytes("W2ku", "\0\0", 2);
	add_bytes("W2ku", "a", 1);
	add_wide("W2zz", "a.vhd");
	load();
	T_EQ_U64(ref->path_cnt, 0);
	end();
}

static void no_id_is_damage_unless_the_child_is_opened_alone(void)
{
	begin();
	memset(h.parent_uuid, 0, sizeof(h.parent_uuid));
	T_FAILS(vhd1_parent_load(file, &h, 512, false, &ref, &t_err),
		VHDX_E_CORRUPT, "set-parent");
	T_EQ_U64(t_err.off, 552);
	T_OK(vhd1_parent_load(file, &h, 512, true, &ref, &t_err));
	T_EQ_U64(ref->linkage_cnt, 0);
	end();
}

/* ---- writing ------------------------------------------------------------- */

static void record(const char *child, const char *parent)
{
	static uint8_t room[VHD1_ROOM_LEN];

	T_OK(vhd1_parent_record(child, parent, &h, 8192, room, &t_err));
	memimg_write(&disk, 8192, room, sizeof(room));
	memimg_resize(&disk, 64 * KIB);
	file->size = disk.size;
}

static void what_is_recorded_is_read_again(void)
{
	uint8_t raw[VHD1_HEADER_LEN];

	begin();
	record("/vm/snap/c.avhd", "/vm/base/\xc3\xbc.vhd");
	vhd1_header_encode(&h, raw);
	T_EQ_U64(get_be16(raw + 64), 0xfc); /* the name is big-endian, */
	uint8_t data[4];
	memimg_read(&disk, 8192, data, sizeof(data));
	T_EQ_U64(get_le16(data), '.'); /* the data is not */
	h.block_len = 512;
	h.version = 0x10000;
	vhd1_header_encode(&h, raw);
	T_OK(vhd1_header_decode(raw, 512, &h, &t_err));
	load();
	T_EQ_U64(ref->path_cnt, 3);
	IS(0, "..\\base\\\xc3\xbc.vhd");
	IS(1, "\\\\?\\\\vm\\base\\\xc3\xbc.vhd");
	IS(2, "\xc3\xbc.vhd");
	end();
}

static void a_path_that_does_not_fit_is_refused(void)
{
	char path[8192] = "/";
	uint8_t *room = malloc(VHD1_ROOM_LEN);

	begin();
	for (size_t i = 1; i < 4400; i++)
		path[i] = i % 200 ? 'x' : '/';
	T_FAILS(vhd1_parent_record("/a/c.vhd", path, &h, 0, room, &t_err),
		VHDX_E_INVAL, "too long");
	T_FAILS(vhd1_parent_record("/a/c.vhd", "/a/c.vhd", &h, 0, room, &t_err),
		VHDX_E_INVAL, "its own parent");
	T_FAILS(vhd1_parent_record("/a/c.vhd", "/a/b\\d.vhd", &h, 0, room,
				   &t_err), VHDX_E_INVAL, "backslash");
	free(room);
	end();
}

static void a_long_name_is_cut_between_characters(void)
{
	uint8_t name[VHD1_NAME_LEN];
	char text[1024];

	for (size_t i = 0; i + 4 < sizeof(text); i += 4)
		memcpy(text + i, "\xf0\x9f\x98\x80", 4); /* two units each */
	text[1020] = '\0';
	vhd1_name_encode(text + 0, name);
	T_EQ_U64(get_be16(name + 510), 0xde00);
	vhd1_name_encode("x\xf0\x9f\x98\x80", name);
	T_EQ_U64(get_be16(name), 'x');
	T_EQ_U64(get_be16(name + 2), 0xd83d);
	T_EQ_U64(get_be16(name + 6), 0);
}

static const struct t_test tests[] = {
	T_TEST(paths_come_relative_first_and_the_name_last),
	T_TEST(the_name_has_its_place_after_eight_locators),
	T_TEST(deprecated_paths_come_in_either_encoding),
	T_TEST(urls_are_decoded),
	T_TEST(a_path_ends_at_its_nul),
	T_TEST(data_that_makes_no_sense_is_one_hint_less),
	T_TEST(no_id_is_damage_unless_the_child_is_opened_alone),
	T_TEST(what_is_recorded_is_read_again),
	T_TEST(a_path_that_does_not_fit_is_refused),
	T_TEST(a_long_name_is_cut_between_characters),
	T_END,
};

const struct t_suite t_suite_vhd1_parent = { "vhd1_parent", tests };
