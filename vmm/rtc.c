/* SPDX-License-Identifier: MIT */
/*
 * A guest reads six registers for one time, and a second may pass between them.
 * Reading the seconds freezes the date and time that the other registers tell;
 * who reads those alone gets a time not older than a second.
 */
#include "rtc.h"

#include <string.h>

enum {
	RTC_SECONDS = 0,
	RTC_MINUTES = 2,
	RTC_HOURS = 4,
	RTC_WEEKDAY = 6,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 10, /* bit 7: being updated; never */
	RTC_B = 11,
	RTC_C = 12, /* interrupts; never */
	RTC_D = 13,

	RTC_A_32768_HZ = 0x26,
	RTC_B_24_HOURS = 0x02,
	RTC_D_VALID = 0x80,
};

static time_t host_now(void *arg)
{
	(void)arg;
	return time(NULL);
}

void rtc_init(struct rtc *r, time_t (*now)(void *arg), void *arg)
{
	memset(r, 0, sizeof(*r));
	r->now = now ? now : host_now;
	r->arg = arg;
	r->shown = r->now(arg);
}

static uint8_t bcd(int v)
{
	return (uint8_t)(v / 10 % 10 << 4 | v % 10);
}

static uint8_t read_byte(struct rtc *r)
{
	time_t now = r->now(r->arg);
	struct tm tm;

	if (r->index == RTC_SECONDS || now < r->shown || now > r->shown + 1)
		r->shown = now;
	if (!gmtime_r(&r->shown, &tm))
		memset(&tm, 0, sizeof(tm));
	switch (r->index) {
	case RTC_SECONDS:
		return bcd(tm.tm_sec);
	case RTC_MINUTES:
		return bcd(tm.tm_min);
	case RTC_HOURS:
		return bcd(tm.tm_hour);
	case RTC_WEEKDAY:
		return bcd(tm.tm_wday + 1);
	case RTC_DAY:
		return bcd(tm.tm_mday);
	case RTC_MONTH:
		return bcd(tm.tm_mon + 1);
	case RTC_YEAR:
		return bcd(tm.tm_year % 100);
	case RTC_CENTURY:
		return bcd((tm.tm_year + 1900) / 100);
	case RTC_A:
		return RTC_A_32768_HZ;
	case RTC_B:
		return RTC_B_24_HOURS;
	case RTC_C:
		return 0;
	case RTC_D:
		return RTC_D_VALID;
	default:
		return r->ram[r->index];
	}
}

uint8_t rtc_read(struct rtc *r, unsigned port)
{
	return port == 0 ? r->index : read_byte(r);
}

void rtc_write(struct rtc *r, unsigned port, uint8_t value)
{
	if (port == 0)
		r->index = value % RTC_BYTES; /* bit 7 masks NMIs: none here */
	else
		r->ram[r->index] = value;
}
