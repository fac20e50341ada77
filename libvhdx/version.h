/* SPDX-License-Identifier: MIT */
/* The version, as it goes into files and messages. */
#ifndef VERSION_H
#define VERSION_H

#define VHDKIT_VERSION "0.1.0"

#endif
