/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "list.h"

struct item {
	char name;
	struct list node;
};

/* The names in order, checking the back links on the way. */
static bool holds(const struct list *head, const char *want)
{
	const struct list *it, *prev = head;

	list_for_each(it, head) {
		if (it->prev != prev)
			return false;
		if (!*want ||
		    list_entry(it, const struct item, node)->name != *want)
			return false;
		want++;
		prev = it;
	}
	return head->prev == prev && !*want;
}

static void setup(struct list *head, struct item *items, const char *names)
{
	list_init(head);
	for (size_t i = 0; names[i]; i++) {
		items[i].name = names[i];
		list_init(&items[i].node);
		list_add_tail(head, &items[i].node);
	}
}

static void new_list_is_empty(void)
{
	struct list head;

	list_init(&head);
	T_TRUE(list_empty(&head) && holds(&head, ""));
}

static void tail_keeps_order_and_head_goes_first(void)
{
	struct item it[3], first = { .name = 'x' };
	struct list head;

	setup(&head, it, "abc");
	list_add_head(&head, &first.node);
	T_TRUE(holds(&head, "xabc"));
	T_TRUE(list_first(&head, struct item, node) == &first);
}

static void delete_closes_the_gap_and_may_be_repeated(void)
{
	struct item it[3];
	struct list head;

	setup(&head, it, "abc");
	list_del(&it[1].node);
	list_del(&it[1].node);
	T_TRUE(holds(&head, "ac") && list_empty(&it[1].node));
	list_del(&it[0].node);
	list_del(&it[2].node);
	T_TRUE(list_empty(&head));
}

static void safe_walk_may_delete_the_current_node(void)
{
	struct item it[5];
	struct list head, *p, *nx;

	setup(&head, it, "abcde");
	list_for_each_safe(p, nx, &head)
		if (list_entry(p, struct item, node)->name % 2)
			list_del(p);
	T_TRUE(holds(&head, "bd"));
}

static void splice_moves_everything_to_the_end(void)
{
	struct item a[2], b[3];
	struct list to, from;

	setup(&to, a, "ab");
	setup(&from, b, "cde");
	list_splice(&to, &from);
	T_TRUE(holds(&to, "abcde") && list_empty(&from));
	list_splice(&to, &from);
	T_TRUE(holds(&to, "abcde"));
	list_splice(&from, &to);
	T_TRUE(holds(&from, "abcde") && list_empty(&to));
}

static const struct t_test tests[] = {
	T_TEST(new_list_is_empty),
	T_TEST(tail_keeps_order_and_head_goes_first),
	T_TEST(delete_closes_the_gap_and_may_be_repeated),
	T_TEST(safe_walk_may_delete_the_current_node),
	T_TEST(splice_moves_everything_to_the_end),
	T_END,
};

const struct t_suite t_suite_list = { "list", tests };
