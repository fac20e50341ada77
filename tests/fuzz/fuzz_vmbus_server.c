/* SPDX-License-Identifier: MIT */
/*
 * The VMBus server between a hostile guest, VSPs that answer when they like,
 * and a VMM that adds, removes and resets. Each byte of the input is a step;
 * after each the server audits itself, and what it says is held against what
 * has been seen from outside:
 *  - a VSP is asked to open what is shut, in a channel that is offered, and to
 *    close what is open;
 *  - TORNDOWN never names the ring of a VSP (I1), UNLOAD_RESPONSE and
 *    VERSION_RESPONSE find all VSPs closed (I2);
 *  - a relid is offered to a guest that does not know it (I3);
 *  - after a reset nothing is sent until there is a message (I5);
 *  - a device is gone once, after being rescinded, with all closed (I8).
 */
#include <string.h>

#include "fuzz.h"
#include "le.h"
#include "server_priv.h"
#include "vmbus_guest.h"

#define DEVS 6u
#define VPS 3u
#define MARK (UINT64_C(0xabcde) << 32) /* pages of our GPADLs say whose */

enum vsp { SHUT, ASKED, OPENED, CLOSING };

struct seen {
	struct vmbus_server *s;
	struct {
		enum vsp vsp;
		bool known; /* by the guest */
		bool marked;
		uint32_t ring; /* if marked */
		unsigned dev;
	} chan[VMBUS_RELID_MAX + 1];
	struct {
		bool there, rescinded;
	} dev[DEVS];
	uint32_t last;	 /* the highest relid that was named */
	bool silent; /* since a reset */
};

static struct seen seen;

static bool all_shut(void)
{
	for (unsigned i = 0; i <= seen.last; i++)
		if (seen.chan[i].vsp != SHUT)
			return false;
	return true;
}

static void forget(void)
{
	for (unsigned i = 0; i <= seen.last; i++)
		seen.chan[i].known = false;
}

/* ---- what the server says ----------------------------------------------- */

static void torn(uint32_t id)
{
	for (unsigned i = 0; i <= seen.last; i++)
		ASSERT(seen.chan[i].vsp == SHUT || !seen.chan[i].marked ||
		       seen.chan[i].ring != id);
}

static void sent(const struct vmbus_action *a)
{
	uint32_t relid;

	ASSERT(!seen.silent && a->vp < VPS && a->sint < 16);
	ASSERT(a->msg_len >= 8 && a->msg_len <= VMBUS_MESSAGE_MAX);
	switch (get_le32(a->msg)) {
	case PROTO_OFFER:
		relid = get_le32(a->msg + 184);
		ASSERT(relid && relid <= VMBUS_RELID_MAX);
		ASSERT(!seen.chan[relid].known);
		seen.chan[relid].known = true;
		if (relid > seen.last)
			seen.last = relid;
		break;
	case PROTO_TORNDOWN:
		torn(get_le32(a->msg + 8));
		break;
	case PROTO_VERSION:
	case PROTO_UNLOADED:
		ASSERT(all_shut());
		forget();
		break;
	}
}

static void opened(const struct vmbus_action *a)
{
	unsigned dev = (unsigned)(uintptr_t)a->dev - 1;

	ASSERT(a->relid <= VMBUS_RELID_MAX && a->vp < VPS && dev < DEVS);
	ASSERT(seen.chan[a->relid].vsp == SHUT && seen.chan[a->relid].known);
	ASSERT(a->to_host_cnt && a->to_host_cnt < a->pfn_cnt);
	ASSERT(seen.dev[dev].there);
	for (unsigned i = 0; i < a->pfn_cnt; i++)
		ASSERT(a->pfn[i] >> 52 == 0);
	seen.chan[a->relid].vsp = ASKED;
	seen.chan[a->relid].dev = dev;
	seen.chan[a->relid].marked = a->pfn[0] >> 32 == MARK >> 32;
	seen.chan[a->relid].ring = (uint32_t)a->pfn[0];
}

static void gone(const struct vmbus_action *a)
{
	unsigned dev = (unsigned)(uintptr_t)a->dev - 1;

	ASSERT(dev < DEVS && seen.dev[dev].rescinded);
	for (unsigned i = 0; i <= seen.last; i++)
		ASSERT(seen.chan[i].vsp == SHUT || seen.chan[i].dev != dev);
	memset(&seen.dev[dev], 0, sizeof(seen.dev[dev]));
}

static bool listen_once(void)
{
	struct vmbus_action a;

	if (!vmbus_server_next(seen.s, &a))
		return false;
	switch (a.kind) {
	case VMBUS_SEND:
		sent(&a);
		break;
	case VMBUS_OPEN:
		opened(&a);
		break;
	case VMBUS_CLOSE:
		ASSERT(a.relid <= VMBUS_RELID_MAX);
		ASSERT(seen.chan[a.relid].vsp == OPENED);
		seen.chan[a.relid].vsp = CLOSING;
		break;
	case VMBUS_RETARGET:
		ASSERT(seen.chan[a.relid].vsp == OPENED && a.vp < VPS);
		break;
	case VMBUS_GONE:
		gone(&a);
		break;
	case VMBUS_TELL:
		ASSERT(a.text[0] && strlen(a.text) < 160);
		break;
	}
	return true;
}

/* ---- the guest ---------------------------------------------------------- */

static void post(const struct guest_msg *m, uint32_t conn)
{
	uint32_t relid = m->len >= 12 ? get_le32(m->p + 8) : 0;

	while (listen_once())
		;
	server_audit(seen.s);
	ASSERT(vmbus_server_ready(seen.s));
	vmbus_server_message(seen.s, conn, m->p, m->len);
	seen.silent = false;
	if (m->len >= 12 && get_le32(m->p) == PROTO_RELEASED &&
	    relid <= VMBUS_RELID_MAX)
		seen.chan[relid].known = false;
}

static struct guest_msg raw(struct fuzz_in *in)
{
	struct guest_msg m = { .len = fuzz_u8(in) % 241 };

	for (uint32_t i = 0; i < m.len; i++)
		m.p[i] = fuzz_u8(in);
	return m;
}

static struct guest_msg gpadl(struct fuzz_in *in, bool body)
{
	uint32_t relid = fuzz_u8(in), id = fuzz_u8(in) % 16, cnt, at = 0;

	cnt = relid & 128 ? fuzz_u16(in) % 8192u : 2 + relid % 64;
	if (!body)
		return guest_gpadl(relid % 16, id, cnt, MARK | id);
	at = fuzz_u8(in);
	return guest_gpadl_body(id, cnt, MARK, at);
}

/* Ranges that may fit or not: a byte is a page, or begins a range. */
static struct guest_msg ranges(struct fuzz_in *in)
{
	uint8_t a = fuzz_u8(in), b = fuzz_u8(in);
	uint32_t word_cnt = 2 + a % 16;
	uint64_t word[18];

	for (uint32_t i = 0; i < word_cnt; i++) {
		uint8_t n = fuzz_u8(in);

		word[i] = n & 1 ? (uint64_t)(n & 2 ? 4095 : 0) << 32 |
				(n >> 4) * 4096u | (n & 4)
				: MARK | n;
	}
	return guest_gpadl_raw(1 + a / 128, b % 16, (uint16_t)(word_cnt * 8),
			       1 + b / 16 % 4, word, word_cnt);
}

static struct guest_msg contact(struct fuzz_in *in)
{
	static const uint32_t v[] = { PROTO_V(5, 3), PROTO_V(5, 0),
				      PROTO_V(4, 1), PROTO_V(4, 0),
				      PROTO_V(2, 4), PROTO_V(6, 0) };
	uint8_t n = fuzz_u8(in);
	struct guest_msg m = guest_contact(v[n % ARRAY_LEN(v)], n >> 6);

	if (n & 32)
		put_le32(m.p + 20, n);
	return m;
}

static struct guest_msg message(uint8_t op, struct fuzz_in *in)
{
	uint8_t a;

	switch (op % 16) {
	case 0:
		return contact(in);
	case 1:
		return guest_bare(GUEST_REQUEST_OFFERS);
	case 2:
	case 3:
		return gpadl(in, false);
	case 4:
		return gpadl(in, true);
	case 5:
		a = fuzz_u8(in);
		return guest_pair(GUEST_TEARDOWN, a % 16, a >> 4);
	case 6:
	case 7:
		a = fuzz_u8(in);
		return guest_open(a % 16, a, a >> 4, 1 + op / 128, op / 64);
	case 8:
	case 9:
		return guest_relid(GUEST_CLOSE, fuzz_u8(in) % 16);
	case 10:
		a = fuzz_u8(in);
		return guest_pair(GUEST_MODIFY, a % 16, a >> 4);
	case 11:
	case 12:
		return guest_relid(GUEST_RELEASED, fuzz_u8(in) % 16);
	case 13:
		return guest_bare(GUEST_UNLOAD);
	case 14:
		return op / 16 == 1 ? guest_tl_connect(op) : ranges(in);
	default:
		return raw(in);
	}
}

/* ---- VSPs and the VMM --------------------------------------------------- */

static void answer(uint32_t relid, bool good)
{
	enum vsp *v = &seen.chan[relid].vsp;

	if (*v == ASKED) {
		*v = good ? OPENED : SHUT;
		vmbus_server_opened(seen.s, relid, good);
	} else if (*v == CLOSING) {
		*v = SHUT;
		vmbus_server_closed(seen.s, relid);
	}
}

static void offer(unsigned dev)
{
	struct vmbus_offer o = { .dev = (void *)(uintptr_t)(dev + 1) };
	uint32_t relid;

	if (seen.dev[dev].there)
		return;
	ASSERT(vmbus_server_offer(seen.s, &o, &relid, NULL) == 0);
	ASSERT(seen.chan[relid].vsp == SHUT);
	seen.dev[dev].there = true;
}

static void order(uint8_t op, struct fuzz_in *in)
{
	unsigned dev = op / 8 % DEVS;
	void *key = (void *)(uintptr_t)(dev + 1);

	seen.s->last_relid = 0; /* no mercy: the next is the lowest free */
	switch (op % 8) {
	case 0:
		offer(dev);
		break;
	case 1:
		vmbus_server_offer_subs(seen.s, key, fuzz_u8(in) % 5);
		break;
	case 2:
		if (!seen.dev[dev].there)
			break;
		seen.dev[dev].rescinded = true;
		vmbus_server_rescind(seen.s, key);
		break;
	case 3:
		if (op / 8 % 4)
			break;
		vmbus_server_reset(seen.s);
		forget();
		seen.silent = true;
		break;
	case 4:
	case 5:
		answer(op / 8 % 16, true);
		break;
	case 6:
		answer(op / 8 % 16, false);
		break;
	default:
		listen_once();
	}
}

/* In the end everything can be closed, and then nothing is left. */
static void finish(void)
{
	vmbus_server_reset(seen.s);
	forget();
	seen.silent = true;
	do {
		while (listen_once())
			;
		for (uint32_t i = 0; i <= seen.last; i++)
			answer(i, true);
	} while (!vmbus_server_ready(seen.s));
	ASSERT(all_shut() && !vmbus_server_open_cnt(seen.s));
	ASSERT(!seen.s->gpadls.cnt && seen.s->conn == CONN_AWAY);
	server_audit(seen.s);
	vmbus_server_destroy(seen.s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };

	if (len > 4096)
		return 0;
	memset(seen.chan, 0, sizeof(seen.chan[0]) * (seen.last + 1));
	memset(seen.dev, 0, sizeof(seen.dev));
	seen.last = 0;
	seen.silent = false;
	ASSERT(vmbus_server_create(VPS, &seen.s, NULL) == 0);
	while (in.len) {
		uint8_t op = fuzz_u8(&in);

		if (op & 1) {
			struct guest_msg m = message(op >> 1, &in);

			post(&m, op == 255 ? fuzz_u8(&in) : VMBUS_CONN_NEW);
		} else {
			order(op >> 1, &in);
		}
		server_audit(seen.s);
	}
	finish();
	return 0;
}
