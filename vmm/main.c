/* SPDX-License-Identifier: MIT */
/*
 * vmm: the composition root. Who is made from what, and in which order all of
 * it goes again, is here and nowhere else.
 *
 * Going is the reverse of coming, with one rule: the guest's channels are
 * closed first (bus_reset), then what waits for a disk ends by itself, then the
 * disks are flushed and closed, and only that makes the exit status 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bus.h"
#include "client.h"
#include "conf.h"
#include "console.h"
#include "ctl.h"
#include "disks.h"
#include "err.h"
#include "evloop.h"
#include "hyperv.h"
#include "machine.h"
#include "orders.h"
#include "say.h"
#include "vm.h"

static const char help[] =
"Usage: vmm run [OPTIONS] [FILE.json]    run a virtual machine\n"
"       vmm ctl SOCKET COMMAND [ARG...]  tell a running one what to do\n"
"       vmm --help | --version\n"
"\n"
"Runs a Linux guest on KVM as Hyper-V would: its disks are VHD and VHDX\n"
"images, chains too, at SCSI controllers on VMBus. See: vmm run --help, vmm\n"
"ctl --help.\n";

static const char run_help[] =
"Usage: vmm run [OPTIONS] [FILE.json]\n"
"\n"
"Options, which are also the keys of FILE.json:\n"
"  --name NAME       its name; the guest's device ids follow from it (vm)\n"
"  --memory SIZE     512M, 2G, ... (512M)\n"
"  --cpus N          1 to 64 (1)\n"
"  --kernel FILE     a Linux bzImage\n"
"  --initrd FILE     its initial ram disk\n"
"  --cmdline TEXT    its command line\n"
"  --disk DISK       PATH[,ro][,cache=none|writeback][,nospc=pause|report]\n"
"                    [,controller=0-3][,lun=0-63][,force]; may be repeated; a\n"
"                    comma in a path is written twice\n"
"  --search DIR      look for parents of disks there too; may be repeated\n"
"  --console WHERE   stdio, pty, unix:PATH or none (stdio)\n"
"  --control PATH    a socket for vmm ctl\n"
"  --dry-run         look whether all files are there and fit; start nothing\n"
"  --help            show this\n"
"\n"
"On stdio Ctrl-A x ends it. SIGTERM and SIGINT press the power button, a\n"
"second one ends it.\n"
"Exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 busy, 5 no space,\n"
"6 damaged or not fit to be used as it is.\n";

/* ---- what may happen to it ---------------------------------------------- */

static void on_reset(void *arg)
{
	struct machine *m = arg;
	bus_reset(m->bus);
	hyperv_reset(m->hyperv);
}

static void on_crash(void *arg, const char *text)
{
	const struct machine *m = arg;
	say_note(m->conf->name, "the guest crashed: %s", text);
}

static void on_quit_key(void *arg)
{
	const struct machine *m = arg;
	vm_quit(m->vm);
}

struct signals {
	struct ev ev;
	struct machine *m;
	bool asked; /* the power button is pressed */
};

/* The first time the guest is asked, the second time it is meant. */
static void on_signal(void *arg, uint32_t events)
{
	struct signals *s = arg;
	struct signalfd_siginfo si;
	(void)events;
	if (read(s->ev.fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (s->asked || vm_state(s->m->vm) != VM_RUNNING) {
		vm_quit(s->m->vm);
		return;
	}
	s->asked = true;
	say_note(s->m->conf->name, "the guest is asked to power off; the next "
		 "signal ends it");
	vm_press_power(s->m->vm);
}

/* Before any thread is there: all of them leave these to the bus thread. */
static int block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- before it starts --------------------------------------------------- */

static int check_file(const char *what, const char *path, struct vhdx_err *e)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (path && fd < 0)
		return err_sys(e, errno, "%s %s", what, path);
	if (fd >= 0)
		close(fd);
	return 0;
}

static int check_files(const struct conf *c, struct vhdx_err *e)
{
	int rc = check_file("kernel", c->kernel, e);
	return rc ? rc : check_file("initrd", c->initrd, e);
}

static int try_disk(const struct conf *c, const struct conf_disk *conf,
		    struct vhdx_err *e)
{
	struct conf_disk own = *conf;
	struct vhdx_info info;
	struct disk *d;
	own.path = NULL;
	int rc = conf_string(&own.path, conf->path, e);
	if (!rc)
		rc = disk_create(&own, c, &d, e);
	if (rc)
		return rc;
	rc = disk_try(d, &info, e);
	if (!rc)
		rc = disk_check(d, e);
	if (!rc)
		printf("disk %u:%u: %s, %ju bytes%s\n", conf->controller,
		       conf->lun, d->conf.path, (uintmax_t)info.size_len,
		       conf->read_only ? ", read-only" : "");
	disk_destroy(d);
	return rc;
}

static int dry_run(const struct conf *c, struct vhdx_err *e)
{
	int rc = 0;
	printf("%s: %ju MiB, %u cpus\nkernel: %s\n", c->name,
	       (uintmax_t)(c->memory_len / MIB), c->cpus, c->kernel);
	for (unsigned i = 0; i < c->disk_cnt && !rc; i++)
		rc = try_disk(c, &c->disk[i], e);
	if (!rc && fflush(stdout) != 0)
		rc = err_sys(e, errno, "stdout");
	return rc;
}

/* ---- coming and going --------------------------------------------------- */

static int make_vm(struct machine *m, struct vhdx_err *e)
{
	const struct conf *c = m->conf;
	int rc = evloop_create(&m->loop, e);
	if (!rc)
		rc = vm_create(c, m->loop, &m->vm, e);
	if (!rc)
		rc = bus_create(c->cpus, vm_mem(m->vm), m->loop, &m->bus, e);
	if (rc)
		return rc;
	struct hyperv_conf hc = {
		.kvm_fd = vm_kvm_fd(m->vm), .vm_fd = vm_fd(m->vm),
		.mem = vm_mem(m->vm), .cpu_cnt = c->cpus,
		.post = bus_post, .signal = bus_signal, .arg = m->bus,
	};
	rc = hyperv_create(&hc, &m->hyperv, e);
	if (!rc)
		rc = bus_start(m->bus, m->hyperv, e);
	if (!rc)
		rc = disks_offer(m->disks, m->bus, e);
	if (!rc)
		rc = vm_add_cpus(m->vm, m->hyperv, e);
	return rc;
}

static int make_doors(struct machine *m, struct signals *s, struct vhdx_err *e)
{
	const struct conf *c = m->conf;
	struct vm_events events = { on_reset, on_crash, m };
	int rc = 0;
	vm_set_events(m->vm, &events);
	bus_set_tell(m->bus, say_tell, c->name);
	if (c->console)
		rc = console_open(c->console, m->loop, on_quit_key, m,
				  &m->console, e);
	if (!rc && m->console)
		rc = vm_console(m->vm, console_in_fd(m->console),
				console_out_fd(m->console), e);
	if (!rc)
		rc = orders_create(m, &m->orders, e);
	if (!rc && c->control)
		rc = ctl_open(c->control, m->loop, orders_run, m->orders,
			      &m->ctl, e);
	if (rc)
		return rc;
	s->m = m;
	s->ev.fn = on_signal;
	s->ev.arg = s;
	return evloop_add(m->loop, &s->ev, EPOLLIN, e);
}

/* The first error is told and makes the status; the others are told. */
static int unmake(struct machine *m, int status)
{
	struct vhdx_err err;
	orders_destroy(m->orders);
	ctl_close(m->ctl);
	if (disks_destroy(m->disks, &err)) {
		int worse = say_err(m->conf->name, &err);
		status = status ? status : worse;
	}
	bus_destroy(m->bus);
	hyperv_destroy(m->hyperv);
	vm_destroy(m->vm);
	console_close(m->console); /* which the VM had the ends of */
	evloop_destroy(m->loop);
	return status;
}

static int run_machine(const struct conf *c, int signal_fd)
{
	struct machine m = { .conf = c, .began = time(NULL) };
	struct signals s = { .ev.fd = signal_fd };
	struct vhdx_err err;
	/* Disks first: what is wrong with them is known before a VM is made. */
	int rc = disks_create(c, &m.disks, &err);
	if (!rc)
		rc = make_vm(&m, &err);
	if (!rc)
		rc = make_doors(&m, &s, &err);
	if (!rc) {
		if (vm_run(m.vm, &err) == VM_END_ERROR)
			rc = err.code;
		bus_reset(m.bus);
	}
	int status = STATUS_OK;
	if (rc) {
		console_flush(m.console); /* what the guest said comes first */
		status = say_err(NULL, &err);
	}
	return unmake(&m, status);
}

/* Long chains at many LUNs, 64 processors and their channels are more than the
 * usual limit, which is for programs that use select(). */
static void allow_files(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static int run(int argc, char **argv)
{
	struct conf *c;
	struct vhdx_err err;
	int signal_fd, status = STATUS_OK;
	if (conf_parse(argc, argv, &c, &err))
		return say_err(NULL, &err);
	if (c->help) {
		fputs(run_help, stdout);
		if (fflush(stdout) != 0)
			status = STATUS_FAILED;
	} else if (check_files(c, &err)) {
		status = say_err(NULL, &err);
	} else if (c->dry_run) {
		if (dry_run(c, &err))
			status = say_err(NULL, &err);
	} else if ((signal_fd = block_signals()) < 0) {
		status = say_fail(STATUS_FAILED, NULL, "signalfd: %s",
				  strerror(errno));
	} else {
		allow_files();
		status = run_machine(c, signal_fd);
		close(signal_fd);
	}
	conf_free(c);
	return status;
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

int main(int argc, char **argv)
{
	fill_std_fds();
	say_init("vmm", NULL);
	signal(SIGPIPE, SIG_IGN);
	const char *verb = argc > 1 ? argv[1] : "";
	if (strcmp(verb, "run") == 0)
		return run(argc - 1, argv + 1);
	if (strcmp(verb, "ctl") == 0)
		return client_main(argc - 1, argv + 1);
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)
		fputs(help, stdout);
	else if (strcmp(verb, "--version") == 0)
		puts("vmm " VHDKIT_VERSION);
	else
		return say_fail(STATUS_USAGE, NULL, "usage: vmm run|ctl ...; "
				"see: vmm --help");
	return fflush(stdout) ? STATUS_FAILED : STATUS_OK;
}
