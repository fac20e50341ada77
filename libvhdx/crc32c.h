/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli), the checksum of every VHDX structure. The fastest form
 * that the processor has is chosen at run time; all give the same value.
 */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of everything before p (0 at the start), continued over len bytes.
 * Initial value and final inversion are inside:
 * crc32c(crc32c(0, a, n), b, m) is the CRC of a followed by b. */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);

/* The same from tables, for processors without the instruction, and the
 * reference that the others are tested against. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t len);

/* "sse4.2", "armv8", "table": what crc32c() uses here. Static string. */
const char *crc32c_impl(void);

#endif
