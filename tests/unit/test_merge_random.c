/* SPDX-License-Identifier: MIT */
/* Random chains, merged over random distances: the target shows what the child
 * did, and a grandchild what it did itself. */
#include <string.h>

#include "merge.h"
#include "t.h"
#include "t_chain.h"

#define LAYERS_MAX 5u

static struct t_chain tc;
static uint64_t rng;
static uint8_t *want, *grand, *got; /* T_CHAIN_LEN bytes */
static char names[LAYERS_MAX + 1][16];

static uint64_t below(uint64_t n)
{
	return t_rand_below(&rng, n);
}

static uint64_t random_size(uint64_t at_least)
{
	uint64_t len = (1 + below(8)) * (T_CHAIN_LEN / 8) - below(8) * 512;

	return len < at_least ? at_least : len;
}

static void change(const char *path, uint64_t size_len)
{
	for (uint64_t i = below(5); i > 0; i--) {
		uint64_t max = below(2) ? 16 : 4096;
		uint64_t voff = below(size_len / 512) * 512;
		uint64_t len = (1 + below(max)) * 512;

		if (below(3) == 0)
			voff -= voff % MIB;
		len = len < size_len - voff ? len : size_len - voff;
		switch (below(4)) {
		case 0:
			t_chain_zero(&tc, path, voff, len);
			break;
		case 1:
			t_chain_discard(&tc, path, voff, len);
			break;
		default:
			t_chain_write(&tc, path, voff, len, below(1000));
		}
	}
}

/* Layers names[cnt - 1], the leaf, to names[0]; a VHD never gets smaller. */
static void make_chain(unsigned cnt)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < cnt; i++) {
		snprintf(names[i], sizeof(names[i]), "/m/%u", i);
		len = random_size(tc.format == VHDX_FORMAT_VHD ? len : 0);
		t_chain_create(&tc, names[i], i ? names[i - 1] : NULL,
			       (uint32_t)(MIB << below(2)), len);
		change(names[i], len);
	}
	T_OK(t_chain_read(&tc, names[cnt - 1], want));
	t_chain_create(&tc, "/m/grand", names[cnt - 1], MIB, T_CHAIN_LEN);
	change("/m/grand", T_CHAIN_LEN);
	T_OK(t_chain_read(&tc, "/m/grand", grand));
}

static void shows(const char *path, const uint8_t *content)
{
	T_OK(t_chain_read(&tc, path, got));
	T_TRUE(memcmp(got, content, T_CHAIN_LEN) == 0);
}

static void merge_random(enum vhdx_format format)
{
	static const char *const others[] = { "/m/grand" };
	struct vhdx_merge_opts o = { .children = others, .children_cnt = 1 };
	unsigned cnt = 2 + (unsigned)below(LAYERS_MAX - 1);

	t_chain_begin(&tc, NULL);
	tc.format = format;
	make_chain(cnt);
	o.depth = 1 + (unsigned)below(cnt - 1);
	o.keep = below(4) == 0 && (format == VHDX_FORMAT_VHDX || o.depth == 1);
	T_OK(merge_chain(&tc.oc.opener, tc.loop, names[cnt - 1], &o, NULL,
			 &t_err));
	shows(names[cnt - 1 - o.depth], want);
	t_chain_sound(&tc, names[cnt - 1 - o.depth]);
	shows("/m/grand", grand);
	if (o.keep)
		shows(names[cnt - 1], want);
	t_chain_end(&tc);
}

static void try_many(enum vhdx_format format, unsigned cnt)
{
	want = malloc(T_CHAIN_LEN);
	grand = malloc(T_CHAIN_LEN);
	got = malloc(T_CHAIN_LEN);
	for (rng = 1; cnt > 0; cnt--)
		merge_random(format);
	free(want);
	free(grand);
	free(got);
}

static void random_vhdx_chains_keep_their_content(void)
{
	try_many(VHDX_FORMAT_VHDX, 40);
}

static void random_vhd_chains_keep_their_content(void)
{
	try_many(VHDX_FORMAT_VHD, 40);
}

static const struct t_test tests[] = {
	T_TEST(random_vhdx_chains_keep_their_content),
	T_TEST(random_vhd_chains_keep_their_content),
	T_END
};

const struct t_suite t_suite_merge_random = { "merge_random", tests };
