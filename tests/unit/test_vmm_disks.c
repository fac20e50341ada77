/* SPDX-License-Identifier: MIT */
/* The real controllers and images; no bus, so no guest. */
#include <stdio.h>
#include <unistd.h>

#include "base.h"
#include "disks.h"
#include "t.h"

static struct conf conf;
static struct disks *disks;
static char dir[600];

static const char *at(const char *name)
{
	static char path[2][700];
	static unsigned turn;
	char *p = path[turn++ % 2];
	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void image(const char *name, const char *parent)
{
	struct vhdx_create_opts opts = { .size_len = 8 * MIB };
	if (parent) {
		opts.size_len = 0;
		opts.type = VHDX_TYPE_DIFFERENCING;
		opts.type_given = true;
		opts.parent = at(parent);
	}
	T_OK(vhdx_create(at(name), &opts, &t_err));
}

/* base.vhdx, child.avhdx on it, and other.vhdx; the first disk is `name`. */
static int begin(const char *name)
{
	snprintf(dir, sizeof(dir), "%s", t_tmpdir());
	image("base.vhdx", NULL);
	image("child.avhdx", "base.vhdx");
	image("other.vhdx", NULL);
	conf = (struct conf){ .name = (char []){ "t" }, .cpus = 2 };
	T_OK(conf_disk_parse(at(name), &conf.disk[0], &t_err));
	conf.disk[0].controller = conf.disk[0].lun = 0;
	conf.disk_cnt = 1;
	return disks_create(&conf, &disks, &t_err);
}

static void end(void)
{
	conf_disk_clear(&conf.disk[0]);
	T_OK(disks_destroy(disks, &t_err));
	disks = NULL;
}

/* As add-disk does. */
static int add(const char *name, const char *words, struct disk **d)
{
	char text[800];
	struct conf_disk c;
	snprintf(text, sizeof(text), "%s%s", at(name), words);
	T_OK(conf_disk_parse(text, &c, &t_err));
	int rc = disks_take_new(disks, &c, d, &t_err);
	if (rc)
		return rc;
	rc = disks_attach(disks_vsp(disks, (*d)->conf.controller), *d, &t_err);
	disks_give(disks, *d, !rc);
	return rc;
}

static unsigned count(void)
{
	struct conf_disk list[8];
	unsigned cnt = disks_list(disks, list, ARRAY_LEN(list));
	for (unsigned i = 0; i < cnt; i++)
		conf_disk_clear(&list[i]);
	return cnt;
}

static uint64_t size_of(unsigned controller, unsigned lun)
{
	struct storvsp_status st;
	storvsp_status(disks_vsp(disks, controller), lun, &st);
	return st.there ? st.geometry.size_len : 0;
}

static void a_disk_gets_the_place_it_asks_for_or_the_next(void)
{
	struct disk *d;
	T_OK(begin("child.avhdx"));
	T_OK(add("other.vhdx", "", &d));
	T_TRUE(d->conf.controller == 0 && d->conf.lun == 1);
	T_EQ_U64(size_of(0, 1), 8 * MIB);
	image("third.vhdx", NULL);
	T_OK(add("third.vhdx", ",controller=3,lun=9", &d));
	T_EQ_U64(size_of(3, 9), 8 * MIB);
	T_EQ_U64(count(), 3);
	image("fourth.vhdx", NULL);
	T_FAILS(add("fourth.vhdx", ",lun=1", &d), VHDX_E_EXISTS, "other.vhdx");
	T_EQ_U64(count(), 3);
	end();
}

static void what_cannot_be_opened_leaves_its_place_free(void)
{
	struct disk *d;
	T_OK(begin("child.avhdx"));
	T_FAILS(add("gone.vhdx", "", &d), VHDX_E_NOTFOUND, "gone.vhdx");
	T_FAILS(add("child.avhdx", "", &d), VHDX_E_BUSY, "child.avhdx");
	T_TRUE(truncate(at("other.vhdx"), 70000) == 0);
	T_FAILS(add("other.vhdx", "", &d), VHDX_E_CORRUPT, "other.vhdx");
	T_EQ_U64(count(), 1);
	image("third.vhdx", NULL);
	T_OK(add("third.vhdx", "", &d));
	T_EQ_U64(d->conf.lun, 1);
	end();
}

static void a_parent_is_not_written_to_unless_that_is_meant(void)
{
	struct disk *d;
	T_FAILS(begin("base.vhdx"), VHDX_E_LINKAGE, "child.avhdx");
	conf_disk_clear(&conf.disk[0]);
	T_OK(begin("other.vhdx"));
	T_FAILS(add("base.vhdx", "", &d), VHDX_E_LINKAGE, "is the parent of");
	T_OK(add("base.vhdx", ",ro", &d));
	T_EQ_U64(count(), 2);
	end();
	T_OK(begin("other.vhdx"));
	T_OK(add("base.vhdx", ",force", &d));
	end();
}

static void damaged_content_under_an_images_name_is_no_raw_disk(void)
{
	struct disk *d;
	T_OK(begin("child.avhdx"));
	FILE *f = fopen(at("noise.vhdx"), "w");
	T_TRUE(f && ftruncate(fileno(f), 1 << 20) == 0 && fclose(f) == 0);
	T_FAILS(add("noise.vhdx", "", &d), VHDX_E_CORRUPT, "the name says");
	T_TRUE(rename(at("noise.vhdx"), at("noise.img")) == 0);
	T_OK(add("noise.img", "", &d));
	end();
}

static void one_order_at_a_time_has_a_disk(void)
{
	struct disk_place p = { .lun = 0 }, gone = { .lun = 7 };
	struct disk *d, *other;
	T_OK(begin("child.avhdx"));
	T_OK(disks_take(disks, &p, &d, &t_err));
	T_FAILS(disks_take(disks, &p, &other, &t_err), VHDX_E_BUSY, "child");
	p = (struct disk_place){ .path = d->conf.path };
	T_FAILS(disks_take(disks, &p, &other, &t_err), VHDX_E_BUSY, "child");
	T_OK(disks_find(disks, &p, &t_err));
	disks_give(disks, d, true);
	T_OK(disks_take(disks, &p, &d, &t_err));
	disks_give(disks, d, true);
	T_FAILS(disks_find(disks, &gone, &t_err), VHDX_E_NOTFOUND, "LUN 7");
	end();
}

static void a_removed_disk_is_closed_and_can_come_back(void)
{
	struct disk_place p = { .lun = 0 };
	struct vhdx_blk *blk;
	struct vhdx_open_opts opts = { .flags = VHDX_OPEN_WRITE };
	struct disk *d;
	T_OK(begin("child.avhdx"));
	T_OK(disks_take(disks, &p, &d, &t_err));
	T_OK(storvsp_remove(disks_vsp(disks, 0), 0, &t_err));
	disks_give(disks, d, false);
	T_EQ_U64(count(), 0);
	T_OK(vhdx_open(at("child.avhdx"), &opts, &blk, &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
	T_OK(add("child.avhdx", "", &d));
	T_EQ_U64(d->conf.lun, 0);
	end();
}

static int resize(unsigned lun, uint64_t size_len, bool shrink)
{
	struct disk_place p = { .lun = lun };
	struct disk *d;
	T_OK(disks_take(disks, &p, &d, &t_err));
	struct disk_resize r = { d, size_len, shrink };
	int rc = storvsp_reopen(disks_vsp(disks, 0), lun, disk_resize, &r,
				&t_err);
	disks_give(disks, d, true);
	return rc;
}

static void a_resized_disk_is_there_with_its_new_size(void)
{
	T_OK(begin("child.avhdx"));
	T_OK(resize(0, 16 * MIB, false));
	T_EQ_U64(size_of(0, 0), 16 * MIB);
	T_FAILS(resize(0, 4 * MIB, false), VHDX_E_INVAL, "--shrink");
	T_EQ_U64(size_of(0, 0), 16 * MIB);
	T_OK(resize(0, 4 * MIB, true));
	T_EQ_U64(size_of(0, 0), 4 * MIB);
	end();
}

/* A change of size would cut the child off. */
static void a_disk_that_has_a_child_is_not_resized(void)
{
	struct disk *d;
	T_OK(begin("other.vhdx"));
	T_OK(add("base.vhdx", ",force", &d));
	d->conf.force = false;
	T_FAILS(resize(1, 16 * MIB, false), VHDX_E_LINKAGE, "child.avhdx");
	T_EQ_U64(size_of(0, 1), 8 * MIB);
	d->conf.force = true;
	T_OK(resize(1, 16 * MIB, false));
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_disk_gets_the_place_it_asks_for_or_the_next),
	T_TEST(what_cannot_be_opened_leaves_its_place_free),
	T_TEST(a_parent_is_not_written_to_unless_that_is_meant),
	T_TEST(damaged_content_under_an_images_name_is_no_raw_disk),
	T_TEST(one_order_at_a_time_has_a_disk),
	T_TEST(a_removed_disk_is_closed_and_can_come_back),
	T_TEST(a_resized_disk_is_there_with_its_new_size),
	T_TEST(a_disk_that_has_a_child_is_not_resized),
	T_END
};

const struct t_suite t_suite_vmm_disks = { "vmm_disks", tests };
