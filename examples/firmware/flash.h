/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Two pages of flash, emulated: erasing makes every bit 1, programming can only make bits 0, and
 * the power may go in the middle of either. On a device: its driver. */
#ifndef FLASH_H
#define FLASH_H

#include <stddef.h>
#include <stdint.h>

#define FLASH_PAGES 2u
#define FLASH_PAGE 1280u

extern uint8_t flash[FLASH_PAGES][FLASH_PAGE];

/* How many operations (4 bytes programmed, 64 bytes erased) the power lasts; negative: for ever. */
extern long flash_power;
/* Operations so far, and whole pages erased. */
extern unsigned long flash_operations, flash_erasures;

/* 1 if it was done, 0 if the power went. Offset and length are multiples of 4. */
int flash_program(unsigned page, unsigned offset, const void *bytes, size_t len);
int flash_erase(unsigned page);

#endif
