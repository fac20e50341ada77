/* SPDX-License-Identifier: MIT */
/*
 * The names and rules of the mutations, for the runner that switches them on.
 */
#include "mutation.h"

#include <stddef.h>

#define TEXT(name, text) [MUT_##name] = text,
#define NAME(name, text) [MUT_##name] = #name,

#ifdef VHDKIT_MUTATE
enum mutation mutation_active = MUT_NONE;
#endif

const char *mutation_name(enum mutation m)
{
	static const char *const names[MUT_CNT] = {
		[MUT_NONE] = "NONE", MUTATION_LIST(NAME)
	};

	return (size_t)m < MUT_CNT ? names[m] : "?";
}

const char *mutation_text(enum mutation m)
{
	static const char *const texts[MUT_CNT] = {
		[MUT_NONE] = "nothing is removed", MUTATION_LIST(TEXT)
	};

	return (size_t)m < MUT_CNT ? texts[m] : "?";
}
