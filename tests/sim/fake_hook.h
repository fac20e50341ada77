/* SPDX-License-Identifier: MIT */
/*
 * The other side acts in the middle of what we do: at a chosen access to a page
 * of memory a function runs, in the same thread, as if another had come in
 * between. One hook at a time; x86-64. ThreadSanitizer's runtime makes some
 * accesses itself, with its locks held: there it cannot work.
 */
#ifndef FAKE_HOOK_H
#define FAKE_HOOK_H

#include "base.h"

#if defined(__SANITIZE_THREAD__)
#define FAKE_HOOKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FAKE_HOOKS 0
#endif
#endif
#ifndef FAKE_HOOKS
#define FAKE_HOOKS 1
#endif

/* Just before the next store to the page. */
void fake_before_store(void *page, void (*fn)(void));
/* Just after the next access to it, usually a load. */
void fake_after_load(void *page, void (*fn)(void));

/* False: there was no such access, or there was no hook. Ends it. */
bool fake_hook_ran(void) must_check;

#endif
