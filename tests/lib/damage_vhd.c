/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "damage_cmd.h"
#include "le.h"

#define FOOTER_LEN 512u
#define DYN_OFF 512u
#define DYN_LEN 1024u
#define FOOTER_SUM 64
#define DYN_SUM 36
#define DYN_BAT 16
#define DYN_BLOCK 32

int damage_begin_vhd(struct damage *d, struct vhdx_err *e)
{
	uint8_t footer[FOOTER_LEN], dyn[DYN_LEN];
	int rc;

	if (d->file->size < FOOTER_LEN)
		return 0;
	d->footer_off = d->file->size - FOOTER_LEN;
	rc = file_read(d->file, d->footer_off, footer, sizeof(footer), e);
	if (rc || memcmp(footer, "conectix", 8) != 0)
		return rc;
	d->vhd = true;
	if (footer[63] == 2) /* fixed */
		return 0;
	rc = file_read(d->file, DYN_OFF, dyn, sizeof(dyn), e);
	d->vbat_off = get_be64(dyn + DYN_BAT);
	d->block_len = get_be32(dyn + DYN_BLOCK);
	return rc;
}

int damage_be(struct damage *d, const struct damage_args *a,
	      struct vhdx_err *e)
{
	bool wide = strcmp(a->v[0], "be64") == 0;
	uint8_t b[8];

	put_be64(b, wide ? a->n[2] : a->n[2] << 32);
	return file_write(d->file, a->n[1], b, wide ? 8 : 4, e);
}

int damage_sum(struct damage *d, const struct damage_args *a,
	       struct vhdx_err *e)
{
	bool dyn = strcmp(a->v[1], "dyn") == 0;
	size_t len = dyn ? DYN_LEN : FOOTER_LEN;
	uint8_t b[DYN_LEN], *at = b + (dyn ? DYN_SUM : FOOTER_SUM);
	uint32_t sum = 0;
	int rc = file_read(d->file, a->n[1], b, len, e);

	if (rc)
		return rc;
	put_be32(at, 0);
	for (size_t i = 0; i < len; i++)
		sum += b[i];
	put_be32(at, ~sum);
	return file_write(d->file, a->n[1], b, len, e);
}

/* A bitmap of ones, zeros as data, then the footer again. */
int damage_vblock(struct damage *d, const struct damage_args *a,
		  struct vhdx_err *e)
{
	uint8_t footer[FOOTER_LEN], entry[4], *bits;
	size_t bits_len = align_up(d->block_len / 512 / 8, 512);
	uint64_t off = d->file->size - FOOTER_LEN;
	int rc = file_read(d->file, off, footer, sizeof(footer), e);

	bits = malloc(bits_len);
	memset(bits, 0xff, bits_len);
	put_be32(entry, (uint32_t)(off / 512));
	d->footer_off = off + bits_len + d->block_len;
	if (!rc)
		rc = file_write(d->file, off, bits, bits_len, e);
	free(bits);
	if (!rc)
		rc = file_write(d->file, d->footer_off, footer, FOOTER_LEN, e);
	if (!rc)
		rc = file_write(d->file, d->vbat_off + 4 * a->n[1], entry, 4,
				e);
	return rc;
}

/* ---- a differencing disk ------------------------------------------------- */

static void put_footer_type(uint8_t *footer, uint32_t type)
{
	uint32_t sum = 0;

	put_be32(footer + 60, type);
	put_be32(footer + FOOTER_SUM, 0);
	for (size_t i = 0; i < FOOTER_LEN; i++)
		sum += footer[i];
	put_be32(footer + FOOTER_SUM, ~sum);
}

/* KIND=TEXT: the locator's entry, and its data at off. */
static void put_path(const char *arg, uint64_t off, uint8_t *entry,
		     uint8_t data[FOOTER_LEN])
{
	const char *text = arg + 5;
	bool wide = arg[0] == 'W';
	size_t n = strlen(text);

	memset(data, 0, FOOTER_LEN);
	for (size_t i = 0; i < n; i++)
		data[i << wide] = (uint8_t)text[i];
	memcpy(entry, arg, 4);
	put_be32(entry + 4, FOOTER_LEN);
	put_be32(entry + 8, (uint32_t)(n << wide));
	put_be64(entry + 16, off);
}

int damage_vparent(struct damage *d, const struct damage_args *a,
		   struct vhdx_err *e)
{
	const struct damage_args sum = { 2, { "sum", "dyn" }, { 0, DYN_OFF } };
	uint8_t footer[FOOTER_LEN], dyn[DYN_LEN], data[FOOTER_LEN];
	int rc = file_read(d->file, 0, footer, sizeof(footer), e);

	if (!rc)
		rc = file_read(d->file, DYN_OFF, dyn, sizeof(dyn), e);
	for (uint8_t i = 0; i < 16; i++)
		dyn[40 + i] = (uint8_t)(i + 1);
	for (size_t i = 0; a->v[1][i] && a->v[1][0] != '-'; i++)
		dyn[64 + 2 * i + 1] = (uint8_t)a->v[1][i];
	for (int i = 2; i < a->cnt && !rc; i++) {
		put_path(a->v[i], d->footer_off, dyn + 576 + 24 * (i - 2),
			 data);
		rc = file_write(d->file, d->footer_off, data, sizeof(data), e);
		d->footer_off += sizeof(data);
	}
	put_footer_type(footer, 4);
	if (!rc)
		rc = file_write(d->file, 0, footer, sizeof(footer), e);
	if (!rc)
		rc = file_write(d->file, d->footer_off, footer, sizeof(footer),
				e);
	if (!rc)
		rc = file_write(d->file, DYN_OFF, dyn, sizeof(dyn), e);
	return rc ? rc : damage_sum(d, &sum, e);
}
