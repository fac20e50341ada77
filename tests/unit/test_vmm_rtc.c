/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "io.h"
#include "rtc.h"

static time_t now;

static time_t told(void *arg)
{
	(void)arg;
	return now;
}

static uint8_t reg(struct rtc *r, uint8_t index)
{
	rtc_write(r, 0, index);
	return rtc_read(r, 1);
}

static void date_and_time_are_bcd_in_utc(void)
{
	struct rtc r;

	now = 1795271399; /* Sat 2026-11-21 14:29:59 */
	rtc_init(&r, told, NULL);
	T_EQ_U64(reg(&r, 0), 0x59);
	T_EQ_U64(reg(&r, 2), 0x29);
	T_EQ_U64(reg(&r, 4), 0x14);
	T_EQ_U64(reg(&r, 6), 7);
	T_EQ_U64(reg(&r, 7), 0x21);
	T_EQ_U64(reg(&r, 8), 0x11);
	T_EQ_U64(reg(&r, 9), 0x26);
	T_EQ_U64(reg(&r, RTC_CENTURY), 0x20);
	T_EQ_U64(reg(&r, 11) & 6, 2); /* 24 hours, BCD */
	T_EQ_U64(reg(&r, 10) & 0x80, 0);
	T_EQ_U64(reg(&r, 13), 0x80);
}

/* 14:29:59 becomes 14:30:00 between two registers. */
static void a_second_that_passes_does_not_tear_the_time(void)
{
	struct rtc r;

	now = 1795271399;
	rtc_init(&r, told, NULL);
	T_EQ_U64(reg(&r, 0), 0x59);
	now++;
	T_EQ_U64(reg(&r, 2), 0x29);
	T_EQ_U64(reg(&r, 0), 0x00);
	T_EQ_U64(reg(&r, 2), 0x30);
}

static void minutes_alone_are_not_from_yesterday(void)
{
	struct rtc r;

	now = 1795271399;
	rtc_init(&r, told, NULL);
	now += 600;
	T_EQ_U64(reg(&r, 2), 0x39);
}

static void the_guest_cannot_set_it_but_has_memory(void)
{
	struct rtc r;

	now = 1795271399;
	rtc_init(&r, told, NULL);
	rtc_write(&r, 0, 4);
	rtc_write(&r, 1, 0x03);
	T_EQ_U64(reg(&r, 4), 0x14);
	rtc_write(&r, 0, 0xff); /* the top bit is not the index's */
	rtc_write(&r, 1, 0xa5);
	T_EQ_U64(reg(&r, 0x7f), 0xa5);
}

/* ---- who answers at which port ------------------------------------------ */

static uint8_t last[4];

static uint8_t dev_read(void *arg, unsigned off)
{
	(void)arg;
	return (uint8_t)(0x40 + off);
}

static void dev_write(void *arg, unsigned off, uint8_t value)
{
	(void)arg;
	last[off] = value;
}

static void wide_accesses_are_bytes_and_nobody_reads_as_ones(void)
{
	struct io io = { .cnt = 0 };
	uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	io_add(&io, &(struct io_dev){ 0x100, 4, dev_read, dev_write, NULL,
				       false });
	io_access(&io, 0x102, true, data, 4, 1); /* half of it is beyond */
	T_EQ_U64(last[2], 1);
	T_EQ_U64(last[3], 2);
	io_access(&io, 0xff, false, data, 2, 2);
	T_TRUE(memcmp(data, "\xff\x40\xff\x40\x05", 5) == 0);
	io_access(&io, 0xffff, false, data, 4, 1);
	T_TRUE(memcmp(data, "\xff\xff\xff\xff", 4) == 0);
}

/* A PCI address must not pull the reset line. */
static void a_narrow_port_hears_single_bytes_only(void)
{
	struct io io = { .cnt = 0 };
	uint8_t data[4] = { 9, 9, 9, 9 };

	io_add(&io, &(struct io_dev){ 0xcf9, 1, dev_read, dev_write, NULL,
				      true });
	last[0] = 0;
	io_access(&io, 0xcf8, true, data, 4, 1);
	io_access(&io, 0xcf8, true, data, 2, 1);
	T_EQ_U64(last[0], 0);
	io_access(&io, 0xcf8, false, data, 4, 1);
	T_EQ_U64(data[1], 0xff);
	data[0] = 6;
	io_access(&io, 0xcf9, true, data, 1, 1);
	T_EQ_U64(last[0], 6);
}

static const struct t_test tests[] = {
	T_TEST(date_and_time_are_bcd_in_utc),
	T_TEST(a_second_that_passes_does_not_tear_the_time),
	T_TEST(minutes_alone_are_not_from_yesterday),
	T_TEST(the_guest_cannot_set_it_but_has_memory),
	T_TEST(wide_accesses_are_bytes_and_nobody_reads_as_ones),
	T_TEST(a_narrow_port_hears_single_bytes_only),
	T_END
};
const struct t_suite t_suite_vmm_rtc = { "vmm_rtc", tests };
