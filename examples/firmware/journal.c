/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* One page holds the records, the other one is blank.
 *
 * A page starts with a sequence number and its complement, then entries follow one another:
 *
 *     record and length (4) | their complement (4) | CRC-32 (4) | bytes, padded to 4 with ff
 *
 * Of a record the last entry with a right CRC counts. A write appends an entry, whose CRC comes
 * last and makes it the record, and then programs the bytes of the entry before it to zero, so that
 * no old key stays. A torn entry does not count, and its length is still known, since nothing is
 * written behind an entry whose first 8 bytes are not whole.
 *
 * When the page is full, what counts is copied to the other page, whose sequence number comes last
 * and makes it the page; only then is the old one erased. Whenever the power goes, a record holds
 * the old bytes or the new ones.
 *
 * Programming zeros over what was programmed is allowed by NOR flash, and by flash with an error
 * code where it takes a whole word to zero (as STM32 does). Where yours does not: leave
 * wipe() empty, and old keys stay until the page is full. */
#include "journal.h"

#include "flash.h"

#include <string.h>

#define PAGE_HEAD 8u
#define ENTRY_HEAD 12u

static unsigned page; /* the one that counts */
static unsigned end;  /* behind its last entry; FLASH_PAGE if nothing can be appended */

static uint32_t word(unsigned at, unsigned offset)
{
    uint32_t value;
    memcpy(&value, &flash[at][offset], sizeof value);
    return value;
}

static uint32_t crc32(uint32_t crc, const uint8_t *bytes, size_t len)
{
    crc = ~crc;
    while (len--) {
        int bit;
        crc ^= *bytes++;
        for (bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static uint32_t entry_crc(uint32_t head, const uint8_t *bytes, size_t len)
{
    uint8_t first[4];
    memcpy(first, &head, sizeof first);
    return crc32(crc32(0, first, sizeof first), bytes, len);
}

static unsigned padded(size_t len)
{
    return ((unsigned)len + 3u) & ~3u;
}

static unsigned length_at(unsigned offset)
{
    return word(page, offset) & 0xffffu;
}

static uint32_t record_at(unsigned offset)
{
    return word(page, offset) >> 16;
}

/* Whether an entry starts here, whole or torn behind its first 8 bytes. */
static int is_entry(unsigned offset)
{
    return offset + ENTRY_HEAD <= FLASH_PAGE && word(page, offset) == ~word(page, offset + 4) &&
           offset + ENTRY_HEAD + padded(length_at(offset)) <= FLASH_PAGE;
}

static int is_whole(unsigned offset)
{
    return word(page, offset + 8) == entry_crc(word(page, offset), &flash[page][offset + ENTRY_HEAD],
                                               length_at(offset));
}

static unsigned next(unsigned offset)
{
    return offset + ENTRY_HEAD + padded(length_at(offset));
}

/* The entry that counts for a record before `limit`; 0 if there is none. */
static unsigned find(uint32_t record, unsigned limit)
{
    unsigned at, found = 0;
    for (at = PAGE_HEAD; at < limit && is_entry(at); at = next(at))
        if (record_at(at) == record && is_whole(at))
            found = at;
    return found;
}

static int is_blank(unsigned at, unsigned from)
{
    for (; from < FLASH_PAGE; from++)
        if (flash[at][from] != 0xff)
            return 0;
    return 1;
}

static int has_sequence(unsigned at)
{
    return word(at, 0) == ~word(at, 4);
}

/* Programs an entry; its CRC last. */
static int append(unsigned at, unsigned offset, uint32_t record, const uint8_t *bytes, size_t len)
{
    uint32_t head[2], crc, rest = 0xffffffffu;
    size_t whole = len & ~(size_t)3;
    head[0] = (record << 16) | (uint32_t)len;
    head[1] = ~head[0];
    crc = entry_crc(head[0], bytes, len);
    memcpy(&rest, bytes + whole, len - whole);
    return flash_program(at, offset, head, sizeof head) &&
           flash_program(at, offset + ENTRY_HEAD, bytes, whole) &&
           (whole == len || flash_program(at, offset + ENTRY_HEAD + (unsigned)whole, &rest, 4)) &&
           flash_program(at, offset + 8, &crc, sizeof crc);
}

/* Programs the CRC and the bytes of an entry to zero; the CRC first, so that it never counts again. */
static int wipe(unsigned offset)
{
    static const uint8_t zero[4];
    unsigned at;
    for (at = offset + 8; at < next(offset); at += 4)
        if (!flash_program(page, at, zero, sizeof zero))
            return 0;
    return 1;
}

static int wipe_old(void)
{
    unsigned at;
    for (at = PAGE_HEAD; is_entry(at); at = next(at))
        if (find(record_at(at), FLASH_PAGE) != at && word(page, at + 8) != 0 && !wipe(at))
            return 0;
    return 1;
}

/* Copies what counts to the other page, and makes that the page. */
static int compact(void)
{
    unsigned other = page ^ 1u, to = PAGE_HEAD, at, old = page;
    uint32_t sequence[2];
    if (!is_blank(other, 0) && !flash_erase(other))
        return 0;
    for (at = PAGE_HEAD; is_entry(at); at = next(at)) {
        /* A record of no bytes is one that was erased. */
        if (length_at(at) == 0 || find(record_at(at), FLASH_PAGE) != at)
            continue;
        if (!append(other, to, record_at(at), &flash[page][at + ENTRY_HEAD], length_at(at)))
            return 0;
        to += ENTRY_HEAD + padded(length_at(at));
    }
    sequence[0] = word(page, 0) + 1;
    sequence[1] = ~sequence[0];
    if (!flash_program(other, 0, sequence, sizeof sequence))
        return 0;
    page = other;
    end = to;
    return flash_erase(old);
}

int journal_start(void)
{
    static const uint32_t first[2] = { 1, ~(uint32_t)1 };
    int has_0 = has_sequence(0), has_1 = has_sequence(1);
    page = has_1 && (!has_0 || (int32_t)(word(1, 0) - word(0, 0)) > 0);
    if (!has_0 && !has_1) {
        /* A device out of the box, or the power went before it held anything. */
        if ((!is_blank(0, 0) && !flash_erase(0)) || !flash_program(0, 0, first, sizeof first))
            return 0;
    }
    if (!is_blank(page ^ 1u, 0) && !flash_erase(page ^ 1u))
        return 0;
    for (end = PAGE_HEAD; end < FLASH_PAGE && is_entry(end); end = next(end))
        ;
    if (!is_blank(page, end))
        end = FLASH_PAGE;
    return wipe_old();
}

static int32_t put(uint32_t record, const uint8_t *bytes, size_t len)
{
    unsigned old, need = ENTRY_HEAD + padded(len);
    if (record > 0xffffu || len > E4_RECORD_MAX)
        return E4_ERROR_STORAGE_FULL;
    if (end + need > FLASH_PAGE && !compact())
        return E4_ERROR_STORAGE;
    if (end + need > FLASH_PAGE)
        return E4_ERROR_STORAGE_FULL;
    old = find(record, end);
    if (!append(page, end, record, bytes, len)) {
        end = FLASH_PAGE;
        return E4_ERROR_STORAGE;
    }
    end += need;
    /* From here on the new entry counts; should this fail, journal_start() does it. */
    if (old != 0)
        (void)wipe(old);
    return E4_OK;
}

int32_t journal_write(void *ctx, uint32_t record, const uint8_t *buf, size_t len)
{
    (void)ctx;
    return len == 0 ? E4_ERROR_STORAGE : put(record, buf, len);
}

int32_t journal_erase(void *ctx, uint32_t record)
{
    unsigned at = find(record, FLASH_PAGE);
    (void)ctx;
    return at == 0 || length_at(at) == 0 ? E4_OK : put(record, (const uint8_t *)"", 0);
}

int32_t journal_read(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len)
{
    unsigned at = find(record, FLASH_PAGE);
    (void)ctx;
    if (at == 0 || length_at(at) == 0)
        return E4_OK_NONE;
    if (length_at(at) > cap)
        return E4_ERROR_STATE_INCOMPATIBLE;
    memcpy(buf, &flash[page][at + ENTRY_HEAD], length_at(at));
    *len = length_at(at);
    return E4_OK;
}
