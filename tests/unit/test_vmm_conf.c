/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "conf.h"
#include "instance.h"
#include "mem.h"
#include "t.h"

static struct conf *conf;
static const char *folder; /* of the file */

/* vmm run WORD..., the list ending with NULL */
static int parse(const char *const *words)
{
	char *argv[32] = { (char []){ "run" } };
	int argc = 1;
	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	conf_free(conf);
	conf = NULL;
	return conf_parse(argc, argv, &conf, &t_err);
}
#define PARSE(...) parse((const char *const []){ __VA_ARGS__, NULL })

static void drop(void)
{
	conf_free(conf);
	conf = NULL;
}

/* A JSON file of this text; the path. */
static const char *file(const char *text)
{
	static char path[600];
	folder = t_tmpdir();
	snprintf(path, sizeof(path), "%s/vm.json", folder);
	FILE *f = fopen(path, "w");
	T_TRUE(f && fputs(text, f) >= 0 && fclose(f) == 0);
	return path;
}

static int disk_with(const char *text, struct conf_disk *d)
{
	conf_disk_clear(d);
	return conf_disk_parse(text, d, &t_err);
}

static void a_kernel_is_enough(void)
{
	T_OK(PARSE("--kernel", "bz"));
	T_TRUE(strcmp(conf->kernel, "bz") == 0);
	T_TRUE(strcmp(conf->name, "vm") == 0);
	T_TRUE(strcmp(conf->console, "stdio") == 0);
	T_EQ_U64(conf->memory_len, 512 * MIB);
	T_EQ_U64(conf->cpus, 1);
	T_TRUE(!conf->control && !conf->initrd && !conf->dry_run);
	drop();
}

static void without_a_kernel_nothing_runs(void)
{
	T_FAILS(PARSE("--name", "x"), VHDX_E_INVAL, "--kernel");
	T_TRUE(!conf);
}

static void what_cannot_be_is_refused_with_what_can(void)
{
	static const struct { const char *key, *value, *says; } bad[] = {
		{ "--memory", "100", "512M" },
		{ "--memory", "1.5G", "512M" },
		{ "--memory", "99999999T", "512M" },
		{ "--cpus", "0", "1 to 64" },
		{ "--cpus", "65", "1 to 64" },
		{ "--name", "a b", "no blank" },
		{ "--name", "", "1 to 64 bytes" },
		{ "--console", "vga", "unix:PATH" },
		{ "--console", "unix:", "unix:PATH" },
		{ "--control", "", "empty path" },
		{ "--colour", "red", "unknown or ambiguous option --colour" },
		{ "--kernel", NULL, "needs a value" },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		T_FAILS(PARSE("--kernel", "bz", bad[i].key, bad[i].value),
			VHDX_E_INVAL, bad[i].says);
	T_FAILS(PARSE("--kernel", "bz", "--disk", ",ro"), VHDX_E_INVAL, "path");
	T_FAILS(PARSE("a.json", "b.json"), VHDX_E_INVAL, "usage");
}

static void help_is_shown_whatever_else_is_missing(void)
{
	T_OK(PARSE("--help"));
	T_TRUE(conf->help);
	drop();
}

static void sizes_are_binary_and_do_not_overflow(void)
{
	uint64_t v;
	T_TRUE(conf_size("2G", &v) && v == 2 * GIB);
	T_TRUE(conf_size("4096", &v) && v == 4096);
	T_TRUE(!conf_size("", &v) && !conf_size("K", &v));
	T_TRUE(!conf_size("1k", &v) && !conf_size("1KB", &v));
	T_TRUE(!conf_size("-1", &v) && !conf_size("0x10", &v));
	T_TRUE(conf_size("16777215T", &v));
	T_TRUE(!conf_size("16777216T", &v));
	T_TRUE(!conf_size("18446744073709551616", &v));
}

static void a_disk_is_a_path_and_words(void)
{
	struct conf_disk d = { .path = NULL };
	T_OK(disk_with("a.vhdx", &d));
	T_TRUE(strcmp(d.path, "a.vhdx") == 0 && !d.read_only && !d.direct);
	T_TRUE(d.controller == CONF_ANY && d.lun == CONF_ANY);
	T_OK(disk_with("b,ro,cache=none,controller=3,lun=63,nospc=report,force",
		       &d));
	T_TRUE(d.read_only && d.direct && d.report_nospc && d.force);
	T_TRUE(d.controller == 3 && d.lun == 63);
	T_OK(disk_with("b,cache=writeback,nospc=pause", &d));
	T_TRUE(!d.direct && !d.report_nospc);
	conf_disk_clear(&d);
}

static void a_comma_in_a_path_is_written_twice(void)
{
	struct conf_disk d = { .path = NULL };
	T_OK(disk_with("a,,b,,,ro", &d));
	T_TRUE(strcmp(d.path, "a,b,") == 0 && d.read_only);
	T_OK(disk_with("end,,", &d));
	T_TRUE(strcmp(d.path, "end,") == 0);
	conf_disk_clear(&d);
}

static void an_unknown_word_of_a_disk_is_named(void)
{
	struct conf_disk d = { .path = NULL };
	T_FAILS(disk_with("a,rw", &d), VHDX_E_INVAL, "'rw'");
	T_FAILS(disk_with("a,ro=1", &d), VHDX_E_INVAL, "takes no value");
	T_FAILS(disk_with("a,lun=64", &d), VHDX_E_INVAL, "0 to 63");
	T_FAILS(disk_with("a,controller=4", &d), VHDX_E_INVAL, "0 to 3");
	T_FAILS(disk_with("a,cache=unsafe", &d), VHDX_E_INVAL, "none");
	T_FAILS(disk_with("a,path=b", &d), VHDX_E_INVAL, "path");
	T_FAILS(disk_with("a,lun", &d), VHDX_E_INVAL, "lun");
	T_FAILS(disk_with("", &d), VHDX_E_INVAL, "path");
	T_TRUE(!d.path);
}

static void disks_without_a_place_get_the_free_ones(void)
{
	T_OK(PARSE("--kernel", "bz", "--disk", "a", "--disk", "b,lun=0",
		   "--disk", "c,controller=2", "--disk", "d"));
	T_EQ_U64(conf->disk_cnt, 4);
	T_TRUE(conf->disk[1].controller == 0 && conf->disk[1].lun == 0);
	T_TRUE(conf->disk[0].controller == 0 && conf->disk[0].lun == 1);
	T_TRUE(conf->disk[2].controller == 2 && conf->disk[2].lun == 0);
	T_TRUE(conf->disk[3].controller == 0 && conf->disk[3].lun == 2);
	drop();
}

static void one_place_does_not_take_two_disks(void)
{
	T_FAILS(PARSE("--kernel", "bz", "--disk", "a,lun=5", "--disk",
		      "b,controller=0,lun=5"), VHDX_E_INVAL, "that of a");
}

static void a_file_has_the_same_keys(void)
{
	T_OK(PARSE(file("{\"name\": \"web\", \"memory\": \"1G\", \"cpus\": 4,"
			"\"kernel\": \"/boot/bz\", \"cmdline\": \"quiet\","
			"\"disk\": [\"/d/a.vhdx,ro\", {\"path\": \"/d/b,c\","
			"\"lun\": 7, \"cache\": \"none\", \"ro\": false}],"
			"\"search\": \"/s\", \"console\": \"none\"}")));
	T_TRUE(strcmp(conf->name, "web") == 0 && conf->cpus == 4);
	T_EQ_U64(conf->memory_len, GIB);
	T_EQ_U64(conf->disk_cnt, 2);
	T_TRUE(conf->disk[0].read_only && !conf->disk[1].read_only);
	T_TRUE(strcmp(conf->disk[1].path, "/d/b,c") == 0);
	T_TRUE(conf->disk[1].lun == 7 && conf->disk[1].direct);
	T_TRUE(conf->search_cnt == 1 && !conf->console);
	drop();
}

static void the_command_line_overrides_the_file(void)
{
	const char *path = file("{\"kernel\": \"/bz\", \"cpus\": 4,"
				"\"disk\": \"/a\"}");
	T_OK(PARSE("--cpus", "2", path, "--disk", "/b", "--dry-run"));
	T_TRUE(conf->cpus == 2 && conf->disk_cnt == 2 && conf->dry_run);
	T_TRUE(strcmp(conf->disk[0].path, "/a") == 0);
	drop();
}

static void paths_in_a_file_are_beside_it(void)
{
	char want[600];
	T_OK(PARSE(file("{\"kernel\": \"bz\", \"console\": \"unix:con\","
			"\"disk\": {\"path\": \"a\"}, \"search\": [\"/s\"]}")));
	snprintf(want, sizeof(want), "%s/bz", folder);
	T_TRUE(strcmp(conf->kernel, want) == 0);
	snprintf(want, sizeof(want), "unix:%s/con", folder);
	T_TRUE(strcmp(conf->console, want) == 0);
	snprintf(want, sizeof(want), "%s/a", folder);
	T_TRUE(strcmp(conf->disk[0].path, want) == 0);
	T_TRUE(strcmp(conf->search[0], "/s") == 0);
	drop();
}

static void what_is_wrong_in_a_file_is_named_with_it(void)
{
	static const struct { const char *text, *says; } bad[] = {
		{ "{\"kernal\": \"x\"}", "vm.json: unknown key \"kernal\"" },
		{ "{\"cpus\": 1\n \"name\": 2}", "line 2" },
		{ "[]", "no JSON object" },
		{ "{\"cpus\": true}", "\"cpus\" is a string or a number" },
		{ "{\"cpus\": [1]}", "\"cpus\" is a string or a number" },
		{ "{\"cpus\": -1}", "1 to 64" },
		{ "{\"disk\": {\"lun\": 1}}", "\"path\"" },
		{ "{\"disk\": {\"path\": \"a\", \"ro\": 1}}", "true or false" },
		{ "{\"disk\": {\"path\": \"a\", \"rw\": \"\"}}", "'rw'" },
		{ "{\"disk\": [3]}", "disk" },
		{ "{\"cpus\": 1, \"cpus\": 2}", "cpus" },
		{ "", "line 1" },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		T_FAILS(PARSE(file(bad[i].text)), VHDX_E_INVAL, bad[i].says);
	T_FAILS(PARSE("/nowhere.json"), VHDX_E_NOTFOUND, "/nowhere.json");
}

static void no_allocation_that_fails_leaves_anything(void)
{
	const char *path = file("{\"kernel\": \"bz\", \"disk\": [\"a\"],"
				"\"search\": [\"s\", \"t\"]}");
	uint64_t live = mem_live_cnt(), n = 0;
	int rc;
	do {
		mem_fail_nth(++n);
		rc = PARSE(path, "--disk", "c,ro", "--name", "x");
		mem_fail_nth(0);
		T_TRUE(rc == 0 || rc == VHDX_E_NOMEM);
		drop();
		T_EQ_U64(mem_live_cnt(), live);
	} while (rc);
	T_TRUE(n > 10);
}

static void instances_differ_and_stay(void)
{
	uint8_t a[16], b[16];
	char hex[33] = "";
	instance_id("web", 0, a);
	for (size_t i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", a[i]);
	/* For good: a guest knows its disks by it. */
	T_TRUE(strcmp(hex, "cd05645100825284b95902d733e0129e") == 0);
	instance_id("web", 1, b);
	T_TRUE(memcmp(a, b, 16) != 0);
	instance_id("web0", 0, b);
	T_TRUE(memcmp(a, b, 16) != 0);
	T_TRUE(a[7] >> 4 == 8 && a[8] >> 6 == 2);
}

static const struct t_test tests[] = {
	T_TEST(a_kernel_is_enough),
	T_TEST(without_a_kernel_nothing_runs),
	T_TEST(what_cannot_be_is_refused_with_what_can),
	T_TEST(help_is_shown_whatever_else_is_missing),
	T_TEST(sizes_are_binary_and_do_not_overflow),
	T_TEST(a_disk_is_a_path_and_words),
	T_TEST(a_comma_in_a_path_is_written_twice),
	T_TEST(an_unknown_word_of_a_disk_is_named),
	T_TEST(disks_without_a_place_get_the_free_ones),
	T_TEST(one_place_does_not_take_two_disks),
	T_TEST(a_file_has_the_same_keys),
	T_TEST(the_command_line_overrides_the_file),
	T_TEST(paths_in_a_file_are_beside_it),
	T_TEST(what_is_wrong_in_a_file_is_named_with_it),
	T_TEST(no_allocation_that_fails_leaves_anything),
	T_TEST(instances_differ_and_stay),
	T_END
};

const struct t_suite t_suite_vmm_conf = { "vmm_conf", tests };
