/* SPDX-License-Identifier: MIT */
#include "range.h"
#include "t.h"

static struct range_set rs;
static struct range_lock *order[8];
static int order_cnt;

static void granted(struct range_lock *rl)
{
	order[order_cnt++] = rl;
}

static struct range_lock make(uint64_t start, uint64_t end, bool exclusive)
{
	return (struct range_lock){ .start = start,
				    .end = end,
				    .exclusive = exclusive,
				    .granted = granted };
}

static void begin(void)
{
	range_init(&rs);
	order_cnt = 0;
}

static void shared_locks_never_wait_for_each_other(void)
{
	struct range_lock a = make(0, 10, false), b = make(5, 15, false);

	begin();
	T_TRUE(range_lock(&rs, &a) && range_lock(&rs, &b));
	range_unlock(&rs, &a);
	range_unlock(&rs, &b);
}

static void an_exclusive_lock_waits_for_all_that_overlap(void)
{
	struct range_lock a = make(0, 10, false), b = make(5, 15, false),
			  c = make(8, 9, true), d = make(20, 30, true);

	begin();
	T_TRUE(range_lock(&rs, &a) && range_lock(&rs, &b));
	T_TRUE(range_lock(&rs, &d)); /* elsewhere */
	T_TRUE(!range_lock(&rs, &c));
	range_unlock(&rs, &a);
	T_EQ_U64(order_cnt, 0);
	range_unlock(&rs, &b);
	T_EQ_U64(order_cnt, 1);
	T_TRUE(order[0] == &c && c.held);
	range_unlock(&rs, &c);
	range_unlock(&rs, &d);
}

static void a_waiting_exclusive_lock_is_not_overtaken(void)
{
	struct range_lock a = make(0, 10, false), x = make(0, 10, true),
			  b = make(0, 10, false), far = make(50, 60, false);

	begin();
	T_TRUE(range_lock(&rs, &a));
	T_TRUE(!range_lock(&rs, &x));
	T_TRUE(!range_lock(&rs, &b));
	T_TRUE(range_lock(&rs, &far));
	range_unlock(&rs, &a);
	T_EQ_U64(order_cnt, 1);
	T_TRUE(order[0] == &x);
	range_unlock(&rs, &x);
	T_TRUE(order_cnt == 2 && order[1] == &b);
	range_unlock(&rs, &b);
	range_unlock(&rs, &far);
}

static void unlocking_grants_all_that_became_free(void)
{
	struct range_lock x = make(0, 10, true), a = make(0, 5, false),
			  b = make(5, 10, false);

	begin();
	T_TRUE(range_lock(&rs, &x));
	T_TRUE(!range_lock(&rs, &a) && !range_lock(&rs, &b));
	range_unlock(&rs, &x);
	T_EQ_U64(order_cnt, 2);
	range_unlock(&rs, &a);
	range_unlock(&rs, &b);
	T_EQ_U64(rs.exclusive_cnt, 0);
}

static void one_that_withdraws_lets_those_behind_it_go(void)
{
	struct range_lock a = make(0, 10, false), x = make(0, 10, true),
			  b = make(0, 10, false), y = make(0, 10, true);

	begin();
	T_TRUE(range_lock(&rs, &a));
	T_TRUE(!range_lock(&rs, &x) && !range_lock(&rs, &b) &&
	       !range_lock(&rs, &y));
	range_withdraw(&rs, &x);
	T_EQ_U64(order_cnt, 1);
	T_TRUE(order[0] == &b && !x.held);
	range_withdraw(&rs, &y);
	T_EQ_U64(rs.exclusive_cnt, 0);
	range_unlock(&rs, &a);
	range_unlock(&rs, &b);
	T_EQ_U64(order_cnt, 1);
}

static const struct t_test tests[] = {
	T_TEST(shared_locks_never_wait_for_each_other),
	T_TEST(an_exclusive_lock_waits_for_all_that_overlap),
	T_TEST(a_waiting_exclusive_lock_is_not_overtaken),
	T_TEST(unlocking_grants_all_that_became_free),
	T_TEST(one_that_withdraws_lets_those_behind_it_go),
	T_END,
};

const struct t_suite t_suite_range = { "range", tests };
