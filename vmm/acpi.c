/* SPDX-License-Identifier: MIT */
#include "acpi.h"

#include "le.h"

enum { /* offsets */
	SDT_LEN = 4,
	SDT_SUM = 9,

	RSDP_SUM = 8,
	RSDP_V1_LEN = 20, /* what the first sum covers */
	RSDP_LEN = 20,
	RSDP_XSDT = 24,
	RSDP_SUM_V2 = 32,

	XSDT_FADT = 36,
	XSDT_MADT = 44,

	FADT_DSDT = 40,
	FADT_X_DSDT = 140,

	LAPIC_LEN = 8,
	LAPIC_UID = 2,
	LAPIC_ID = 3,
};

#define TABLE_ALIGN 64u

/* acpi/NAME.asl, compiled. */
#define TABLE(name)                                  \
	extern const uint8_t _binary_##name##_aml_start[]; \
	extern const uint8_t _binary_##name##_aml_end[]
TABLE(rsdp);
TABLE(xsdt);
TABLE(fadt);
TABLE(madt);
TABLE(dsdt);

struct area {
	uint8_t *buf;
	size_t len, used;
	uint64_t gpa;
	bool full;
};

/* Copies a table, with `more` bytes of room behind it. A table that does not
 * fit is put nowhere: NULL. */
static uint8_t *put(struct area *a, const uint8_t *start, const uint8_t *end,
		    size_t more)
{
	size_t len = (size_t)(end - start);
	uint8_t *at = a->buf + a->used;
	size_t step = align_up(len + more, TABLE_ALIGN);

	if (a->full || step > a->len - a->used) {
		a->full = true;
		return NULL;
	}
	memcpy(at, start, len);
	a->used += step;
	return at;
}

#define PUT(a, name, more) \
	put(a, _binary_##name##_aml_start, _binary_##name##_aml_end, more)

static void set_sum(uint8_t *table, size_t len, size_t sum_off)
{
	uint8_t sum = 0;

	table[sum_off] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + table[i]);
	table[sum_off] = (uint8_t)-sum;
}

static uint64_t gpa_of(const struct area *a, const uint8_t *table)
{
	return a->gpa + (uint64_t)(table - a->buf);
}

static void finish_sdt(uint8_t *table)
{
	set_sum(table, get_le32(table + SDT_LEN), SDT_SUM);
}

/* The last entry of madt.asl is processor 0: the others are like it. */
static void add_cpus(uint8_t *madt, unsigned cpu_cnt)
{
	size_t len = get_le32(madt + SDT_LEN);
	const uint8_t *first = madt + len - LAPIC_LEN;

	for (unsigned i = 1; i < cpu_cnt; i++, len += LAPIC_LEN) {
		memcpy(madt + len, first, LAPIC_LEN);
		madt[len + LAPIC_UID] = madt[len + LAPIC_ID] = (uint8_t)i;
	}
	put_le32(madt + SDT_LEN, (uint32_t)len);
}

size_t acpi_build(uint8_t *buf, size_t len, uint64_t gpa, unsigned cpu_cnt)
{
	struct area a = { .buf = buf, .len = len, .gpa = gpa };
	uint8_t *rsdp = PUT(&a, rsdp, 0);
	uint8_t *xsdt = PUT(&a, xsdt, 0);
	uint8_t *fadt = PUT(&a, fadt, 0);
	uint8_t *madt = PUT(&a, madt, (size_t)(cpu_cnt - 1) * LAPIC_LEN);
	uint8_t *dsdt = PUT(&a, dsdt, 0);

	if (a.full)
		return 0;
	add_cpus(madt, cpu_cnt);
	finish_sdt(madt);
	put_le32(fadt + FADT_DSDT, (uint32_t)gpa_of(&a, dsdt));
	put_le64(fadt + FADT_X_DSDT, gpa_of(&a, dsdt));
	finish_sdt(fadt);
	put_le64(xsdt + XSDT_FADT, gpa_of(&a, fadt));
	put_le64(xsdt + XSDT_MADT, gpa_of(&a, madt));
	finish_sdt(xsdt);
	put_le64(rsdp + RSDP_XSDT, gpa_of(&a, xsdt));
	set_sum(rsdp, RSDP_V1_LEN, RSDP_SUM);
	set_sum(rsdp, get_le32(rsdp + RSDP_LEN), RSDP_SUM_V2);
	return a.used;
}
