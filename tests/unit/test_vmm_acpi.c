/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "acpi.h"
#include "le.h"

static uint8_t buf[ACPI_MAX];

static const uint8_t *at(uint64_t gpa)
{
	T_TRUE(gpa >= ACPI_GPA && gpa < ACPI_GPA + ACPI_MAX);
	return buf + (gpa - ACPI_GPA);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static void build(unsigned cpu_cnt)
{
	memset(buf, 0, sizeof(buf));
	T_TRUE(acpi_build(buf, sizeof(buf), ACPI_GPA, cpu_cnt) != 0);
}

static const uint8_t *xsdt(void)
{
	return at(get_le64(buf + 24));
}

/* A table that the XSDT names. */
static const uint8_t *table(const char *signature)
{
	const uint8_t *x = xsdt();

	for (size_t off = 36; off < get_le32(x + 4); off += 8) {
		const uint8_t *t = at(get_le64(x + off));

		if (memcmp(t, signature, 4) == 0)
			return t;
	}
	return NULL;
}

static void every_sum_is_zero(void)
{
	static const unsigned cnt[] = { 1, 2, 64 };

	for (size_t i = 0; i < ARRAY_LEN(cnt); i++) {
		build(cnt[i]);
		const uint8_t *t[] = { xsdt(), table("FACP"), table("APIC"),
				       at(get_le64(table("FACP") + 140)) };

		T_EQ_U64(sum(buf, 20), 0);
		T_EQ_U64(sum(buf, 36), 0);
		for (size_t k = 0; k < ARRAY_LEN(t); k++)
			T_EQ_U64(sum(t[k], get_le32(t[k] + 4)), 0);
	}
}

static void the_rsdp_comes_first(void)
{
	build(1);
	T_TRUE(memcmp(buf, "RSD PTR ", 8) == 0);
	T_EQ_U64(buf[15], 2);
	T_TRUE(memcmp(xsdt(), "XSDT", 4) == 0);
}

/* Processors of the MADT: how many, and are their ids 0, 1, 2, ...? */
static unsigned count_cpus(void)
{
	const uint8_t *m = table("APIC");
	unsigned n = 0;
	size_t off;

	for (off = 44; off < get_le32(m + 4); off += m[off + 1]) {
		T_TRUE(m[off + 1] >= 6);
		if (m[off] != 0)
			continue;
		T_EQ_U64(m[off + 2], n);
		T_EQ_U64(m[off + 3], n);
		T_EQ_U64(get_le32(m + off + 4), 1); /* enabled */
		n++;
	}
	T_EQ_U64(off, get_le32(m + 4));
	return n;
}

static void the_madt_has_each_processor_once(void)
{
	for (unsigned n = 1; n <= 64; n++) {
		build(n);
		T_EQ_U64(count_cpus(), n);
	}
}

static void the_fadt_says_reduced_hardware_and_its_ports(void)
{
	const uint8_t *f;

	build(1);
	f = table("FACP");
	T_TRUE(f != NULL);
	T_EQ_U64(get_le32(f + 112) >> 20 & 1, 1);
	T_EQ_U64(get_le32(f + 112) >> 10 & 1, 1);
	T_EQ_U64(get_le64(f + 116 + 4), ACPI_RESET_PORT);
	T_EQ_U64(get_le64(f + 244 + 4), ACPI_SLEEP_PORT);
	T_EQ_U64(get_le64(f + 256 + 4), ACPI_SLEEP_PORT + 1);
	T_EQ_U64(get_le16(f + 109) & 2, 0); /* no 8042 */
}

static void both_addresses_of_the_dsdt_agree(void)
{
	const uint8_t *f;

	build(3);
	f = table("FACP");
	T_EQ_U64(get_le32(f + 40), get_le64(f + 140));
	T_TRUE(memcmp(at(get_le64(f + 140)), "DSDT", 4) == 0);
}

static void the_dsdt_names_vmbus_as_linux_wants_it(void)
{
	const uint8_t *d;

	build(1);
	d = at(get_le64(table("FACP") + 140));
	T_TRUE(memmem(d, get_le32(d + 4), "VMBus", 6) != NULL);
	T_TRUE(memmem(d, get_le32(d + 4), "VMBS", 4) != NULL);
}

static void nothing_is_written_beyond_the_room(void)
{
	size_t used;

	build(64);
	used = acpi_build(buf, sizeof(buf), ACPI_GPA, 64);
	for (size_t len = 0; len < used; len += 7) {
		memset(buf, 0xee, sizeof(buf));
		T_EQ_U64(acpi_build(buf, len, ACPI_GPA, 64), 0);
		T_EQ_U64(buf[len], 0xee);
	}
	T_EQ_U64(acpi_build(buf, used, ACPI_GPA, 64), used);
}

static const struct t_test tests[] = {
	T_TEST(every_sum_is_zero),
	T_TEST(the_rsdp_comes_first),
	T_TEST(the_madt_has_each_processor_once),
	T_TEST(the_fadt_says_reduced_hardware_and_its_ports),
	T_TEST(both_addresses_of_the_dsdt_agree),
	T_TEST(the_dsdt_names_vmbus_as_linux_wants_it),
	T_TEST(nothing_is_written_beyond_the_room),
	T_END
};
const struct t_suite t_suite_vmm_acpi = { "vmm_acpi", tests };
