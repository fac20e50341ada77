/* SPDX-License-Identifier: MIT */
#include "usock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "err.h"

static int address(const char *path, struct sockaddr_un *a, struct vhdx_err *e)
{
	size_t len = strlen(path);
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len >= sizeof(a->sun_path))
		return err_set(e, VHDX_E_INVAL, "%s: a socket's path has at "
			       "most %zu bytes", path, sizeof(a->sun_path) - 1);
	memcpy(a->sun_path, path, len + 1);
	return 0;
}

static int make(int flags, int *fd, struct vhdx_err *e)
{
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	return *fd < 0 ? err_sys(e, errno, "socket") : 0;
}

/* True: somebody answers. A socket that nobody serves is removed. */
static bool is_served(const struct sockaddr_un *a)
{
	struct stat st;
	int fd;
	if (lstat(a->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode) ||
	    make(SOCK_NONBLOCK, &fd, NULL))
		return false;
	int rc = connect(fd, (const struct sockaddr *)a, sizeof(*a));
	bool served = rc == 0 || errno == EAGAIN;
	if (rc != 0 && errno == ECONNREFUSED)
		unlink(a->sun_path);
	close(fd);
	return served;
}

int usock_listen(const char *path, int *fd, struct vhdx_err *e)
{
	struct sockaddr_un a;
	int rc = address(path, &a, e);
	if (rc)
		return rc;
	if (is_served(&a))
		return err_set(e, VHDX_E_BUSY, "%s: another process listens "
			       "there", path);
	rc = make(SOCK_NONBLOCK, fd, e);
	if (rc)
		return rc;
	mode_t old = umask(0177);
	bool done = bind(*fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
	int en = errno;
	umask(old);
	if (done && listen(*fd, 8) == 0)
		return 0;
	en = done ? errno : en;
	close(*fd);
	return err_sys(e, en, "%s", path);
}

int usock_connect(const char *path, int *fd, struct vhdx_err *e)
{
	struct sockaddr_un a;
	int rc = address(path, &a, e);
	if (!rc)
		rc = make(0, fd, e);
	if (rc)
		return rc;
	if (connect(*fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return 0;
	int en = errno;
	close(*fd);
	if (en == ECONNREFUSED)
		return err_set(e, VHDX_E_NOTFOUND, "%s: nobody listens there",
			       path);
	return err_sys(e, en, "%s", path);
}
