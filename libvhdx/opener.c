/* SPDX-License-Identifier: MIT */
/*
 * The default opener: paths of the host, one writer or many readers per image.
 * A lock that is held is refused at once, with the holder's name; nobody ever
 * waits for one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file_direct.h"
#include "file_posix.h"
#include "lockinfo.h"

static int busy(int fd, const char *path, bool exclusive, struct vhdx_err *e)
{
	const char *how = exclusive ? "in use" : "being written to";
	struct lock_holder h;
	struct stat st;
	char others[48] = "";

	if (fstat(fd, &st) != 0 || !lockinfo_find(&st, &h))
		return err_set(e, VHDX_E_BUSY,
			       "%s: is %s by another process, which this user "
			       "cannot see (fuser as root names it): wait for "
			       "it to finish", path, how);
	if (h.others)
		snprintf(others, sizeof(others), " and %u other%s", h.others,
			 h.others > 1 ? "s" : "");
	if (h.pid == getpid())
		return err_set(e, VHDX_E_BUSY,
			       "%s: is %s by this very process, %ld (%s)%s: it "
			       "was opened twice", path, how, (long)h.pid,
			       h.command, others);
	return err_set(e, VHDX_E_BUSY,
		       "%s: is %s by process %ld (%s)%s: wait for it to finish "
		       "or end it", path, how, (long)h.pid, h.command, others);
}

int opener_lock(int fd, const char *path, bool exclusive, struct vhdx_err *e)
{
	struct flock lk = {
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &lk) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return busy(fd, path, exclusive, e);
	return err_sys(e, errno, "%s: lock", path);
}

static int check_not_written(int fd, const char *path, struct vhdx_err *e)
{
	struct flock lk = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &lk) != 0)
		return err_sys(e, errno, "%s: look for locks", path);
	return lk.l_type == F_UNLCK ? 0 : busy(fd, path, false, e);
}

int opener_check_unlocked(int fd, const char *path, struct vhdx_err *e)
{
	struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &lk) != 0)
		return err_sys(e, errno, "%s: look for locks", path);
	return lk.l_type == F_UNLCK ? 0 : busy(fd, path, true, e);
}

static int open_flags(const char *path, unsigned flags, int *out,
		      struct vhdx_err *e)
{
	struct stat st;
	int rc;

	/* Not to hang on a pipe that takes the file's place after the check. */
	*out = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	*out |= flags & OPENER_WRITE ? O_RDWR : O_RDONLY;
	if (flags & OPENER_CREATE) {
		*out |= O_CREAT | O_EXCL;
		return 0;
	}
	if (stat(path, &st) != 0)
		return err_sys(e, errno, "%s: open", path);
	rc = file_posix_check_type(&st, path, e);
	if (rc)
		return rc;
	/* For a device O_EXCL also keeps mounts and other kernel users out. */
	if (S_ISBLK(st.st_mode) && (flags & OPENER_WRITE) &&
	    !(flags & OPENER_NOLOCK))
		*out |= O_EXCL;
	return 0;
}

static int open_failed(const char *path, int en, struct vhdx_err *e)
{
	if (en == EEXIST)
		return err_set(e, VHDX_E_EXISTS, "%s: exists already", path);
	if (en == EBUSY)
		return err_set(e, VHDX_E_BUSY,
			       "%s: the device is in use (mounted, or part of "
			       "another device)", path);
	return err_sys(e, en, "%s: open", path);
}

/* Past the page cache, if the host can; else *f stays as it is. The lock stays
 * with the ordinary descriptor. */
static void go_direct(struct file **f, bool write)
{
	int how = O_DIRECT | O_CLOEXEC | (write ? O_RDWR : O_RDONLY), fd;
	struct vhdx_err err;
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", file_posix_fd(*f));
	fd = open(name, how);
	if (fd >= 0 && file_direct_new(*f, fd, f, &err))
		return; /* no ring to be had */
}

static int default_open(const struct opener *o, struct loop *l,
			const char *path, unsigned flags, struct file **out,
			struct vhdx_err *e)
{
	bool write = flags & OPENER_WRITE;
	int fd, how, rc = open_flags(path, flags, &how, e);

	(void)o;
	if (rc)
		return rc;
	fd = open(path, how, 0666);
	if (fd < 0)
		return open_failed(path, errno, e);
	if (flags & OPENER_LOOK)
		rc = check_not_written(fd, path, e);
	else if (!(flags & OPENER_NOLOCK))
		rc = opener_lock(fd, path, write, e);
	if (rc) {
		close(fd);
		return rc;
	}
	rc = file_posix_new(l, fd, path, write, out, e);
	if (!rc && flags & OPENER_DIRECT)
		go_direct(out, write);
	return rc;
}

const struct opener opener_default = {
	.open = default_open,
	.remove = opener_posix_remove,
	.put = opener_posix_put,
	.get = opener_posix_get,
	.free_len = opener_posix_free_len,
};
