/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A Cortex-M under QEMU: the vector table, text and exit by semihosting, instructions counted by
 * SysTick (with -icount shift=0 an instruction takes a nanosecond; CLOCK_MHZ is the board's). */
#include "bare.h"

#ifndef CLOCK_MHZ
#define CLOCK_MHZ 25
#endif

static uintptr_t semihosting(uintptr_t operation, uintptr_t argument)
{
    register uintptr_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void platform_print(const char *text)
{
    semihosting(4, (uintptr_t)text);
    semihosting(4, (uintptr_t) "\n");
}

#define SYST_CSR (*(volatile uint32_t *)0xe000e010u)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014u)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018u)

/* Ticks since the counter was last at its start, as instructions. */
uint32_t platform_instructions(void)
{
    static uint32_t last, passed, runs;
    uint32_t now;
    if (!runs) {
        runs = 1;
        SYST_RVR = 0xffffffu;
        SYST_CVR = 0;
        SYST_CSR = 5;
    }
    now = 0xffffffu - SYST_CVR;
    passed += (now - last) & 0xffffffu;
    last = now;
    return (uint32_t)((uint64_t)passed * 1000u / CLOCK_MHZ);
}

static void stop(int status)
{
    for (;;)
        semihosting(0x18, status == 0 ? 0x20026u : 0x20023u);
}

static void fault(void)
{
    platform_print("fault");
    stop(1);
}

void reset(void);
void reset(void)
{
#ifdef HAS_FPU
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20;
    __asm__ volatile("dsb\n isb");
#endif
    prepare_ram();
    stop(main());
}

typedef void (*vector)(void);
/* Of the linker script, and no function, but its place in the table is that of one. */
void __stack(void);
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    __stack, reset, fault, fault, fault, fault, fault,
    0, 0, 0, 0, fault, fault, 0, fault, fault,
};
