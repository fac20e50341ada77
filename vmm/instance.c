/* SPDX-License-Identifier: MIT */
/*
 * How it is derived, for good: FNV-1a (64 bit) over "vhdkit-scsi", NUL, the
 * name, NUL, the number in decimal; once from the usual start and once from its
 * complement, each mixed by splitmix64's finaliser. The two, little-endian, are
 * the 16 bytes; then the version becomes 8 (of one's own making) and the
 * variant that of RFC 9562.
 */
#include "instance.h"

#include <string.h>

#include "le.h"

#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t fnv(uint64_t h, const char *text)
{
	/* Its NUL too: "a1" and 1 is not "a" and 11. */
	for (size_t i = 0; i <= strlen(text); i++)
		h = (h ^ (unsigned char)text[i]) * FNV_PRIME;
	return h;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

void instance_id(const char *vm_name, unsigned controller, uint8_t out[16])
{
	char number[16];
	snprintf(number, sizeof(number), "%u", controller);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t h = i ? ~FNV_START : FNV_START;
		h = fnv(fnv(fnv(h, "vhdkit-scsi"), vm_name), number);
		put_le64(out + 8 * i, mix(h));
	}
	out[7] = (uint8_t)((out[7] & 0x0f) | 0x80);
	out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}
