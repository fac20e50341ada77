/* SPDX-License-Identifier: MIT */
/* The version, as it goes into files and messages. */
#ifndef VERSION_H
#define VERSION_H

#ifndef VHDKIT_VERSION
#define VHDKIT_VERSION "0.1"
#endif

#endif
