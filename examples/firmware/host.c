/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The example on a host: the same sources, under sanitizers. Nothing is measured. */
#include "platform.h"

#include <stdio.h>

void platform_print(const char *text)
{
    puts(text);
}

uint32_t platform_instructions(void)
{
    return 0;
}

void platform_paint_stack(void)
{
}

uint32_t platform_stack(void)
{
    return 0;
}
