/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "mem.h"

static void zeroed_forms_are_zero(void)
{
	uint8_t *a = mem_zalloc(100), *b = mem_array(10, 10);

	T_TRUE(a && b);
	for (size_t i = 0; i < 100; i++)
		T_TRUE(a[i] == 0 && b[i] == 0);
	mem_free(a);
	mem_free(b);
}

static void sizes_that_overflow_fail(void)
{
	void *p = mem_alloc(1);

	T_TRUE(!mem_array(SIZE_MAX / 2, 3));
	T_TRUE(!mem_resize(p, SIZE_MAX / 2, 3));
	mem_free(p);
}

static void zero_length_is_a_pointer(void)
{
	void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_aligned(64, 0);

	T_TRUE(a && b && c);
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(NULL);
}

static void aligned_is_aligned(void)
{
	for (size_t align = 8; align <= 65536; align *= 2) {
		void *p = mem_aligned(align, 10);

		T_TRUE(p && is_aligned((uintptr_t)p, align));
		mem_free(p);
	}
}

static void resize_keeps_the_content(void)
{
	char *p = mem_resize(NULL, 3, 2), *q;

	T_TRUE(p);
	memcpy(p, "hello", 6);
	q = mem_resize(p, 1000, 2);
	T_TRUE(q && strcmp(q, "hello") == 0);
	mem_free(q);
}

static void the_nth_allocation_fails_once(void)
{
	void *p;

	mem_fail_nth(3);
	for (int i = 1; i <= 5; i++) {
		p = mem_alloc(8);
		T_TRUE((p == NULL) == (i == 3));
		mem_free(p);
	}
	T_EQ_U64(mem_fail_nth(0), 5);
}

static void every_form_can_be_made_to_fail(void)
{
	char *keep = mem_strdup("x");

	for (int form = 0; form < 6; form++) {
		mem_fail_nth(1);
		void *p = form == 0   ? mem_alloc(8)
			  : form == 1 ? mem_zalloc(8)
			  : form == 2 ? mem_array(2, 8)
			  : form == 3 ? mem_resize(keep, 2, 8)
			  : form == 4 ? mem_aligned(64, 8)
				      : mem_strdup("y");
		T_TRUE(!p);
		T_EQ_U64(mem_fail_nth(0), 1);
	}
	T_TRUE(strcmp(keep, "x") == 0); /* a failed resize leaves it */
	mem_free(keep);
}

static void live_count_finds_a_leak(void)
{
	uint64_t before = mem_live_cnt();
	void *p = mem_alloc(8), *q = mem_aligned(64, 8);

	p = mem_resize(p, 100, 8);
	T_TRUE(p);
	T_EQ_U64(mem_live_cnt(), before + 2);
	mem_free(p);
	mem_free(q);
	mem_free(NULL);
	T_EQ_U64(mem_live_cnt(), before);
}

static void any_byte_that_is_not_zero_is_found(void)
{
	uint8_t b[200] = { 0 };

	for (size_t len = 0; len <= sizeof(b); len++) {
		T_TRUE(mem_is_zero(b, len));
		for (size_t i = 0; i < sizeof(b); i++) {
			b[i] = 1;
			T_TRUE(mem_is_zero(b, len) == (i >= len));
			b[i] = 0;
		}
	}
}

static const struct t_test tests[] = {
	T_TEST(zeroed_forms_are_zero),
	T_TEST(sizes_that_overflow_fail),
	T_TEST(zero_length_is_a_pointer),
	T_TEST(aligned_is_aligned),
	T_TEST(resize_keeps_the_content),
	T_TEST(the_nth_allocation_fails_once),
	T_TEST(every_form_can_be_made_to_fail),
	T_TEST(live_count_finds_a_leak),
	T_TEST(any_byte_that_is_not_zero_is_found),
	T_END,
};

const struct t_suite t_suite_mem = { "mem", tests };
