/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C in GB/s by buffer size: the form chosen for this processor, and the
 * tables. Best of many tries; the buffers stay in the cache.
 */
#include <stdio.h>
#include <time.h>

#include "base.h"
#include "crc32c.h"

typedef uint32_t crc_fn(uint32_t crc, const void *p, size_t len);

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double gb_per_second(crc_fn *fn, size_t len)
{
	static uint8_t buf[MIB];
	size_t cnt = 4 * MIB / len;
	double best = 1e9;

	for (int i = 0; i < 40; i++) {
		double t0 = seconds();

		for (size_t k = 0; k < cnt; k++)
			fn(0, buf, len);
		if (seconds() - t0 < best)
			best = seconds() - t0;
	}
	return (double)(cnt * len) / best / 1e9;
}

int main(void)
{
	static const size_t lens[] = { 64, 512, 4096, 65536, MIB };

	printf("CRC-32C, GB/s\n%10s %10s %10s\n", "bytes", crc32c_impl(),
	       "table");
	for (size_t i = 0; i < ARRAY_LEN(lens); i++)
		printf("%10zu %10.1f %10.1f\n", lens[i],
		       gb_per_second(crc32c, lens[i]),
		       gb_per_second(crc32c_portable, lens[i]));
	return 0;
}
