/* SPDX-License-Identifier: MIT */
#include "synic.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake_hook.h"
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

/* ---- a guest that comes in between -------------------------------------- */

static _Alignas(4096) uint8_t page[4096]; /* what is to be sent */
static uint32_t type_seen;

/* The guest has read its message, and found no pending mark. */
static void free_slot(void)
{
	put_le32(slot, 0);
}

static void see_type(void)
{
	type_seen = get_le32(slot);
}

static void slot_freed_before_the_mark_is_used_at_once(void)
{
	if (!FAKE_HOOKS)
		return;
	begin();
	T_TRUE(put_hello(SIMP));
	fake_after_load(ram + 0x1000, free_slot);
	bool done = put_hello(SIMP);
	T_TRUE(fake_hook_ran() && done);
	T_EQ_U64(get_le32(slot), 1);
	T_EQ_U64(slot[5], 0);
}

static void type_is_written_after_the_payload(void)
{
	if (!FAKE_HOOKS)
		return;
	begin();
	type_seen = 99;
	fake_after_load(page, see_type);
	bool done = synic_put(&mem, SIMP, SINT, 1, page, SYNIC_PAYLOAD_MAX);
	T_TRUE(fake_hook_ran() && done);
	T_EQ_U64(type_seen, 0);
}

/* ---- a guest on another CPU --------------------------------------------- */

#define ROUNDS 20000u

static struct {
	int irq, eom; /* the guest's interrupt; the host's notice */
	unsigned seen; /* in order */
} other;

/* True: it came within a time that only a lost wakeup takes. */
static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	eventfd_t v;
	return poll(&p, 1, 20000) == 1 && eventfd_read(fd, &v) == 0;
}

/* As Linux does: copy, free the slot, look at the flag, write EOM. */
static void *read_messages(void *arg)
{
	_Atomic uint32_t *type = (_Atomic uint32_t *)(void *)slot;
	_Atomic uint8_t *pending = (_Atomic uint8_t *)(slot + 5);
	(void)arg;
	while (other.seen < ROUNDS) {
		if (atomic_load(type) == 0 && !wait_for(other.irq))
			break;
		if (atomic_load(type) == 0)
			continue;
		if (get_le32(slot + 16) != other.seen)
			break;
		other.seen++;
		atomic_exchange(type, 0);
		if (atomic_load(pending) & 1)
			eventfd_write(other.eom, 1);
	}
	return NULL;
}

static void no_message_is_lost_or_waits_between_two_cpus(void)
{
	pthread_t t;
	uint8_t seq[4];
	bool on = true;
	begin();
	other.seen = 0;
	other.irq = eventfd(0, EFD_CLOEXEC);
	other.eom = eventfd(0, EFD_CLOEXEC);
	T_EQ_U64(pthread_create(&t, NULL, read_messages, NULL), 0);
	for (uint32_t i = 0; on && i < ROUNDS; i++) {
		put_le32(seq, i);
		while (on && !synic_put(&mem, SIMP, SINT, 1, seq, 4))
			on = wait_for(other.eom);
		eventfd_write(other.irq, 1);
	}
	pthread_join(t, NULL);
	close(other.irq);
	close(other.eom);
	T_TRUE(on);
	T_EQ_U64(other.seen, ROUNDS);
}

static const struct t_test tests[] = {
	T_TEST(message_is_laid_out_as_the_guest_reads_it),
	T_TEST(full_slot_is_kept_and_marked_pending),
	T_TEST(emptied_slot_takes_the_next_without_pending_mark),
	T_TEST(longest_message_stays_in_its_slot),
	T_TEST(page_that_is_off_or_no_memory_takes_nothing),
	T_TEST(flag_is_one_bit_and_raised_once),
	T_TEST(what_lies_in_either_page_is_seen),
	T_TEST(slot_freed_before_the_mark_is_used_at_once),
	T_TEST(type_is_written_after_the_payload),
	T_TEST(no_message_is_lost_or_waits_between_two_cpus),
	T_END,
};

const struct t_suite t_suite_synic = { "synic", tests };
