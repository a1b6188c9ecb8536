/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A 32-bit RISC-V under QEMU (-M virt): the first instructions, text by the UART, exit by the test
 * device, instructions counted by minstret. */
#include "bare.h"

#define UART (*(volatile uint8_t *)0x10000000u)
#define TEST (*(volatile uint32_t *)0x100000u)

__attribute__((naked, section(".vectors"), used)) void _start(void)
{
    __asm__ volatile(".option push\n"
                     ".option norelax\n"
                     "la gp, __global_pointer$\n"
                     ".option pop\n"
                     "la sp, __stack\n"
                     "la t0, trap\n"
                     ".word 0x30529073\n" /* csrw mtvec, t0 */
                     "j reset\n");
}

void platform_print(const char *text)
{
    while (*text)
        UART = (uint8_t)*text++;
    UART = '\n';
}

uint32_t platform_instructions(void)
{
    register uint32_t count __asm__("a0");
    __asm__ volatile(".word 0xb0202573" : "=r"(count)); /* csrr a0, minstret */
    return count;
}

static void stop(int status)
{
    for (;;)
        TEST = status == 0 ? 0x5555u : 0x13333u;
}

__attribute__((used, aligned(4))) void trap(void)
{
    platform_print("trap");
    stop(1);
}

__attribute__((used)) void reset(void)
{
    prepare_ram();
    stop(main());
}
