/* SPDX-License-Identifier: MIT */
#include "sense.h"

#include <string.h>

#include "err.h"

/* By VHDX_E_*. Linux repeats a write error (3/0C) and an aborted command, and
 * takes a read error (3/11) and a hardware error for the last word: so a device
 * that has failed for good is broken hardware, and what may do next time is
 * aborted. What is not here is our fault, and hardware as well. */
static const struct {
	enum sense reading, changing;
} table[] = {
	[VHDX_E_IO] = { SENSE_READ_ERROR, SENSE_WRITE_ERROR },
	[VHDX_E_CORRUPT] = { SENSE_READ_ERROR, SENSE_WRITE_ERROR },
	[VHDX_E_NOPARENT] = { SENSE_READ_ERROR, SENSE_WRITE_ERROR },
	[VHDX_E_LINKAGE] = { SENSE_READ_ERROR, SENSE_WRITE_ERROR },
	[VHDX_E_READONLY] = { SENSE_READ_ONLY, SENSE_READ_ONLY },
	[VHDX_E_NOSPC] = { SENSE_NO_SPACE, SENSE_NO_SPACE },
	[VHDX_E_RANGE] = { SENSE_LBA, SENSE_LBA },
	[VHDX_E_NOMEM] = { SENSE_RESOURCES, SENSE_RESOURCES },
	[VHDX_E_CANCELED] = { SENSE_ABORTED, SENSE_ABORTED },
	[VHDX_E_FAILED] = { SENSE_HARDWARE, SENSE_HARDWARE },
};

enum sense sense_of(int code, enum vhdx_op op)
{
	bool reading = op == VHDX_OP_READ || op == VHDX_OP_MAP;
	enum sense s = SENSE_NONE;

	if ((size_t)code < ARRAY_LEN(table))
		s = reading ? table[code].reading : table[code].changing;
	return s ? s : SENSE_HARDWARE;
}

static uint8_t byte(enum sense s, unsigned shift)
{
	return (uint8_t)((unsigned)s >> shift);
}

void sense_encode(enum sense s, uint8_t out[SCSI_SENSE_LEN])
{
	memset(out, 0, SCSI_SENSE_LEN);
	out[0] = 0x70; /* current, fixed */
	out[2] = byte(s, 16);
	out[7] = SCSI_SENSE_LEN - 8;
	out[12] = byte(s, 8);
	out[13] = byte(s, 0);
}

void sense_encode_short(enum sense s, uint8_t out[8])
{
	memset(out, 0, 8);
	out[0] = 0x72; /* current, descriptors: none */
	out[1] = byte(s, 16);
	out[2] = byte(s, 8);
	out[3] = byte(s, 0);
}
