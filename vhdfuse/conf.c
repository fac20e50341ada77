/* SPDX-License-Identifier: MIT */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"

#ifndef VHDKIT_VERSION
#define VHDKIT_VERSION "0.1"
#endif

static const char help[] =
"Usage: vhdfuse [OPTIONS] IMAGE MOUNTPOINT\n"
"       mount.vhdfuse IMAGE MOUNTPOINT [-o OPTION,...]\n"
"\n"
"Mounts a VHD or VHDX image, with all it stands on, as plain files: disk (the\n"
"whole virtual disk), p1, p2, ... (its partitions) and info.json.\n"
"\n"
"Options:\n"
"  --file                 MOUNTPOINT is a regular file and becomes the disk\n"
"  --overlay FILE         write into FILE, a child of IMAGE, instead of IMAGE\n"
"  --cache MODE           writeback: through the page cache (default); none:\n"
"                         past it, also that of the mounted files\n"
"  --search DIR           look for parents there too; may be repeated\n"
"  --format FORMAT        raw, vhd or vhdx, whatever the content looks like\n"
"  --force                write even to an image that has children\n"
"  --control PATH         where the control socket is to be; none: nowhere\n"
"  --pid-file FILE        holds the process id until all is closed\n"
"  -f, --foreground       stay in the foreground\n"
"  -o OPTION,...          ro, rw, allow_other, uid=, gid=, any of the above\n"
"                         (-o overlay=FILE), and what mount(8) knows\n"
"  --help                 show this\n"
"  --version              show the version\n"
"\n"
"To unmount: fusermount3 -u MOUNTPOINT, umount, or SIGTERM.\n"
"Exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 busy, 5 no space,\n"
"6 damaged or not fit to be used as it is. In the background: whether it\n"
"could be mounted.\n";

/* What mount(8) and fstab say to others than us, or what is so anyway. */
static const char *const ignored[] = {
	"defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser",
	"users", "owner", "group", "dev", "suid", "loop", NULL,
};

/* What the kernel, or fusermount3, takes. */
static const char *const passed[] = {
	"nodev", "nosuid", "exec", "noexec", "atime", "noatime", "sync",
	"async", "dirsync", "allow_root", "auto_unmount", NULL,
};

enum opt {
	OPT_FILE = 256,
	OPT_OVERLAY,
	OPT_CACHE,
	OPT_SEARCH,
	OPT_FORMAT,
	OPT_FORCE,
	OPT_CONTROL,
	OPT_PID_FILE,
	OPT_RO,
	OPT_RW,
	OPT_ALLOW_OTHER,
	OPT_UID,
	OPT_GID,
	OPT_VERSION,
};

static const struct option longs[] = {
	{ "file", no_argument, NULL, OPT_FILE },
	{ "overlay", required_argument, NULL, OPT_OVERLAY },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "search", required_argument, NULL, OPT_SEARCH },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "pid-file", required_argument, NULL, OPT_PID_FILE },
	{ "foreground", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* Only after -o. */
static const struct option words[] = {
	{ "ro", no_argument, NULL, OPT_RO },
	{ "rw", no_argument, NULL, OPT_RW },
	{ "allow_other", no_argument, NULL, OPT_ALLOW_OTHER },
	{ "uid", required_argument, NULL, OPT_UID },
	{ "gid", required_argument, NULL, OPT_GID },
	{ NULL, 0, NULL, 0 },
};

static bool is_in(const char *const *list, const char *word)
{
	while (*list && strcmp(*list, word) != 0)
		list++;
	return *list != NULL;
}

static int store_id(const char *what, const char *text, unsigned *id)
{
	if (isdigit((unsigned char)text[0])) {
		char *end;
		errno = 0;
		unsigned long v = strtoul(text, &end, 10);
		if (!errno && !*end && v < UINT_MAX) {
			*id = (unsigned)v;
			return CONF_GO;
		}
	} else if (strcmp(what, "uid") == 0) {
		struct passwd *pw = getpwnam(text);
		if (pw) {
			*id = pw->pw_uid;
			return CONF_GO;
		}
	} else {
		struct group *gr = getgrnam(text);
		if (gr) {
			*id = gr->gr_gid;
			return CONF_GO;
		}
	}
	return say_usage("-o %s=%s: there is nobody of this name or number",
			 what, text);
}

static int store_cache(struct conf *c, const char *text)
{
	c->direct = strcmp(text, "none") == 0;
	if (c->direct || strcmp(text, "writeback") == 0)
		return CONF_GO;
	return say_usage("--cache '%s': it can be one of: none, writeback",
			 text);
}

static int store_format(struct conf *c, const char *text)
{
	for (int f = VHDX_FORMAT_RAW; f <= VHDX_FORMAT_VHDX; f++) {
		c->format = (enum vhdx_format)f;
		if (strcmp(vhdx_format_name(c->format), text) == 0)
			return CONF_GO;
	}
	return say_usage("--format '%s': it can be one of: raw, vhd, vhdx",
			 text);
}

static int store_search(struct conf *c, const char *text)
{
	if (c->search_cnt == CONF_SEARCH_MAX)
		return say_usage("--search: given more than %u times",
				 CONF_SEARCH_MAX);
	c->search[c->search_cnt++] = text;
	return CONF_GO;
}

/* CONF_GO, or a status; text is NULL where the option takes none. */
static int store(struct conf *c, int what, const char *text)
{
	switch (what) {
	case OPT_FILE: c->file = true; break;
	case OPT_OVERLAY: c->overlay = text; break;
	case OPT_CACHE: return store_cache(c, text);
	case OPT_SEARCH: return store_search(c, text);
	case OPT_FORMAT: return store_format(c, text);
	case OPT_FORCE: c->force = true; break;
	case OPT_CONTROL: c->control = text; break;
	case OPT_PID_FILE: c->pid_file = text; break;
	case OPT_RO: c->read_only = true; break;
	case OPT_RW: c->read_write = true; break;
	case OPT_ALLOW_OTHER: c->allow_other = true; break;
	case OPT_UID: return store_id("uid", text, &c->uid);
	case OPT_GID:
		c->gid_given = true;
		return store_id("gid", text, &c->gid);
	case 'f': c->foreground = true; break;
	default: return say_usage("-o: an option that makes no sense there");
	}
	return CONF_GO;
}

static int pass_on(struct conf *c, const char *word)
{
	char *more;
	if (asprintf(&more, "%s,%s", c->fuse_opts ? c->fuse_opts : "",
		     word) < 0)
		return say_fail(STATUS_FAILED, NULL, "out of memory");
	free(c->fuse_opts);
	c->fuse_opts = more;
	return CONF_GO;
}

static const struct option *find_word(const struct option *o, const char *name)
{
	while (o->name && strcmp(o->name, name) != 0)
		o++;
	return o->name && o->val != 'h' && o->val != OPT_VERSION ? o : NULL;
}

static int store_word(struct conf *c, char *word)
{
	if (!*word || is_in(ignored, word) || strncmp(word, "x-", 2) == 0 ||
	    strncmp(word, "comment=", 8) == 0)
		return CONF_GO;
	if (is_in(passed, word))
		return pass_on(c, word);
	char *value = strchr(word, '=');
	if (value)
		*value++ = '\0';
	const struct option *o = find_word(longs, word);
	if (!o)
		o = find_word(words, word);
	if (!o)
		return say_usage("-o %s: unknown option; see: vhdfuse --help",
				 word);
	if (o->has_arg == no_argument && value)
		return say_usage("-o %s: takes no value", word);
	if (o->has_arg == required_argument && (!value || !*value))
		return say_usage("-o %s=...: the option needs a value", word);
	return store(c, o->val, value);
}

/* "a,b=c": \, stands for a comma in a value. The list is cut up where it is,
 * and lives on in the conf. */
static int store_words(struct conf *c, char *list)
{
	for (char *p = list, *end = list; end;) {
		char *word = p, *to = p;
		for (; *p && *p != ','; p++) {
			if (*p == '\\' && p[1])
				p++;
			*to++ = *p;
		}
		end = *p ? p : NULL;
		*to = '\0';
		p++;
		int rc = store_word(c, word);
		if (rc != CONF_GO)
			return rc;
	}
	return CONF_GO;
}

static int reject(int what, const char *word)
{
	if (what == ':')
		return say_usage("%s: the option needs a value; see: vhdfuse "
				 "--help", word);
	if (strncmp(word, "--", 2) == 0)
		return say_usage("unknown or ambiguous option %s; see: vhdfuse "
				 "--help", word);
	return say_usage("unknown option -%c; see: vhdfuse --help", optopt);
}

static int finish(struct conf *c, int argc, char **argv)
{
	if (argc - optind != 2)
		return say_usage("usage: vhdfuse [OPTIONS] IMAGE MOUNTPOINT; "
				 "see: vhdfuse --help");
	c->image = argv[optind];
	c->mountpoint = argv[optind + 1];
	if (c->read_only && c->read_write)
		return say_usage("-o ro and -o rw cannot be had at once");
	if (c->read_only && c->overlay)
		return say_usage("--overlay is for writing: without -o ro");
	return CONF_GO;
}

static bool called_by_mount(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	return strncmp(slash ? slash + 1 : argv0, "mount.", 6) == 0;
}

int conf_parse(struct conf *c, int argc, char **argv)
{
	/* mount(8) adds: sloppy, fake, no mtab, verbose, a namespace. */
	bool by_mount = argc > 0 && called_by_mount(argv[0]);
	const char *shorts = by_mount ? ":ho:fsnvrwN:t:" : ":hfo:";
	bool fake = false;
	int what;
	*c = (struct conf){ .uid = getuid(), .gid = getgid() };
	opterr = 0;
	while ((what = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		int rc = CONF_GO;
		if (what == 'h' || what == OPT_VERSION) {
			fputs(what == 'h' ? help :
			      "vhdfuse " VHDKIT_VERSION "\n", stdout);
			return fflush(stdout) ? STATUS_FAILED : STATUS_OK;
		}
		if (what == ':' || what == '?')
			return reject(what, argv[optind - 1]);
		if (what == 'o')
			rc = store_words(c, optarg);
		else if (what == 'r' || what == 'w')
			rc = store(c, what == 'r' ? OPT_RO : OPT_RW, NULL);
		else if (by_mount && what == 'f')
			fake = true;
		else if (what == 'f' || what >= 256)
			rc = store(c, what, optarg);
		if (rc != CONF_GO)
			return rc;
	}
	int rc = finish(c, argc, argv);
	return rc == CONF_GO && fake ? STATUS_OK : rc;
}
