/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>
#include <time.h>

#include "crc32c.h"

typedef uint32_t crc_fn(uint32_t crc, const void *p, size_t len);
static crc_fn *const both[] = { crc32c, crc32c_portable };

static void check_value_is_right(void)
{
	for (int i = 0; i < 2; i++)
		T_EQ_U64(both[i](0, "123456789", 9), 0xe3069283);
}

/* RFC 3720 B.4 */
static void iscsi_vectors_are_right(void)
{
	uint8_t b[32];

	for (int i = 0; i < 2; i++) {
		memset(b, 0, 32);
		T_EQ_U64(both[i](0, b, 32), 0x8a9136aa);
		memset(b, 0xff, 32);
		T_EQ_U64(both[i](0, b, 32), 0x62a8ab43);
		for (uint8_t k = 0; k < 32; k++)
			b[k] = k;
		T_EQ_U64(both[i](0, b, 32), 0x46dd794e);
	}
}

static void nothing_changes_nothing(void)
{
	for (int i = 0; i < 2; i++) {
		T_EQ_U64(both[i](0, NULL, 0), 0);
		T_EQ_U64(both[i](0x12345678, "", 0), 0x12345678);
	}
}

static void both_agree_on_any_length_and_alignment(void)
{
	static uint8_t buf[20000];
	uint64_t seed = 3;

	t_fill(buf, sizeof(buf), 4);
	for (int i = 0; i < 4000; i++) {
		size_t at = t_rand_below(&seed, 64);
		size_t len = t_rand_below(&seed, sizeof(buf) - 64);
		uint32_t init = (uint32_t)t_rand(&seed);

		if (i < 800)
			len = (size_t)i;
		T_EQ_U64(crc32c(init, buf + at, len),
			 crc32c_portable(init, buf + at, len));
	}
}

static void a_split_anywhere_gives_the_whole(void)
{
	static uint8_t buf[9000];
	uint64_t seed = 5;

	t_fill(buf, sizeof(buf), 6);
	for (int i = 0; i < 500; i++) {
		size_t cut = t_rand_below(&seed, sizeof(buf) + 1);

		for (int k = 0; k < 2; k++)
			T_EQ_U64(both[k](both[k](0, buf, cut), buf + cut,
					 sizeof(buf) - cut),
				 both[k](0, buf, sizeof(buf)));
	}
}

static void every_single_bit_counts(void)
{
	static uint8_t buf[4096];
	uint32_t clean;

	t_fill(buf, sizeof(buf), 9);
	clean = crc32c(0, buf, sizeof(buf));
	for (size_t bit = 0; bit < 8 * sizeof(buf); bit++) {
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (crc32c(0, buf, sizeof(buf)) == clean)
			T_EQ_U64(bit, UINT64_MAX);
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Seconds for 1 MiB in buffers of 4 KiB: the best of many tries, so that a
 * busy machine does not count. */
static double best_time(crc_fn *fn)
{
	static uint8_t buf[4096];
	double best = 1e9;

	for (int i = 0; i < 50; i++) {
		double t0 = seconds();

		for (int k = 0; k < 256; k++)
			fn(0, buf, sizeof(buf));
		if (seconds() - t0 < best)
			best = seconds() - t0;
	}
	return best;
}

/* Twelve times as fast, and still more than 4/3 in instrumented builds: they
 * would be equal if the choice went wrong. `make bench` prints the figures. */
static void instruction_is_faster_than_the_tables(void)
{
	if (strcmp(crc32c_impl(), "sse4.2") == 0)
		T_TRUE(best_time(crc32c) * 4 < best_time(crc32c_portable) * 3);
}

static const struct t_test tests[] = {
	T_TEST(check_value_is_right),
	T_TEST(iscsi_vectors_are_right),
	T_TEST(nothing_changes_nothing),
	T_TEST(both_agree_on_any_length_and_alignment),
	T_TEST(a_split_anywhere_gives_the_whole),
	T_TEST(every_single_bit_counts),
	T_TEST(instruction_is_faster_than_the_tables),
	T_END,
};

const struct t_suite t_suite_crc32c = { "crc32c", tests };
