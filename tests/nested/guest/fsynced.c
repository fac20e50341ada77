/* SPDX-License-Identifier: MIT */
/*
 * What a guest was promised, and what is left of it:
 *	fsynced write FILE	numbers blocks for ever, and says "durable FILE
 *				N" when block N and all before it are synced
 *	fsynced check FILE N	whether they are there
 * Block i goes to a scattered place, the same as block i + PLACES: so there are
 * both new blocks and overwrites. A sector of it may be newer than what was
 * promised, never older, and never anything else.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BLOCK = 4096,
	SECTOR = 512,
	WORDS = SECTOR / 8,
	PLACES = 509, /* prime: a step leads through all of them */
	STEP = 223,
	SPREAD = 5, /* blocks from one place to the next */
	EVERY = 2, /* writes to a sync */
};

static off_t place_off(uint64_t i)
{
	return (off_t)(i % PLACES * STEP % PLACES) * SPREAD * BLOCK;
}

static int fail(const char *what, uint64_t i)
{
	fprintf(stderr, "fsynced: block %llu: %s\n", (unsigned long long)i,
		what);
	return 1;
}

static int write_all(int fd, const char *name)
{
	uint64_t word[BLOCK / 8];

	for (uint64_t i = 1;; i++) {
		for (unsigned w = 0; w < BLOCK / 8; w++)
			word[w] = i;
		if (pwrite(fd, word, BLOCK, place_off(i)) != BLOCK)
			return fail("not written", i);
		if (i % EVERY)
			continue;
		if (fdatasync(fd))
			return fail("not synced", i);
		printf("durable %s %llu\n", name, (unsigned long long)i);
		fflush(stdout);
	}
}

static int check_block(int fd, uint64_t i)
{
	uint64_t word[BLOCK / 8];

	if (pread(fd, word, BLOCK, place_off(i)) != BLOCK)
		return fail("cannot be read", i);
	for (unsigned s = 0; s < BLOCK / 8; s += WORDS) {
		for (unsigned w = 1; w < WORDS; w++)
			if (word[s + w] != word[s])
				return fail("a sector is not whole", i);
		if (word[s] < i)
			return fail("lost", i);
		if (word[s] % PLACES != i % PLACES)
			return fail("is another", i);
	}
	return 0;
}

static int check_all(int fd, uint64_t last)
{
	uint64_t first = last < PLACES ? 1 : last - PLACES + 1;
	int bad = 0;

	for (uint64_t i = first; i <= last; i++)
		bad |= check_block(fd, i);
	printf("fsynced: blocks %llu to %llu are %s\n",
	       (unsigned long long)first, (unsigned long long)last,
	       bad ? "NOT all there" : "there");
	return bad;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3 || (!strcmp(argv[1], "check") && argc < 4))
		return fail("usage: fsynced write|check FILE [N]", 0);
	fd = open(argv[2], O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return fail("the file cannot be opened", 0);
	if (!strcmp(argv[1], "write"))
		return write_all(fd, argv[2]);
	return check_all(fd, strtoull(argv[3], NULL, 10));
}
