/* SPDX-License-Identifier: MIT */
#include "t.h"

#include "acpi.h"
#include "io.h"
#include "vm_pm.h"

static struct vm_pm pm;
static struct io io;
static unsigned offs, resets;

static void off(void *arg)
{
	(void)arg;
	offs++;
}

static void reset(void *arg)
{
	(void)arg;
	resets++;
}

static void start(void)
{
	io.cnt = 0;
	offs = resets = 0;
	vm_pm_create(&pm, &io, off, reset, NULL);
}

static void out(unsigned port, uint32_t value, unsigned size)
{
	io_access(&io, port, true, (uint8_t *)&value, size, 1);
}

static void only_s5_with_its_enable_bit_powers_off(void)
{
	start();
	for (unsigned v = 0; v < 256; v++)
		if ((v & 0x3c) != 0x34)
			out(ACPI_SLEEP_PORT, v, 1);
	out(ACPI_SLEEP_PORT + 1, 0x34, 1);
	T_EQ_U64(offs, 0);
	out(ACPI_SLEEP_PORT, 0x34, 1);
	T_EQ_U64(offs, 1);
	T_EQ_U64(resets, 0);
}

static void the_reset_register_resets(void)
{
	start();
	out(ACPI_RESET_PORT, 0x02, 1); /* only prepares */
	T_EQ_U64(resets, 0);
	out(ACPI_RESET_PORT, 0x06, 1);
	T_EQ_U64(resets, 1);
}

static void pci_addresses_do_not_reset(void)
{
	start();
	for (uint32_t devfn = 0; devfn < 256; devfn++)
		out(0xcf8, UINT32_C(0x80000000) | devfn << 8, 4);
	T_EQ_U64(resets, 0);
}

static void the_keyboard_controller_is_its_reset_line(void)
{
	uint8_t status;

	start();
	io_access(&io, 0x64, false, &status, 1, 1);
	T_EQ_U64(status, 0); /* nothing to wait for */
	out(0x64, 0xd1, 1);
	T_EQ_U64(resets, 0);
	out(0x64, 0xfe, 1);
	T_EQ_U64(resets, 1);
}

static const struct t_test tests[] = {
	T_TEST(only_s5_with_its_enable_bit_powers_off),
	T_TEST(the_reset_register_resets),
	T_TEST(pci_addresses_do_not_reset),
	T_TEST(the_keyboard_controller_is_its_reset_line),
	T_END
};
const struct t_suite t_suite_vmm_pm = { "vmm_pm", tests };
