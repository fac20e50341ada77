/* SPDX-License-Identifier: MIT */
/*
 * Guest memory changes while we look: every byte is read once, and what was
 * read is what is checked and used.
 *
 * The control word: u16 code, bit 16: fast; what else there is belongs to
 * calls that repeat, which these do not.
 */
#include "hyperv_hcall.h"

#include "le.h"
#include "synic.h"

enum { POST_MESSAGE = 0x5C, SIGNAL_EVENT = 0x5D };

#define FAST UINT64_C(0x10000)
#define REPEATED (~UINT64_C(0x1FFFF))

/* Input: u32 connection id, u32, u32 type, u32 length, payload; in one page. */
static uint32_t post_message(const struct hyperv_conf *conf, uint64_t input,
			     uint64_t gpa)
{
	uint8_t head[16], payload[SYNIC_PAYLOAD_MAX];
	if (input & FAST)
		return HV_BAD_INPUT;
	if (!is_aligned(gpa, 8))
		return HV_BAD_ALIGNMENT;
	if (!gmem_read(conf->mem, gpa, head, sizeof(head)))
		return HV_BAD_PARAMETER;
	uint32_t len = get_le32(head + 12);
	if (len > sizeof(payload) ||
	    gpa % GMEM_PAGE + sizeof(head) + len > GMEM_PAGE ||
	    !gmem_read(conf->mem, gpa + sizeof(head), payload, len))
		return HV_BAD_PARAMETER;
	return conf->post(conf->arg, get_le32(head), get_le32(head + 8),
			  payload, len);
}

/* Input: u32 connection id, u16 flag number (none but 0 is in use), u16. */
static uint32_t signal_event(const struct hyperv_conf *conf, uint64_t input,
			     uint64_t param)
{
	if (!(input & FAST)) {
		uint8_t raw[8];
		if (!is_aligned(param, 8))
			return HV_BAD_ALIGNMENT;
		if (!gmem_read(conf->mem, param, raw, sizeof(raw)))
			return HV_BAD_PARAMETER;
		param = get_le64(raw);
	}
	if (param >> 32)
		return HV_BAD_PARAMETER;
	return conf->signal(conf->arg, (uint32_t)param);
}

uint32_t hyperv_hcall(const struct hyperv_conf *conf, uint64_t input,
		      uint64_t param)
{
	uint64_t code = input & 0xFFFF;
	if (code != POST_MESSAGE && code != SIGNAL_EVENT)
		return HV_BAD_CODE;
	if (input & REPEATED)
		return HV_BAD_INPUT;
	return code == POST_MESSAGE ? post_message(conf, input, param)
				    : signal_event(conf, input, param);
}
