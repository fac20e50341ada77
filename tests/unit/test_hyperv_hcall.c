/* SPDX-License-Identifier: MIT */
#include "hyperv_hcall.h"

#include <string.h>

#include "le.h"
#include "t.h"

#define POST UINT64_C(0x5C)
#define SIGNAL UINT64_C(0x5D)
#define FAST UINT64_C(0x10000)
#define AT 0x1F00u /* 256 bytes below the end of a page, and of memory */
#define RAM 8192u

static _Alignas(4096) uint8_t ram[RAM];
static struct gmem mem;
static struct {
	unsigned post_cnt, signal_cnt;
	uint32_t conn_id, type, len;
	uint8_t payload[240];
} got;

static uint32_t post(void *arg, uint32_t conn_id, uint32_t type,
		     const uint8_t *payload, uint32_t len)
{
	T_TRUE(arg == &got);
	got.post_cnt++;
	got.conn_id = conn_id;
	got.type = type;
	got.len = len;
	memcpy(got.payload, payload, len);
	return HV_NO_BUFFERS;
}

static uint32_t signal_conn(void *arg, uint32_t conn_id)
{
	T_TRUE(arg == &got);
	got.signal_cnt++;
	got.conn_id = conn_id;
	return HV_BAD_CONNECTION;
}

static const struct hyperv_conf conf = {
	.mem = &mem, .post = post, .signal = signal_conn, .arg = &got,
};

static void begin(void)
{
	memset(&got, 0, sizeof(got));
	memset(ram, 0, sizeof(ram));
	mem = (struct gmem){ .cnt = 1 };
	mem.region[0] = (struct gmem_region){ .len = RAM, .hva = ram };
}

static void put_message(uint32_t at, uint32_t len)
{
	put_le32(ram + at, 4);
	put_le32(ram + at + 8, 1);
	put_le32(ram + at + 12, len);
	memset(ram + at + 16, 0x77, len < 200 ? len : 200);
}

static uint32_t call(uint64_t input, uint64_t param)
{
	return hyperv_hcall(&conf, input, param);
}

static void message_is_read_from_guest_memory(void)
{
	begin();
	put_message(AT, 40);
	T_EQ_U64(call(POST, AT), HV_NO_BUFFERS);
	T_EQ_U64(got.post_cnt, 1);
	T_EQ_U64(got.conn_id, 4);
	T_EQ_U64(got.type, 1);
	T_EQ_U64(got.len, 40);
	T_EQ_U64(got.payload[39], 0x77);
}

static void longest_message_ends_with_its_page(void)
{
	begin();
	put_message(AT, 240);
	T_EQ_U64(call(POST, AT), HV_NO_BUFFERS);
	T_EQ_U64(got.len, 240);
	put_message(AT + 8, 240);
	T_EQ_U64(call(POST, AT + 8), HV_BAD_PARAMETER);
	put_message(0xF08, 240); /* into the next page, which is memory */
	T_EQ_U64(call(POST, 0xF08), HV_BAD_PARAMETER);
	T_EQ_U64(got.post_cnt, 1);
}

static void message_that_is_too_long_is_refused(void)
{
	begin();
	put_message(AT, 241);
	T_EQ_U64(call(POST, AT), HV_BAD_PARAMETER);
	put_message(AT, UINT32_MAX);
	T_EQ_U64(call(POST, AT), HV_BAD_PARAMETER);
	T_EQ_U64(got.post_cnt, 0);
}

static void address_that_is_odd_or_no_memory_is_refused(void)
{
	begin();
	T_EQ_U64(call(POST, AT + 4), HV_BAD_ALIGNMENT);
	T_EQ_U64(call(SIGNAL, AT + 4), HV_BAD_ALIGNMENT);
	T_EQ_U64(call(POST, RAM), HV_BAD_PARAMETER);
	T_EQ_U64(call(SIGNAL, RAM), HV_BAD_PARAMETER);
	T_EQ_U64(call(POST, UINT64_MAX - 7), HV_BAD_PARAMETER);
	T_EQ_U64(call(SIGNAL, UINT64_MAX - 7), HV_BAD_PARAMETER);
	T_EQ_U64(got.post_cnt + got.signal_cnt, 0);
}

static void signal_is_taken_fast_and_from_memory(void)
{
	begin();
	T_EQ_U64(call(SIGNAL | FAST, 0x1001), HV_BAD_CONNECTION);
	T_EQ_U64(got.conn_id, 0x1001);
	put_le32(ram + AT, 0x1002);
	T_EQ_U64(call(SIGNAL, AT), HV_BAD_CONNECTION);
	T_EQ_U64(got.conn_id, 0x1002);
	T_EQ_U64(got.signal_cnt, 2);
}

static void signal_of_another_flag_is_refused(void)
{
	begin();
	T_EQ_U64(call(SIGNAL | FAST, UINT64_C(1) << 32 | 5), HV_BAD_PARAMETER);
	put_le64(ram + AT, UINT64_C(1) << 48 | 5);
	T_EQ_U64(call(SIGNAL, AT), HV_BAD_PARAMETER);
	T_EQ_U64(got.signal_cnt, 0);
}

static void other_calls_and_other_ways_to_call_are_refused(void)
{
	begin();
	put_message(AT, 8);
	T_EQ_U64(call(0x5E, AT), HV_BAD_CODE);
	T_EQ_U64(call(0, AT), HV_BAD_CODE);
	T_EQ_U64(call(POST | FAST, AT), HV_BAD_INPUT);
	T_EQ_U64(call(POST | UINT64_C(1) << 32, AT), HV_BAD_INPUT);
	T_EQ_U64(call(SIGNAL | FAST | UINT64_C(1) << 48, 5), HV_BAD_INPUT);
	T_EQ_U64(got.post_cnt + got.signal_cnt, 0);
}

static const struct t_test tests[] = {
	T_TEST(message_is_read_from_guest_memory),
	T_TEST(longest_message_ends_with_its_page),
	T_TEST(message_that_is_too_long_is_refused),
	T_TEST(address_that_is_odd_or_no_memory_is_refused),
	T_TEST(signal_is_taken_fast_and_from_memory),
	T_TEST(signal_of_another_flag_is_refused),
	T_TEST(other_calls_and_other_ways_to_call_are_refused),
	T_END,
};

const struct t_suite t_suite_hyperv_hcall = { "hyperv_hcall", tests };
