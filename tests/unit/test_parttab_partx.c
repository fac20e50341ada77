/* SPDX-License-Identifier: MIT */
/*
 * The tables that util-linux makes, read by us and by its partx (libblkid): the
 * same partitions, numbers, places and types. 4096-byte sectors by fdisk, as
 * sfdisk learned them late.
 */
#include "parttab.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "guid.h"
#include "t.h"

#define DISK_LEN (64 * MIB)

static struct parttab tab;

static int read_fd(void *arg, uint64_t off, void *buf, size_t len,
		   struct vhdx_err *e)
{
	const int *fd = arg;

	(void)e;
	return pread(*fd, buf, len, (off_t)off) == (ssize_t)len ? 0
								: VHDX_E_IO;
}

static bool missing(void)
{
	if (system("PATH=$PATH:/sbin:/usr/sbin; command -v sfdisk fdisk partx "
		   ">/dev/null") == 0)
		return false;
	printf("(no sfdisk or partx: passed over) ");
	return true;
}

static const char *path(void)
{
	static char p[600];

	if (!p[0])
		snprintf(p, sizeof(p), "%s/parttab.raw", t_tmpdir());
	return p;
}

/* A new disk; program: sfdisk or fdisk, with options; script: its input. */
static void make(const char *program, const char *script)
{
	char cmd[1400];
	FILE *p;

	unlink(path());
	snprintf(cmd, sizeof(cmd), "PATH=$PATH:/sbin:/usr/sbin; "
		 "truncate -s %ju %s; %s %s >/dev/null 2>&1",
		 (uintmax_t)DISK_LEN, path(), program, path());
	p = popen(cmd, "w");
	T_TRUE(p && fputs(script, p) >= 0);
	T_TRUE(pclose(p) == 0);
}

static void type_text(const struct parttab_part *p, char out[64])
{
	struct guid g;

	if (tab.kind == VHDX_TABLE_MBR) {
		snprintf(out, 64, "0x%x", p->type[0]);
		return;
	}
	memcpy(&g, p->type, sizeof(g));
	guid_format(&g, out);
}

static void load(uint32_t sector_len)
{
	int fd = open(path(), O_RDONLY | O_CLOEXEC);

	T_TRUE(fd >= 0);
	T_OK(parttab_load(read_fd, &fd, DISK_LEN, sector_len, &tab, &t_err));
	close(fd);
}

/* partx shows what is listed, no more and no less. */
static void same_as_partx(uint32_t sector_len, unsigned want_cnt)
{
	char cmd[700], line[200], want[200], type[64];
	FILE *p;

	load(sector_len);
	snprintf(cmd, sizeof(cmd), "PATH=$PATH:/sbin:/usr/sbin; "
		 "partx -gr -S %u -o NR,START,SECTORS,TYPE %s", sector_len,
		 path());
	p = popen(cmd, "r");
	T_TRUE(p != NULL);
	for (unsigned i = 0; i < tab.part_cnt; i++) {
		const struct parttab_part *q = &tab.parts[i];

		type_text(q, type);
		snprintf(want, sizeof(want), "%u %ju %ju %s", q->nr,
			 (uintmax_t)q->off / 512, (uintmax_t)q->len / 512,
			 type);
		T_TRUE(fgets(line, sizeof(line), p));
		line[strcspn(line, "\n")] = '\0';
		if (strncasecmp(line, want, strlen(want)) != 0)
			printf("partx: '%s', here: '%s' ", line, want);
		T_TRUE(strncasecmp(line, want, strlen(want)) == 0);
	}
	T_TRUE(!fgets(line, sizeof(line), p) && pclose(p) == 0);
	T_EQ_U64(tab.part_cnt, want_cnt);
}

static void mbr_with_logical_ones_is_the_same(void)
{
	if (missing())
		return;
	make("sfdisk", "label: dos\n"
	     "4: start=2048, size=8192, type=7\n"
	     "2: start=20480, size=90000, type=f\n"
	     "start=22528, size=2048\n"
	     "start=40960, size=2048, type=82\n"
	     "start=50000, size=2049\n");
	same_as_partx(512, 5);
}

static void logical_one_taken_out_is_the_same(void)
{
	if (missing())
		return;
	make("fdisk -b 512", "o\nn\ne\n1\n\n\nn\nl\n\n+4M\nn\nl\n\n+5M\n"
	     "n\nl\n\n+6M\nd\n5\nw\n");
	same_as_partx(512, 3);
}

static void many_logical_ones_are_the_same(void)
{
	static char script[8192];
	size_t len;

	if (missing())
		return;
	len = (size_t)snprintf(script, sizeof(script), "label: dos\n"
			       "start=2048, size=1\nstart=2049, size=1\n"
			       "start=2050, size=1\nstart=2051, type=5\n");
	for (unsigned i = 0; i < 55; i++)
		len += (size_t)snprintf(script + len, sizeof(script) - len,
					"start=%u, size=1000\n",
					4096 + i * 2048);
	make("sfdisk", script);
	same_as_partx(512, 59);
}

static void gpt_is_the_same(void)
{
	if (missing())
		return;
	make("sfdisk", "label: gpt\n"
	     "3: start=2048, size=8192, type=U\n"
	     "1: start=20480, size=2048, type=S\n"
	     "128: start=30000, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n");
	same_as_partx(512, 3);
	T_TRUE(tab.kind == VHDX_TABLE_GPT && !tab.mixed && !tab.backup);
}

static void gpt_by_its_backup_is_the_same(void)
{
	static const char zeros[512];
	int fd;

	if (missing())
		return;
	make("sfdisk", "label: gpt\n2: start=2048, size=8192\n");
	fd = open(path(), O_WRONLY | O_CLOEXEC);
	T_TRUE(fd >= 0 && pwrite(fd, zeros, 512, 512) == 512);
	close(fd);
	same_as_partx(512, 1);
	T_TRUE(tab.backup);
}

static void tables_of_4096_byte_sectors_are_the_same(void)
{
	if (missing())
		return;
	make("fdisk -b 4096", "g\nn\n3\n\n+8M\nn\n7\n\n\nw\n");
	same_as_partx(4096, 2);
	T_EQ_U64(tab.sector_len, 4096);
	make("fdisk -b 4096", "o\nn\np\n2\n\n+8M\nn\ne\n4\n\n\nn\n\n+4M\n"
	     "n\n\n+5M\nn\n\n+6M\nd\n6\nw\n");
	same_as_partx(4096, 4);
}

static const struct t_test tests[] = {
	T_TEST(mbr_with_logical_ones_is_the_same),
	T_TEST(logical_one_taken_out_is_the_same),
	T_TEST(many_logical_ones_are_the_same),
	T_TEST(gpt_is_the_same),
	T_TEST(gpt_by_its_backup_is_the_same),
	T_TEST(tables_of_4096_byte_sectors_are_the_same),
	T_END
};

const struct t_suite t_suite_parttab_partx = { "parttab_partx", tests };
