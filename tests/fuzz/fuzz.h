/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz harnesses share. A harness is one LLVMFuzzerTestOneInput();
 * with libFuzzer it searches, with replay_main.c it runs a corpus.
 *
 * Images. MiB-aligned sparse files are hopeless as raw fuzzer input, so an
 * input describes one instead: a base image that the engine itself has made,
 * patches to its structures, and whether checksums are mended afterwards.
 * Every input means something, and a small change of it is a small change of
 * the image.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "file_mem.h"
#include "vhdx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Takes bytes from the front of an input; zeros when it has run out. */
struct fuzz_in {
	const uint8_t *p;
	size_t len;
};

uint8_t fuzz_u8(struct fuzz_in *in);
uint32_t fuzz_u32(struct fuzz_in *in);
uint64_t fuzz_u64(struct fuzz_in *in);

/* The loop all images of this process belong to. */
struct loop *fuzz_loop(void);

/* Makes *img (to be freed by the caller) from the input; what is left of the
 * input stays in *in. `vhd`: only bases of that format, or only VHDX ones. */
enum fuzz_bases { FUZZ_VHDX = 1, FUZZ_VHD = 2 };
void fuzz_image(struct fuzz_in *in, unsigned bases, struct memimg *img);

/* Opens img (borrowed) as a file. */
struct file *fuzz_file(struct memimg *img, bool writable);

/* Opens, reads and, if writable, changes whatever the image lets us; then
 * closes. Returns the code of opening it. */
int fuzz_exercise(struct memimg *img, bool writable);

/* Runs the checker for `format`; repair: mending. */
int fuzz_check(struct memimg *img, enum vhdx_format format, bool repair,
	       struct vhdx_check_result *res);

#endif
