/* SPDX-License-Identifier: MIT */
#include "vm_pm.h"

#include "acpi.h"
#include "io.h"

#define RTC_PORT 0x70u
#define KBD_PORT 0x64u
#define KBD_PULSE_RESET 0xfeu
#define RESET_CPU 0x04u
#define SLEEP_NOW 0x20u
#define SLEEP_TYPE(v) ((v) >> 2 & 7u)

static uint8_t read_zero(void *arg, unsigned off)
{
	(void)arg;
	(void)off;
	return 0;
}

static void write_sleep(void *arg, unsigned off, uint8_t value)
{
	struct vm_pm *pm = arg;

	if (off == 0 && (value & SLEEP_NOW) && SLEEP_TYPE(value) == ACPI_S5)
		pm->off(pm->arg);
}

static void write_reset(void *arg, unsigned off, uint8_t value)
{
	struct vm_pm *pm = arg;

	(void)off;
	if (value & RESET_CPU)
		pm->reset(pm->arg);
}

static void write_kbd(void *arg, unsigned off, uint8_t value)
{
	struct vm_pm *pm = arg;

	(void)off;
	if (value == KBD_PULSE_RESET)
		pm->reset(pm->arg);
}

static uint8_t read_rtc(void *arg, unsigned off)
{
	struct vm_pm *pm = arg;
	uint8_t value;

	pthread_mutex_lock(&pm->lock);
	value = rtc_read(&pm->rtc, off);
	pthread_mutex_unlock(&pm->lock);
	return value;
}

static void write_rtc(void *arg, unsigned off, uint8_t value)
{
	struct vm_pm *pm = arg;

	pthread_mutex_lock(&pm->lock);
	rtc_write(&pm->rtc, off, value);
	pthread_mutex_unlock(&pm->lock);
}

void vm_pm_create(struct vm_pm *pm, struct io *io, void (*off)(void *arg),
		  void (*reset)(void *arg), void *arg)
{
	const struct io_dev dev[] = {
		{ ACPI_SLEEP_PORT, ACPI_SLEEP_PORTS, read_zero, write_sleep, pm,
		  false },
		/* Narrow: amid the four bytes by which PCI devices are
		 * addressed. */
		{ ACPI_RESET_PORT, 1, read_zero, write_reset, pm, true },
		{ KBD_PORT, 1, read_zero, write_kbd, pm, false },
		{ RTC_PORT, 2, read_rtc, write_rtc, pm, false },
	};

	pm->off = off;
	pm->reset = reset;
	pm->arg = arg;
	pthread_mutex_init(&pm->lock, NULL);
	rtc_init(&pm->rtc, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(dev); i++)
		io_add(io, &dev[i]);
}
