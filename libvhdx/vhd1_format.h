/* SPDX-License-Identifier: MIT */
/*
 * Every on-disk structure of a VHD (version 1) file as a host struct, with a
 * pure codec: no I/O, no state. decode is total (any bytes give a struct or an
 * error that names the rule); encode writes every byte of its output. All
 * integers are big-endian. `off` arguments are file offsets in bytes, for
 * messages only. The offset tables stand in vhd1_format.c.
 */
#ifndef VHD1_FORMAT_H
#define VHD1_FORMAT_H

#include <time.h>

#include "err.h"

#define VHD1_SECTOR 512u
#define VHD1_FOOTER_LEN 512u
#define VHD1_HEADER_LEN 1024u
#define VHD1_LOCATOR_CNT 8u
#define VHD1_SIZE_MAX (2040 * GIB)
#define VHD1_NO_OFF UINT64_MAX	/* data_off of a fixed disk */
#define VHD1_ABSENT UINT32_MAX	/* BAT entry of a block without a place */
#define VHD1_BAT_PER_SECTOR (VHD1_SECTOR / 4)

#define VHD1_COOKIE "conectix"
#define VHD1_COOKIE_LEN 8u

enum vhd1_type {
	VHD1_FIXED = 2,
	VHD1_DYNAMIC = 3,
	VHD1_DIFFERENCING = 4,
};

/* Cylinders, heads, sectors per track. */
struct vhd1_chs {
	uint16_t cyl;
	uint8_t heads;
	uint8_t spt;
};

struct vhd1_footer {
	uint32_t features;
	uint32_t version;
	uint64_t data_off;    /* of the dynamic header, or VHD1_NO_OFF */
	uint32_t timestamp;   /* vhd1_time_* */
	char creator_app[4];
	uint32_t creator_version;
	char host_os[4];
	uint64_t original_len; /* bytes; history only */
	uint64_t current_len;  /* bytes */
	struct vhd1_chs chs;
	enum vhd1_type type;
	uint8_t uuid[16];     /* big-endian, unlike a struct guid */
	uint8_t saved_state;
};

struct vhd1_locator {
	char code[4];
	uint32_t space; /* vhd1_locator_space() */
	uint32_t len;	/* bytes */
	uint64_t off;
};

#define VHD1_NAME_LEN 512u

struct vhd1_header {
	uint64_t bat_off;
	uint32_t version;
	uint32_t bat_cnt;   /* MaxTableEntries */
	uint32_t block_len; /* bytes, a power of two */
	uint8_t parent_uuid[16];
	uint32_t parent_timestamp;
	uint8_t name[VHD1_NAME_LEN]; /* the parent's, UTF-16BE, as it is */
	char parent_name[768 + 1];   /* the same in UTF-8; only decoded */
	struct vhd1_locator locators[VHD1_LOCATOR_CNT];
};

/* Cookie, checksum, version (UNSUPPORTED), type. For the 511-byte form the
 * caller sets the last byte to 0. */
int vhd1_footer_decode(const uint8_t b[VHD1_FOOTER_LEN], uint64_t off,
		       struct vhd1_footer *out, struct vhdx_err *e) must_check;
void vhd1_footer_encode(const struct vhd1_footer *in,
			uint8_t b[VHD1_FOOTER_LEN]);

/* Leads an encoded footer to a header at data_off; the rest of it stays. */
void vhd1_footer_lead(uint8_t b[VHD1_FOOTER_LEN], uint64_t data_off);
/* Gives it another size, and the geometry for that. */
void vhd1_footer_resize(uint8_t b[VHD1_FOOTER_LEN], uint64_t size_len);
/* Gives it another unique id. */
void vhd1_footer_name(uint8_t b[VHD1_FOOTER_LEN], const uint8_t uuid[16]);

/* Cookie, checksum, version (UNSUPPORTED), block size. */
int vhd1_header_decode(const uint8_t b[VHD1_HEADER_LEN], uint64_t off,
		       struct vhd1_header *out, struct vhdx_err *e) must_check;
void vhd1_header_encode(const struct vhd1_header *in,
			uint8_t b[VHD1_HEADER_LEN]);

/* Writes text (UTF-8), cut to what fits, into the name field. */
void vhd1_name_encode(const char *text, uint8_t name[VHD1_NAME_LEN]);

/* Bytes that a locator's data may take. The field counts sectors by the letter
 * of the specification, but Microsoft's own programs write bytes. */
static inline uint64_t vhd1_locator_space(const struct vhd1_locator *l)
{
	return l->space < VHD1_SECTOR ? (uint64_t)l->space * VHD1_SECTOR
				      : l->space;
}

/* Footer or header: the checksum over len bytes, of which the four at sum_pos
 * count as zeros. */
uint32_t vhd1_checksum(const uint8_t *b, size_t len, size_t sum_pos);

/* The geometry that every writer computes for a size in bytes; at most
 * 65535 x 16 x 255, mostly a little smaller than the size. */
struct vhd1_chs vhd1_chs_of(uint64_t size_len);
uint64_t vhd1_chs_len(struct vhd1_chs g); /* bytes */
/* The largest geometry there is: it only says "larger than that". */
bool vhd1_chs_is_max(struct vhd1_chs g);

/* Seconds since 2000-01-01 00:00 UTC; what does not fit is cut to the range. */
uint32_t vhd1_time_encode(time_t t);
time_t vhd1_time_decode(uint32_t v);

/* Bytes that a block's sector bitmap takes in the file. */
uint32_t vhd1_bitmap_len(uint32_t block_len);

/* Sector bitmaps count bits from the most significant one. */
bool vhd1_bit(const uint8_t *bitmap, uint64_t i);
/* Sets cnt bits from `first`; returns whether any was clear. */
bool vhd1_bits_set(uint8_t *bitmap, uint64_t first, uint64_t cnt);
/* Are the first cnt bits all set? */
bool vhd1_bits_full(const uint8_t *bitmap, uint64_t cnt);
/* How many bits from `first` on, at most cnt (not 0), are as it is. */
uint64_t vhd1_bits_run(const uint8_t *bitmap, uint64_t first, uint64_t cnt);

/* The footer's uuid in the order of a struct guid, and back: the same swap. */
void vhd1_uuid_swap(const uint8_t in[16], uint8_t out[16]);

#endif
