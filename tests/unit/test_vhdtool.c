/* SPDX-License-Identifier: MIT */
/* The parts of the command line that are pure: zero runs, the histogram. */
#include <stdlib.h>
#include <string.h>

#include "t.h"

#include "../../vhdtool/hist.c"
#include "../../vhdtool/zero.c"

#define LEN (5 * COPY_GRAIN + 512)

static uint8_t buf[LEN];

static void one_byte_anywhere_is_not_zero(void)
{
	for (uint64_t i = 0; i < 300; i++) {
		for (uint64_t len = i + 1; len < 300; len += 7) {
			memset(buf, 0, LEN);
			buf[i] = 1;
			T_TRUE(!copy_is_zero(buf, len));
			T_TRUE(copy_is_zero(buf, i));
		}
	}
}

static void runs_are_whole_grains_with_data(void)
{
	uint64_t pos = 0, len;

	memset(buf, 0, LEN);
	buf[COPY_GRAIN + 4095] = 1;
	buf[2 * COPY_GRAIN] = 1;
	buf[4 * COPY_GRAIN + 9] = 1;
	T_TRUE(copy_next_run(buf, LEN, &pos, &len));
	T_EQ_U64(pos, COPY_GRAIN);
	T_EQ_U64(len, 2 * COPY_GRAIN);
	pos += len;
	T_TRUE(copy_next_run(buf, LEN, &pos, &len));
	T_EQ_U64(pos, 4 * COPY_GRAIN);
	T_EQ_U64(len, COPY_GRAIN);
	pos += len;
	T_TRUE(!copy_next_run(buf, LEN, &pos, &len));
}

static void the_last_run_may_end_within_a_grain(void)
{
	uint64_t pos = 0, len;

	memset(buf, 0, LEN);
	buf[LEN - 1] = 1;
	T_TRUE(copy_next_run(buf, LEN, &pos, &len));
	T_EQ_U64(pos, 5 * COPY_GRAIN);
	T_EQ_U64(len, 512);
}

static void runs_cover_all_data_of_random_buffers(void)
{
	uint64_t seed = 1;

	for (int round = 0; round < 200; round++) {
		uint8_t copy[LEN] = { 0 };
		uint64_t pos = 0, len;

		memset(buf, 0, LEN);
		for (int i = 0; i < 5; i++)
			buf[t_rand_below(&seed, LEN)] = (uint8_t)round;
		while (copy_next_run(buf, LEN, &pos, &len)) {
			memcpy(copy + pos, buf + pos, len);
			pos += len;
		}
		T_TRUE(memcmp(copy, buf, LEN) == 0);
	}
}

static struct hist h;

static void quantiles_of_small_values_are_exact(void)
{
	memset(&h, 0, sizeof(h));
	for (uint64_t v = 1; v <= 50; v++)
		hist_add(&h, v);
	T_EQ_U64(hist_quantile(&h, 500), 25);
	T_EQ_U64(hist_quantile(&h, 900), 45);
	T_EQ_U64(hist_quantile(&h, 999), 50);
	T_EQ_U64(h.min, 1);
	T_EQ_U64(h.max, 50);
}

static void quantiles_are_within_a_64th(void)
{
	memset(&h, 0, sizeof(h));
	for (uint64_t v = 1; v <= 100000; v++)
		hist_add(&h, v * 977);
	for (unsigned permille = 1; permille < 1000; permille++) {
		uint64_t exact = (uint64_t)permille * 100 * 977;
		uint64_t got = hist_quantile(&h, permille);

		T_TRUE(got >= exact && got - exact <= exact / 64 + 1);
	}
}

static void every_value_has_a_cell(void)
{
	memset(&h, 0, sizeof(h));
	for (unsigned bit = 0; bit < 64; bit++) {
		hist_add(&h, UINT64_C(1) << bit);
		hist_add(&h, (UINT64_C(1) << bit) - 1);
	}
	hist_add(&h, UINT64_MAX);
	T_EQ_U64(h.cnt, 129);
	T_EQ_U64(hist_quantile(&h, 1000), UINT64_MAX);
	memset(&h, 0, sizeof(h));
	T_EQ_U64(hist_quantile(&h, 500), 0);
}

static void one_value_is_every_quantile(void)
{
	memset(&h, 0, sizeof(h));
	hist_add(&h, 123457);
	for (unsigned permille = 1; permille <= 1000; permille++)
		T_EQ_U64(hist_quantile(&h, permille), 123457);
}

/* Ten slow ones in ten thousand are beyond p99.9; the eleventh is not. */
static void rare_ones_show_where_they_belong(void)
{
	memset(&h, 0, sizeof(h));
	for (int i = 0; i < 9990; i++)
		hist_add(&h, 10);
	for (int i = 0; i < 10; i++)
		hist_add(&h, 5000000);
	T_EQ_U64(hist_quantile(&h, 990), 10);
	T_EQ_U64(hist_quantile(&h, 999), 10);
	T_EQ_U64(hist_quantile(&h, 1000), 5000000);
	hist_add(&h, 5000000);
	T_EQ_U64(hist_quantile(&h, 999), 5000000);
}

static const struct t_test tests[] = {
	T_TEST(one_byte_anywhere_is_not_zero),
	T_TEST(runs_are_whole_grains_with_data),
	T_TEST(the_last_run_may_end_within_a_grain),
	T_TEST(runs_cover_all_data_of_random_buffers),
	T_TEST(quantiles_of_small_values_are_exact),
	T_TEST(quantiles_are_within_a_64th),
	T_TEST(every_value_has_a_cell),
	T_TEST(one_value_is_every_quantile),
	T_TEST(rare_ones_show_where_they_belong),
	T_END,
};

const struct t_suite t_suite_vhdtool = { "vhdtool", tests };
