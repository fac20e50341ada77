/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C, polynomial 0x1edc6f41, bit-reflected (0x82f63b78): bit 31 of a
 * remainder is the coefficient of x^0.
 *
 * portable  eight tables, eight bytes a step.
 * x86-64    the crc32 instruction gives a result every cycle but each takes
 *	     three, so three streams run side by side over consecutive pieces
 *	     and are joined: a remainder is moved past n bytes by multiplying it
 *	     with x^(8n) mod P. The carry-less product of two reflected
 *	     remainders is one x too high and the crc32 instruction that reduces
 *	     it adds x^32, hence the constants x^(8n - 33) mod P.
 * armv8     one stream of the crc32cd instruction.
 */
#include "crc32c.h"

#include <stdbool.h>

#include "le.h"

/* A CRC is linear: the entry of i is the sum of the entries of i's bits. So
 * eight constants give a table, and the compiler works it out. */
#define BIT(i, b, v) ((i) >> (b) & 1 ? (v) : 0u)
#define ENTRY(i, c0, c1, c2, c3, c4, c5, c6, c7)                          \
	BIT(i, 0, c0) ^ BIT(i, 1, c1) ^ BIT(i, 2, c2) ^ BIT(i, 3, c3) ^   \
		BIT(i, 4, c4) ^ BIT(i, 5, c5) ^ BIT(i, 6, c6) ^           \
		BIT(i, 7, c7)
#define ROW4(i, ...)                                                      \
	ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__),               \
		ENTRY((i) + 2, __VA_ARGS__), ENTRY((i) + 3, __VA_ARGS__)
#define ROW16(i, ...)                                                     \
	ROW4(i, __VA_ARGS__), ROW4((i) + 4, __VA_ARGS__),                 \
		ROW4((i) + 8, __VA_ARGS__), ROW4((i) + 12, __VA_ARGS__)
#define ROW64(i, ...)                                                     \
	ROW16(i, __VA_ARGS__), ROW16((i) + 16, __VA_ARGS__),              \
		ROW16((i) + 32, __VA_ARGS__), ROW16((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                        \
	{                                                                 \
		ROW64(0, __VA_ARGS__), ROW64(64, __VA_ARGS__),            \
			ROW64(128, __VA_ARGS__), ROW64(192, __VA_ARGS__)  \
	}

/* table[k][i]: the remainder of byte i followed by k zero bytes. */
static const uint32_t table[8][256] = {
	TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f,
	      0x20bd8ede, 0x417b1dbc, 0x82f63b78),
	TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181,
	      0x7f8be302, 0xff17c604, 0xfbc3faf9),
	TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a,
	      0xe144fb14, 0xc76580d9, 0x8b277743),
	TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d,
	      0xd725148b, 0xaba65fe7, 0x52a0c93f),
	TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3,
	      0x1ba8b557, 0x37516aae, 0x6ea2d55c),
	TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e,
	      0x85f4168d, 0x0e045beb, 0x1c08b7d6),
	TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6,
	      0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
	TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4,
	      0x0d006599, 0x1a00cb32, 0x34019664),
};

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8) {
		uint32_t a = crc ^ get_le32(p), b = get_le32(p + 4);

		crc = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^
		      table[5][a >> 16 & 0xff] ^ table[4][a >> 24] ^
		      table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^
		      table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
	}
	for (; len; len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}

#if defined(__x86_64__)

#include <immintrin.h>

#define X86_FN __attribute__((target("sse4.2,pclmul")))

/* crc * x^(8n) mod P; k is the constant of n. */
X86_FN static uint64_t shift(uint64_t crc, uint32_t k)
{
	__m128i prod = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc),
					    _mm_cvtsi32_si128((int32_t)k), 0);

	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(prod));
}

/* Three pieces of n bytes each at p; k1 and k2 belong to n and 2n bytes. */
X86_FN static uint64_t triple(uint64_t a, const uint8_t *p, size_t n,
			      uint32_t k1, uint32_t k2)
{
	uint64_t b = 0, c = 0;

	for (size_t i = 0; i < n; i += 8) {
		a = _mm_crc32_u64(a, get_le64(p + i));
		b = _mm_crc32_u64(b, get_le64(p + n + i));
		c = _mm_crc32_u64(c, get_le64(p + 2 * n + i));
	}
	return shift(a, k2) ^ shift(b, k1) ^ c;
}

X86_FN static uint32_t crc32c_x86(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t c = ~crc;

	/* 3 * 1360 is just below the 4096 bytes of nearly every structure. */
	for (; len >= 3 * 1360; len -= 3 * 1360, p += 3 * 1360)
		c = triple(c, p, 1360, 0x3f70cc6f, 0x5aa1f3cf);
	for (; len >= 3 * 128; len -= 3 * 128, p += 3 * 128)
		c = triple(c, p, 128, 0x0d3b6092, 0xb9e02b86);
	for (; len >= 8; len -= 8, p += 8)
		c = _mm_crc32_u64(c, get_le64(p));
	for (; len; len--)
		c = _mm_crc32_u8((uint32_t)c, *p++);
	return ~(uint32_t)c;
}

static bool has_x86(void)
{
	return __builtin_cpu_supports("sse4.2") &&
	       __builtin_cpu_supports("pclmul");
}

uint32_t crc32c(uint32_t crc, const void *p, size_t len)
{
	return has_x86() ? crc32c_x86(crc, p, len)
			 : crc32c_portable(crc, p, len);
}

const char *crc32c_impl(void)
{
	return has_x86() ? "sse4.2" : "table";
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8)
		crc = __crc32cd(crc, get_le64(p));
	for (; len; len--)
		crc = __crc32cb(crc, *p++);
	return ~crc;
}

const char *crc32c_impl(void)
{
	return "armv8";
}

#else

uint32_t crc32c(uint32_t crc, const void *p, size_t len)
{
	return crc32c_portable(crc, p, len);
}

const char *crc32c_impl(void)
{
	return "table";
}

#endif
