/* SPDX-License-Identifier: MIT */
/* Any thread: the case has failed, the process ends. */
#ifndef REPORT_H
#define REPORT_H

#include "base.h"

_Noreturn void report_finding(const char *fmt, ...) printf_like(1, 2);

#endif
