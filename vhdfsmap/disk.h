/* SPDX-License-Identifier: MIT */
/*
 * The disk, as the parent shows it through the socket, and the way to tell it
 * what was found. A parent that is gone, or that talks nonsense, ends this
 * program.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fsmap_proto.h"

/* A part of the disk. */
struct part {
	uint64_t off, len; /* bytes */
	char name[40];	   /* "partition 2", "the whole disk" */
	bool foreign;	   /* its type is none that plain file systems have */
	bool swap;	   /* looked at when all others were */
	bool bad;	   /* reading it failed once */
};

void disk_hello(void);
uint64_t disk_len(void);
uint32_t disk_sector_len(void);

/* Bytes of the disk; false: cannot be read, or not on it. */
bool disk_read(uint64_t off, void *buf, uint64_t len);

/* The same, counted from the start of the part, and within it. */
bool part_read(struct part *p, uint64_t off, void *buf, uint64_t len);

void tell_part(const struct part *p);
/* In ascending order; what is too short to matter is left out. */
void tell_unused(const struct part *p, uint64_t off, uint64_t len);
void tell_verdict(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tell_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tell_done(void);

#endif
