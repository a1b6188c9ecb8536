/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* E4's records as a journal in two pages of flash: this part is for you to take. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <e4.h>

/* Finishes what a power cut interrupted. Call it once at the start, before E4; 0 if it failed. */
int journal_start(void);

/* The storage for an e4_config. */
#define JOURNAL_STORAGE { NULL, journal_read, journal_write, journal_erase }
int32_t journal_read(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len);
int32_t journal_write(void *ctx, uint32_t record, const uint8_t *buf, size_t len);
int32_t journal_erase(void *ctx, uint32_t record);

#endif
