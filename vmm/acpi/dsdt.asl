/* SPDX-License-Identifier: MIT */
/*
 * The devices. What the numbers stand for is in vmm/acpi.h and vmm/vm_pm.h:
 * change both. VMBus has no resources: its interrupt is the synthetic
 * controller's, and what needs MMIO (video, PCI pass-through) is not offered.
 */
DefinitionBlock ("", "DSDT", 2, "VHDKIT", "VHDKVMM", 1)
{
	Scope (\_SB)
	{
		Device (VMBS)
		{
			/* A method, since guests compare it exactly and iasl
			 * wants strings here in capitals. */
			Method (_HID, 0, NotSerialized)
			{
				Return ("VMBus")
			}
			Name (_UID, 0)
			Name (_DDN, "VMBUS")
			Name (_STA, 0x0F)
			Name (_CRS, ResourceTemplate () {})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_STA, 0x0F)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03F8, 0x03F8, 1, 8)
				IRQNoFlags () {4}
			})
		}

		/* Without an interrupt: it tells the time, it does not wake. */
		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x70, 0x70, 1, 2)
			})
		}

		Device (PWRB)
		{
			Name (_HID, EisaId ("PNP0C0C"))
			Name (_STA, 0x0F)
		}

		/* One edge is one press of the power button. */
		Device (GED)
		{
			Name (_HID, "ACPI0013")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Edge, ActiveHigh,
					   Exclusive) {9}
			})
			Method (_EVT, 1, Serialized)
			{
				Notify (\_SB.PWRB, 0x80)
			}
		}
	}

	Name (\_S5, Package (4) {5, 0, 0, 0})
}
