/* SPDX-License-Identifier: MIT */
/*
 * What goes to stdout. Text is for people (bytes and a human figure), JSON for
 * programs (bytes only). Nothing counts as printed until out_close() has said
 * so: a full disk or a closed pipe must not look like success.
 */
#ifndef OUT_H
#define OUT_H

#include <jansson.h>

#include "vhdx.h"

#define OUT_SIZE_LEN 64
#define OUT_GUID_LEN 37

/* "1.5 GiB"; exact multiples without a fraction. */
const char *out_human(uint64_t len, char buf[OUT_SIZE_LEN]);
/* "1610612736 (1.5 GiB)"; below 1 KiB just the bytes. */
const char *out_size(uint64_t len, char buf[OUT_SIZE_LEN]);

/* "1 entry", "2 entries"; irregular ones give both forms. */
const char *out_count(uint64_t cnt, const char *one, const char *many,
		      char buf[OUT_SIZE_LEN]);

/* Lower case, no braces. VHDX keeps its ids mixed-endian, VHD big-endian. */
const char *out_guid(const uint8_t id[16], enum vhdx_format format,
		     char buf[OUT_GUID_LEN]);

/* A name or text from outside, for print: control characters become '?', or it
 * could move the cursor or fake a line. Good until the fourth call after. */
const char *out_clean(const char *text);

/* An integer, or a string of digits where JSON's integers end (2^63). */
json_t *out_u64(uint64_t v);

/* A string from outside: bytes that are not UTF-8 become '?'. */
json_t *out_string(const char *text);

/* { code, text } */
json_t *out_error(const struct vhdx_err *e);

/* Prints j and releases it; returns the exit status. */
int out_json(json_t *j);
/* The same on one line, without the line feed; for long lists. */
int out_json_line(json_t *j);

/* Flushes and closes stdout; returns `status`, or STATUS_FAILED after a
 * message if anything printed so far has not arrived. */
int out_close(int status);

/* Whole or not at all, to file descriptor 1. False after a message. */
bool out_bytes(const void *data, size_t len);

#endif
