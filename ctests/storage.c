/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A storage that fails at its k-th call, for every k, and power that goes at every call: the client
 * holds the old state or the new one, and works afterwards. */
#include "check.h"

#define RECORDS 9

enum fault {
    NONE,
    FAIL_ONCE,        /* the call does nothing and fails */
    FAIL_AFTER,       /* the call does its work and fails */
    POWER_CUT,        /* the call does nothing, and everything after it fails */
    POWER_CUT_AFTER,  /* the call does its work, and everything after it fails */
    FAULTS
};

struct disk {
    uint8_t records[RECORDS][E4_RECORD_MAX];
    size_t lengths[RECORDS]; /* 0: no such record */
    enum fault fault;
    unsigned calls, at;
    unsigned long writes;
};

/* Whether this call works; *fails says what it returns. */
static int works(struct disk *disk, int *fails)
{
    unsigned call = disk->calls++;
    *fails = 0;
    if (disk->fault == NONE || call < disk->at)
        return 1;
    *fails = call == disk->at || disk->fault == POWER_CUT || disk->fault == POWER_CUT_AFTER;
    if (call == disk->at)
        return disk->fault == FAIL_AFTER || disk->fault == POWER_CUT_AFTER;
    return !*fails;
}

static int32_t disk_read(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len)
{
    struct disk *disk = ctx;
    int fails;
    (void)works(disk, &fails);
    if (fails)
        return E4_ERROR_STORAGE;
    if (record >= RECORDS || disk->lengths[record] == 0)
        return E4_OK_NONE;
    if (disk->lengths[record] > cap)
        return E4_ERROR_STATE_INCOMPATIBLE;
    memcpy(buf, disk->records[record], disk->lengths[record]);
    *len = disk->lengths[record];
    return E4_OK;
}

static int32_t disk_write(void *ctx, uint32_t record, const uint8_t *buf, size_t len)
{
    struct disk *disk = ctx;
    int fails;
    if (record >= RECORDS)
        return E4_ERROR_STORAGE_FULL;
    if (works(disk, &fails)) {
        CHECK(len <= (record == 0 ? (size_t)E4_RECORD_MAX : (size_t)E4_SLOT_LEN));
        memcpy(disk->records[record], buf, len);
        disk->lengths[record] = len;
        disk->writes++;
    }
    return fails ? E4_ERROR_STORAGE : E4_OK;
}

static int32_t disk_erase(void *ctx, uint32_t record)
{
    struct disk *disk = ctx;
    int fails;
    if (works(disk, &fails) && record < RECORDS) {
        memset(disk->records[record], 0, E4_RECORD_MAX);
        disk->lengths[record] = 0;
    }
    return fails ? E4_ERROR_STORAGE : E4_OK;
}

static e4_key_place places[RECORDS], more_places[RECORDS];

static void configure(e4_config *config, struct disk *disk, e4_key_place *keys, size_t count)
{
    static const e4_settings settings = E4_SETTINGS_DEFAULT;
    memset(config, 0, sizeof *config);
    config->storage.ctx = disk;
    config->storage.read = disk_read;
    config->storage.write = disk_write;
    config->storage.erase = disk_erase;
    config->keys = count ? keys : NULL;
    config->keys_count = count;
    config->settings = settings;
}

/* What a client is: its key and all the keys it holds, in 58 bytes. */
struct print {
    uint8_t bytes[E4_ANSWER_LEN];
};

static struct print print_of(const e4_client *client)
{
    struct print print;
    CHECK_IS(e4_hello(client, NOW + 100, print.bytes), E4_OK);
    return print;
}

/* The same of what the disk holds; zero for no client. */
static struct print print_of_disk(const struct disk *disk)
{
    struct disk copy = *disk;
    e4_client client = E4_CLIENT_INIT;
    e4_config config;
    struct print print;
    int32_t opened;

    memset(&print, 0, sizeof print);
    copy.fault = NONE;
    configure(&config, &copy, more_places, RECORDS);
    opened = e4_open(&client, &config);
    if (opened == E4_OK) {
        print = print_of(&client);
        CHECK_IS(e4_close(&client), E4_OK);
    } else {
        CHECK_IS(opened, E4_ERROR_NOT_PROVISIONED);
    }
    return print;
}

static int same(struct print a, struct print b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static uint8_t id[E4_ID_LEN], key[E4_KEY_LEN], next_key[E4_KEY_LEN];

/* The commands of the test, in pairs that share a second. later moves them on. */
#define STEPS 14
static int32_t step(e4_client *client, int number, uint64_t later)
{
    uint64_t now = NOW + (uint64_t)number / 2 + later;
    uint8_t command[E4_COMMAND_MAX], hash[E4_TOPIC_HASH_LEN], topic_key[E4_KEY_LEN];
    const uint8_t *mine = number > 9 ? next_key : key;
    size_t len = 0;
    int32_t made;

    fill(topic_key, sizeof topic_key, 50 + (unsigned)number);
    switch (number) {
    case 5:
    case 11:
        made = e4_topic_hash("b", 1, hash);
        CHECK_IS(made, E4_OK);
        made = e4_command_remove_topic(mine, now, hash, command, sizeof command, &len);
        break;
    case 7:
    case 13:
        made = e4_command_reset_topics(mine, now, command, sizeof command, &len);
        break;
    case 9:
        made = e4_command_set_id_key(mine, now, next_key, command, sizeof command, &len);
        break;
    default:
        return give_topic(client, mine, now, number % 3 == 0 ? "a" : number % 3 == 1 ? "b" : "c",
                          topic_key);
    }
    CHECK_IS(made, E4_OK);
    return command_in(client, now, command, len);
}

/* One step under one fault at one call. Returns whether the call took place. */
static int try_step(const struct disk *before, int number, enum fault fault, unsigned at,
                    size_t table, struct print old, struct print new)
{
    struct disk disk = *before;
    e4_client client = E4_CLIENT_INIT;
    e4_config config;
    struct print now;
    int32_t result;
    int took_place;

    configure(&config, &disk, places, table);
    disk.fault = NONE;
    CHECK_IS(e4_open(&client, &config), E4_OK);
    disk.calls = 0;
    disk.at = at;
    disk.fault = fault;
    result = step(&client, number, 0);
    took_place = disk.calls > at;
    disk.fault = NONE;
    now = print_of(&client);
    if (result == E4_OK_COMMAND) {
        CHECK(same(now, new));
        CHECK(same(print_of_disk(&disk), new));
    } else {
        CHECK_IS(result, E4_ERROR_STORAGE);
        /* A key without a place in the table is read from the disk, which may have the new one
         * although it said that it failed. */
        CHECK(same(now, old) || (table < RECORDS && same(now, new) &&
                                 (fault == FAIL_AFTER || fault == POWER_CUT_AFTER)));
        CHECK(same(print_of_disk(&disk), old) ||
              ((fault == FAIL_AFTER || fault == POWER_CUT_AFTER) &&
               same(print_of_disk(&disk), new)));
    }
    if (fault == POWER_CUT || fault == POWER_CUT_AFTER) {
        CHECK_IS(e4_close(&client), E4_OK);
        CHECK_IS(e4_open(&client, &config), E4_OK);
    }
    /* C2 sends it again, a second later. */
    CHECK_IS(e4_close(&client), E4_OK);
    CHECK_IS(e4_open(&client, &config), E4_OK);
    if (number == 9 && same(print_of(&client), new))
        CHECK_IS(step(&client, number, 1), E4_ERROR_INVALID_TAG);
    else
        CHECK_IS(step(&client, number, 1), E4_OK_COMMAND);
    CHECK(same(print_of(&client), new));
    CHECK(same(print_of_disk(&disk), new));
    CHECK_IS(e4_close(&client), E4_OK);
    return took_place;
}

static void commands(size_t table)
{
    struct disk disk, after;
    e4_client client = E4_CLIENT_INIT;
    e4_config config;
    int number, fault;
    unsigned at, faults_seen = 0;

    memset(&disk, 0, sizeof disk);
    configure(&config, &disk, places, table);
    CHECK_IS(e4_provision_symmetric(&client, &config, id, key), E4_OK);
    CHECK_IS(e4_close(&client), E4_OK);
    for (number = 0; number < STEPS; number++) {
        struct print old = print_of_disk(&disk), new;
        after = disk;
        configure(&config, &after, places, table);
        CHECK_IS(e4_open(&client, &config), E4_OK);
        after.writes = 0;
        CHECK_IS(step(&client, number, 0), E4_OK_COMMAND);
        /* What the header promises about flash. */
        CHECK(after.writes <= (number == 7 || number == 13 ? 1u + RECORDS : 2u));
        new = print_of(&client);
        CHECK_IS(e4_close(&client), E4_OK);
        CHECK(same(new, print_of_disk(&after)));
        /* All but the removal of what is not there change the state. */
        CHECK(same(old, new) == 0 || number == 11);
        for (fault = FAIL_ONCE; fault < FAULTS; fault++)
            for (at = 0; try_step(&disk, number, (enum fault)fault, at, table, old, new); at++)
                faults_seen++;
        disk = after;
    }
    CHECK(faults_seen > STEPS * (FAULTS - 1));
}

/* Provisioning, opening and forgetting. */
static void lives(size_t table)
{
    struct disk empty, full, disk;
    e4_client client = E4_CLIENT_INIT;
    e4_config config;
    struct print none, fresh, used;
    int fault, number;
    unsigned at, last;

    memset(&empty, 0, sizeof empty);
    memset(&none, 0, sizeof none);
    configure(&config, &empty, places, table);
    full = empty;
    config.storage.ctx = &full;
    CHECK_IS(e4_provision_symmetric(&client, &config, id, key), E4_OK);
    fresh = print_of(&client);
    for (number = 0; number < 3; number++)
        CHECK_IS(step(&client, number, 0), E4_OK_COMMAND);
    used = print_of(&client);
    CHECK_IS(e4_close(&client), E4_OK);

    for (fault = FAIL_ONCE; fault < FAULTS; fault++) {
        for (at = 0, last = 1; last; at++) {
            int32_t result;
            disk = empty;
            disk.fault = (enum fault)fault;
            disk.at = at;
            config.storage.ctx = &disk;
            result = e4_provision_symmetric(&client, &config, id, key);
            last = disk.calls > at;
            disk.fault = NONE;
            if (result == E4_OK) {
                CHECK_IS(e4_close(&client), E4_OK);
                CHECK(same(print_of_disk(&disk), fresh));
            } else {
                CHECK_IS(result, E4_ERROR_STORAGE);
                CHECK(is_zero(&client, sizeof client));
                CHECK(same(print_of_disk(&disk), none) || same(print_of_disk(&disk), fresh));
                result = e4_provision_symmetric(&client, &config, id, key);
                CHECK(result == E4_OK || result == E4_ERROR_ALREADY_PROVISIONED);
                if (result == E4_OK)
                    CHECK_IS(e4_close(&client), E4_OK);
                CHECK(same(print_of_disk(&disk), fresh));
            }
        }
        for (at = 0, last = 1; last; at++) {
            int32_t result;
            disk = full;
            disk.fault = (enum fault)fault;
            disk.at = at;
            disk.calls = 0;
            config.storage.ctx = &disk;
            result = e4_open(&client, &config);
            last = disk.calls > at;
            disk.fault = NONE;
            CHECK_IS(result, last ? E4_ERROR_STORAGE : E4_OK);
            if (result == E4_OK)
                CHECK_IS(e4_close(&client), E4_OK);
            CHECK(same(print_of_disk(&disk), used));
        }
        for (at = 0, last = 1; last; at++) {
            int32_t result;
            disk = full;
            disk.fault = NONE;
            config.storage.ctx = &disk;
            CHECK_IS(e4_open(&client, &config), E4_OK);
            disk.fault = (enum fault)fault;
            disk.at = at;
            disk.calls = 0;
            result = e4_forget(&client);
            last = disk.calls > at;
            disk.fault = NONE;
            CHECK_IS(result, last ? E4_ERROR_STORAGE : E4_OK);
            CHECK(is_zero(&client, sizeof client));
            CHECK(same(print_of_disk(&disk), none) ||
                  (at == 0 && same(print_of_disk(&disk), used)));
            if (same(print_of_disk(&disk), none)) {
                /* What is left of its keys goes at the next opening. */
                CHECK_IS(e4_open(&client, &config), E4_ERROR_NOT_PROVISIONED);
                CHECK(is_zero(disk.records, sizeof disk.records));
            }
        }
    }
}

/* Messages: a failing storage is an error of the call and no more. */
static void messages(size_t table)
{
    struct disk disk;
    e4_client client = E4_CLIENT_INIT;
    e4_config config;
    uint8_t sealed[40], opened[40];
    size_t len, opened_len;
    unsigned at;
    int32_t result;

    memset(&disk, 0, sizeof disk);
    configure(&config, &disk, places, table);
    CHECK_IS(e4_provision_symmetric(&client, &config, id, key), E4_OK);
    CHECK_IS(step(&client, 0, 0), E4_OK_COMMAND);
    CHECK_IS(step(&client, 1, 0), E4_OK_COMMAND);
    disk.writes = 0;
    for (at = 0; at < 5; at++) {
        CHECK_IS(e4_protect(&client, NOW, "a", 1, key, 9, sealed, sizeof sealed, &len), E4_OK);
        disk.calls = 0;
        disk.at = at;
        disk.fault = FAIL_ONCE;
        result = e4_unprotect(&client, NOW, "a", 1, sealed, len, opened, sizeof opened,
                              &opened_len, NULL);
        CHECK_IS(result, disk.calls > at ? E4_ERROR_STORAGE : E4_OK);
        CHECK(table == 0 || result == E4_OK);
        disk.calls = 0;
        result = e4_protect(&client, NOW, "a", 1, key, 9, opened, sizeof opened, &opened_len);
        CHECK_IS(result, disk.calls > at ? E4_ERROR_STORAGE : E4_OK);
        disk.fault = NONE;
    }
    /* A table holds its topics without a read; no message costs a write. */
    disk.calls = 0;
    CHECK_IS(e4_protect(&client, NOW, "a", 1, key, 9, sealed, sizeof sealed, &len), E4_OK);
    CHECK((disk.calls == 0) == (table != 0));
    CHECK(disk.writes == 0);

    /* Damage is noticed. */
    CHECK_IS(e4_close(&client), E4_OK);
    disk.records[1][40] ^= 1;
    CHECK_IS(e4_open(&client, &config), E4_ERROR_STATE_CORRUPT);
    disk.records[1][40] ^= 1;
    disk.records[0][30] ^= 1;
    CHECK_IS(e4_open(&client, &config), E4_ERROR_STATE_CORRUPT);
    disk.records[0][30] ^= 1;
    CHECK_IS(e4_open(&client, &config), E4_OK);
    CHECK_IS(e4_close(&client), E4_OK);
}

/* Callbacks that answer nonsense. */
static int32_t nonsense;
static size_t nonsense_len;

static int32_t read_nonsense(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len)
{
    (void)ctx, (void)record, (void)buf, (void)cap;
    *len = nonsense_len;
    return nonsense;
}

static void odd_results(void)
{
    static const struct { int32_t says; size_t len; int32_t means; } cases[] = {
        { E4_OK, E4_RECORD_MAX + 1, E4_ERROR_STORAGE },
        { E4_OK, SIZE_MAX, E4_ERROR_STORAGE },
        { E4_OK, 0, E4_ERROR_STATE_INCOMPATIBLE },
        { E4_OK_COMMAND, 0, E4_ERROR_STORAGE },
        { 77, 0, E4_ERROR_STORAGE },
        { -1, 0, E4_ERROR_STORAGE },
        { E4_ERROR_INVALID_TAG, 0, E4_ERROR_STORAGE },
        { INT32_MIN, 0, E4_ERROR_STORAGE },
        { E4_ERROR_STATE_INCOMPATIBLE, 0, E4_ERROR_STATE_INCOMPATIBLE },
    };
    struct disk disk;
    e4_client client = E4_CLIENT_INIT;
    e4_config config;
    size_t i;

    memset(&disk, 0, sizeof disk);
    configure(&config, &disk, places, RECORDS);
    config.storage.read = read_nonsense;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        nonsense = cases[i].says;
        nonsense_len = cases[i].len;
        CHECK_IS(e4_open(&client, &config), cases[i].means);
        CHECK(is_zero(&client, sizeof client));
    }
}

int main(void)
{
    fill(id, sizeof id, 1);
    fill(key, sizeof key, 2);
    fill(next_key, sizeof next_key, 3);
    commands(RECORDS);
    commands(0);
    commands(1);
    lives(RECORDS);
    lives(0);
    messages(RECORDS);
    messages(0);
    odd_results();
    return check_end();
}
