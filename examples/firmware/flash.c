/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "flash.h"

#include <string.h>

uint8_t flash[FLASH_PAGES][FLASH_PAGE];
long flash_power = -1;
unsigned long flash_operations, flash_erasures;

static int power(void)
{
    flash_operations++;
    return flash_power < 0 || flash_power-- > 0;
}

int flash_program(unsigned page, unsigned offset, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    size_t i;
    for (i = 0; i < len; i++) {
        if (i % 4 == 0 && !power())
            return 0;
        flash[page][offset + i] &= from[i];
    }
    return 1;
}

int flash_erase(unsigned page)
{
    unsigned i;
    for (i = 0; i < FLASH_PAGE; i += 64) {
        if (!power())
            return 0;
        memset(&flash[page][i], 0xff, 64);
    }
    flash_erasures++;
    return 1;
}
