/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of one machine, from what iasl made of acpi/ (*.asl) at build
 * time: addresses, processors and checksums are put in here. Pure.
 */
#ifndef ACPI_H
#define ACPI_H

#include "base.h"

/* Where in the guest, and how much room there is. The first 16 bytes-aligned
 * thing there is the RSDP, so that a guest that searches finds it. */
#define ACPI_GPA UINT64_C(0xe0000)
#define ACPI_MAX UINT64_C(0x1fff0) /* up to the reset vector (boot.h) */

/* Ports of fadt.asl. */
#define ACPI_SLEEP_PORT 0x600u /* control, then status */
#define ACPI_SLEEP_PORTS 2u
#define ACPI_RESET_PORT 0xcf9u
#define ACPI_RESET_VALUE 0x06u
#define ACPI_S5 5u /* the sleep type of \_S5 */
/* One edge: the power button (dsdt.asl). */
#define ACPI_POWER_GSI 9u

/* Fills buf (len bytes, zeroed, to be at gpa) with RSDP, XSDT, FADT, DSDT and a
 * MADT of cpu_cnt processors with APIC ids from 0. The bytes used; 0: len does
 * not do. */
size_t acpi_build(uint8_t *buf, size_t len, uint64_t gpa, unsigned cpu_cnt)
	must_check;

#endif
