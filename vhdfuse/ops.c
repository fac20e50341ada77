/* SPDX-License-Identifier: MIT */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "io.h"
#include "part.h"
#include "say.h"

#define ATTR_SECONDS 1.0

static struct mnt *mnt_of(fuse_req_t freq)
{
	return fuse_req_userdata(freq);
}

/* An open file. */
struct handle {
	struct handle *prev, *next;
	struct node *node;
	bool writes;
	char *text; /* INFO: as it was when opened */
};

static struct handle *opened(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/* ---- the session -------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct mnt *m = userdata;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_ATOMIC_O_TRUNC |
				  FUSE_CAP_WRITEBACK_CACHE);
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ |
				       FUSE_CAP_ASYNC_DIO |
				       FUSE_CAP_PARALLEL_DIROPS);
	/* What we do not say has changed has not: nobody else writes. */
	conn->want |= conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA;
	conn->max_write = POOL_DATA_LEN;
	conn->max_readahead = POOL_DATA_LEN;
	conn->max_background = POOL_SLOTS;
	conn->congestion_threshold = POOL_SLOTS * 3 / 4;
	m->ready = true;
}

/* ---- names and attributes ----------------------------------------------- */

/* Space on the host, of all layers. */
static uint64_t host_len(const struct mnt *m)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < vhdx_layer_cnt(m->blk); i++) {
		struct vhdx_info info;
		const char *path;
		vhdx_get_layer(m->blk, i, &info, &path);
		sum += info.host_len;
	}
	return sum;
}

static void fill(const struct mnt *m, const struct node *n, struct stat *st)
{
	mode_t mode = m->geo.read_only ? 0400 : 0600;
	if (m->conf->gid_given)
		mode |= mode >> 3;
	*st = (struct stat){
		.st_ino = n->ino,
		.st_nlink = n->kind == NODE_DIR ? 2 : 1,
		.st_uid = m->conf->uid,
		.st_gid = m->conf->gid,
		.st_blksize = 4096,
		.st_atim = n->changed,
		.st_mtim = n->changed,
		.st_ctim = n->changed,
	};
	if (n->kind == NODE_DIR) {
		st->st_mode = S_IFDIR | 0555;
		return;
	}
	if (n->kind == NODE_INFO)
		mode = 0444;
	st->st_mode = S_IFREG | mode;
	st->st_size = (off_t)n->len;
	uint64_t used = n->kind == NODE_INFO ? n->len : host_len(m);
	st->st_blocks = (blkcnt_t)((used < n->len ? used : n->len) / 512);
}

static void lookup(fuse_req_t freq, fuse_ino_t parent, const char *name)
{
	struct mnt *m = mnt_of(freq);
	struct node *dir = tree_by_ino(&m->tree, parent);
	struct node *n = NULL;
	if (dir && dir->kind == NODE_DIR)
		n = tree_by_name(&m->tree, name);
	if (!n) {
		fuse_reply_err(freq, ENOENT);
		return;
	}
	/* A partition's name may mean another one soon: no entry timeout. */
	struct fuse_entry_param e = {
		.ino = n->ino,
		.generation = 1,
		.attr_timeout = ATTR_SECONDS,
	};
	fill(m, n, &e.attr);
	n->lookups++;
	if (fuse_reply_entry(freq, &e) != 0)
		n->lookups--;
}

/* A lookup or a readdir that waits for the partition table. */
struct naming {
	struct part_wait wait;
	fuse_req_t freq;
	fuse_ino_t ino;
	size_t size; /* readdir */
	char name[sizeof(((struct node *)0)->name)];
};

static void wait_for_table(fuse_req_t freq, const struct naming *want)
{
	struct naming *w = malloc(sizeof(*w));
	if (!w) {
		fuse_reply_err(freq, ENOMEM);
		return;
	}
	*w = *want;
	w->freq = freq;
	part_when_current(mnt_of(freq), &w->wait);
}

static void lookup_on(struct part_wait *wait, bool ok)
{
	struct naming *w = (struct naming *)wait;
	if (ok)
		lookup(w->freq, w->ino, w->name);
	else
		fuse_reply_err(w->freq, ENOMEM);
	free(w);
}

static void op_lookup(fuse_req_t freq, fuse_ino_t parent, const char *name)
{
	struct naming w = { .wait.go = lookup_on, .ino = parent };
	if (part_is_current(mnt_of(freq)) || strlen(name) >= sizeof(w.name)) {
		lookup(freq, parent, name);
		return;
	}
	strcpy(w.name, name);
	wait_for_table(freq, &w);
}

static void forget(struct mnt *m, fuse_ino_t ino, uint64_t cnt)
{
	struct node *n = tree_by_ino(&m->tree, ino);
	if (!n)
		return;
	n->lookups -= cnt < n->lookups ? cnt : n->lookups;
	tree_release(&m->tree, n);
}

static void op_forget(fuse_req_t freq, fuse_ino_t ino, uint64_t cnt)
{
	forget(mnt_of(freq), ino, cnt);
	fuse_reply_none(freq);
}

static void op_forget_multi(fuse_req_t freq, size_t cnt,
			    struct fuse_forget_data *list)
{
	for (size_t i = 0; i < cnt; i++)
		forget(mnt_of(freq), list[i].ino, list[i].nlookup);
	fuse_reply_none(freq);
}

static void reply_attr(fuse_req_t freq, const struct node *n)
{
	struct stat st;
	fill(mnt_of(freq), n, &st);
	fuse_reply_attr(freq, &st, ATTR_SECONDS);
}

static void op_getattr(fuse_req_t freq, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)fi;
	struct node *n = tree_by_ino(&mnt_of(freq)->tree, ino);
	if (n)
		reply_attr(freq, n);
	else
		fuse_reply_err(freq, ENOENT);
}

/* Times may be set. The size is the disk's; owner and mode are the mount's. */
static void op_setattr(fuse_req_t freq, fuse_ino_t ino, struct stat *st,
		       int what, struct fuse_file_info *fi)
{
	(void)fi;
	struct node *n = tree_by_ino(&mnt_of(freq)->tree, ino);
	if (!n) {
		fuse_reply_err(freq, ENOENT);
		return;
	}
	bool resize = (what & FUSE_SET_ATTR_SIZE) &&
		      (uint64_t)st->st_size != n->len;
	if (resize || (what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID |
			       FUSE_SET_ATTR_GID))) {
		fuse_reply_err(freq, EPERM);
		return;
	}
	if (what & FUSE_SET_ATTR_MTIME_NOW)
		clock_gettime(CLOCK_REALTIME, &n->changed);
	else if (what & FUSE_SET_ATTR_MTIME)
		n->changed = st->st_mtim;
	reply_attr(freq, n);
}

struct space {
	struct aside_job job;
	fuse_req_t freq;
	int en;
	struct statvfs vfs;
	char folder[PATH_MAX];
};

static void space_work(struct aside_job *j)
{
	struct space *s = (struct space *)j;
	s->en = statvfs(dirname(s->folder), &s->vfs) == 0 ? 0 : errno;
}

static void space_done(struct aside_job *j)
{
	struct space *s = (struct space *)j;
	if (s->en)
		fuse_reply_err(s->freq, s->en);
	else
		fuse_reply_statfs(s->freq, &s->vfs);
	free(s);
}

/* The host may be far away: not for the loop to wait for. */
static void op_statfs(fuse_req_t freq, fuse_ino_t ino)
{
	(void)ino;
	struct mnt *m = mnt_of(freq);
	struct space *s = calloc(1, sizeof(*s));
	struct vhdx_info info;
	const char *leaf;
	if (s) {
		vhdx_get_layer(m->blk, 0, &info, &leaf);
		s->job.work = space_work;
		s->job.done = space_done;
		s->freq = freq;
		snprintf(s->folder, sizeof(s->folder), "%s", leaf);
	}
	if (!s || !aside_do(m->aside, &s->job)) {
		free(s);
		fuse_reply_err(freq, ENOMEM);
	}
}

/* ---- folders ------------------------------------------------------------ */

static void list(fuse_req_t freq, size_t size, off_t off)
{
	struct mnt *m = mnt_of(freq);
	char buf[4096];
	size_t used = 0;
	off_t at = 0;
	if (size > sizeof(buf))
		size = sizeof(buf);
	for (struct node *n = m->tree.first; n; n = n->next) {
		bool dir = n->kind == NODE_DIR;
		for (int twice = dir; twice >= 0; twice--) {
			const char *name = dir ? twice ? "." : ".." : n->name;
			struct stat st;
			if (n->gone || at++ < off)
				continue;
			fill(m, n, &st);
			size_t need = fuse_add_direntry(freq, buf + used,
				size - used, name, &st, at);
			if (need > size - used)
				goto full;
			used += need;
		}
	}
full:
	fuse_reply_buf(freq, buf, used);
}

static void list_on(struct part_wait *wait, bool ok)
{
	struct naming *w = (struct naming *)wait;
	if (ok)
		list(w->freq, w->size, 0);
	else
		fuse_reply_err(w->freq, ENOMEM);
	free(w);
}

static void op_readdir(fuse_req_t freq, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	struct naming w = { .wait.go = list_on, .ino = ino, .size = size };
	if (off || part_is_current(mnt_of(freq)))
		list(freq, size, off);
	else
		wait_for_table(freq, &w);
}

/* ---- opening and closing ------------------------------------------------ */

/* libfuse 3.14 has no name yet for parallel direct writes; the kernel does. */
static int reply_open(fuse_req_t freq, struct handle *h, bool direct, bool keep)
{
	struct fuse_open_out out = { .fh = (uintptr_t)h };
	if (direct)
		out.open_flags |= FOPEN_DIRECT_IO |
				  FOPEN_PARALLEL_DIRECT_WRITES;
	if (keep)
		out.open_flags |= FOPEN_KEEP_CACHE;
	return fuse_reply_buf(freq, (char *)&out, sizeof(out));
}

static void add_handle(struct mnt *m, struct handle *h)
{
	h->next = m->handles;
	if (h->next)
		h->next->prev = h;
	m->handles = h;
}

static void free_handle(struct mnt *m, struct handle *h)
{
	if (h->prev)
		h->prev->next = h->next;
	else if (m->handles == h)
		m->handles = h->next;
	if (h->next)
		h->next->prev = h->prev;
	free(h->text);
	free(h);
}

void ops_forget_handles(struct mnt *m)
{
	while (m->handles)
		free_handle(m, m->handles);
}

static int may_open(const struct mnt *m, const struct node *n, bool writes)
{
	if (!n)
		return ENOENT;
	if (n->kind == NODE_DIR)
		return EISDIR;
	if (writes && n->kind == NODE_INFO)
		return EACCES;
	return writes && m->geo.read_only ? EROFS : 0;
}

static void op_open(fuse_req_t freq, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mnt *m = mnt_of(freq);
	struct node *n = tree_by_ino(&m->tree, ino);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	int en = may_open(m, n, writes);
	struct handle *h = en ? NULL : calloc(1, sizeof(*h));
	if (h && n->kind == NODE_INFO)
		h->text = strdup(m->info);
	if (!h || (n->kind == NODE_INFO && !h->text)) {
		free(h);
		fuse_reply_err(freq, en ? en : ENOMEM);
		return;
	}
	add_handle(m, h);
	bool direct = m->conf->direct || h->text;
	h->node = n;
	h->writes = writes;
	if (reply_open(freq, h, direct, !direct && !n->stale) != 0) {
		free_handle(m, h);
		return;
	}
	n->opens++;
	n->cached_opens += !direct;
	n->stale = false;
}

static void op_release(fuse_req_t freq, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	struct mnt *m = mnt_of(freq);
	struct handle *h = opened(fi);
	struct node *n = h->node;
	fuse_reply_err(freq, 0);
	n->cached_opens -= !m->conf->direct && !h->text;
	n->opens--;
	free_handle(m, h);
	tree_release(&m->tree, n);
}

/* ---- data --------------------------------------------------------------- */

static void op_read(fuse_req_t freq, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)ino;
	const struct handle *h = opened(fi);
	if (h->text) {
		size_t len = strlen(h->text), at = (size_t)off;
		if (at > len)
			at = len;
		fuse_reply_buf(freq, h->text + at,
			       size < len - at ? size : len - at);
		return;
	}
	io_read(mnt_of(freq), freq, h->node, (uint64_t)off, size);
}

static void op_write(fuse_req_t freq, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	io_write(mnt_of(freq), freq, opened(fi)->node, (uint64_t)off, buf,
		 size, (fi->flags & (O_DSYNC | O_SYNC)) != 0);
}

/* close(). A reader has nothing to lose, and is not to hear of writes that
 * failed. */
static void op_flush(fuse_req_t freq, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (opened(fi)->writes)
		io_flush(mnt_of(freq), freq);
	else
		fuse_reply_err(freq, 0);
}

static void op_fsync(fuse_req_t freq, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	io_flush(mnt_of(freq), freq);
}

/* A hole reads as zeros: so punching is write-zeroes too, and discard, which
 * may leave old data, is not enough. Space cannot be promised (mode 0): whether
 * there is some the host's file system tells when it is written to. */
static void op_fallocate(fuse_req_t freq, fuse_ino_t ino, int mode, off_t off,
			 off_t len, struct fuse_file_info *fi)
{
	(void)ino;
	struct node *n = opened(fi)->node;
	uint64_t start = (uint64_t)off, size = (uint64_t)len;
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int what = mode & ~FALLOC_FL_KEEP_SIZE;
	if (what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) {
		fuse_reply_err(freq, EOPNOTSUPP);
		return;
	}
	bool beyond = start >= n->len || size > n->len - start;
	if (beyond && !keep) {
		fuse_reply_err(freq, EFBIG);
		return;
	}
	if (start >= n->len) {
		fuse_reply_err(freq, 0);
		return;
	}
	io_zero(mnt_of(freq), freq, n, start, beyond ? n->len - start : size);
}

static void op_lseek(fuse_req_t freq, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	(void)ino;
	const struct handle *h = opened(fi);
	if (h->text)
		fuse_reply_err(freq, EINVAL);
	else
		io_seek(mnt_of(freq), freq, h->node, (uint64_t)off,
			whence == SEEK_DATA);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statfs = op_statfs,
	.readdir = op_readdir,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
};
