/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct node *add(struct tree *t, enum node_kind kind, const char *name,
			uint64_t off, uint64_t len)
{
	struct node *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->ino = t->next_ino++;
	n->kind = kind;
	n->off = off;
	n->len = len;
	snprintf(n->name, sizeof(n->name), "%s", name);
	clock_gettime(CLOCK_REALTIME, &n->changed);
	struct node **end = &t->first;
	while (*end)
		end = &(*end)->next;
	*end = n;
	return n;
}

bool tree_init(struct tree *t, uint64_t disk_len, bool disk_only)
{
	*t = (struct tree){ .next_ino = TREE_ROOT_INO };
	if (disk_only) {
		t->disk = add(t, NODE_DISK, "disk", 0, disk_len);
		return t->disk != NULL;
	}
	struct node *root = add(t, NODE_DIR, "", 0, 0);
	t->disk = add(t, NODE_DISK, "disk", 0, disk_len);
	t->info = add(t, NODE_INFO, "info.json", 0, 0);
	return root && t->disk && t->info;
}

void tree_free(struct tree *t)
{
	while (t->first) {
		struct node *n = t->first;
		t->first = n->next;
		free(n);
	}
}

struct node *tree_by_ino(const struct tree *t, uint64_t ino)
{
	struct node *n = t->first;
	while (n && n->ino != ino)
		n = n->next;
	return n;
}

struct node *tree_by_name(const struct tree *t, const char *name)
{
	for (struct node *n = t->first; n; n = n->next)
		if (!n->gone && n->kind != NODE_DIR &&
		    strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

void tree_parts_begin(struct tree *t)
{
	for (struct node *n = t->first; n; n = n->next)
		if (n->kind == NODE_PART)
			n->gone = true;
}

bool tree_part(struct tree *t, unsigned nr, uint64_t off, uint64_t len)
{
	for (struct node *n = t->first; n; n = n->next) {
		if (n->kind == NODE_PART && n->part_nr == nr &&
		    n->off == off && n->len == len) {
			n->gone = false;
			return true;
		}
	}
	char name[16];
	snprintf(name, sizeof(name), "p%u", nr);
	struct node *n = add(t, NODE_PART, name, off, len);
	if (n)
		n->part_nr = nr;
	return n != NULL;
}

void tree_parts_end(struct tree *t)
{
	for (struct node *n = t->first, *next; n; n = next) {
		next = n->next;
		tree_release(t, n);
	}
}

void tree_release(struct tree *t, struct node *n)
{
	if (!n->gone || n->lookups || n->opens || n->inval_wanted)
		return;
	struct node **at = &t->first;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	free(n);
}
