/* SPDX-License-Identifier: MIT */
/* What the default opener does with names and small files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "file_posix.h"
#include "mem.h"
#include "newfile.h"

/* The folder of path, in buf; NULL: too long a name. */
static const char *folder_of(const char *path, char buf[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (!slash)
		return ".";
	if (len == 0)
		return "/";
	if (len >= PATH_MAX)
		return NULL;
	memcpy(buf, path, len);
	buf[len] = '\0';
	return buf;
}

int opener_posix_remove(const struct opener *o, const char *path,
			struct vhdx_err *e)
{
	char buf[PATH_MAX];
	const char *folder = folder_of(path, buf);
	int fd, rc = 0;

	(void)o;
	if (!folder)
		return err_sys(e, ENAMETOOLONG, "%s: remove", path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s: open its folder", path);
	if (unlink(path) != 0)
		rc = err_sys(e, errno, "%s: remove", path);
	else if (fsync(fd) != 0)
		rc = err_sys(e, errno, "%s: was removed, but its folder "
			     "cannot be synced", path);
	close(fd);
	return rc;
}

int opener_posix_put(const struct opener *o, struct loop *l, const char *path,
		     const void *data, size_t len, struct vhdx_err *e)
{
	struct newfile *n;
	struct file *f;
	int rc = newfile_begin(l, path, true, &n, &f, e);

	(void)o;
	if (rc)
		return rc;
	rc = file_write(f, 0, data, len, e);
	file_close(f);
	if (!rc)
		return newfile_commit(n, e);
	newfile_abort(n);
	return rc;
}

int opener_posix_get(const struct opener *o, struct loop *l, const char *path,
		     size_t max, char **data, size_t *len, bool *foreign,
		     struct vhdx_err *e)
{
	struct file *f;
	struct stat st;
	int rc = o->open(o, l, path, OPENER_NOLOCK, &f, e);

	*data = NULL;
	if (rc)
		return rc;
	if (foreign)
		*foreign = fstat(file_posix_fd(f), &st) != 0 ||
			   (st.st_uid != geteuid() && st.st_uid != 0) ||
			   st.st_mode & S_IWOTH;
	if (f->size > max) {
		rc = err_set(e, VHDX_E_RANGE, "%s: has %llu bytes, at most "
			     "%zu are expected", path,
			     (unsigned long long)f->size, max);
		goto out;
	}
	*len = (size_t)f->size;
	*data = mem_zalloc(*len + 1);
	if (!*data) {
		rc = err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
		goto out;
	}
	rc = file_read(f, 0, *data, *len, e);
	if (rc) {
		mem_free(*data);
		*data = NULL;
	}
out:
	file_close(f);
	return rc;
}

uint64_t opener_posix_free_len(const struct opener *o, const char *path)
{
	struct statvfs fs;
	char buf[PATH_MAX];
	const char *folder = folder_of(path, buf);
	uint64_t len;

	(void)o;
	if (statvfs(path, &fs) != 0 &&
	    (!folder || statvfs(folder, &fs) != 0))
		return UINT64_MAX;
	if (fs.f_blocks == 0 || /* /proc and the like count nothing */
	    ckd_mul((uint64_t)fs.f_bavail, (uint64_t)fs.f_frsize, &len))
		return UINT64_MAX;
	return len;
}
