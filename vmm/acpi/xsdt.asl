/* SPDX-License-Identifier: MIT */
/* The addresses, of FADT and MADT, are filled in by acpi.c; 0 is not allowed. */
[0004]                          Signature : "XSDT"    [Extended System Description Table]
[0004]                       Table Length : 00000064
[0001]                           Revision : 01
[0001]                           Checksum : 8B
[0006]                             Oem ID : "VHDKIT"
[0008]                       Oem Table ID : "VHDKVMM "
[0004]                       Oem Revision : 00000001
[0004]                    Asl Compiler ID : "VHDK"
[0004]              Asl Compiler Revision : 00000001

[0008]             ACPI Table Address   0 : 0000000000000001
[0008]             ACPI Table Address   1 : 0000000000000001
