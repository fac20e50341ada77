/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz harnesses share. A harness is one LLVMFuzzerTestOneInput();
 * with libFuzzer it searches, with replay_main.c it runs a corpus.
 *
 * Images. MiB-aligned sparse files are hopeless as raw fuzzer input, so an
 * input describes one instead (image.c): a base that the engine itself has
 * made, patches to its structures, and which checksums are mended afterwards.
 * Every input means something, and a small change of it is a small change of
 * the image.
 *
 * Oracles (exercise.c), besides the sanitizers:
 *  F1  What check calls free of errors can be opened and read.
 *  F2  What a write was told is stored is read back, before and after closing,
 *      and nothing else changes.
 *  F3  A read-only open changes no byte.
 *  F4  What repair says it has mended is not found again.
 *  F5  A chain reads as its layers, asked one by one, say; parents never
 *      change.
 *  F5  A child with another parent holds what it held.
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
uint16_t fuzz_u16(struct fuzz_in *in);
uint32_t fuzz_u32(struct fuzz_in *in);
uint64_t fuzz_u64(struct fuzz_in *in);

/* A value that may mean something where `old` is. */
uint64_t fuzz_value(struct fuzz_in *in, uint64_t old);

/* The checksum of a header or region table copy. */
void fuzz_mend(struct memimg *img, uint64_t off, size_t len);

/* The loop all images of this process belong to. */
struct loop *fuzz_loop(void);

/* Makes *img, to be freed by the caller, and takes all of the input. */
void fuzz_image(struct fuzz_in *in, enum vhdx_format format,
		struct memimg *img);

/* A chain of VHDX images, leaf first, bits and all, to be freed by the caller.
 * Takes all of the input. The files name each other as FUZZ_LAYER_PATH. */
#define FUZZ_LAYERS 4u
#define FUZZ_LAYER_PATH "/l%u" /* 0: the leaf */
void fuzz_layers(struct fuzz_in *in, struct memimg imgs[FUZZ_LAYERS]);

/* Opens img (borrowed) as a file. */
struct file *fuzz_file(struct memimg *img, bool writable);

/* F1, F3: open read-only, look around. Returns the code of opening it. */
int fuzz_read(const struct memimg *img, enum vhdx_format format);

/* F2: open a copy for writing, change it, close it. */
void fuzz_write(const struct memimg *img, enum vhdx_format format);

/* F5: record another parent in a copy, if it is a child. */
void fuzz_relink(const struct memimg *img, enum vhdx_format format);

/* F1: examine it, and hold check to its word. */
void fuzz_check(const struct memimg *img, enum vhdx_format format);

/* F4: mend a copy. */
void fuzz_repair(const struct memimg *img, enum vhdx_format format);

#endif
