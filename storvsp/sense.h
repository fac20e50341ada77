/* SPDX-License-Identifier: MIT */
/*
 * What a command that did not end well tells the guest: the sense codes that
 * are used, and the one table from the block device's errors to them.
 */
#ifndef SENSE_H
#define SENSE_H

#include "scsi.h"

/* key, additional code and its qualifier: 0x00KKAAQQ */
enum sense {
	SENSE_NONE = 0,
	SENSE_NO_MEDIUM = 0x023a00,
	SENSE_WRITE_ERROR = 0x030c00,
	SENSE_READ_ERROR = 0x031100,
	SENSE_HARDWARE = 0x044400,	/* internal target failure */
	SENSE_LIST_LEN = 0x051a00,	/* parameter list length error */
	SENSE_OPCODE = 0x052000,	/* invalid command operation code */
	SENSE_LBA = 0x052100,		/* out of range */
	SENSE_CDB_FIELD = 0x052400,	/* invalid field in CDB */
	SENSE_LIST_FIELD = 0x052600,	/* invalid field in parameter list */
	SENSE_NO_SAVING = 0x053900,	/* of parameters */
	SENSE_CAPACITY = 0x062a09,	/* attention: it has changed */
	SENSE_OPERATING = 0x063f02,	/* attention: its definition has */
	SENSE_READ_ONLY = 0x072700,	/* write protected */
	SENSE_NO_SPACE = 0x072707,	/* space allocation failed */
	SENSE_ABORTED = 0x0b0000,
	SENSE_RESOURCES = 0x0b5503,	/* insufficient */
};

/* What a VHDX_E_* of a request means to the guest. */
enum sense sense_of(int code, enum vhdx_op op);

/* Fixed format, and the 8 bytes of the descriptor format. */
void sense_encode(enum sense s, uint8_t out[SCSI_SENSE_LEN]);
void sense_encode_short(enum sense s, uint8_t out[8]);

#endif
