/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "memimg.h"
#include "t.h"

enum { LEN = 300000 };

/* The same random changes to an image and to plain bytes. */
static void change(struct memimg *m, uint8_t *plain, uint64_t *seed)
{
	static uint8_t buf[20000];
	uint64_t off = t_rand_below(seed, LEN - sizeof(buf));
	size_t len = (size_t)t_rand_below(seed, sizeof(buf));

	switch (t_rand_below(seed, 4)) {
	case 0:
		memimg_zero(m, off, len);
		memset(plain + off, 0, len);
		break;
	case 1:
		memimg_resize(m, off);
		memset(plain + off, 0, LEN - off);
		break;
	default:
		t_fill(buf, len, t_rand(seed));
		memimg_write(m, off, buf, len);
		memcpy(plain + off, buf, len);
	}
}

static void image_behaves_like_plain_bytes(void)
{
	static uint8_t plain[LEN], out[LEN];
	struct memimg m = { 0 };
	uint64_t seed = 1;

	for (int i = 0; i < 500; i++) {
		change(&m, plain, &seed);
		memimg_read(&m, 0, out, LEN);
		T_TRUE(memcmp(plain, out, LEN) == 0);
	}
	memimg_free(&m);
}

static void clone_and_original_go_separate_ways(void)
{
	static uint8_t a[LEN], b[LEN], out[LEN];
	struct memimg ma = { 0 }, mb;
	uint64_t seed = 2;

	for (int i = 0; i < 100; i++)
		change(&ma, a, &seed);
	memimg_clone(&mb, &ma);
	memcpy(b, a, LEN);
	T_TRUE(memimg_eq(&ma, &mb, NULL));
	for (int i = 0; i < 100; i++) {
		change(&ma, a, &seed);
		change(&mb, b, &seed);
		memimg_read(&ma, 0, out, LEN);
		T_TRUE(memcmp(a, out, LEN) == 0);
		memimg_read(&mb, 0, out, LEN);
		T_TRUE(memcmp(b, out, LEN) == 0);
	}
	memimg_free(&ma);
	memimg_read(&mb, 0, out, LEN);
	T_TRUE(memcmp(b, out, LEN) == 0);
	memimg_free(&mb);
}

static void comparison_finds_the_first_difference(void)
{
	struct memimg a = { 0 }, b = { 0 };
	uint64_t at;
	uint8_t zero = 0, one = 1;

	memimg_resize(&a, 64 * TIB);
	memimg_write(&b, 64 * TIB - 1, &zero, 1);
	T_TRUE(memimg_eq(&a, &b, NULL)); /* a page of zeros is no difference */
	memimg_write(&b, 5 * GIB + 77, &one, 1);
	T_TRUE(!memimg_eq(&a, &b, &at));
	T_EQ_U64(at, 5 * GIB + 77);
	memimg_zero(&b, 0, 6 * GIB);
	memimg_resize(&b, TIB);
	T_TRUE(!memimg_eq(&a, &b, &at));
	T_EQ_U64(at, TIB);
	memimg_free(&a);
	memimg_free(&b);
}

static void only_written_pages_take_memory(void)
{
	struct memimg m = { 0 };
	uint8_t b[2] = { 1, 1 };

	memimg_resize(&m, 64 * TIB);
	T_EQ_U64(memimg_page_cnt(&m), 0);
	memimg_write(&m, 4095, b, 2);
	memimg_write(&m, 63 * TIB, b, 1);
	T_EQ_U64(memimg_page_cnt(&m), 3);
	memimg_zero(&m, 0, 64 * TIB);
	T_EQ_U64(memimg_page_cnt(&m), 0);
	memimg_free(&m);
}

static void next_data_walks_the_runs(void)
{
	static uint8_t buf[3 * MEMIMG_PAGE];
	struct memimg m = { 0 };
	uint64_t off, len;

	t_fill(buf, sizeof(buf), 1);
	memimg_write(&m, 10 * MEMIMG_PAGE, buf, sizeof(buf));
	memimg_write(&m, TIB + 5, buf, 1);
	memimg_next_data(&m, 0, &off, &len);
	T_EQ_U64(off, 10 * MEMIMG_PAGE);
	T_EQ_U64(len, 3 * MEMIMG_PAGE);
	memimg_next_data(&m, off + 1, &off, &len);
	T_EQ_U64(off, 10 * MEMIMG_PAGE + 1);
	memimg_next_data(&m, off + len, &off, &len);
	T_EQ_U64(off, TIB);
	T_EQ_U64(len, 6);
	memimg_next_data(&m, off + len, &off, &len);
	T_EQ_U64(len, 0);
	memimg_free(&m);
}

static const struct t_test tests[] = {
	T_TEST(image_behaves_like_plain_bytes),
	T_TEST(clone_and_original_go_separate_ways),
	T_TEST(comparison_finds_the_first_difference),
	T_TEST(only_written_pages_take_memory),
	T_TEST(next_data_walks_the_runs),
	T_END,
};

const struct t_suite t_suite_memimg = { "memimg", tests };
