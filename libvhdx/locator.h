/* SPDX-License-Identifier: MIT */
/*
 * The parent locator of a differencing VHDX (MS-VHDX 2.6.2.6): a table of
 * UTF-16 keys and values. Pure codec; total on hostile bytes; what it cannot
 * interpret is kept as it is, raw, for a round trip. No file is touched.
 */
#ifndef LOCATOR_H
#define LOCATOR_H

#include "image.h"

#define LOCATOR_ENTRY_MAX 64u

struct locator_entry {
	uint8_t *key, *value; /* UTF-16LE bytes, owned by the locator */
	uint16_t key_len, value_len; /* bytes */
};

struct locator {
	uint32_t cnt;
	struct locator_entry e[LOCATOR_ENTRY_MAX];
};

/* b: the metadata item, len bytes, at file offset off (for messages). CORRUPT
 * or UNSUPPORTED (another type, too many entries). */
int locator_decode(const uint8_t *b, uint32_t len, uint64_t off,
		   struct locator *out, struct vhdx_err *e) must_check;
void locator_free(struct locator *l); /* zeroed or failed ones allowed */

/* Bytes the item takes; writes them when b is not NULL (cap checked by the
 * caller through a first call). */
uint32_t locator_encode(const struct locator *l, uint8_t *b);

/* Sets, replaces or (value NULL) removes a key. Keys are ASCII, values UTF-8;
 * INVAL for a value that is empty, too long or not UTF-8. The rest of the
 * locator stays as it is, and all of it on error. */
int locator_set(struct locator *l, const char *key, const char *value,
		struct vhdx_err *e) must_check;
/* The value as UTF-8, to be given to mem_free(); NULL: there is none, or no
 * memory. */
char *locator_get(const struct locator *l, const char *key);

/* What it says: parent_linkage (required), parent_linkage2, and the paths in
 * the order relative_path, volume_path, absolute_win32_path (at least one). */
int locator_parent(const struct locator *l, uint64_t off,
		   struct parent_ref **out, struct vhdx_err *e) must_check;

/* The same for a key with an id, written as Windows does: "{guid}" in lower
 * case. */
int locator_set_linkage(struct locator *l, const char *key,
			const struct guid *id, struct vhdx_err *e) must_check;

/* Both say the same, entry by entry and byte by byte. */
bool locator_eq(const struct locator *a, const struct locator *b);

/* Records where the parent is, as locator_make() does. A volume_path goes if
 * that changes anything. After an error *l is of no use. */
int locator_set_paths(struct locator *l, const char *child_path,
		      const char *parent_path, struct vhdx_err *e) must_check;

/* A locator for a new child at child_path whose parent is parent_path (both
 * host paths) with the given DataWriteGuid: parent_linkage "{guid}" in lower
 * case, relative_path with backslashes from the child's folder ("." or ".."
 * first, as Windows writes it), absolute_win32_path "\\\\?\\" and the host's
 * path ("\\\\?\\\\srv\\a.vhdx"; left out if a name in it has a backslash).
 * Looks at the folders of the two, opens nothing. INVAL: a name that cannot be
 * recorded, or parent and child are one. */
int locator_make(const char *child_path, const char *parent_path,
		 const struct guid *linkage, struct locator *out,
		 struct vhdx_err *e) must_check;

#define LOCATOR_BY_NAME "name"	   /* a foreign path's name, near the child */
#define LOCATOR_BY_SEARCH "search" /* by name in a search folder */

/* Host paths to try for a parent_ref of an image at child_path, in order:
 * each of its paths mapped to the host (relative ones from the child's folder,
 * and from the folder a symbolic link child_path leads to; absolute ones of
 * this host as they are; those of a Windows drive, volume or server by their
 * name in the child's folder), then their names in each of the search folders.
 * Duplicates dropped. why: the key of the path, or one of the two above. Calls
 * fn until it returns true; nothing is opened here. NOMEM only. */
int locator_candidates(const struct parent_ref *ref, const char *child_path,
		       const char *const *search, unsigned search_cnt,
		       bool (*fn)(void *arg, const char *host_path,
				  const char *why),
		       void *arg, struct vhdx_err *e) must_check;

#endif
