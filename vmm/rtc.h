/* SPDX-License-Identifier: MIT */
/*
 * The clock of a PC (MC146818, ports 0x70 and 0x71) with the host's time in
 * UTC: BCD, 24 hours, century in register 0x32. It tells the time and nothing
 * else: no alarm, no interrupt, and what the guest sets is forgotten, since the
 * host's clock is right. The other bytes are plain memory.
 */
#ifndef RTC_H
#define RTC_H

#include <time.h>

#include "base.h"

#define RTC_BYTES 128u
#define RTC_CENTURY 0x32u /* the FADT says so too */

struct rtc {
	time_t (*now)(void *arg);
	void *arg;
	uint8_t index;
	time_t shown; /* of what date and time are told */
	uint8_t ram[RTC_BYTES];
};

/* now NULL: the host's clock. */
void rtc_init(struct rtc *r, time_t (*now)(void *arg), void *arg);

/* port 0: the index, 1: the byte. */
uint8_t rtc_read(struct rtc *r, unsigned port);
void rtc_write(struct rtc *r, unsigned port, uint8_t value);

#endif
