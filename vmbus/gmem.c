/* SPDX-License-Identifier: MIT */
/*
 * Guest physical addresses to host memory. Invariants:
 *
 *  G1  No pointer leaves here that was not checked against a region, and no
 *      sum of guest numbers is trusted: they may wrap.
 *  G2  Nothing is read or written unless everything asked for is memory.
 *  G3  A page is marked after it was written, and with a full barrier: whoever
 *      takes marks and then copies pages gets the new bytes, or a new mark.
 *      So a mark that is there already is not a reason to skip it.
 */
#include "gmem.h"

#include <string.h>

/* The memory from gpa to the end of its region: *len bytes of it; NULL and 0 if
 * there is none. */
static uint8_t *at(const struct gmem *m, uint64_t gpa, uint64_t *len)
{
	*len = 0;
	for (unsigned i = 0; i < m->cnt; i++) {
		const struct gmem_region *r = &m->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->len) {
			*len = r->len - (gpa - r->gpa);
			return r->hva + (gpa - r->gpa);
		}
	}
	return NULL;
}

static bool is_memory(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	uint64_t end, part;

	if (ckd_add(gpa, len, &end))
		return false;
	for (; gpa < end; gpa += u64_min(part, end - gpa))
		if (!at(m, gpa, &part))
			return false;
	return true;
}

bool gmem_read(const struct gmem *m, uint64_t gpa, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (!is_memory(m, gpa, len))
		return false;
	while (len) {
		uint64_t part;
		const uint8_t *from = at(m, gpa, &part);

		part = u64_min(part, len);
		memcpy(to, from, part);
		to += part;
		gpa += part;
		len -= part;
	}
	return true;
}

bool gmem_write(const struct gmem *m, uint64_t gpa, const void *buf, size_t len)
{
	const uint8_t *from = buf;

	if (!is_memory(m, gpa, len))
		return false;
	while (len) {
		uint64_t part;
		uint8_t *to = at(m, gpa, &part);

		part = u64_min(part, len);
		memcpy(to, from, part);
		gmem_dirty(m, to, part);
		from += part;
		gpa += part;
		len -= part;
	}
	return true;
}

uint8_t *gmem_page(const struct gmem *m, uint64_t gpa)
{
	uint64_t len;

	return is_aligned(gpa, GMEM_PAGE) ? at(m, gpa, &len) : NULL;
}

uint8_t *gmem_range(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	uint64_t there;
	uint8_t *p = at(m, gpa, &there);

	return len <= there ? p : NULL;
}

int gmem_iov(const struct gmem *m, const uint64_t *pfn, unsigned pfn_cnt,
	     uint32_t off, uint32_t len, struct iovec *iov, int iov_max)
{
	uint64_t pos = off, end = pos + len;
	int cnt = 0;

	if (end > pfn_cnt * GMEM_PAGE)
		return -1;
	while (pos < end) {
		uint64_t in_page = pos % GMEM_PAGE, gpa;
		uint64_t part = u64_min(GMEM_PAGE - in_page, end - pos);
		uint8_t *p;

		if (ckd_mul(pfn[pos / GMEM_PAGE], GMEM_PAGE, &gpa))
			return -1;
		p = gmem_page(m, gpa);
		if (!p)
			return -1;
		p += in_page;
		if (cnt && (uint8_t *)iov[cnt - 1].iov_base +
				iov[cnt - 1].iov_len == p) {
			iov[cnt - 1].iov_len += part;
		} else if (cnt < iov_max) {
			iov[cnt].iov_base = p;
			iov[cnt++].iov_len = part;
		} else {
			return -1;
		}
		pos += part;
	}
	return cnt;
}

static void mark(_Atomic uint64_t *bits, uint64_t first, uint64_t last)
{
	while (first <= last) {
		uint64_t in_word = first % 64;
		uint64_t cnt = u64_min(64 - in_word, last - first + 1);
		uint64_t run = cnt == 64 ? UINT64_MAX :
					   (UINT64_C(1) << cnt) - 1;

		atomic_fetch_or(&bits[first / 64], run << in_word);
		first += cnt;
	}
}

void gmem_dirty(const struct gmem *m, const void *hva, size_t len)
{
	uintptr_t from = (uintptr_t)hva, end = from + len;

	/* Regions may be neighbours in the host: a buffer of gmem_iov() can lie
	 * in two. */
	for (unsigned i = 0; i < m->cnt; i++) {
		const struct gmem_region *r = &m->region[i];
		uintptr_t base = (uintptr_t)r->hva;
		uint64_t lo = u64_max(from, base);
		uint64_t hi = u64_min(end, base + r->len);

		if (r->dirty && lo < hi)
			mark(r->dirty, (lo - base) / GMEM_PAGE,
			     (hi - 1 - base) / GMEM_PAGE);
	}
}
