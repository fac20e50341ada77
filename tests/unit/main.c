/* SPDX-License-Identifier: MIT */
/* The unit program: every suite of tests/unit, found by file name. */
#include "t.h"

#define T_SUITE(name) extern const struct t_suite t_suite_##name;
#include "suites.inc"
#undef T_SUITE

#define T_SUITE(name) &t_suite_##name,
static const struct t_suite *const suites[] = {
#include "suites.inc"
	NULL,
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, suites);
}
