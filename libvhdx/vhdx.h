/* SPDX-License-Identifier: MIT */
/*
 * libvhdx - VHD and VHDX disk images: create, open, inspect, check, repair.
 *
 * An open image is a struct vhdx_blk (vhdx_blk.h). Everything here is blocking
 * and is called from one thread per image. The library never prints, never
 * exits, never changes the working directory and installs no signal handler.
 *
 * Every fallible function returns 0 or a VHDX_E_* code and, where `e` is not
 * NULL, fills *e with a sentence for the user. Specification: [MS-VHDX]
 * v20240423 and "Virtual Hard Disk Image Format Specification" 1.0.
 */
#ifndef VHDX_H
#define VHDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhdx_blk.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- errors ---------------------------------------------------------- */

enum vhdx_code {
	VHDX_OK = 0,
	VHDX_E_INVAL,	    /* the caller's arguments make no sense */
	VHDX_E_IO,	    /* the host reported an I/O error */
	VHDX_E_CORRUPT,	    /* the file breaks the format: see check */
	VHDX_E_NEEDS_REPLAY, /* the log must be replayed first */
	VHDX_E_NOPARENT,    /* the parent cannot be found */
	VHDX_E_LINKAGE,	    /* a parent was found, but it is another one */
	VHDX_E_UNSUPPORTED, /* legal, but not handled by this version */
	VHDX_E_READONLY,    /* opened or stored read-only */
	VHDX_E_BUSY,	    /* in use by another process: try again */
	VHDX_E_NOSPC,	    /* no space on the host; free some, try again */
	VHDX_E_RANGE,	    /* offset or length outside the disk */
	VHDX_E_NOMEM,
	VHDX_E_CANCELED,
	VHDX_E_FAILED,	    /* an earlier failure closed this image to writes */
	VHDX_E_NOTFOUND,    /* no such file */
	VHDX_E_EXISTS,	    /* the target exists */
	VHDX_E_PERM,	    /* the host denies access */
};

enum vhdx_obj {
	VHDX_OBJ_NONE,
	VHDX_OBJ_IDENT,
	VHDX_OBJ_HEADER,
	VHDX_OBJ_REGION,
	VHDX_OBJ_LOG,
	VHDX_OBJ_META,
	VHDX_OBJ_BAT,
	VHDX_OBJ_BITMAP,
	VHDX_OBJ_LOCATOR,
	VHDX_OBJ_PARENT,
	VHDX_OBJ_FOOTER,
	VHDX_OBJ_DYNHEADER,
	VHDX_OBJ_PAYLOAD,
	VHDX_OBJ_DEVICE,
};

/* Caller-owned; needs no initialisation and no cleanup. */
struct vhdx_err {
	int code;	   /* VHDX_E_* */
	int sys_errno;	   /* errno, or 0 */
	enum vhdx_obj obj;
	uint64_t off;	   /* file offset in bytes, or UINT64_MAX */
	char spec[16];	   /* section of the specification, or "" */
	const char *func;  /* where it was detected */
	int line;
	char text[512];	   /* one line, no newline, always terminated */
};

/* "CORRUPT", "IO", ...; "BAT", "HEADER", ... Static strings. */
const char *vhdx_code_name(int code);
const char *vhdx_obj_name(enum vhdx_obj obj);

/* Noteworthy successes ("log replayed: 3 entries"), one line each. */
typedef void vhdx_msg_fn(void *arg, const char *text);

/* ---- opening --------------------------------------------------------- */

enum vhdx_format {
	VHDX_FORMAT_PROBE, /* by content; never by extension */
	VHDX_FORMAT_RAW,
	VHDX_FORMAT_VHD,
	VHDX_FORMAT_VHDX,
};

enum vhdx_type {
	VHDX_TYPE_FIXED,
	VHDX_TYPE_DYNAMIC,
	VHDX_TYPE_DIFFERENCING,
};

const char *vhdx_format_name(enum vhdx_format f); /* "raw", "vhd", "vhdx" */
const char *vhdx_type_name(enum vhdx_type t);

#define VHDX_OPEN_WRITE 1u    /* lock exclusively; replay a dirty log */
#define VHDX_OPEN_ALONE 4u    /* a child without its parents: what it does not
				 hold itself gives VHDX_E_NOPARENT */
#define VHDX_OPEN_PARTIAL 8u  /* a child with as many of its parents as can be
				 opened, read-only: as ALONE beyond them */
#define VHDX_OPEN_DIRECT 16u  /* past the host's page cache (O_DIRECT), where
				 its file system can */
#define VHDX_OPEN_CHS_SIZE 2u /* VHD: the size is C*H*S, not CurrentSize */

/* Zero-initialise; every field may stay zero. */
struct vhdx_open_opts {
	unsigned flags;		   /* VHDX_OPEN_* */
	enum vhdx_format format;
	vhdx_msg_fn *msg;
	void *msg_arg;
	const char *const *search; /* folders to look for parents in */
	unsigned search_cnt;
};

/* Opens an image. Read-only, not a byte of the file changes: a dirty log is
 * replayed into memory. For writing, a dirty log is replayed in place first;
 * nothing else changes until the first write. opts may be NULL (read-only,
 * probe). On success *out is to be closed with vhdx_blk_close().
 * BUSY names the process that holds the lock where /proc shows it. */
int vhdx_open(const char *path, const struct vhdx_open_opts *opts,
	      struct vhdx_blk **out, struct vhdx_err *e);

struct vhdx_info {
	enum vhdx_format format;
	enum vhdx_type type;
	uint64_t size_len;	/* virtual size in bytes */
	uint64_t file_len;	/* size of the image file in bytes */
	uint64_t host_len;	/* bytes it occupies on the host */
	uint32_t block_len;	/* 0: none */
	uint32_t sector_len;
	uint32_t physical_sector_len;
	uint8_t disk_id[16];	/* VHDX page-83 id; VHD unique id, big-endian */
	char creator[257];	/* UTF-8, unprintables replaced; "" unknown */
	/* VHDX only */
	uint8_t file_write_guid[16];
	uint8_t data_write_guid[16];
	uint8_t log_guid[16];	/* as found in the file */
	uint64_t header_seq;
	uint64_t log_off, log_len, bat_off, bat_len, meta_off, meta_len;
	bool log_dirty;		/* found with entries to replay */
	/* VHD only */
	uint64_t chs_len;	/* C*H*S*512 */
	uint64_t current_len;	/* CurrentSize */
};

/* Facts about an open device (its leaf); never fails. */
void vhdx_get_info(const struct vhdx_blk *blk, struct vhdx_info *info);

/* The layers of an open device: 0 is the image that was opened, 1 its parent,
 * ... *path is borrowed from the device. */
#define VHDX_LAYERS_MAX 256u /* no deeper chain opens or is made */
unsigned vhdx_layer_cnt(const struct vhdx_blk *blk);
void vhdx_get_layer(const struct vhdx_blk *blk, unsigned depth,
		    struct vhdx_info *info, const char **path);

/* ---- creating -------------------------------------------------------- */

/* Zero-initialise; zero means the default. */
struct vhdx_create_opts {
	enum vhdx_format format;  /* PROBE (zero): VHDX; DIFFERENCING: the
				   * parent's */
	enum vhdx_type type;	  /* FIXED or DYNAMIC, if type_given */
	bool type_given;	  /* false: DYNAMIC; raw: FIXED */
	uint64_t size_len;	  /* bytes, multiple of sector_len; required */
	uint32_t block_len;	  /* default VHDX 32 MiB, VHD 2 MiB */
	uint32_t sector_len;	  /* default 512 */
	uint32_t physical_sector_len; /* default 4096 VHDX, 512 VHD */
	bool force;		  /* replace an existing file */
	/* Neither flushes nor the end wait for the host: every program sees a
	 * whole image, but a power failure can damage it, and not visibly so,
	 * until the host has written all of it. */
	bool no_sync;
	/* DIFFERENCING only: the parent, and where to look for its parents. It
	 * is opened read-only with its whole chain, and must not be written to
	 * any more as long as the child is to be used. */
	const char *parent;
	const char *const *search;
	unsigned search_cnt;
};

/* Completes *opts (zero fields get their defaults) and refuses, before anything
 * is made, what vhdx_create() would refuse. *file_len: the length of the empty
 * image's file. *host_len: bytes the host must have free for it: all of it for
 * a fixed VHD or VHDX, only what is written for the sparse others. */
int vhdx_create_plan(struct vhdx_create_opts *opts, uint64_t *file_len,
		     uint64_t *host_len, struct vhdx_err *e);

/* Makes a new image under a temporary name, syncs it, then gives it its name
 * (atomically; EXISTS unless opts->force). On error nothing is left behind. */
int vhdx_create(const char *path, const struct vhdx_create_opts *opts,
		struct vhdx_err *e);

/* The same in two steps, for a caller that fills the image before it gets its
 * name: *out is open for writing and has no name yet.
 * vhdx_new_commit closes it, names it and syncs the directory; vhdx_new_abort
 * drops it. Either frees `n`; a process that dies in between leaves nothing
 * where the file system supports O_TMPFILE. */
struct vhdx_new;
int vhdx_new_begin(const char *path, const struct vhdx_create_opts *opts,
		   struct vhdx_new **n, struct vhdx_blk **out,
		   struct vhdx_err *e);
int vhdx_new_commit(struct vhdx_new *n, struct vhdx_err *e);
void vhdx_new_abort(struct vhdx_new *n);

/* ---- checking and repairing ------------------------------------------ */

enum vhdx_severity {
	VHDX_SEV_NOTE,	  /* worth knowing, nothing wrong */
	VHDX_SEV_WARNING, /* harmless deviation or leaked space */
	VHDX_SEV_ERROR,	  /* damage: data may be wrong or at risk */
};

struct vhdx_finding {
	enum vhdx_severity severity;
	enum vhdx_obj obj;
	uint64_t off;	       /* file offset in bytes, or UINT64_MAX */
	const char *spec;      /* section, or "" */
	const char *text;      /* a plain sentence; valid during the call */
	bool repairable;       /* check --repair can mend it */
	bool repaired;
};

typedef void vhdx_finding_fn(void *arg, const struct vhdx_finding *f);

struct vhdx_check_result {
	enum vhdx_format format;
	uint64_t errors, warnings; /* counts of what is, or stays, wrong */
	uint64_t repaired;	   /* findings that were mended */
	uint64_t blocks_allocated;
	uint64_t leaked_len; /* bytes of file that nothing refers to */
	bool log_dirty; /* what was examined is the content after replay,
			   which the file still lacks */
};

#define VHDX_CHECK_REPAIR 1u  /* mend what can be mended without guessing */
#define VHDX_CHECK_DRY_RUN 2u /* with REPAIR: only say what it would do */

/* Examines every structure of the file. Returns 0 when the examination could
 * be completed, whatever it found; a code only when the file could not be
 * examined at all. Opens shared, with REPAIR exclusive. */
int vhdx_check(const char *path, unsigned flags, vhdx_finding_fn *fn,
	       void *arg, struct vhdx_check_result *result,
	       struct vhdx_err *e);

/* ---- the log of a VHDX file ------------------------------------------ */

struct vhdx_log_entry {
	uint64_t off;	     /* in the log, bytes */
	uint64_t len;	     /* bytes */
	uint64_t seq;
	uint64_t tail_off;   /* in the log, bytes */
	uint64_t flushed_len, last_len; /* FlushedFileOffset, LastFileOffset */
	uint32_t desc_cnt;
	bool replays;	     /* belongs to what a replay would apply */
};

struct vhdx_log_desc {
	bool zero;
	uint64_t file_off; /* target, bytes */
	uint64_t len;	   /* bytes */
};

struct vhdx_log_state {
	bool dirty;	     /* LogGuid is not zero */
	bool valid;	     /* an active sequence exists */
	uint8_t log_guid[16];
	uint64_t log_off, log_len;
	uint64_t entry_cnt;  /* entries that a replay would apply */
};

/* Calls entry (then desc for each of its descriptors; either may be NULL) for
 * every entry of the active sequence. Changes nothing. *state (may be NULL) is
 * filled also when the log cannot be replayed, which is CORRUPT. */
int vhdx_log_show(const char *path,
		  void (*entry)(void *, const struct vhdx_log_entry *),
		  void (*desc)(void *, const struct vhdx_log_desc *),
		  void *arg, struct vhdx_log_state *state, struct vhdx_err *e);

/* Applies the log to the file and marks it clean. *entries: how many were
 * applied; 0 when the log was clean. */
int vhdx_log_replay(const char *path, uint64_t *entries, struct vhdx_err *e);

/* Marks the log clean WITHOUT applying it: changes that the last writer had
 * flushed are lost and the file may be inconsistent. For a log that cannot be
 * replayed. */
int vhdx_log_discard(const char *path, struct vhdx_err *e);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
