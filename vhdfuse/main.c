/* SPDX-License-Identifier: MIT */
/*
 * vhdfuse: a virtual disk, with all it stands on, mounted as plain files.
 *
 * In the background unless asked otherwise: the parent waits until the kernel
 * has begun to talk to the mount, then ends; its exit status says whether that
 * came about. All threads and all of the device are the child's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "ops.h"
#include "part.h"
#include "report.h"
#include "say.h"
#include "serve.h"

static int parent_fd = -1; /* -1: in the foreground */
static dev_t dev_below;	   /* of what is mounted on */

/* ---- preparing ---------------------------------------------------------- */

static const char *absolute(const char *path)
{
	char cwd[PATH_MAX], *out;
	if (!path || path[0] == '/' || !getcwd(cwd, sizeof(cwd)) ||
	    asprintf(&out, "%s/%s", cwd, path) < 0)
		return path;
	return out;
}

static int check_mountpoint(struct mnt *m)
{
	const struct conf *c = m->conf;
	struct stat st;
	m->mountpoint = realpath(c->mountpoint, NULL);
	if (!m->mountpoint || stat(m->mountpoint, &st) != 0)
		return say_fail(errno == ENOENT ? STATUS_NOTFOUND :
				STATUS_FAILED, c->mountpoint, "%s",
				strerror(errno));
	if (c->file && !S_ISREG(st.st_mode))
		return say_fail(STATUS_FAILED, c->mountpoint, "is not a "
				"regular file, as --file wants it");
	if (!c->file && !S_ISDIR(st.st_mode))
		return say_fail(STATUS_FAILED, c->mountpoint, "is not a "
				"folder; to mount over a file: --file");
	dev_below = st.st_dev;
	return STATUS_OK;
}

/* 0 to 2 must be ours before anything else is opened. */
static void fill_std_fds(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int catch_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void log_of_libfuse(enum fuse_log_level level, const char *fmt,
			   va_list ap)
{
	char text[512];
	if (level > FUSE_LOG_WARNING)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	say_note(NULL, "%s", text);
}

/* ---- the background ----------------------------------------------------- */

/* The child's status, when it has come as far as to have one. */
static int wait_for_child(int fd, pid_t child)
{
	unsigned char status = STATUS_FAILED;
	int ended;
	ssize_t n;
	do
		n = read(fd, &status, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return status;
	if (waitpid(child, &ended, 0) == child && WIFEXITED(ended) &&
	    WEXITSTATUS(ended) != 0)
		return WEXITSTATUS(ended);
	return say_fail(STATUS_FAILED, NULL, "the process that was to serve "
			"the mount died");
}

/* Returns in the child only, or an exit status. */
static int go_to_background(void)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) != 0)
		return say_fail(STATUS_FAILED, NULL, "pipe: %s",
				strerror(errno));
	pid_t child = fork();
	if (child < 0)
		return say_fail(STATUS_FAILED, NULL, "fork: %s",
				strerror(errno));
	if (child > 0) {
		close(fds[1]);
		_exit(wait_for_child(fds[0], child));
	}
	close(fds[0]);
	parent_fd = fds[1];
	setsid();
	return STATUS_OK;
}

/* The kernel reads ahead 128 KiB of what is mounted, whatever is asked of it in
 * INIT; root may say more. Nothing here asks the mount, which is us. */
static void read_ahead(const struct mnt *m)
{
	struct statx stx;
	char path[64];
	if (statx(AT_FDCWD, m->mountpoint, AT_STATX_DONT_SYNC, 0, &stx) != 0 ||
	    makedev(stx.stx_dev_major, stx.stx_dev_minor) == dev_below)
		return; /* unmounted already */
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 stx.stx_dev_major, stx.stx_dev_minor);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (dprintf(fd, "%u\n", POOL_DATA_LEN / 1024) < 0)
		say_note(path, "%s", strerror(errno));
	close(fd);
}

/* Mounted: the one who waits may go on. */
static void mounted(struct mnt *m)
{
	if (!m->conf->direct)
		read_ahead(m);
	if (parent_fd < 0)
		return;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		for (int i = 0; i <= STDERR_FILENO; i++)
			dup2(fd, i);
		close(fd);
	}
	say_in_background();
	if (write(parent_fd, "", 1) != 1)
		say_note(NULL, "the process that waited is gone");
	close(parent_fd);
}

/* ---- mounting ----------------------------------------------------------- */

static int write_pid(const char *path)
{
	if (!path)
		return STATUS_OK;
	FILE *f = fopen(path, "we");
	if (f && fprintf(f, "%d\n", (int)getpid()) > 0 && fclose(f) == 0)
		return STATUS_OK;
	return say_fail(STATUS_FAILED, path, "%s", strerror(errno));
}

/* fsname is what df and mount show; commas and backslashes are escaped. */
static char *mount_options(const struct mnt *m)
{
	char name[2 * PATH_MAX], *out, *p = name;
	for (const char *q = m->dev.image; *q; q++) {
		if (*q == ',' || *q == '\\')
			*p++ = '\\';
		*p++ = *q;
	}
	*p = '\0';
	if (asprintf(&out, "default_permissions,subtype=vhdfuse%s%s%s,"
		     "fsname=%s", m->geo.read_only ? ",ro" : "",
		     m->conf->allow_other ? ",allow_other" : "",
		     m->conf->fuse_opts ? m->conf->fuse_opts : "", name) < 0)
		return NULL;
	return out;
}

static int mount_session(struct mnt *m)
{
	char *opts = mount_options(m);
	char *argv[] = { (char []){ "vhdfuse" }, (char []){ "-o" }, opts };
	struct fuse_args args = { .argc = 3, .argv = argv };
	fuse_set_log_func(log_of_libfuse);
	if (opts)
		m->se = fuse_session_new(&args, &ops_table, sizeof(ops_table),
					 m);
	fuse_opt_free_args(&args);
	free(opts);
	if (m->se && fuse_session_mount(m->se, m->mountpoint) == 0)
		return STATUS_OK;
	if (m->se)
		fuse_session_destroy(m->se);
	m->se = NULL;
	return say_fail(STATUS_FAILED, m->mountpoint, "cannot be mounted on");
}

static int prepare(struct mnt *m)
{
	vhdx_blk_geometry(m->blk, &m->geo);
	m->began = time(NULL);
	slots_init(&m->complete);
	if (!pool_init(&m->pool, m) ||
	    !tree_init(&m->tree, m->geo.size_len, m->conf->file))
		return say_fail(STATUS_FAILED, NULL, "out of memory");
	part_scan(m);
	return STATUS_OK;
}

static int serve_mounted(struct mnt *m, int signal_fd,
			 struct control *control)
{
	int status = mount_session(m);
	if (status)
		return status;
	m->inval = inval_new(m->se);
	m->aside = aside_new();
	if (m->inval && m->aside)
		status = serve_run(m, signal_fd, control, mounted);
	else
		status = say_fail(STATUS_FAILED, NULL, "out of memory");
	inval_free(m->inval);
	aside_free(m->aside);
	fuse_session_destroy(m->se);
	ops_forget_handles(m);
	return status;
}

/* In the process that stays. */
static int run(struct mnt *m, int signal_fd)
{
	struct control *control = NULL;
	int status = dev_open(&m->dev, m->conf);
	if (status)
		return status;
	m->blk = m->dev.blk;
	if (chdir("/") != 0)
		say_note("/", "%s", strerror(errno));
	status = control_open(m, &control);
	if (!status)
		status = prepare(m);
	if (!status)
		status = write_pid(m->conf->pid_file);
	bool written = !status && m->conf->pid_file;
	if (!status) {
		status = serve_mounted(m, signal_fd, control);
		control_close(control);
		control = NULL;
	}
	control_close(control);
	status = dev_close(&m->dev, m->change_seq != 0, status);
	if (written)
		unlink(m->conf->pid_file);
	tree_free(&m->tree);
	pool_free(&m->pool);
	free(m->info);
	return status;
}

int main(int argc, char **argv)
{
	static struct conf conf;
	struct mnt m = { .conf = &conf };
	fill_std_fds();
	say_init("vhdfuse", NULL);
	int status = conf_parse(&conf, argc, argv);
	if (status != CONF_GO)
		return status;
	conf.control = conf.control && strcmp(conf.control, "none") == 0 ?
		       conf.control : absolute(conf.control);
	conf.pid_file = absolute(conf.pid_file);
	status = check_mountpoint(&m);
	if (!status && !conf.foreground)
		status = go_to_background();
	if (status)
		return status;
	int signal_fd = catch_signals();
	status = run(&m, signal_fd);
	free(m.mountpoint);
	free(conf.fuse_opts);
	return status;
}
