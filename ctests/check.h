/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A count of checks, and a client in memory to check things on. */
#ifndef CHECK_H
#define CHECK_H

#include "e4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long check_passed, check_failed;

#define CHECK(condition) check_that((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define CHECK_IS(call, expected) check_result((call), (expected), #call, __FILE__, __LINE__)

static inline int check_that(int holds, const char *what, const char *file, int line)
{
    if (holds) {
        check_passed++;
    } else {
        check_failed++;
        printf("%s:%d: failed: %s\n", file, line, what);
    }
    return holds;
}

static inline int check_result(long result, long expected, const char *what, const char *file,
                               int line)
{
    if (result == expected) {
        check_passed++;
    } else {
        check_failed++;
        printf("%s:%d: %s is %ld, not %ld\n", file, line, what, result, expected);
    }
    return result == expected;
}

static inline int check_end(void)
{
    printf("%lu passed, %lu failed\n", check_passed, check_failed);
    return check_failed != 0 || check_passed == 0;
}

static inline int is_zero(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    size_t i;
    for (i = 0; i < len; i++)
        if (at[i] != 0)
            return 0;
    return 1;
}

/* Whether needle stands anywhere in a haystack. */
static inline int holds_bytes(const void *haystack, size_t len, const void *needle, size_t needle_len)
{
    const unsigned char *at = haystack;
    size_t i;
    for (i = 0; i + needle_len <= len; i++)
        if (memcmp(at + i, needle, needle_len) == 0)
            return 1;
    return 0;
}

#define NOW UINT64_C(1700000000)
#define KEYS 8

/* A client with all that it needs, in memory. */
struct device {
    e4_client client;
    e4_key_place keys[KEYS];
    e4_seen_place seen[4];
    uint8_t bytes[E4_MEMORY_SIZE(KEYS)];
    e4_memory memory;
    e4_config config;
};

static inline void device_init(struct device *device)
{
    static const e4_settings settings = E4_SETTINGS_DEFAULT;
    memset(device, 0, sizeof *device);
    CHECK_IS(e4_memory_storage(&device->memory, device->bytes, sizeof device->bytes,
                               &device->config.storage), E4_OK);
    device->config.keys = device->keys;
    device->config.keys_count = KEYS;
    device->config.settings = settings;
}

/* The same bytes for a seed, never all zero. */
static inline void fill(uint8_t *bytes, size_t len, unsigned seed)
{
    size_t i;
    for (i = 0; i < len; i++) {
        seed = seed * 1103515245u + 12345u;
        bytes[i] = (uint8_t)(seed >> 16);
    }
    bytes[0] |= 1;
}

/* Hands a command to a client. */
static inline int32_t command_in(e4_client *client, uint64_t now, const uint8_t *command, size_t len)
{
    char topic[E4_CONTROL_TOPIC_LEN + 1];
    uint8_t out[E4_COMMAND_MAX];
    size_t out_len;
    int32_t result = e4_control_topic(client, topic);
    if (result != E4_OK)
        return result;
    return e4_unprotect(client, now, topic, E4_CONTROL_TOPIC_LEN, command, len, out, sizeof out,
                        &out_len, NULL);
}

/* Gives a client a topic key. */
static inline int32_t give_topic(e4_client *client, const uint8_t *command_key, uint64_t now,
                                 const char *topic, const uint8_t *topic_key)
{
    uint8_t hash[E4_TOPIC_HASH_LEN], command[E4_COMMAND_MAX];
    size_t len;
    int32_t result = e4_topic_hash(topic, strlen(topic), hash);
    if (result == E4_OK)
        result = e4_command_set_topic_key(command_key, now, hash, topic_key, command,
                                          sizeof command, &len);
    return result == E4_OK ? command_in(client, now, command, len) : result;
}

#endif
