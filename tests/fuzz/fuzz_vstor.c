/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest at the storage VSP: packets, SRBs, rings and pages of any
 * kind, while the host adds, removes and reopens disks. Whatever comes: every
 * channel closes, fails at most once, and while its rings are in order every
 * request is answered exactly once.
 */
#include "fuzz.h"

#include <string.h>

#include "le.h"
#include "storvsc.h"

#define STEPS 64
#define CHANS 2u
#define DISK (2 * MIB)

static struct storvsc s;

/* What the guest knows of a channel. */
static struct {
	bool lost; /* its rings were damaged: nothing is expected any more */
	unsigned asked_cnt, got_cnt;
	bool asked[STORVSC_IDS];
} know[CHANS];
static bool wild; /* the host was told to write anywhere */

static void took(unsigned n, const struct fake_got *got)
{
	if (know[n].lost || !got->trans_id)
		return;
	ASSERT(got->len == VSTOR_LEN && got->trans_id < STORVSC_IDS &&
	       know[n].asked[got->trans_id]);
	know[n].asked[got->trans_id] = false;
	know[n].got_cnt++;
}

static void take_all(unsigned n)
{
	static struct fake_got got;
	while (s.chan[n].f && !know[n].lost && fake_take(s.chan[n].f, &got))
		took(n, &got);
}

/* The next trans_id; 0: enough. */
static uint64_t ask(unsigned n)
{
	uint64_t id = know[n].asked_cnt + 1;
	if (id >= STORVSC_IDS)
		return 0;
	know[n].asked_cnt++;
	know[n].asked[id] = true;
	return id;
}

static void unasked(unsigned n)
{
	know[n].asked[know[n].asked_cnt--] = false;
}

static void bytes(struct fuzz_in *in, uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = fuzz_u8(in);
}

/* ---- steps -------------------------------------------------------------- */

static void open_chan(unsigned n)
{
	if (s.chan[n].f || !storvsc_open(&s, n))
		return;
	memset(&know[n], 0, sizeof(know[n]));
	know[n].lost = wild;
}

static void close_chan(unsigned n)
{
	if (!s.chan[n].f)
		return;
	storvsc_close_begin(&s, n);
	storvsc_close_end(&s, n);
}

static void packet(unsigned n, const uint8_t *p, uint32_t len)
{
	uint64_t id = ask(n);
	if (id && !fake_inband(s.chan[n].f, id, p, len))
		unasked(n);
}

static void introduce(unsigned n, struct fuzz_in *in)
{
	static const uint8_t ops[] = { VSTOR_BEGIN_INIT, VSTOR_QUERY_VERSION,
				       VSTOR_QUERY_PROPERTIES, VSTOR_END_INIT };
	unsigned version = fuzz_u8(in);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t p[VSTOR_LEN] = { ops[i], [4] = 1 };
		if (ops[i] == VSTOR_QUERY_VERSION)
			put_le16(p + 12, version % 3 == 0 ? VSTOR_V5_1 :
				 version % 3 == 1 ? VSTOR_V6_0 : VSTOR_V6_2);
		packet(n, p, VSTOR_LEN);
	}
}

static void any_packet(unsigned n, struct fuzz_in *in)
{
	uint8_t p[96] = { 0 };
	uint32_t len = fuzz_u8(in) % sizeof(p);
	bytes(in, p, len);
	if (len > 3)
		put_le32(p, p[0] % 16);
	packet(n, p, len);
}

static void srb(unsigned n, struct fuzz_in *in)
{
	static const uint8_t ops[] = { 0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b,
				       0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42,
				       0x5a, 0x88, 0x8a, 0x8f, 0x91, 0x93, 0x9e,
				       0xa0, 0xa8, 0xaa, 0xaf };
	uint8_t p[VSTOR_LEN] = { VSTOR_EXECUTE_SRB, [4] = 1, [20] = 16 };
	struct fake_buf b;
	uint8_t how = fuzz_u8(in);
	p[19] = fuzz_u8(in) % 4;
	p[22] = how % 4;
	bytes(in, p + 28, 16);
	if (how & 4)
		p[28] = ops[p[28] % ARRAY_LEN(ops)];
	uint32_t len = 1 + fuzz_u16(in);
	put_le32(p + 24, how & 8 ? fuzz_u32(in) : len);
	if (how & 16)
		bytes(in, p + 12, 16);
	if (how & 32) {
		packet(n, p, VSTOR_LEN);
		return;
	}
	fake_buf_init(&b, &s.guest, fuzz_u16(in) % 4096, len);
	if (how & 64)
		bytes(in, fake_at(&s.guest, b.pfn[0]), 64);
	if (how & 128) { /* that may be a ring */
		b.pfn[b.pfn_cnt - 1] = fuzz_u64(in);
		wild = true;
		for (unsigned i = 0; i < CHANS; i++)
			know[i].lost = true;
	}
	uint64_t id = ask(n);
	if (id && !fake_gpa(s.chan[n].f, id, p, VSTOR_LEN, &b, 0))
		unasked(n);
	free(b.pfn); /* the pages are the host's, as long as it likes */
}

static void damage(unsigned n, struct fuzz_in *in)
{
	struct fake_chan *f = s.chan[n].f;
	uint8_t p[32], how = fuzz_u8(in);
	static const enum fake_word words[] = { FAKE_READ, FAKE_MASK,
						FAKE_PENDING, FAKE_FEATURES,
						FAKE_WRITE };
	know[n].lost = true;
	if (how & 1) {
		bytes(in, p, sizeof(p));
		fake_ring_poke(&f->out, f->out.pos, p, sizeof(p));
		f->out.pos = (f->out.pos + 40) % f->out.data_len;
		fake_store(&f->out, FAKE_WRITE, f->out.pos);
	} else {
		fake_store(how & 2 ? &f->in : &f->out, words[how / 4 % 5],
			   fuzz_u32(in));
	}
	fake_kick(f);
}

static void order(struct fuzz_in *in)
{
	unsigned n = fuzz_u8(in) % 2;
	struct storvsp_status st;
	switch (fuzz_u8(in) % 6) {
	case 0:
		(void)!storvsc_add(&s, n, NULL);
		break;
	case 1:
		(void)!storvsp_remove(s.v, n, NULL);
		break;
	case 2:
		(void)!storvsp_reopen(s.v, n, NULL, NULL, NULL);
		break;
	case 3:
		storvsp_status(s.v, n, &st);
		break;
	case 4:
		storvsp_pause(s.v);
		break;
	case 5:
		storvsp_continue(s.v);
		break;
	}
}

static void step(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);
	unsigned n = what / 16 % CHANS;
	if (what % 16 == 0)
		order(in);
	else if (what % 16 == 1)
		open_chan(n);
	else if (what % 16 == 2)
		close_chan(n);
	else if (!s.chan[n].f)
		open_chan(n);
	else if (what % 16 == 3)
		introduce(n, in);
	else if (what % 16 == 4)
		damage(n, in);
	else if (what % 16 < 7)
		any_packet(n, in);
	else if (what % 16 == 7)
		take_all(n);
	else
		srb(n, in);
}

/* Every answer that is due comes. */
static void collect(unsigned n)
{
	static struct fake_got got;
	while (s.chan[n].f && !know[n].lost &&
	       know[n].got_cnt < know[n].asked_cnt) {
		bool came = fake_recv(s.chan[n].f, &got);
		ASSERT(came);
		took(n, &got);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	storvsc_begin(&s);
	wild = false;
	s.to_host_pages = 9;
	s.to_guest_pages = 3;
	for (unsigned n = 0; n < 2; n++) {
		storvsc_disk(&s, n, VHDX_FORMAT_RAW, DISK);
		int rc = storvsc_add(&s, n, NULL);
		ASSERT(!rc);
	}
	open_chan(0);
	for (unsigned i = 0; i < STEPS && in.len; i++)
		step(&in);
	storvsp_continue(s.v);
	for (unsigned n = 0; n < CHANS; n++)
		collect(n);
	for (unsigned n = CHANS; n--;)
		close_chan(n);
	int rc = storvsc_end(&s, NULL);
	ASSERT(!rc);
	return 0;
}
