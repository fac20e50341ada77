/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "serial.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { IER_RX = 1, IER_TX = 2, OUT2 = 8, LOOP = 0x10, FIFO_ON = 1 };

static struct serial s;

/* As a driver leaves it: FIFO, interrupts let out. */
static void start(uint8_t ier)
{
	memset(&s, 0, sizeof(s));
	serial_reset(&s);
	serial_write(&s, IIR, FIFO_ON);
	serial_write(&s, MCR, OUT2);
	serial_write(&s, IER, ier);
}

static void put(const char *text)
{
	for (; *text; text++)
		serial_write(&s, DATA, (uint8_t)*text);
}

static void what_is_written_comes_out_in_order(void)
{
	uint8_t got[16];

	start(0);
	put("hello");
	T_EQ_U64(serial_tx_take(&s, got, 3), 3);
	T_TRUE(memcmp(got, "hel", 3) == 0);
	put("!");
	T_EQ_U64(serial_tx_take(&s, got, sizeof(got)), 3);
	T_TRUE(memcmp(got, "lo!", 3) == 0);
	T_EQ_U64(serial_tx_take(&s, got, sizeof(got)), 0);
}

static void what_is_received_is_read_in_order(void)
{
	start(IER_RX);
	serial_rx(&s, (const uint8_t *)"ab", 2);
	T_EQ_U64(serial_read(&s, LSR) & 1, 1);
	T_EQ_U64(serial_read(&s, DATA), 'a');
	T_EQ_U64(serial_read(&s, DATA), 'b');
	T_EQ_U64(serial_read(&s, LSR) & 1, 0);
	T_EQ_U64(serial_read(&s, DATA), 0);
}

static void a_received_byte_interrupts_until_it_is_read(void)
{
	start(IER_RX);
	T_TRUE(!serial_irq(&s));
	serial_rx(&s, (const uint8_t *)"a", 1);
	T_TRUE(serial_irq(&s));
	T_EQ_U64(serial_read(&s, IIR), 0xc4);
	T_TRUE(serial_irq(&s));
	serial_read(&s, DATA);
	T_TRUE(!serial_irq(&s));
	T_EQ_U64(serial_read(&s, IIR), 0xc1);
}

static void less_than_the_trigger_level_is_a_timeout(void)
{
	start(IER_RX);
	serial_write(&s, IIR, FIFO_ON | 0x80); /* 8 bytes */
	serial_rx(&s, (const uint8_t *)"1234567", 7);
	T_EQ_U64(serial_read(&s, IIR) & 0xf, 0xc);
	serial_rx(&s, (const uint8_t *)"8", 1);
	T_EQ_U64(serial_read(&s, IIR) & 0xf, 0x4);
}

static void asking_for_transmitter_interrupts_gives_one_at_once(void)
{
	start(0);
	T_TRUE(!serial_irq(&s));
	serial_write(&s, IER, IER_TX);
	T_TRUE(serial_irq(&s));
	/* Having asked why takes it back, until something is sent. */
	T_EQ_U64(serial_read(&s, IIR), 0xc2);
	T_TRUE(!serial_irq(&s));
	put("x");
	T_TRUE(serial_irq(&s));
}

static void received_bytes_are_told_before_an_empty_transmitter(void)
{
	start(IER_RX | IER_TX);
	serial_rx(&s, (const uint8_t *)"a", 1);
	T_EQ_U64(serial_read(&s, IIR), 0xc4);
	serial_read(&s, DATA);
	T_EQ_U64(serial_read(&s, IIR), 0xc2);
}

static void no_interrupt_leaves_without_out2(void)
{
	start(IER_TX);
	T_TRUE(serial_irq(&s));
	serial_write(&s, MCR, 0);
	T_TRUE(!serial_irq(&s));
}

static void a_full_transmitter_is_busy_and_says_when_it_is_not(void)
{
	uint8_t got[SERIAL_TX];

	start(IER_TX);
	while (serial_read(&s, LSR) & 0x20)
		put("0123456789abcdef");
	serial_read(&s, IIR);
	T_TRUE(!serial_irq(&s));
	put("0123456789abcdef"); /* nobody waited: lost, and no harm */
	T_TRUE(s.tx_cnt <= SERIAL_TX);
	serial_tx_take(&s, got, sizeof(got));
	T_TRUE(serial_irq(&s));
	T_EQ_U64(serial_read(&s, LSR) & 0x60, 0x60);
}

static void there_is_room_only_for_a_guest_that_listens(void)
{
	start(0);
	T_EQ_U64(serial_rx_room(&s), 0);
	serial_write(&s, IER, IER_RX);
	T_EQ_U64(serial_rx_room(&s), SERIAL_FIFO);
	serial_rx(&s, (const uint8_t *)"abc", 3);
	T_EQ_U64(serial_rx_room(&s), SERIAL_FIFO - 3);
	serial_write(&s, IIR, 0);
	T_EQ_U64(serial_rx_room(&s), 1);
}

static void too_many_bytes_are_an_overrun_told_once(void)
{
	uint8_t many[SERIAL_FIFO + 1] = "0123456789abcdef";

	start(IER_RX);
	serial_rx(&s, many, sizeof(many));
	T_EQ_U64(serial_read(&s, LSR) & 3, 3);
	T_EQ_U64(serial_read(&s, LSR) & 3, 1);
	T_EQ_U64(serial_read(&s, DATA), '0');
}

static void loopback_returns_bytes_and_outputs(void)
{
	start(IER_RX);
	serial_write(&s, MCR, LOOP | 0x0a);
	T_EQ_U64(serial_read(&s, MSR) & 0xf0, 0x90);
	put("z");
	T_EQ_U64(s.tx_cnt, 0);
	T_EQ_U64(serial_read(&s, DATA), 'z');
	T_TRUE(!serial_irq(&s));
}

static void the_divisor_hides_data_and_ier(void)
{
	start(IER_RX);
	serial_write(&s, LCR, 0x83);
	serial_write(&s, DATA, 12);
	serial_write(&s, IER, 34);
	T_EQ_U64(serial_read(&s, DATA), 12);
	T_EQ_U64(serial_read(&s, IER), 34);
	serial_write(&s, LCR, 0x03);
	T_EQ_U64(serial_read(&s, IER), IER_RX);
	T_EQ_U64(s.tx_cnt, 0);
}

static void a_probe_finds_a_16550a(void)
{
	start(0);
	serial_write(&s, SCR, 0x5a);
	T_EQ_U64(serial_read(&s, SCR), 0x5a);
	serial_write(&s, IER, 0xff);
	T_EQ_U64(serial_read(&s, IER), 0x0f);
	T_EQ_U64(serial_read(&s, IIR) & 0xc0, 0xc0);
	serial_write(&s, IIR, 0);
	T_EQ_U64(serial_read(&s, IIR) & 0xc0, 0);
	T_EQ_U64(serial_read(&s, MSR), 0xb0);
}

/* Whatever a guest writes: counts stay in range. */
static void random_accesses_keep_the_counts(void)
{
	uint64_t seed = 7;
	uint8_t buf[64];

	start(0);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned reg = (unsigned)t_rand_below(&seed, SERIAL_REGS);
		unsigned what = (unsigned)t_rand_below(&seed, 8);

		if (what == 0)
			serial_rx(&s, buf, serial_rx_room(&s));
		else if (what == 1 && t_rand_below(&seed, 50) == 0)
			serial_tx_take(&s, buf, sizeof(buf));
		else if (what < 4)
			serial_read(&s, reg);
		else
			serial_write(&s, reg, (uint8_t)t_rand(&seed));
		T_TRUE(s.rx_cnt <= SERIAL_FIFO && s.rx_at < SERIAL_FIFO);
		T_TRUE(s.tx_cnt <= SERIAL_TX && s.tx_at < SERIAL_TX);
	}
}

static const struct t_test tests[] = {
	T_TEST(what_is_written_comes_out_in_order),
	T_TEST(what_is_received_is_read_in_order),
	T_TEST(a_received_byte_interrupts_until_it_is_read),
	T_TEST(less_than_the_trigger_level_is_a_timeout),
	T_TEST(asking_for_transmitter_interrupts_gives_one_at_once),
	T_TEST(received_bytes_are_told_before_an_empty_transmitter),
	T_TEST(no_interrupt_leaves_without_out2),
	T_TEST(a_full_transmitter_is_busy_and_says_when_it_is_not),
	T_TEST(there_is_room_only_for_a_guest_that_listens),
	T_TEST(too_many_bytes_are_an_overrun_told_once),
	T_TEST(loopback_returns_bytes_and_outputs),
	T_TEST(the_divisor_hides_data_and_ier),
	T_TEST(a_probe_finds_a_16550a),
	T_TEST(random_accesses_keep_the_counts),
	T_END
};
const struct t_suite t_suite_vmm_serial = { "vmm_serial", tests };
