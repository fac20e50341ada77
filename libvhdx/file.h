/* SPDX-License-Identifier: MIT */
/*
 * A host file, behind one small set of operations so that the real one
 * (file_posix.c), a log replayed in memory (file_overlay.c) and the simulated
 * disks of the tests (tests/sim) are interchangeable.
 *
 * What every implementation guarantees:
 *  - file_submit() never blocks for I/O and never completes inside the call;
 *    done() runs on the loop, exactly once.
 *  - Transfers are whole or failed; short ones are continued. Reads beyond the
 *    end of the file give zeros. Writes beyond the end extend it.
 *  - FILE_SYNC covers every operation that was COMPLETE before it was
 *    submitted, and promises nothing about others.
 *  - Operations in flight at once are not ordered among themselves.
 *  - FILE_ZERO makes the range read as zeros (and may keep or give back its
 *    space); FILE_PUNCH does the same and gives back space where the host
 *    can, else it completes with 0 having done NOTHING (res_punched says
 *    which). Neither changes the file size.
 *  - A FILE_READ that may skip zeros need not put those it meets first into
 *    the buffers: res_zero_len says how many bytes, all read and all zero, it
 *    left out. Everything behind them is there.
 *  - FILE_COPY writes what [from_off, +len) of `from` holds, another file that
 *    nobody changes meanwhile. One that may skip zeros knows that the range
 *    reads as zeros, and leaves out what is zeros in `from`; res_copied_len
 *    says how many bytes it did not leave out. Where the host can, the two
 *    files share the space afterwards.
 *  - FILE_SCAN looks into [from_off, +len) of `from` and changes nothing:
 *    res_zero_len is how many bytes of zeros it begins with.
 *  - FILE_RESERVE gives the range its space on the host, so that a later write
 *    there does not find the host full: NOSPC if it is full now, 0 having done
 *    nothing where the host has no such call. Content and size stay.
 */
#ifndef FILE_H
#define FILE_H

#include <sys/uio.h>

#include "aio.h"
#include "bufpool.h"

enum file_op {
	FILE_READ,
	FILE_WRITE,
	FILE_SYNC,     /* data, and what is needed to find it (fdatasync) */
	FILE_TRUNCATE, /* to `off` bytes, either way */
	FILE_ZERO,
	FILE_PUNCH,
	FILE_RESERVE,
	FILE_COPY,
	FILE_SCAN,
};

#define FILE_DIRECT_VEC 16 /* pieces of memory, at a time */

struct file_io {
	struct loop_task task; /* the implementation's */
	struct file *file;     /* set by file_submit */
	enum file_op op;
	uint64_t off;	       /* bytes */
	uint64_t len;	       /* bytes; all but SYNC and TRUNCATE */
	const struct iovec *iov; /* READ, WRITE: transfer is len bytes */
	int iov_cnt;		 /* long and starts iov_skip bytes in */
	uint64_t iov_skip;
	struct file *from;	 /* COPY, SCAN: see file_can_copy() */
	uint64_t from_off;
	bool skip_zeros; /* set by file_submit*(); may be ignored */
	bool extends;	 /* COPY: set by file_submit*() */
	void (*done)(struct file_io *io);
	void *opaque;	       /* the submitter's */
	int res;	       /* 0 or VHDX_E_* */
	bool res_punched;
	uint64_t res_zero_len;
	uint64_t res_copied_len;
	bool res_from_failed; /* COPY, SCAN: the error is the source's */
	struct vhdx_err err;   /* filled when res != 0 */
	struct list merged; /* others, done together with it; their task.node */
	struct aio_op aio; /* file_direct.c's, like the rest */
	struct {
		struct list node; /* while it waits */
		bool cached; /* through the page cache, alone */
		uint64_t pos, step_len; /* moved, and being moved */
		struct iovec vec[FILE_DIRECT_VEC];
		uint8_t *bounce;
		struct bufpool_wait wait;
		struct file_direct *outer;
		void (*done)(struct file_io *io); /* the submitter's */
	} direct;
};

struct file {
	const struct file_ops *ops;
	struct loop *loop;
	const char *path; /* for messages; owned by the implementation */
	uint64_t size;	  /* bytes; kept current as operations complete */
	bool writable;
	uint64_t change_cnt; /* operations submitted that may change it */
	bool no_sync; /* nobody asks for durability: FILE_SYNC does nothing */
};

struct file_ops {
	void (*submit)(struct file *f, struct file_io *io);
	/* Blocking. The first range at or after `off` that may hold anything
	 * but zeros; *len = 0: none up to the end. NULL: all is data. */
	int (*next_data)(struct file *f, uint64_t off, uint64_t *data_off,
			 uint64_t *len, struct vhdx_err *e);
	/* Bytes the file occupies on the host. NULL: its size. */
	uint64_t (*host_len)(struct file *f);
	void (*close)(struct file *f); /* nothing may be in flight */
	bool copies; /* submit() knows FILE_COPY and FILE_SCAN */
	/* [any thread] For files that others copy from, one of these, else
	 * NULL: a descriptor that shows the same bytes, or (blocking) the bytes
	 * themselves, with zeros beyond the end. */
	int (*fd)(const struct file *f);
	void (*peek)(struct file *f, uint64_t off, void *buf, size_t len);
};

/* [loop] io->op, off, len, iov*, done are set; io is the file's until done. */
void file_submit(struct file *f, struct file_io *io);
/* The same; a read or a copy may skip zeros. */
void file_submit_skipping(struct file *f, struct file_io *io);

/* Blocking forms: submit, then turn the loop until complete. */
int file_read(struct file *f, uint64_t off, void *buf, size_t len,
	      struct vhdx_err *e) must_check;
int file_write(struct file *f, uint64_t off, const void *buf, size_t len,
	       struct vhdx_err *e) must_check;
int file_sync(struct file *f, struct vhdx_err *e) must_check;
int file_truncate(struct file *f, uint64_t size, struct vhdx_err *e) must_check;
int file_zero(struct file *f, uint64_t off, uint64_t len,
	      struct vhdx_err *e) must_check;
int file_punch(struct file *f, uint64_t off, uint64_t len,
	       struct vhdx_err *e) must_check;
/* The range reads as zeros; what does already stays untouched. */
int file_blank(struct file *f, uint64_t off, uint64_t len,
	       struct vhdx_err *e) must_check;
int file_reserve(struct file *f, uint64_t off, uint64_t len,
		 struct vhdx_err *e) must_check;
/* Whether f can FILE_COPY and FILE_SCAN what is in `from`. */
bool file_can_copy(const struct file *f, const struct file *from);
int file_next_data(struct file *f, uint64_t off, uint64_t *data_off,
		   uint64_t *len, struct vhdx_err *e) must_check;
uint64_t file_host_len(struct file *f);
void file_close(struct file *f); /* NULL allowed */

/* Fills `out` with the part of io's buffers that starts `pos` bytes into the
 * transfer; returns the number of entries used (at most max) and stores in
 * *bytes how many bytes they cover. */
int file_iov_window(const struct file_io *io, uint64_t pos, struct iovec *out,
		    int max, size_t *bytes);

/* ---- opening host files (opener.c, file_posix.c) ---------------------- */

#define OPENER_WRITE 1u	 /* exclusive OFD lock; else shared */
#define OPENER_CREATE 2u /* make it; fails if it exists */
#define OPENER_NOLOCK 4u
#define OPENER_LOOK 16u /* read-only, no lock, but BUSY if somebody writes: so
			   that a mere look keeps nobody out */
#define OPENER_DIRECT 8u /* past the page cache, where the host can */

/* The only way any module gets at a file. Tests hand out their own. The calls
 * below block; those with NULL here are not needed by what is tested. */
struct opener {
	int (*open)(const struct opener *o, struct loop *l, const char *path,
		    unsigned flags, struct file **out, struct vhdx_err *e);
	/* The name goes, durably. NOTFOUND: it was not there. */
	int (*remove)(const struct opener *o, const char *path,
		      struct vhdx_err *e);
	/* A small file: made or replaced as a whole, in one step, durably. */
	int (*put)(const struct opener *o, struct loop *l, const char *path,
		   const void *data, size_t len, struct vhdx_err *e);
	/* All of it, with a zero byte behind it, to be given to mem_free().
	 * RANGE if it is longer than max. NOTFOUND: it is not there. *foreign,
	 * unless NULL: others than the caller and root may have written it. */
	int (*get)(const struct opener *o, struct loop *l, const char *path,
		   size_t max, char **data, size_t *len, bool *foreign,
		   struct vhdx_err *e);
	/* Bytes free for a file there; UINT64_MAX: not to be told. */
	uint64_t (*free_len)(const struct opener *o, const char *path);
};

extern const struct opener opener_default;

/* Takes ownership of fd. `path` is copied. */
int file_posix_new(struct loop *l, int fd, const char *path, bool writable,
		   struct file **out, struct vhdx_err *e) must_check;

#endif
