/* SPDX-License-Identifier: MIT */
#ifndef JAIL_H
#define JAIL_H

/* From here on this process can read and write its one socket and the unnamed
 * file that it returns, use memory within limits, and end. Nothing else; ends
 * the program if that cannot be had. */
int jail_enter(void);

#define JAIL_FILE_MAX (8u << 20) /* bytes of the unnamed file */

#endif
