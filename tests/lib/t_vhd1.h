/* SPDX-License-Identifier: MIT */
/*
 * A VHD in a simulated file, for the tests of the VHD engine: made, opened as
 * a block device (through a tracing and a failing layer), looked at from below.
 */
#ifndef T_VHD1_H
#define T_VHD1_H

#include "file_fault.h"
#include "file_mem.h"
#include "file_trace.h"
#include "image.h"
#include "vhd1_format.h"

struct t_vhd1 {
	struct loop *loop;
	struct memimg disk; /* the file; keeps its content between sessions */
	struct file_trace *trace;
	struct file_fault *fault;
	struct vhdx_blk *blk;
	char msg[1024]; /* all messages of the last open, "; " between them */
};

extern struct t_vhd1 tv;

/* An empty dynamic (block_len) or fixed (block_len 0) VHD, not opened. */
void tv_create(uint64_t size_len, uint32_t block_len);
/* The same, opened for writing. */
void tv_begin(uint64_t size_len, uint32_t block_len);
int tv_try_open(unsigned flags);
void tv_open(unsigned flags);
void tv_close(void);
/* Forgets the device without closing it in order, as a crash does that loses
 * nothing; the file stays as it is. */
void tv_crash(void);
void tv_end(void);

/* 4 KiB at voff that say where they are from. */
void tv_put(uint64_t voff, uint64_t seed);
bool tv_has(uint64_t voff, uint64_t seed);
bool tv_zero(uint64_t voff, size_t len);

/* The nth of the operations (1u << FILE_x, or'ed) from now fails. */
void tv_fail_next(unsigned ops, uint64_t nth, int sys_errno);
/* A first block on a host that has no room for more places, nor a footer. */
void tv_put_without_growth(uint64_t voff);

/* A dynamic disk of 64 MiB in blocks of 2 MiB, with data in blocks 0 and 5,
 * closed; and whether the open one has just that. */
void tv_with_data(void);
void tv_expect_data(void);

/* From below. */
uint32_t tv_bat(uint32_t blk);
void tv_bat_set(uint32_t blk, uint32_t sector);
void tv_peek(uint64_t off, void *buf, size_t len);
void tv_poke(uint64_t off, const void *buf, size_t len);
bool tv_footer_at(uint64_t off);
/* Changes footers (end and copy) or the header, with the checksum. */
void tv_edit_footer(uint64_t off, void (*edit)(struct vhd1_footer *));
void tv_reseal_header(void);
/* A checksum of the whole file. */
uint64_t tv_sum(void);

#define TV_BAT_OFF 1536u

#endif
