/* SPDX-License-Identifier: MIT */
/*
 * Codecs of the VHD 1.0 structures. Offsets in bytes, integers big-endian.
 *
 * Footer, 512 bytes (some old Virtual PC files: 511, the last one missing)
 *     0  8 cookie "conectix"         56  2 cylinders
 *     8  4 features                  58  1 heads
 *    12  4 version 1.0               59  1 sectors per track
 *    16  8 offset of the header      60  4 type
 *    24  4 time of creation          64  4 checksum
 *    28  4 creator application       68 16 unique id
 *    32  4 creator version           84  1 saved state
 *    36  4 creator host OS           85    reserved
 *    40  8 original size
 *    48  8 current size
 *
 * Dynamic header, 1024 bytes
 *     0  8 cookie "cxsparse"         40 16 parent's unique id
 *     8  8 all ones                  56  4 parent's time stamp
 *    16  8 offset of the BAT         60  4 reserved
 *    24  4 version 1.0               64 512 parent's name, UTF-16
 *    28  4 BAT entries              576 8 x 24 parent locators
 *    32  4 block size               768    reserved
 *    36  4 checksum
 *
 * Parent locator, 24 bytes
 *     0  4 code   4  4 space   8  4 length   12  4 reserved   16  8 offset
 */
#include "vhd1_format.h"

#include "le.h"
#include "utf16.h"

#define FOOTER_SUM_POS 64u
#define HEADER_SUM_POS 36u
#define VERSION_1_0 UINT32_C(0x00010000)
#define HEADER_COOKIE "cxsparse"
#define PARENT_NAME_UNITS (VHD1_NAME_LEN / 2)
#define EPOCH_2000 INT64_C(946684800)
#define CHS_SECTORS_MAX (UINT64_C(65535) * 16 * 255)

uint32_t vhd1_checksum(const uint8_t *b, size_t len, size_t sum_pos)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i < sum_pos || i >= sum_pos + 4)
			sum += b[i];
	return ~sum;
}

static int check_sum(const uint8_t *b, size_t len, size_t sum_pos,
		     enum vhdx_obj obj, uint64_t off, const char *what,
		     struct vhdx_err *e)
{
	uint32_t found = get_be32(b + sum_pos);
	uint32_t want = vhd1_checksum(b, len, sum_pos);

	if (found == want)
		return 0;
	return err_corrupt(e, obj, off, "VHD",
			   "%s at file offset %ju: checksum 0x%08x, but its "
			   "bytes give 0x%08x", what, (uintmax_t)off, found,
			   want);
}

/* Minor versions may add fields; a new major one means another layout. */
static int check_version(uint32_t version, enum vhdx_obj obj, uint64_t off,
			 const char *what, struct vhdx_err *e)
{
	if (version >> 16 == VERSION_1_0 >> 16)
		return 0;
	return err_obj(e, VHDX_E_UNSUPPORTED, obj, off, "VHD",
		       "%s at file offset %ju: version %u.%u, supported is 1.0",
		       what, (uintmax_t)off, version >> 16, version & 0xffff);
}

int vhd1_footer_decode(const uint8_t b[VHD1_FOOTER_LEN], uint64_t off,
		       struct vhd1_footer *out, struct vhdx_err *e)
{
	int rc;

	if (memcmp(b, VHD1_COOKIE, VHD1_COOKIE_LEN) != 0)
		return err_corrupt(e, VHDX_OBJ_FOOTER, off, "VHD",
				   "no VHD footer at file offset %ju: the "
				   "bytes there do not start with \""
				   VHD1_COOKIE "\"", (uintmax_t)off);
	rc = check_sum(b, VHD1_FOOTER_LEN, FOOTER_SUM_POS, VHDX_OBJ_FOOTER,
		       off, "VHD footer", e);
	if (rc)
		return rc;
	out->features = get_be32(b + 8);
	out->version = get_be32(b + 12);
	out->data_off = get_be64(b + 16);
	out->timestamp = get_be32(b + 24);
	memcpy(out->creator_app, b + 28, 4);
	out->creator_version = get_be32(b + 32);
	memcpy(out->host_os, b + 36, 4);
	out->original_len = get_be64(b + 40);
	out->current_len = get_be64(b + 48);
	out->chs = (struct vhd1_chs){ get_be16(b + 56), b[58], b[59] };
	uint32_t type = get_be32(b + 60);
	memcpy(out->uuid, b + 68, 16);
	out->saved_state = b[84];
	rc = check_version(out->version, VHDX_OBJ_FOOTER, off, "VHD footer", e);
	if (rc)
		return rc;
	if (type < VHD1_FIXED || type > VHD1_DIFFERENCING)
		return err_corrupt(e, VHDX_OBJ_FOOTER, off, "VHD",
				   "VHD footer at file offset %ju: disk type "
				   "%u; it can be 2 (fixed), 3 (dynamic) or 4 "
				   "(differencing)", (uintmax_t)off, type);
	out->type = (enum vhd1_type)type;
	return 0;
}

void vhd1_footer_encode(const struct vhd1_footer *in,
			uint8_t b[VHD1_FOOTER_LEN])
{
	memset(b, 0, VHD1_FOOTER_LEN);
	memcpy(b, VHD1_COOKIE, VHD1_COOKIE_LEN);
	put_be32(b + 8, in->features);
	put_be32(b + 12, in->version);
	put_be64(b + 16, in->data_off);
	put_be32(b + 24, in->timestamp);
	memcpy(b + 28, in->creator_app, 4);
	put_be32(b + 32, in->creator_version);
	memcpy(b + 36, in->host_os, 4);
	put_be64(b + 40, in->original_len);
	put_be64(b + 48, in->current_len);
	put_be16(b + 56, in->chs.cyl);
	b[58] = in->chs.heads;
	b[59] = in->chs.spt;
	put_be32(b + 60, (uint32_t)in->type);
	memcpy(b + 68, in->uuid, 16);
	b[84] = in->saved_state;
	put_be32(b + FOOTER_SUM_POS,
		 vhd1_checksum(b, VHD1_FOOTER_LEN, FOOTER_SUM_POS));
}

void vhd1_footer_lead(uint8_t b[VHD1_FOOTER_LEN], uint64_t data_off)
{
	put_be64(b + 16, data_off);
	put_be32(b + FOOTER_SUM_POS,
		 vhd1_checksum(b, VHD1_FOOTER_LEN, FOOTER_SUM_POS));
}

void vhd1_footer_resize(uint8_t b[VHD1_FOOTER_LEN], uint64_t size_len)
{
	struct vhd1_chs g = vhd1_chs_of(size_len);

	put_be64(b + 48, size_len);
	put_be16(b + 56, g.cyl);
	b[58] = g.heads;
	b[59] = g.spt;
	put_be32(b + FOOTER_SUM_POS,
		 vhd1_checksum(b, VHD1_FOOTER_LEN, FOOTER_SUM_POS));
}

void vhd1_footer_name(uint8_t b[VHD1_FOOTER_LEN], const uint8_t uuid[16])
{
	memcpy(b + 68, uuid, 16);
	put_be32(b + FOOTER_SUM_POS,
		 vhd1_checksum(b, VHD1_FOOTER_LEN, FOOTER_SUM_POS));
}

static void decode_parent_name(const uint8_t *b, char *out, size_t cap)
{
	uint16_t units[PARENT_NAME_UNITS];

	for (size_t i = 0; i < PARENT_NAME_UNITS; i++)
		units[i] = get_be16(b + 2 * i);
	utf16_to_utf8(units, utf16_len(units, PARENT_NAME_UNITS), out, cap);
}

static void decode_locator(const uint8_t *b, struct vhd1_locator *out)
{
	memcpy(out->code, b, 4);
	out->space = get_be32(b + 4);
	out->len = get_be32(b + 8);
	out->off = get_be64(b + 16);
}

int vhd1_header_decode(const uint8_t b[VHD1_HEADER_LEN], uint64_t off,
		       struct vhd1_header *out, struct vhdx_err *e)
{
	int rc;

	if (memcmp(b, HEADER_COOKIE, 8) != 0)
		return err_corrupt(e, VHDX_OBJ_DYNHEADER, off, "VHD",
				   "no dynamic disk header at file offset %ju: "
				   "the bytes there do not start with \""
				   HEADER_COOKIE "\"", (uintmax_t)off);
	rc = check_sum(b, VHD1_HEADER_LEN, HEADER_SUM_POS, VHDX_OBJ_DYNHEADER,
		       off, "dynamic disk header", e);
	if (rc)
		return rc;
	out->bat_off = get_be64(b + 16);
	out->version = get_be32(b + 24);
	out->bat_cnt = get_be32(b + 28);
	out->block_len = get_be32(b + 32);
	memcpy(out->parent_uuid, b + 40, 16);
	out->parent_timestamp = get_be32(b + 56);
	memcpy(out->name, b + 64, VHD1_NAME_LEN);
	decode_parent_name(b + 64, out->parent_name, sizeof(out->parent_name));
	for (size_t i = 0; i < VHD1_LOCATOR_CNT; i++)
		decode_locator(b + 576 + 24 * i, &out->locators[i]);
	rc = check_version(out->version, VHDX_OBJ_DYNHEADER, off,
			   "dynamic disk header", e);
	if (rc)
		return rc;
	if (!is_pow2(out->block_len) || out->block_len < VHD1_SECTOR)
		return err_corrupt(e, VHDX_OBJ_DYNHEADER, off, "VHD",
				   "dynamic disk header at file offset %ju: "
				   "block size %u is not a power of two of at "
				   "least %u", (uintmax_t)off, out->block_len,
				   VHD1_SECTOR);
	return 0;
}

static void encode_locator(const struct vhd1_locator *in, uint8_t *b)
{
	memcpy(b, in->code, 4);
	put_be32(b + 4, in->space);
	put_be32(b + 8, in->len);
	put_be64(b + 16, in->off);
}

void vhd1_name_encode(const char *text, uint8_t name[VHD1_NAME_LEN])
{
	uint16_t units[PARENT_NAME_UNITS] = { 0 };

	/* Whole characters only, so that a cut name is well-formed. */
	(void)utf16_from_utf8(text, strlen(text), units, PARENT_NAME_UNITS);
	for (size_t i = 0; i < PARENT_NAME_UNITS; i++)
		put_be16(name + 2 * i, units[i]);
}

void vhd1_header_encode(const struct vhd1_header *in,
			uint8_t b[VHD1_HEADER_LEN])
{
	memset(b, 0, VHD1_HEADER_LEN);
	memcpy(b, HEADER_COOKIE, 8);
	put_be64(b + 8, VHD1_NO_OFF);
	put_be64(b + 16, in->bat_off);
	put_be32(b + 24, in->version);
	put_be32(b + 28, in->bat_cnt);
	put_be32(b + 32, in->block_len);
	memcpy(b + 40, in->parent_uuid, 16);
	put_be32(b + 56, in->parent_timestamp);
	memcpy(b + 64, in->name, VHD1_NAME_LEN);
	for (size_t i = 0; i < VHD1_LOCATOR_CNT; i++)
		encode_locator(&in->locators[i], b + 576 + 24 * i);
	put_be32(b + HEADER_SUM_POS,
		 vhd1_checksum(b, VHD1_HEADER_LEN, HEADER_SUM_POS));
}

struct vhd1_chs vhd1_chs_of(uint64_t size_len)
{
	uint64_t s = u64_min(size_len / VHD1_SECTOR, CHS_SECTORS_MAX);
	uint64_t spt = 17, heads, tracks = s / 17;

	if (s >= UINT64_C(65535) * 16 * 63) {
		spt = 255;
		heads = 16;
		tracks = s / spt;
	} else {
		heads = u64_max(4, div_up(tracks, 1024));
		if (tracks >= heads * 1024 || heads > 16) {
			spt = 31;
			heads = 16;
			tracks = s / spt;
		}
		if (tracks >= heads * 1024) {
			spt = 63;
			heads = 16;
			tracks = s / spt;
		}
	}
	return (struct vhd1_chs){ (uint16_t)(tracks / heads), (uint8_t)heads,
				  (uint8_t)spt };
}

uint64_t vhd1_chs_len(struct vhd1_chs g)
{
	return (uint64_t)g.cyl * g.heads * g.spt * VHD1_SECTOR;
}

bool vhd1_chs_is_max(struct vhd1_chs g)
{
	return vhd1_chs_len(g) >= CHS_SECTORS_MAX * VHD1_SECTOR;
}

uint32_t vhd1_time_encode(time_t t)
{
	int64_t v = (int64_t)t - EPOCH_2000;

	if (v < 0)
		return 0;
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

time_t vhd1_time_decode(uint32_t v)
{
	return (time_t)(EPOCH_2000 + (int64_t)v);
}

uint32_t vhd1_bitmap_len(uint32_t block_len)
{
	return (uint32_t)align_up(div_up(block_len / VHD1_SECTOR, 8),
				  VHD1_SECTOR);
}

bool vhd1_bit(const uint8_t *bitmap, uint64_t i)
{
	return bitmap[i / 8] & (0x80u >> (i % 8));
}

/* The bits of [first, end) that lie in byte `pos`. */
static uint8_t mask_in_byte(uint64_t pos, uint64_t first, uint64_t end)
{
	unsigned m = 0xff;

	if (first > pos * 8)
		m &= 0xffu >> (first - pos * 8);
	if (end < pos * 8 + 8)
		m &= 0xff00u >> (end - pos * 8);
	return (uint8_t)m;
}

bool vhd1_bits_set(uint8_t *bitmap, uint64_t first, uint64_t cnt)
{
	uint64_t end = first + cnt;
	bool changed = false;

	for (uint64_t pos = first / 8; pos * 8 < end; pos++) {
		uint8_t m = mask_in_byte(pos, first, end);

		changed = changed || (bitmap[pos] & m) != m;
		bitmap[pos] |= m;
	}
	return changed;
}

bool vhd1_bits_full(const uint8_t *bitmap, uint64_t cnt)
{
	for (uint64_t pos = 0; pos * 8 < cnt; pos++) {
		uint8_t m = mask_in_byte(pos, 0, cnt);

		if ((bitmap[pos] & m) != m)
			return false;
	}
	return true;
}

uint64_t vhd1_bits_run(const uint8_t *bitmap, uint64_t first, uint64_t cnt)
{
	bool set = vhd1_bit(bitmap, first);
	uint8_t whole = set ? 0xff : 0;
	uint64_t i = first + 1, end = first + cnt;

	while (i < end) {
		if (i % 8 == 0 && bitmap[i / 8] == whole)
			i += 8;
		else if (vhd1_bit(bitmap, i) == set)
			i++;
		else
			break;
	}
	return u64_min(i, end) - first;
}

void vhd1_uuid_swap(const uint8_t in[16], uint8_t out[16])
{
	static const uint8_t from[16] = { 3, 2, 1, 0, 5, 4, 7, 6,
					  8, 9, 10, 11, 12, 13, 14, 15 };
	uint8_t tmp[16];

	for (int i = 0; i < 16; i++)
		tmp[i] = in[from[i]];
	memcpy(out, tmp, 16);
}
