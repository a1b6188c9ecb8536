/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* E4's records on NOR flash, and what happens when the power goes at any byte.
 *
 * NOR flash: erasing a page makes every bit 1; programming can only make bits 0; power may go in the
 * middle of either. The promise to keep is: after a power cut a record holds the old bytes or the
 * new ones, never a mixture.
 *
 * Each record has two pages, of which one is blank. A write programs sequence number, length, bytes
 * and CRC into the blank one, then a commit word, which makes it the record; only then is the other
 * one erased, and the old key with it. Whenever the power goes, the page with the highest sequence
 * number whose commit word and CRC are right is the record. tidy() at the start finishes what a
 * power cut interrupted, so that no key stays in a page that is no record.
 */
#include <e4.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The flash, emulated. On a device: its driver. ---- */

#define PAGE 512u
#define RECORDS 8u
#define PAGES (2u * RECORDS)

static uint8_t flash[PAGES][PAGE];
static long budget = -1;        /* bytes until the power goes; -1: it stays */
static unsigned long operations; /* bytes programmed, pages erased in parts of 16 bytes */

/* Whether there is still power for one more operation. */
static int power(void)
{
    operations++;
    return budget < 0 || budget-- > 0;
}

static int flash_erase(unsigned page)
{
    unsigned i;
    for (i = 0; i < PAGE; i += 16) {
        if (!power())
            return 0;
        memset(&flash[page][i], 0xff, 16);
    }
    return 1;
}

static int flash_program(unsigned page, unsigned offset, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    size_t i;
    for (i = 0; i < len; i++) {
        if (!power())
            return 0;
        flash[page][offset + i] &= from[i];
    }
    return 1;
}

/* ---- Records on the flash: this part is for you to take. ---- */

struct head {
    uint32_t sequence;
    uint32_t length;
    uint32_t crc; /* over sequence, length and the bytes */
};
#define COMMITTED 0x45344f4bu
#define COMMIT_AT (PAGE - 4u)
#define BYTES_AT ((unsigned)sizeof(struct head))

static uint32_t crc32(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    crc = ~crc;
    while (len--) {
        int bit;
        crc ^= *at++;
        for (bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static uint32_t head_crc(const struct head *head, const uint8_t *bytes)
{
    return crc32(crc32(0, head, 8), bytes, head->length);
}

/* Whether a page holds a whole record. */
static int is_whole(unsigned page, struct head *head)
{
    uint32_t commit;
    memcpy(head, flash[page], sizeof *head);
    memcpy(&commit, &flash[page][COMMIT_AT], sizeof commit);
    return commit == COMMITTED && head->length <= E4_RECORD_MAX &&
           head->crc == head_crc(head, &flash[page][BYTES_AT]);
}

/* The page of a record, its head; -1 if there is none. */
static int current(uint32_t record, struct head *head)
{
    struct head first, second;
    unsigned page = 2u * (unsigned)record;
    int has_first = is_whole(page, &first), has_second = is_whole(page + 1, &second);
    if (!has_first && !has_second)
        return -1;
    if (has_first && (!has_second || (int32_t)(first.sequence - second.sequence) > 0)) {
        *head = first;
        return (int)page;
    }
    *head = second;
    return (int)page + 1;
}

static int is_blank(unsigned page)
{
    unsigned i;
    for (i = 0; i < PAGE; i++)
        if (flash[page][i] != 0xff)
            return 0;
    return 1;
}

static int blank(unsigned page)
{
    return is_blank(page) || flash_erase(page);
}

/* At the start, before E4: erases every page that is not a record. */
static void tidy(void)
{
    struct head head;
    unsigned page;
    for (page = 0; page < PAGES; page++)
        if (current(page / 2, &head) != (int)page)
            (void)blank(page);
}

static int32_t record_write(void *ctx, uint32_t record, const uint8_t *bytes, size_t len)
{
    struct head head;
    uint32_t commit = COMMITTED;
    unsigned page;
    int old;
    (void)ctx;

    if (record >= RECORDS || len > E4_RECORD_MAX)
        return E4_ERROR_STORAGE_FULL;
    old = current(record, &head);
    head.sequence = old < 0 ? 1 : head.sequence + 1;
    head.length = (uint32_t)len;
    head.crc = head_crc(&head, bytes);
    page = 2u * (unsigned)record + (old >= 0 && old % 2 == 0 ? 1u : 0u);
    if (!blank(page) || !flash_program(page, 0, &head, sizeof head) ||
        !flash_program(page, BYTES_AT, bytes, len) ||
        !flash_program(page, COMMIT_AT, &commit, sizeof commit))
        return E4_ERROR_STORAGE;
    /* From here on the new record holds; should the erasure fail, tidy() or the next write does it. */
    if (old >= 0)
        (void)flash_erase((unsigned)old);
    return E4_OK;
}

static int32_t record_erase(void *ctx, uint32_t record)
{
    struct head head;
    int page;
    (void)ctx;
    /* A page that is no record goes first: it must not become one again. */
    while (record < RECORDS && (page = current(record, &head)) >= 0)
        if (!blank((unsigned)page ^ 1u) || !flash_erase((unsigned)page))
            return E4_ERROR_STORAGE;
    return E4_OK;
}

static int32_t record_read(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len)
{
    struct head head;
    int page;
    (void)ctx;
    if (record >= RECORDS || (page = current(record, &head)) < 0)
        return E4_OK_NONE;
    if (head.length > cap)
        return E4_ERROR_STATE_INCOMPATIBLE;
    memcpy(buf, &flash[page][BYTES_AT], head.length);
    *len = head.length;
    return E4_OK;
}

/* ---- The demonstration ---- */

static const uint64_t now = 1700000000;
static const uint8_t id_key[E4_KEY_LEN] = { 1, 2, 3 };
static e4_key_place keys[RECORDS];
static const e4_config config = {
    .storage = { NULL, record_read, record_write, record_erase },
    .keys = keys,
    .keys_count = RECORDS,
    .settings = E4_SETTINGS_DEFAULT,
};

/* What a client holds, or zero if there is none. */
static void digest_of(uint8_t digest[E4_DIGEST_LEN])
{
    e4_client client = E4_CLIENT_INIT;
    int32_t opened;
    tidy();
    opened = e4_open(&client, &config);
    memset(digest, 0, E4_DIGEST_LEN);
    if (opened == E4_OK && e4_digest(&client, digest) == E4_OK) {
        e4_close(&client);
    } else if (opened != E4_ERROR_NOT_PROVISIONED) {
        fprintf(stderr, "the state is lost: %s\n", e4_error_text(opened));
        exit(1);
    }
}

/* Step 0 provisions, 1 to 5 give topic keys (two of them replace one), 6 removes one, 7 forgets. */
#define STEPS 8
static int32_t step(int number)
{
    static const char *const topics[] = { "a", "b", "c", "a", "b", "c" };
    e4_client client = E4_CLIENT_INIT;
    uint8_t hash[E4_TOPIC_HASH_LEN], key[E4_KEY_LEN], command[E4_COMMAND_MAX], out[E4_COMMAND_MAX];
    char control[E4_CONTROL_TOPIC_LEN + 1];
    size_t len, out_len;
    int32_t result;

    if (number == 0) {
        result = e4_id_from_name("pump-1", 6, hash);
        if (result == E4_OK)
            result = e4_provision_symmetric(&client, &config, hash, id_key);
        e4_close(&client);
        return result;
    }
    result = e4_open(&client, &config);
    if (result != E4_OK)
        return result;
    if (number == 7)
        return e4_forget(&client);
    memset(key, 100 + number, sizeof key);
    result = e4_topic_hash(topics[number - 1], 1, hash);
    if (result == E4_OK)
        result = number == 6
                     ? e4_command_remove_topic(id_key, now, hash, command, sizeof command, &len)
                     : e4_command_set_topic_key(id_key, now, hash, key, command, sizeof command,
                                                &len);
    if (result == E4_OK)
        result = e4_control_topic(&client, control);
    if (result == E4_OK)
        result = e4_unprotect(&client, now, control, E4_CONTROL_TOPIC_LEN, command, len, out,
                              sizeof out, &out_len, NULL);
    e4_close(&client);
    return result;
}

int main(void)
{
    static uint8_t saved[PAGES][PAGE];
    unsigned long cuts = 0, kept_old = 0, kept_new = 0;
    int number;

    memset(flash, 0xff, sizeof flash);
    for (number = 0; number < STEPS; number++) {
        uint8_t old[E4_DIGEST_LEN], new[E4_DIGEST_LEN], after[E4_DIGEST_LEN];
        unsigned long length;
        unsigned page;
        long cut;

        memcpy(saved, flash, sizeof saved);
        digest_of(old);
        operations = 0;
        if (step(number) < 0)
            return 1;
        length = operations;
        digest_of(new);
        printf("step %d: %lu flash operations\n", number, length);
        for (cut = 0; cut < (long)length; cut++) {
            memcpy(flash, saved, sizeof flash);
            budget = cut;
            (void)step(number);
            budget = -1;
            digest_of(after);
            for (page = 0; page < PAGES; page += 2)
                if (!is_blank(page) && !is_blank(page + 1))
                    return 1;
            cuts++;
            if (memcmp(after, old, sizeof old) == 0)
                kept_old++;
            else if (memcmp(after, new, sizeof new) == 0)
                kept_new++;
            else {
                fprintf(stderr, "step %d, cut at %ld: neither old nor new\n", number, cut);
                return 1;
            }
        }
        memcpy(flash, saved, sizeof flash);
        if (step(number) < 0)
            return 1;
    }
    /* The client is forgotten: nothing is left of it. */
    for (number = 0; number < (int)PAGES; number++)
        if (!is_blank((unsigned)number)) {
            fprintf(stderr, "page %d is not blank\n", number);
            return 1;
        }
    printf("%lu power cuts: %lu times the old state, %lu times the new one, never a mixture\n", cuts,
           kept_old, kept_new);
    return kept_old == 0;
}
