/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the example needs of the machine under it: cortex_m.c, riscv.c, or host.c. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdint.h>

/* Shows a line of text. */
void platform_print(const char *text);

/* A counter of instructions that wraps around; 0 where there is none. */
uint32_t platform_instructions(void);

/* Fills the free stack with a pattern; platform_stack() then tells how many bytes of it were used
 * since, 0 where that is not known. */
void platform_paint_stack(void);
uint32_t platform_stack(void);

#endif
