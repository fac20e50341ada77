/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf_keys.h"
#include "err.h"
#include "mem.h"
#include "say.h"
#include "usock.h"

#define ANSWER_MAX (16u << 20) /* bytes; no answer is as long */

static const char help[] =
"Usage: vmm ctl SOCKET COMMAND [ARG...]\n"
"\n"
"Commands:\n"
"  status                       what the VM and its disks are doing\n"
"  pause                        stop the guest\n"
"  resume                       let it go on\n"
"  power-off                    press the power button: asks the guest\n"
"  reset                        press the reset button\n"
"  add-disk DISK                DISK as for vmm run --disk\n"
"  remove-disk WHERE            WHERE: [CONTROLLER:]LUN, or the image's path\n"
"  resize-disk WHERE SIZE [--shrink]\n"
"                               another size, as vhdtool resize gives it\n"
"  resume-disk WHERE            try again what waits for space on the host\n"
"  quit                         end the VM at once; its disks are closed\n"
"\n"
"The answer is JSON. Exit status: 0 done, 1 failed, 2 usage, 3 not found,\n"
"4 busy, 5 no space, 6 damaged or not fit to be used as it is.\n";

/* ---- the request -------------------------------------------------------- */

static int absolute(const char *path, char out[PATH_MAX], struct vhdx_err *e)
{
	if (realpath(path, out))
		return 0;
	return err_sys(e, errno, "%s", path);
}

static int put_disk(json_t *req, char **arg, struct vhdx_err *e)
{
	struct conf_disk d;
	char path[PATH_MAX];
	int rc = conf_disk_parse(arg[0], &d, e);
	if (rc)
		return rc;
	rc = absolute(d.path, path, e);
	if (!rc) {
		json_t *j = json_pack("{s:s, s:b, s:b, s:s, s:s}",
				      "path", path, "ro", d.read_only,
				      "force", d.force,
				      "cache", d.direct ? "none" : "writeback",
				      "nospc", d.report_nospc ? "report" :
					       "pause");
		if (j && d.controller != CONF_ANY)
			(void)json_object_set_new(j, "controller",
						  json_integer(d.controller));
		if (j && d.lun != CONF_ANY)
			(void)json_object_set_new(j, "lun",
						  json_integer(d.lun));
		if (!j || json_object_set_new(req, "disk", j) != 0)
			rc = err_set(e, VHDX_E_INVAL, "%s: a path in UTF-8 is "
				     "wanted", d.path);
	}
	conf_disk_clear(&d);
	return rc;
}

/* Whether there is such a place is for the VM to say. */
static json_t *number(const char *digits)
{
	unsigned long v = strtoul(digits, NULL, 10); /* at most ULONG_MAX */
	return json_integer((json_int_t)u64_min(v, INT64_MAX));
}

/* Digits, or digits:digits, is a place; all else a path. */
static int put_where(json_t *req, char **arg, struct vhdx_err *e)
{
	char path[PATH_MAX];
	const char *text = arg[0];
	size_t n = strspn(text, "0123456789");
	bool pair = n && text[n] == ':' && text[n + 1] &&
		    !text[n + 1 + strspn(text + n + 1, "0123456789")];
	if (n && (pair || !text[n])) {
		(void)json_object_set_new(req, "controller",
					  number(pair ? text : "0"));
		(void)json_object_set_new(req, "lun",
					  number(pair ? text + n + 1 : text));
		return 0;
	}
	int rc = absolute(text, path, e);
	if (!rc && json_object_set_new(req, "path", json_string(path)) != 0)
		rc = err_set(e, VHDX_E_INVAL, "%s: a path in UTF-8 is wanted",
			     text);
	return rc;
}

static int put_resize(json_t *req, char **arg, struct vhdx_err *e)
{
	uint64_t len;
	if (!conf_size(arg[1], &len) || len > INT64_MAX)
		return err_set(e, VHDX_E_INVAL, "size '%s': a size is 4096, "
			       "64K, 2M, 1G or 64T", arg[1]);
	(void)json_object_set_new(req, "size", json_integer((json_int_t)len));
	if (arg[2] && strcmp(arg[2], "--shrink") != 0)
		return err_set(e, VHDX_E_INVAL, "'%s': it can be --shrink",
			       arg[2]);
	if (arg[2])
		(void)json_object_set_new(req, "shrink", json_true());
	return put_where(req, arg, e);
}

static const struct {
	const char *name, *args;
	int min, max;
	int (*put)(json_t *req, char **arg, struct vhdx_err *e);
} commands[] = {
	{ "status", "", 0, 0, NULL },
	{ "pause", "", 0, 0, NULL },
	{ "resume", "", 0, 0, NULL },
	{ "power-off", "", 0, 0, NULL },
	{ "reset", "", 0, 0, NULL },
	{ "add-disk", " DISK", 1, 1, put_disk },
	{ "remove-disk", " WHERE", 1, 1, put_where },
	{ "resize-disk", " WHERE SIZE [--shrink]", 2, 3, put_resize },
	{ "resume-disk", " WHERE", 1, 1, put_where },
	{ "quit", "", 0, 0, NULL },
};

int client_request(int argc, char **argv, json_t **out, struct vhdx_err *e)
{
	size_t i = 0;
	*out = NULL;
	while (i < ARRAY_LEN(commands) &&
	       strcmp(commands[i].name, argv[0]) != 0)
		i++;
	if (i == ARRAY_LEN(commands))
		return err_set(e, VHDX_E_INVAL, "no such command: %s; see: vmm "
			       "ctl --help", argv[0]);
	if (argc - 1 < commands[i].min || argc - 1 > commands[i].max)
		return err_set(e, VHDX_E_INVAL, "usage: vmm ctl SOCKET %s%s",
			       commands[i].name, commands[i].args);
	json_t *req = json_pack("{s:s}", "command", argv[0]);
	if (!req)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	int rc = commands[i].put ? commands[i].put(req, argv + 1, e) : 0;
	if (rc)
		json_decref(req);
	else
		*out = req;
	return rc;
}

/* ---- the answer --------------------------------------------------------- */

static int ask(int fd, const json_t *req, json_t **answer, struct vhdx_err *e)
{
	json_error_t why;
	FILE *f = fdopen(fd, "r+");
	if (!f) {
		close(fd);
		return err_sys(e, errno, "fdopen");
	}
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = -1;
	int rc = 0;
	if (json_dumpf(req, f, JSON_COMPACT) != 0 || fputc('\n', f) == EOF ||
	    fflush(f) != 0)
		rc = err_sys(e, errno, "asking");
	else if ((n = getline(&line, &cap, f)) <= 0 || n > ANSWER_MAX)
		rc = err_set(e, VHDX_E_IO, "it hung up without an answer");
	if (!rc)
		*answer = json_loadb(line, (size_t)n, 0, &why);
	if (!rc && !json_is_object(*answer))
		rc = err_set(e, VHDX_E_IO, "the answer is no JSON object");
	free(line);
	fclose(f);
	return rc;
}

static int show(const char *path, json_t *answer)
{
	struct vhdx_err err;
	const json_t *error = json_object_get(answer, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "text"));
	if (json_dumpf(error ? answer : json_object_get(answer, "result"),
		       stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) != 0 ||
	    fputc('\n', stdout) == EOF || fflush(stdout) != 0)
		return say_fail(STATUS_FAILED, NULL, "stdout: %s",
				strerror(errno));
	if (!error)
		return STATUS_OK;
	err_set(&err, say_code_of(code ? code : ""), "%s", text ? text : "?");
	return say_err(path, &err);
}

int client_main(int argc, char **argv)
{
	struct vhdx_err err;
	json_t *req, *answer = NULL;
	int fd, status;
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(help, stdout);
		return fflush(stdout) ? STATUS_FAILED : STATUS_OK;
	}
	if (argc < 3)
		return say_fail(STATUS_USAGE, NULL, "usage: vmm ctl SOCKET "
				"COMMAND [ARG...]; see: vmm ctl --help");
	if (client_request(argc - 2, argv + 2, &req, &err))
		return say_err(NULL, &err);
	int rc = usock_connect(argv[1], &fd, &err);
	if (!rc)
		rc = ask(fd, req, &answer, &err);
	status = rc ? say_err(argv[1], &err) : show(argv[1], answer);
	json_decref(req);
	json_decref(answer);
	return status;
}
