/* SPDX-License-Identifier: MIT */
/*
 * The packets of the storage protocol, 5.1 to 6.2: bytes and structs, nothing
 * else. Decoding is total: any bytes, of any length, give a struct or false.
 * What goes to the guest is always VSTOR_LEN bytes, zeros where nothing is
 * said.
 *
 *	packet	0 operation, 4 flags (1: answer wanted), 8 NTSTATUS, 12 body
 *	SRB	0 length:16, 2 SRB status, 3 SCSI status, 4 port, 5 path,
 *		6 target, 7 LUN, 8 length of the CDB, 9 length of the sense
 *		data, 10 direction, 12 length of the data:32, 16 CDB or sense
 *		data (20); since 6.0: 36 tag, flags, timeout, of no use to us
 *
 * Source: Linux 6.1 drivers/scsi/storvsc_drv.c; what it calls "status" is an
 * NTSTATUS.
 */
#ifndef VSTOR_H
#define VSTOR_H

#include "base.h"

#define VSTOR_LEN 64u
#define VSTOR_CDB_MAX 16u
#define VSTOR_SENSE_MAX 20u

#define VSTOR_V5_1 0x0501u
#define VSTOR_V6_0 0x0600u
#define VSTOR_V6_2 0x0602u

enum vstor_op {
	VSTOR_COMPLETE_IO = 1, /* every answer */
	VSTOR_REMOVE_DEVICE,
	VSTOR_EXECUTE_SRB,
	VSTOR_RESET_LUN,
	VSTOR_RESET_ADAPTER,
	VSTOR_RESET_BUS,
	VSTOR_BEGIN_INIT,
	VSTOR_END_INIT,
	VSTOR_QUERY_VERSION,
	VSTOR_QUERY_PROPERTIES,
	VSTOR_ENUMERATE_BUS, /* to the guest: look what has changed */
	VSTOR_FCHBA,
	VSTOR_CREATE_SUB_CHANNELS,
};

enum vstor_nt { /* NTSTATUS */
	VSTOR_NT_OK = 0,
	VSTOR_NT_BUSY = 0x80000011,
	VSTOR_NT_INVALID = 0xC000000D,	   /* parameter */
	VSTOR_NT_UNKNOWN_OP = 0xC0000010,
	VSTOR_NT_REVISION = 0xC0000059,	   /* version not spoken */
	VSTOR_NT_NO_DEVICE = 0xC00000C0,
	VSTOR_NT_CANCELLED = 0xC0000120,
	VSTOR_NT_WRONG_STATE = 0xC0000184,
};

enum vstor_srb_status {
	VSTOR_SRB_SUCCESS = 0x01,
	VSTOR_SRB_ABORTED = 0x02,
	VSTOR_SRB_ERROR = 0x04,
	VSTOR_SRB_BUSY = 0x05,
	VSTOR_SRB_INVALID_REQUEST = 0x06,
	VSTOR_SRB_INVALID_LUN = 0x20,
	VSTOR_SRB_AUTOSENSE = 0x80, /* bit: there is sense data */
};

enum vstor_dir { VSTOR_WRITE, VSTOR_READ, VSTOR_NO_DATA };

struct vstor_srb {
	uint8_t path, target, lun;
	uint8_t cdb_len; /* <= VSTOR_CDB_MAX; zeros follow */
	uint8_t cdb[VSTOR_CDB_MAX];
	enum vstor_dir dir;
	uint32_t data_len;
};

/* What becomes of an SRB. */
struct vstor_result {
	uint32_t nt;
	uint8_t srb_status, scsi_status;
	uint32_t data_len; /* bytes moved */
	const uint8_t *sense; /* NULL: none */
	uint8_t sense_len; /* at most VSTOR_SENSE_MAX */
};

/* False: shorter than a packet can be. */
bool vstor_decode_op(const uint8_t *p, uint32_t len, uint32_t *op) must_check;

/* False: too short, a CDB too long, no direction. */
bool vstor_decode_srb(const uint8_t *p, uint32_t len, struct vstor_srb *srb)
	must_check;
/* The LUN of a RESET_LUN. */
bool vstor_decode_lun(const uint8_t *p, uint32_t len, uint8_t *lun) must_check;
bool vstor_decode_version(const uint8_t *p, uint32_t len, uint16_t *version)
	must_check;
bool vstor_decode_sub_cnt(const uint8_t *p, uint32_t len, uint16_t *cnt)
	must_check;

/* An answer with nothing but a status. */
void vstor_reply(uint8_t out[VSTOR_LEN], uint32_t nt);
/* subs 0: no subchannels. */
void vstor_reply_properties(uint8_t out[VSTOR_LEN], uint16_t subs,
			    uint32_t transfer_max);
/* The SRB in p, which was decoded, goes back with its result. */
void vstor_reply_srb(uint8_t out[VSTOR_LEN], const uint8_t *p, uint32_t len,
		     const struct vstor_result *r);
/* A packet of our own: ENUMERATE_BUS. */
void vstor_event(uint8_t out[VSTOR_LEN], enum vstor_op op);

#endif
