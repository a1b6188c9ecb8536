/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the bare machines share: RAM before main() and the painted stack. */
#ifndef BARE_H
#define BARE_H

#include "platform.h"

#include <stdint.h>

int main(void);

/* Of the linker script. */
extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];

#define PAINT 0xa5a5a5a5u

static uint32_t *painted_to;

static inline void prepare_ram(void)
{
    /* Volatile, or the compiler makes calls of memcpy and memset of the loops. */
    uint32_t *from = __data_load;
    volatile uint32_t *to;
    for (to = __data_start; to < __data_end; to++)
        *to = *from++;
    for (to = __bss_start; to < __bss_end; to++)
        *to = 0;
}

void platform_paint_stack(void)
{
    uint32_t *volatile word = __bss_end;
    painted_to = (uint32_t *)__builtin_frame_address(0) - 16;
    for (; word < painted_to; word++)
        *word = PAINT;
}

uint32_t platform_stack(void)
{
    uint32_t *word = __bss_end;
    while (word < painted_to && *word == PAINT)
        word++;
    return (uint32_t)(painted_to - word) * 4u;
}

#endif
