/* SPDX-License-Identifier: MIT */
/*
 * All names are relative to dir_fd, so that a folder renamed meanwhile does
 * not matter. Life of a file:
 *
 *	begin --> unnamed (O_TMPFILE) --link--> temporary name --> commit
 *	      \-> temporary name (no O_TMPFILE) ---------------/
 *
 * where an unnamed file that replaces nothing is linked to its final name
 * directly. `tmp` is the temporary name while it exists, else empty.
 *
 * N1  The content is durable before it has the final name, and the change of
 *     the folder is durable before newfile_commit() returns 0 - unless nobody
 *     wants to wait for that (newfile_no_sync).
 * N2  The final name changes by one linkat, renameat or renameat2 call.
 */
#include "newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "file_posix.h"
#include "mem.h"

struct newfile {
	char *path; /* as the caller gave it, for messages */
	bool force;
	bool no_sync;
	int dir_fd;
	int fd;	    /* a duplicate: outlives the struct file, keeps the lock */
	int old_fd; /* the file to be replaced, locked; or -1 */
	char name[NAME_MAX + 1];
	char tmp[NAME_MAX + 1];
};

static void newfile_free(struct newfile *n)
{
	if (n->tmp[0])
		(void)unlinkat(n->dir_fd, n->tmp, 0);
	if (n->old_fd >= 0)
		close(n->old_fd);
	if (n->fd >= 0)
		close(n->fd);
	if (n->dir_fd >= 0)
		close(n->dir_fd);
	mem_free(n->path);
	mem_free(n);
}

static int sys_failed(const struct newfile *n, int en, const char *what,
		      struct vhdx_err *e)
{
	if (en == EEXIST)
		return err_set(e, VHDX_E_EXISTS, "%s: exists already", n->path);
	return err_sys(e, en, "%s: %s", n->path, what);
}

/* Splits `path` (resolved already) into dir_fd and name. */
static int open_folder(struct newfile *n, const char *path, struct vhdx_err *e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char dir[PATH_MAX];
	size_t dir_len = slash ? (size_t)(slash - path) : 0;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, VHDX_E_INVAL, "%s: is not the name of a file",
			       n->path);
	if (strlen(name) > NAME_MAX || dir_len >= sizeof(dir))
		return sys_failed(n, ENAMETOOLONG, "create", e);
	memcpy(n->name, name, strlen(name) + 1);
	if (!slash)
		memcpy(dir, ".", sizeof("."));
	else if (dir_len == 0)
		memcpy(dir, "/", sizeof("/"));
	else
		snprintf(dir, sizeof(dir), "%.*s", (int)dir_len, path);
	n->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (n->dir_fd < 0)
		return sys_failed(n, errno, "open its folder", e);
	return 0;
}

/* Where the user can only read the old file, a shared lock keeps writers out
 * and readers are looked for. */
static int lock_old(const struct newfile *n, int fd, bool can_write,
		    struct vhdx_err *e)
{
	int rc = opener_lock(fd, n->path, can_write, e);

	if (rc == 0 && !can_write)
		rc = opener_check_unlocked(fd, n->path, e);
	return rc;
}

static int check_replaceable(const struct newfile *n, const struct stat *st,
			     struct vhdx_err *e)
{
	int rc = file_posix_check_type(st, n->path, e);

	if (rc == 0 && !S_ISREG(st->st_mode))
		return err_set(e, VHDX_E_INVAL,
			       "%s: is a block device, no file can "
			       "replace it", n->path);
	return rc;
}

/* With force: what has the name now gets locked until the end, unless it is
 * locked already. Nothing there is fine. */
static int hold_old(struct newfile *n, struct vhdx_err *e)
{
	int how = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, fd, rc;
	struct stat st, held;
	bool can_write = true;

	if (fstatat(n->dir_fd, n->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : sys_failed(n, errno, "stat", e);
	rc = check_replaceable(n, &st, e);
	if (rc)
		return rc;
	if (n->old_fd >= 0 && fstat(n->old_fd, &held) == 0 &&
	    held.st_dev == st.st_dev && held.st_ino == st.st_ino)
		return 0;
	fd = openat(n->dir_fd, n->name, O_RDWR | how);
	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		can_write = false;
		fd = openat(n->dir_fd, n->name, O_RDONLY | how);
	}
	if (fd < 0)
		return sys_failed(n, errno, "open the file to be replaced", e);
	rc = lock_old(n, fd, can_write, e);
	if (rc) {
		close(fd);
		return rc;
	}
	if (n->old_fd >= 0)
		close(n->old_fd);
	n->old_fd = fd;
	return 0;
}

static int random_name(struct newfile *n, struct vhdx_err *e)
{
	uint32_t r;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return sys_failed(n, errno, "random name", e);
	snprintf(n->tmp, sizeof(n->tmp), ".%.200s.%08x.tmp", n->name, r);
	return 0;
}

static int create_named(struct newfile *n, struct vhdx_err *e)
{
	for (int i = 0; i < 100; i++) {
		int rc = random_name(n, e);

		if (rc == 0)
			n->fd = openat(n->dir_fd, n->tmp, O_RDWR | O_CREAT |
				       O_EXCL | O_CLOEXEC, 0666);
		if (rc == 0 && n->fd >= 0)
			return 0;
		n->tmp[0] = '\0';
		if (rc || errno != EEXIST)
			return rc ? rc : sys_failed(n, errno, "create", e);
	}
	return sys_failed(n, EEXIST, "create", e);
}

static bool newfile_no_tmpfile; /* tests: as if O_TMPFILE did not exist */

static int create_unnamed(struct newfile *n, struct vhdx_err *e)
{
	if (!newfile_no_tmpfile)
		n->fd = openat(n->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC,
			       0666);
	if (n->fd >= 0)
		return 0;
	/* EISDIR: a kernel that does not know the flag; the others: a file
	 * system that does not. */
	if (!newfile_no_tmpfile && errno != EOPNOTSUPP && errno != EISDIR &&
	    errno != EINVAL && errno != ENOENT)
		return sys_failed(n, errno, "create", e);
	return create_named(n, e);
}

void newfile_no_tmpfile_for_tests(bool on)
{
	newfile_no_tmpfile = on;
}

static int begin(struct newfile *n, struct loop *l, const char *path,
		 struct file **out, struct vhdx_err *e)
{
	struct stat st;
	int fd, rc = open_folder(n, path, e);

	if (rc)
		return rc;
	if (!n->force &&
	    fstatat(n->dir_fd, n->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return sys_failed(n, EEXIST, "create", e);
	rc = n->force ? hold_old(n, e) : 0;
	if (rc == 0)
		rc = create_unnamed(n, e);
	if (rc == 0)
		rc = opener_lock(n->fd, n->path, true, e);
	if (rc)
		return rc;
	fd = fcntl(n->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return sys_failed(n, errno, "duplicate its descriptor", e);
	return file_posix_new(l, fd, n->path, true, out, e);
}

/* What a symbolic link points to is replaced, not the link. */
static int resolve(const struct newfile *n, char real[PATH_MAX],
		   struct vhdx_err *e)
{
	struct stat st;

	if (n->force && lstat(n->path, &st) == 0 && S_ISLNK(st.st_mode)) {
		if (!realpath(n->path, real))
			return sys_failed(n, errno, "follow symbolic link", e);
		return 0;
	}
	if (strlen(n->path) >= PATH_MAX)
		return sys_failed(n, ENAMETOOLONG, "create", e);
	memcpy(real, n->path, strlen(n->path) + 1);
	return 0;
}

int newfile_begin(struct loop *l, const char *path, bool force,
		  struct newfile **out_n, struct file **out,
		  struct vhdx_err *e)
{
	struct newfile *n = mem_zalloc(sizeof(*n));
	char real[PATH_MAX];
	int rc;

	if (!n)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
	n->dir_fd = n->fd = n->old_fd = -1;
	n->force = force;
	n->path = mem_strdup(path);
	if (n->path)
		rc = resolve(n, real, e);
	else
		rc = err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
	if (rc == 0)
		rc = begin(n, l, real, out, e);
	if (rc) {
		newfile_free(n);
		return rc;
	}
	*out_n = n;
	return 0;
}

void newfile_no_sync(struct newfile *n, struct file *f)
{
	n->no_sync = f->no_sync = true;
}

/* ---- commit ------------------------------------------------------------ */

static int fsync_retry(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc != 0 && errno == EINTR);
	return rc;
}

/* 0 or errno. */
static int link_unnamed(const struct newfile *n, const char *name)
{
	char proc[64];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", n->fd);
	if (linkat(AT_FDCWD, proc, n->dir_fd, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	/* Without /proc: needs CAP_DAC_READ_SEARCH on older kernels. */
	if (errno == ENOENT &&
	    linkat(n->fd, "", n->dir_fd, name, AT_EMPTY_PATH) == 0)
		return 0;
	return errno;
}

static int link_tmp(struct newfile *n, struct vhdx_err *e)
{
	int en = EEXIST;

	for (int i = 0; i < 100 && en == EEXIST; i++) {
		int rc = random_name(n, e);

		if (rc == 0)
			en = link_unnamed(n, n->tmp);
		if (rc == 0 && en == 0)
			return 0;
		n->tmp[0] = '\0';
		if (rc)
			return rc;
	}
	return sys_failed(n, en, "give it a temporary name", e);
}

/* The name is free, and if it is not any more, nothing happens. 0 or errno. */
static int take_free_name(struct newfile *n)
{
	if (!n->tmp[0])
		return link_unnamed(n, n->name);
	if (renameat2(n->dir_fd, n->tmp, n->dir_fd, n->name,
		      RENAME_NOREPLACE) == 0) {
		n->tmp[0] = '\0';
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	/* newfile_free() takes the temporary name away. */
	return linkat(n->dir_fd, n->tmp, n->dir_fd, n->name, 0) ? errno : 0;
}

static int replace_old(struct newfile *n, struct vhdx_err *e)
{
	int rc = n->tmp[0] ? 0 : link_tmp(n, e);

	if (rc)
		return rc;
	if (renameat(n->dir_fd, n->tmp, n->dir_fd, n->name) != 0)
		return sys_failed(n, errno, "replace", e);
	n->tmp[0] = '\0';
	return 0;
}

static int commit(struct newfile *n, struct vhdx_err *e)
{
	int rc, en;

	if (!n->no_sync && fsync_retry(n->fd) != 0)
		return sys_failed(n, errno, "sync", e);
	rc = n->force ? hold_old(n, e) : 0;
	if (rc)
		return rc;
	if (n->old_fd >= 0) {
		rc = replace_old(n, e);
		if (rc)
			return rc;
	} else {
		en = take_free_name(n);
		if (en)
			return sys_failed(n, en, "give it its name", e);
	}
	/* EINVAL: a file system that has no such thing. */
	if (!n->no_sync && fsync_retry(n->dir_fd) != 0 && errno != EINVAL)
		return sys_failed(n, errno, "the file is complete, but making "
				  "its name durable failed", e);
	return 0;
}

int newfile_commit(struct newfile *n, struct vhdx_err *e)
{
	int rc = commit(n, e);

	newfile_free(n);
	return rc;
}

void newfile_abort(struct newfile *n)
{
	if (n)
		newfile_free(n);
}
