/* SPDX-License-Identifier: MIT */
#include "synic.h"

#include <string.h>

#include "le.h"
#include "mem.h"
#include "t.h"

#define RAM 16384u
#define SINT 2u
#define SIMP (UINT64_C(0x1000) | SYNIC_ENABLE)
#define SIEFP (UINT64_C(0x2000) | SYNIC_ENABLE)

static _Alignas(4096) uint8_t ram[RAM];
static _Atomic uint64_t dirty;
static struct gmem mem;
static uint8_t *const slot = ram + 0x1000 + SINT * 256;
static uint8_t *const flags = ram + 0x2000 + SINT * 256;
static const uint8_t hello[5] = "hello";

static void begin(void)
{
	memset(ram, 0, sizeof(ram));
	dirty = 0;
	mem = (struct gmem){ .cnt = 1 };
	mem.region[0] = (struct gmem_region){
		.len = RAM, .hva = ram, .dirty = &dirty,
	};
}

static bool put_hello(uint64_t simp)
{
	return synic_put(&mem, simp, SINT, 1, hello, sizeof(hello));
}

static void message_is_laid_out_as_the_guest_reads_it(void)
{
	begin();
	memset(slot + 5, 0xAA, 11);
	T_TRUE(put_hello(SIMP));
	T_EQ_U64(get_le32(slot), 1);
	T_EQ_U64(slot[4], 5);
	T_EQ_U64(slot[5], 0);
	T_EQ_U64(get_le64(slot + 8), 0);
	T_TRUE(!memcmp(slot + 16, "hello", 5));
	T_EQ_U64(dirty, 1u << 1);
}

static void full_slot_is_kept_and_marked_pending(void)
{
	begin();
	T_TRUE(put_hello(SIMP));
	T_TRUE(!synic_put(&mem, SIMP, SINT, 7, (const uint8_t *)"other", 5));
	T_EQ_U64(get_le32(slot), 1);
	T_EQ_U64(slot[5], 1);
	T_TRUE(!memcmp(slot + 16, "hello", 5));
}

static void emptied_slot_takes_the_next_without_pending_mark(void)
{
	begin();
	T_TRUE(put_hello(SIMP));
	T_TRUE(!put_hello(SIMP));
	put_le32(slot, 0);
	T_TRUE(put_hello(SIMP));
	T_EQ_U64(slot[5], 0);
}

static void longest_message_stays_in_its_slot(void)
{
	uint8_t most[SYNIC_PAYLOAD_MAX];
	begin();
	memset(most, 0x55, sizeof(most));
	T_TRUE(synic_put(&mem, SIMP, SINT, 1, most, sizeof(most)));
	T_EQ_U64(slot[4], 240);
	T_EQ_U64(slot[255], 0x55);
	T_TRUE(mem_is_zero(slot + 256, 256));
}

static void page_that_is_off_or_no_memory_takes_nothing(void)
{
	begin();
	T_TRUE(!put_hello(SIMP & ~SYNIC_ENABLE));
	T_TRUE(!put_hello(RAM | SYNIC_ENABLE));
	T_TRUE(!put_hello(UINT64_MAX));
	T_TRUE(!synic_flag(&mem, SIEFP & ~SYNIC_ENABLE, SINT, 5));
	T_TRUE(!synic_flag(&mem, UINT64_MAX, SINT, 5));
	T_TRUE(mem_is_zero(ram, RAM));
}

static void flag_is_one_bit_and_raised_once(void)
{
	begin();
	T_TRUE(synic_flag(&mem, SIEFP, SINT, 2047));
	T_TRUE(!synic_flag(&mem, SIEFP, SINT, 2047));
	T_EQ_U64(flags[255], 0x80);
	T_TRUE(synic_flag(&mem, SIEFP, SINT, 9));
	T_EQ_U64(flags[1], 2);
	flags[1] = 0;
	T_TRUE(synic_flag(&mem, SIEFP, SINT, 9));
	T_EQ_U64(dirty, 1u << 2);
}

static void what_lies_in_either_page_is_seen(void)
{
	begin();
	T_TRUE(!synic_waiting(&mem, SIMP, SIEFP, SINT));
	flags[255] = 1;
	T_TRUE(synic_waiting(&mem, SIMP, SIEFP, SINT));
	T_TRUE(!synic_waiting(&mem, SIMP, 0, SINT));
	T_TRUE(put_hello(SIMP));
	T_TRUE(synic_waiting(&mem, SIMP, 0, SINT));
	T_TRUE(!synic_waiting(&mem, SIMP, SIEFP, SINT + 1));
}

static const struct t_test tests[] = {
	T_TEST(message_is_laid_out_as_the_guest_reads_it),
	T_TEST(full_slot_is_kept_and_marked_pending),
	T_TEST(emptied_slot_takes_the_next_without_pending_mark),
	T_TEST(longest_message_stays_in_its_slot),
	T_TEST(page_that_is_off_or_no_memory_takes_nothing),
	T_TEST(flag_is_one_bit_and_raised_once),
	T_TEST(what_lies_in_either_page_is_seen),
	T_END,
};

const struct t_suite t_suite_synic = { "synic", tests };
