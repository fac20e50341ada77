/* SPDX-License-Identifier: MIT */
/*
 * /proc/locks does not know whose an OFD lock is (its pid is -1, for the lock
 * belongs to an open file, not to a process). /proc/PID/fdinfo/FD does: it has
 * a "lock:" line per lock taken through that descriptor. So: every descriptor
 * of every process that is open on this very file and has such a line.
 */
#include "lockinfo.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A number and nothing else, as the names of processes and descriptors are. */
static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

static bool has_lock_line(int proc_fd, const char *fd_name)
{
	char path[64], line[256];
	bool found = false;
	int fd;
	FILE *f;

	snprintf(path, sizeof(path), "fdinfo/%.20s", fd_name);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return false;
	}
	while (!found && fgets(line, sizeof(line), f))
		found = strncmp(line, "lock:", 5) == 0;
	fclose(f);
	return found;
}

/* proc_fd: the process's folder in /proc. */
static bool holds_lock(int proc_fd, const struct stat *file)
{
	int dir_fd = openat(proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	bool found = false;
	struct dirent *d;

	if (!dir) {
		if (dir_fd >= 0)
			close(dir_fd);
		return false;
	}
	while (!found && (d = readdir(dir))) {
		struct stat st;

		found = is_number(d->d_name) &&
			fstatat(dirfd(dir), d->d_name, &st, 0) == 0 &&
			st.st_dev == file->st_dev &&
			st.st_ino == file->st_ino &&
			has_lock_line(proc_fd, d->d_name);
	}
	closedir(dir);
	return found;
}

/* The process chose this text: keep a terminal's control codes out of it. */
static void read_command(int proc_fd, char *out, size_t len)
{
	int fd = openat(proc_fd, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, len - 1);

	if (fd >= 0)
		close(fd);
	if (n > 0 && out[n - 1] == '\n')
		n--;
	if (n <= 0) {
		snprintf(out, len, "?");
		return;
	}
	out[n] = '\0';
	for (char *p = out; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
}

bool lockinfo_find(const struct stat *file, struct lock_holder *out)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	*out = (struct lock_holder){ 0 };
	while (proc && (d = readdir(proc))) {
		int fd;

		if (!is_number(d->d_name))
			continue;
		fd = openat(dirfd(proc), d->d_name,
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!holds_lock(fd, file)) {
			/* not this one */
		} else if (out->pid) {
			out->others++;
		} else {
			out->pid = (pid_t)atol(d->d_name);
			read_command(fd, out->command, sizeof(out->command));
		}
		close(fd);
	}
	if (proc)
		closedir(proc);
	return out->pid != 0;
}
