/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What must be refused: NULL everywhere, short buffers, overlaps, wrong lengths, a client that is
 * not open or no longer. */
#include "check.h"

#define BAD E4_ERROR_INVALID_PARAMETER

static struct device device, other;
static uint8_t id[E4_ID_LEN], key[E4_KEY_LEN], c2[E4_KEY_LEN], c2_public[E4_KEY_LEN];
static uint8_t pair[E4_PRIVATE_KEY_LEN], public_key_[E4_KEY_LEN], sealed[200], out[200];
static size_t sealed_len, out_len;
static const char T[] = "t";
static const char PASSWORD[] = "0123456789abcdef";

/* After an error: no length, and nothing in the buffer but zero or what was there. */
static void untouched_or_zero(void)
{
    size_t i;
    CHECK(out_len == 0);
    for (i = 0; i < sizeof out; i++)
        if (out[i] != 0 && out[i] != 0x55)
            break;
    CHECK(i == sizeof out);
    memset(out, 0x55, sizeof out);
    out_len = 99;
}

#define FAILS(call, expected)          \
    do {                               \
        CHECK_IS((call), (expected));  \
        untouched_or_zero();           \
    } while (0)

/* Every function with a client that is not open; with NULL for it, as well. */
static void not_open(e4_client *c)
{
    e4_settings settings = E4_SETTINGS_DEFAULT;
    char topic[E4_ANSWER_TOPIC_LEN + 1];

    CHECK_IS(e4_close(c), BAD);
    CHECK_IS(e4_close(c), BAD);
    CHECK_IS(e4_forget(c), BAD);
    CHECK_IS(e4_mode(c), BAD);
    CHECK_IS(e4_id(c, out), BAD);
    CHECK_IS(e4_public_key(c, out), BAD);
    CHECK_IS(e4_control_topic(c, topic), BAD);
    CHECK_IS(e4_answer_topic(c, topic), BAD);
    CHECK_IS(e4_has_topic(c, T, 1), BAD);
    CHECK_IS(e4_topic_count(c), BAD);
    CHECK_IS(e4_peer_count(c), BAD);
    CHECK_IS(e4_digest(c, out), BAD);
    CHECK_IS(e4_settings_get(c, &settings), BAD);
    CHECK_IS(e4_settings_set(c, &settings), BAD);
    CHECK_IS(e4_answer(c, NOW, out), BAD);
    CHECK_IS(e4_hello(c, NOW, out), BAD);
    out_len = 99;
    memset(out, 0x55, sizeof out);
    FAILS(e4_protect(c, NOW, T, 1, key, 5, out, sizeof out, &out_len), BAD);
    FAILS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, out, sizeof out, &out_len, NULL), BAD);
}

static void null_and_length_of_client_functions(void)
{
    e4_client *c = &device.client;
    e4_message_info info;
    e4_settings settings;
    const char *text = T;

    CHECK_IS(e4_id(c, NULL), BAD);
    CHECK_IS(e4_public_key(c, NULL), BAD);
    CHECK_IS(e4_control_topic(c, NULL), BAD);
    CHECK_IS(e4_answer_topic(c, NULL), BAD);
    CHECK_IS(e4_has_topic(c, NULL, 1), BAD);
    CHECK_IS(e4_has_topic(c, NULL, 0), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_has_topic(c, "\xff", 1), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_has_topic(c, text, SIZE_MAX), BAD);
    CHECK_IS(e4_digest(c, NULL), BAD);
    CHECK_IS(e4_settings_get(c, NULL), BAD);
    CHECK_IS(e4_settings_set(c, NULL), BAD);
    CHECK_IS(e4_settings_get(c, &settings), E4_OK);
    settings.accept_unknown_signers = 2;
    CHECK_IS(e4_settings_set(c, &settings), BAD);
    CHECK_IS(e4_answer(c, NOW, NULL), BAD);
    CHECK_IS(e4_hello(c, NOW, NULL), BAD);

    out_len = 99;
    memset(out, 0x55, sizeof out);
    FAILS(e4_protect(c, NOW, NULL, 1, key, 5, out, sizeof out, &out_len), BAD);
    FAILS(e4_protect(c, NOW, NULL, 0, key, 5, out, sizeof out, &out_len), E4_ERROR_INVALID_TOPIC);
    FAILS(e4_protect(c, NOW, "\xc3", 1, key, 5, out, sizeof out, &out_len), E4_ERROR_INVALID_TOPIC);
    FAILS(e4_protect(c, NOW, T, 1, NULL, 5, out, sizeof out, &out_len), BAD);
    FAILS(e4_protect(c, NOW, T, 1, key, 5, NULL, 200, &out_len), BAD);
    FAILS(e4_protect(c, NOW, T, 1, key, 5, NULL, 0, &out_len), E4_ERROR_BUFFER_TOO_SMALL);
    FAILS(e4_protect(c, NOW, T, 1, key, 5, out, 5 + E4_SK_OVERHEAD - 1, &out_len),
          E4_ERROR_BUFFER_TOO_SMALL);
    FAILS(e4_protect(c, NOW, T, 1, key, SIZE_MAX, out, sizeof out, &out_len), BAD);
    FAILS(e4_protect(c, NOW, T, 1, key, 5, out, SIZE_MAX, &out_len), BAD);
    FAILS(e4_protect(c, NOW, "u", 1, key, 5, out, sizeof out, &out_len),
          E4_ERROR_TOPIC_KEY_MISSING);
    CHECK_IS(e4_protect(c, NOW, T, 1, key, 5, out, sizeof out, NULL), BAD);

    FAILS(e4_unprotect(c, NOW, NULL, 1, sealed, sealed_len, out, sizeof out, &out_len, NULL), BAD);
    FAILS(e4_unprotect(c, NOW, T, 1, NULL, sealed_len, out, sizeof out, &out_len, NULL), BAD);
    FAILS(e4_unprotect(c, NOW, T, 1, NULL, 0, out, sizeof out, &out_len, NULL),
          E4_ERROR_MESSAGE_TOO_SHORT);
    FAILS(e4_unprotect(c, NOW, T, 1, sealed, E4_SK_OVERHEAD - 1, out, sizeof out, &out_len, NULL),
          E4_ERROR_MESSAGE_TOO_SHORT);
    FAILS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, NULL, 10, &out_len, NULL), BAD);
    FAILS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, NULL, 0, &out_len, NULL),
          E4_ERROR_BUFFER_TOO_SMALL);
    FAILS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, out, sealed_len - E4_SK_OVERHEAD - 1,
                       &out_len, NULL), E4_ERROR_BUFFER_TOO_SMALL);
    FAILS(e4_unprotect(c, NOW + 601, T, 1, sealed, sealed_len, out, sizeof out, &out_len, &info),
          E4_ERROR_TIMESTAMP_TOO_OLD);
    FAILS(e4_unprotect(c, NOW - 601, T, 1, sealed, sealed_len, out, sizeof out, &out_len, &info),
          E4_ERROR_TIMESTAMP_IN_FUTURE);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, out, sizeof out, NULL, NULL), BAD);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, out, sealed_len - E4_SK_OVERHEAD,
                          &out_len, &info), E4_OK);
    CHECK(out_len == 5 && memcmp(out, key, 5) == 0 && info.timestamp == NOW);
    /* An unaligned pointer. */
    CHECK_IS(e4_mode((const e4_client *)(const void *)((const char *)c + 1)), BAD);
}

static void overlaps(void)
{
    static union {
        uint8_t bytes[512];
        size_t length;
        e4_message_info info;
        e4_answer_info answer;
    } u;
    e4_client *c = &device.client;
    uint8_t *own = (uint8_t *)&device.client;
    size_t shift;

    for (shift = 0; shift < 29; shift++) {
        memset(u.bytes, 0x33, sizeof u.bytes);
        CHECK_IS(e4_protect(c, NOW, T, 1, u.bytes + 28 - shift, 5, u.bytes + 28 - shift / 2, 40,
                            &out_len), shift >= 9 && shift / 2 + 5 <= shift ? E4_OK : BAD);
    }
    CHECK_IS(e4_protect(c, NOW, (const char *)u.bytes, 1, key, 5, u.bytes, 40, &out_len), BAD);
    CHECK_IS(e4_protect(c, NOW, T, 1, key, 5, own, 40, &out_len), BAD);
    CHECK_IS(e4_protect(c, NOW, T, 1, key, 5, u.bytes, 40, &u.length), BAD);
    CHECK_IS(e4_protect(c, NOW, T, 1, u.bytes, 5, out, 40, &u.length), BAD);
    memcpy(u.bytes, sealed, sealed_len);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, u.bytes, sealed_len, u.bytes, 100, &out_len, NULL), BAD);
    CHECK(memcmp(u.bytes, sealed, sealed_len) == 0);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, u.bytes, sealed_len, u.bytes + sealed_len - 1, 100,
                          &out_len, NULL), BAD);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, u.bytes, sealed_len, u.bytes + sealed_len, 100, &out_len,
                          NULL), E4_OK);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, u.bytes, sealed_len, out, 100, &out_len, &u.info), BAD);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, u.bytes, 100, &out_len, &u.info), BAD);
    CHECK_IS(e4_unprotect(c, NOW, T, 1, sealed, sealed_len, own, 100, &out_len, NULL), BAD);
    CHECK_IS(e4_id(c, own + 9), BAD);
    CHECK_IS(e4_hello(c, NOW, own), BAD);
    CHECK_IS(e4_answer(c, NOW, own), BAD);
    CHECK_IS(e4_digest(c, own), BAD);
    CHECK_IS(e4_settings_set(c, (const e4_settings *)(void *)own), BAD);
    CHECK_IS(e4_settings_get(c, (e4_settings *)(void *)own), BAD);
    CHECK_IS(e4_topic_hash((const char *)u.bytes, 20, u.bytes + 19), BAD);
    CHECK_IS(e4_id_from_name((const char *)u.bytes, 20, u.bytes + 19), BAD);
    CHECK_IS(e4_public_key_of(u.bytes, u.bytes + 32), BAD);
    CHECK_IS(e4_c2_public_key_of(u.bytes, u.bytes + 31), BAD);
    CHECK_IS(e4_shared_key(u.bytes, public_key_, u.bytes), BAD);
    CHECK_IS(e4_shared_key(c2, u.bytes, u.bytes), BAD);
    CHECK_IS(e4_private_key_from_seed(u.bytes, u.bytes + 1), BAD);
    CHECK_IS(e4_command_reset_topics(u.bytes, NOW, u.bytes + 31, 100, &out_len), BAD);
    CHECK_IS(e4_command_set_topic_key(key, NOW, u.bytes, key, u.bytes, 100, &out_len), BAD);
    CHECK_IS(e4_command_set_topic_key(key, NOW, id, u.bytes, u.bytes, 100, &out_len), BAD);
    CHECK_IS(e4_open_answer(u.bytes, sealed, 58, &u.answer), BAD);
    CHECK_IS(e4_open_answer(key, u.bytes, 58, &u.answer), BAD);
    /* The client is as it was. */
    CHECK_IS(e4_has_topic(c, T, 1), E4_OK);
}

static void opening(void)
{
    e4_client c = E4_CLIENT_INIT;
    e4_config config = other.config;
    e4_file *file = NULL;
    e4_storage storage;

    CHECK_IS(e4_open(NULL, &config), BAD);
    CHECK_IS(e4_open(&c, NULL), BAD);
    CHECK_IS(e4_open(&device.client, &config), BAD);
    CHECK_IS(e4_provision_symmetric(NULL, &config, id, key), BAD);
    CHECK_IS(e4_provision_symmetric(&c, NULL, id, key), BAD);
    CHECK_IS(e4_provision_symmetric(&c, &config, NULL, key), BAD);
    CHECK_IS(e4_provision_symmetric(&c, &config, id, NULL), BAD);
    CHECK_IS(e4_provision_public_key(NULL, &config, id, pair, c2_public), BAD);
    CHECK_IS(e4_provision_public_key(&c, NULL, id, pair, c2_public), BAD);
    CHECK_IS(e4_provision_public_key(&c, &config, NULL, pair, c2_public), BAD);
    CHECK_IS(e4_provision_public_key(&c, &config, id, NULL, c2_public), BAD);
    CHECK_IS(e4_provision_public_key(&c, &config, id, pair, NULL), BAD);
    CHECK_IS(e4_provision_symmetric_password(NULL, &config, T, 1, PASSWORD, 16), BAD);
    CHECK_IS(e4_provision_symmetric_password(&c, NULL, T, 1, PASSWORD, 16), BAD);
    CHECK_IS(e4_provision_symmetric_password(&c, &config, NULL, 1, PASSWORD, 16), BAD);
    CHECK_IS(e4_provision_symmetric_password(&c, &config, T, 0, PASSWORD, 16),
             E4_ERROR_INVALID_NAME);
    CHECK_IS(e4_provision_symmetric_password(&c, &config, T, 1, NULL, 16), BAD);
    CHECK_IS(e4_provision_symmetric_password(&c, &config, T, 1, PASSWORD, 15),
             E4_ERROR_INVALID_PASSWORD);
    CHECK_IS(e4_provision_public_key_password(NULL, &config, T, 1, PASSWORD, 16, c2_public), BAD);
    CHECK_IS(e4_provision_public_key_password(&c, NULL, T, 1, PASSWORD, 16, c2_public), BAD);
    CHECK_IS(e4_provision_public_key_password(&c, &config, NULL, 1, PASSWORD, 16, c2_public), BAD);
    CHECK_IS(e4_provision_public_key_password(&c, &config, T, 1, NULL, 16, c2_public), BAD);
    CHECK_IS(e4_provision_public_key_password(&c, &config, T, 1, PASSWORD, 16, NULL), BAD);

    config.storage.read = NULL;
    CHECK_IS(e4_open(&c, &config), BAD);
    config = other.config;
    config.storage.write = NULL;
    CHECK_IS(e4_open(&c, &config), BAD);
    config = other.config;
    config.storage.erase = NULL;
    CHECK_IS(e4_open(&c, &config), BAD);
    config = other.config;
    config.keys = NULL;
    CHECK_IS(e4_open(&c, &config), BAD);
    config.keys = other.keys;
    config.keys_count = SIZE_MAX / 4;
    CHECK_IS(e4_open(&c, &config), BAD);
    config = other.config;
    config.seen_count = 1;
    CHECK_IS(e4_open(&c, &config), BAD);
    config.seen = (e4_seen_place *)(void *)config.keys;
    CHECK_IS(e4_open(&c, &config), BAD);
    config = other.config;
    config.keys = (e4_key_place *)(void *)&c;
    config.keys_count = 1;
    CHECK_IS(e4_open(&c, &config), BAD);
    config = other.config;
    config.settings.accept_unknown_signers = 7;
    CHECK_IS(e4_open(&c, &config), BAD);
    CHECK_IS(e4_open(&c, &other.config), E4_ERROR_NOT_PROVISIONED);
    CHECK(is_zero(&c, sizeof c));

    /* Keys that are refused. */
    memset(out, 0, sizeof out);
    CHECK_IS(e4_provision_symmetric(&c, &other.config, id, out), E4_ERROR_INVALID_KEY);
    CHECK_IS(e4_provision_public_key(&c, &other.config, id, out, c2_public), E4_ERROR_INVALID_KEY);
    CHECK_IS(e4_provision_public_key(&c, &other.config, id, pair, out), E4_ERROR_INVALID_KEY);
    memcpy(out, pair, sizeof pair);
    out[40] ^= 1;
    CHECK_IS(e4_provision_public_key(&c, &other.config, id, out, c2_public), E4_ERROR_INVALID_KEY);
    CHECK(is_zero(other.bytes, sizeof other.bytes));

    CHECK_IS(e4_memory_storage(NULL, out, sizeof out, &storage), BAD);
    CHECK_IS(e4_memory_storage(&other.memory, NULL, sizeof out, &storage), BAD);
    CHECK_IS(e4_memory_storage(&other.memory, out, sizeof out, NULL), BAD);
    CHECK_IS(e4_memory_storage(&other.memory, NULL, 0, &storage), E4_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(e4_memory_storage(&other.memory, out, sizeof out, &storage), E4_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(e4_file_open(NULL, 1, &file), BAD);
    CHECK_IS(e4_file_open("", 0, &file), BAD);
    CHECK_IS(e4_file_open("\xff", 1, &file), BAD);
    CHECK_IS(e4_file_open("x", 1, NULL), BAD);
    CHECK_IS(e4_file_open("/does/not/exist/x", 17, &file), E4_ERROR_STORAGE);
    CHECK(file == NULL);
    CHECK_IS(e4_file_storage(NULL, &storage), BAD);
    e4_file_close(NULL);
}

static void names_and_keys(void)
{
    char topic[E4_ANSWER_TOPIC_LEN + 1];
    static char long_text[E4_TOPIC_MAX + 1];
    e4_answer_info info;
    uint8_t answer[E4_ANSWER_LEN];

    memset(long_text, 'a', sizeof long_text);
    CHECK_IS(e4_id_from_name(NULL, 1, out), BAD);
    CHECK_IS(e4_id_from_name(NULL, 0, out), E4_ERROR_INVALID_NAME);
    CHECK_IS(e4_id_from_name(T, 1, NULL), BAD);
    CHECK_IS(e4_id_from_name("\xff", 1, out), E4_ERROR_INVALID_NAME);
    CHECK_IS(e4_id_from_name(long_text, E4_NAME_MAX, out), E4_OK);
    CHECK_IS(e4_id_from_name(long_text, E4_NAME_MAX + 1, out), E4_ERROR_INVALID_NAME);
    CHECK(is_zero(out, E4_ID_LEN));
    CHECK_IS(e4_topic_hash(NULL, 1, out), BAD);
    CHECK_IS(e4_topic_hash(T, 1, NULL), BAD);
    CHECK_IS(e4_topic_hash(T, 0, out), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_topic_hash(long_text, E4_TOPIC_MAX, out), E4_OK);
    CHECK_IS(e4_topic_hash(long_text, E4_TOPIC_MAX + 1, out), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_check_topic(NULL, 1), BAD);
    CHECK_IS(e4_check_topic("a/b", 3), E4_OK);
    CHECK_IS(e4_check_topic("a/+", 3), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_check_topic("a/\0", 3), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_check_topic("e4/x", 4), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_random_id(NULL), BAD);
    CHECK_IS(e4_control_topic_of(NULL, topic), BAD);
    CHECK_IS(e4_control_topic_of(id, NULL), BAD);
    CHECK_IS(e4_answer_topic_of(NULL, topic), BAD);
    CHECK_IS(e4_answer_topic_of(id, NULL), BAD);
    CHECK_IS(e4_id_from_answer_topic(NULL, 3, out), BAD);
    CHECK_IS(e4_id_from_answer_topic(T, 1, NULL), BAD);
    CHECK_IS(e4_wipe(NULL, 1), BAD);
    CHECK_IS(e4_wipe(NULL, 0), E4_OK);
    memset(out, 0x55, sizeof out);
    CHECK_IS(e4_wipe(out, 3), E4_OK);
    CHECK(is_zero(out, 3) && out[3] == 0x55);
    CHECK_IS(e4_random_key(NULL), BAD);
    CHECK_IS(e4_key_from_password(NULL, 16, out), BAD);
    CHECK_IS(e4_key_from_password(PASSWORD, 16, NULL), BAD);
    CHECK_IS(e4_key_from_password(PASSWORD, 15, out), E4_ERROR_INVALID_PASSWORD);
    CHECK(is_zero(out, E4_KEY_LEN));
    CHECK_IS(e4_random_private_key(NULL), BAD);
    CHECK_IS(e4_private_key_from_password(NULL, 16, out), BAD);
    CHECK_IS(e4_private_key_from_password(PASSWORD, 16, NULL), BAD);
    CHECK_IS(e4_private_key_from_password(PASSWORD, 15, out), E4_ERROR_INVALID_PASSWORD);
    CHECK_IS(e4_private_key_from_seed(NULL, out), BAD);
    CHECK_IS(e4_private_key_from_seed(key, NULL), BAD);
    CHECK_IS(e4_private_key_from_seed((const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", out),
             E4_ERROR_INVALID_KEY);
    CHECK_IS(e4_public_key_of(NULL, out), BAD);
    CHECK_IS(e4_public_key_of(pair, NULL), BAD);
    CHECK_IS(e4_c2_public_key_of(NULL, out), BAD);
    CHECK_IS(e4_c2_public_key_of(c2, NULL), BAD);
    CHECK_IS(e4_shared_key(NULL, public_key_, out), BAD);
    CHECK_IS(e4_shared_key(c2, NULL, out), BAD);
    CHECK_IS(e4_shared_key(c2, public_key_, NULL), BAD);
    CHECK_IS(e4_check_c2_public_key(NULL), BAD);
    memset(out, 0, sizeof out);
    CHECK_IS(e4_check_c2_public_key(out), E4_ERROR_INVALID_KEY);
    CHECK_IS(e4_shared_key(c2, out, answer), E4_ERROR_INVALID_KEY);

    CHECK_IS(e4_hello(&device.client, NOW, answer), E4_OK);
    CHECK_IS(e4_open_answer(NULL, answer, sizeof answer, &info), BAD);
    CHECK_IS(e4_open_answer(key, NULL, sizeof answer, &info), BAD);
    CHECK_IS(e4_open_answer(key, answer, sizeof answer, NULL), BAD);
    CHECK_IS(e4_open_answer(key, answer, E4_SK_OVERHEAD - 1, &info), E4_ERROR_MESSAGE_TOO_SHORT);
    CHECK_IS(e4_open_answer(key, answer, sizeof answer - 1, &info), E4_ERROR_INVALID_TAG);
    CHECK_IS(e4_open_answer(c2, answer, sizeof answer, &info), E4_ERROR_INVALID_TAG);
    CHECK(is_zero(&info, sizeof info));
}

/* One test for each command: NULL for each pointer, no clock, a short buffer. */
#define COMMAND(name, plain, ...)                                                                 \
    do {                                                                                          \
        FAILS(e4_command_##name(NULL, NOW, __VA_ARGS__ out, sizeof out, &out_len), BAD);          \
        FAILS(e4_command_##name(key, E4_NO_CLOCK, __VA_ARGS__ out, sizeof out, &out_len), BAD);   \
        FAILS(e4_command_##name(key, NOW, __VA_ARGS__ NULL, sizeof out, &out_len), BAD);          \
        FAILS(e4_command_##name(key, NOW, __VA_ARGS__ out, (plain) + E4_SK_OVERHEAD - 1, &out_len), \
              E4_ERROR_BUFFER_TOO_SMALL);                                                         \
        CHECK_IS(e4_command_##name(key, NOW, __VA_ARGS__ out, sizeof out, NULL), BAD);            \
        CHECK_IS(e4_command_##name(key, NOW, __VA_ARGS__ out, (plain) + E4_SK_OVERHEAD, &out_len), \
                 E4_OK);                                                                          \
        CHECK(out_len == (plain) + E4_SK_OVERHEAD);                                               \
        memset(out, 0x55, sizeof out);                                                            \
        out_len = 99;                                                                             \
    } while (0)

#define ONE(x) x,
#define TWO(x, y) x, y,

static void commands(void)
{
    static const uint8_t zero[E4_PRIVATE_KEY_LEN];

    memset(out, 0x55, sizeof out);
    out_len = 99;
    COMMAND(remove_topic, 17, ONE(id));
    COMMAND(set_id_key, 33, ONE(key));
    COMMAND(set_private_key, 65, ONE(pair));
    COMMAND(set_topic_key, 49, TWO(id, key));
    COMMAND(remove_pub_key, 17, ONE(id));
    COMMAND(set_pub_key, 49, TWO(id, public_key_));
    COMMAND(set_c2_key, 33, ONE(c2_public));
    FAILS(e4_command_reset_topics(NULL, NOW, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_reset_topics(key, E4_NO_CLOCK, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_reset_topics(key, NOW, NULL, sizeof out, &out_len), BAD);
    FAILS(e4_command_reset_topics(key, NOW, out, E4_SK_OVERHEAD, &out_len),
          E4_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(e4_command_reset_topics(key, NOW, out, sizeof out, NULL), BAD);
    FAILS(e4_command_reset_pub_keys(NULL, NOW, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_reset_pub_keys(key, E4_NO_CLOCK, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_reset_pub_keys(key, NOW, NULL, sizeof out, &out_len), BAD);
    FAILS(e4_command_reset_pub_keys(key, NOW, out, E4_SK_OVERHEAD, &out_len),
          E4_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(e4_command_reset_pub_keys(key, NOW, out, sizeof out, NULL), BAD);

    FAILS(e4_command_remove_topic(key, NOW, NULL, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_id_key(key, NOW, NULL, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_id_key(key, NOW, zero, out, sizeof out, &out_len), E4_ERROR_INVALID_KEY);
    FAILS(e4_command_set_private_key(key, NOW, NULL, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_private_key(key, NOW, zero, out, sizeof out, &out_len),
          E4_ERROR_INVALID_KEY);
    FAILS(e4_command_set_topic_key(key, NOW, NULL, key, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_topic_key(key, NOW, id, NULL, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_topic_key(key, NOW, id, zero, out, sizeof out, &out_len),
          E4_ERROR_INVALID_KEY);
    FAILS(e4_command_remove_pub_key(key, NOW, NULL, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_pub_key(key, NOW, NULL, public_key_, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_pub_key(key, NOW, id, NULL, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_pub_key(key, NOW, id, zero, out, sizeof out, &out_len),
          E4_ERROR_INVALID_KEY);
    FAILS(e4_command_set_c2_key(key, NOW, NULL, out, sizeof out, &out_len), BAD);
    FAILS(e4_command_set_c2_key(key, NOW, zero, out, sizeof out, &out_len), E4_ERROR_INVALID_KEY);
    FAILS(e4_command_reset_topics(zero, NOW, out, sizeof out, &out_len), E4_ERROR_INVALID_KEY);
}

int main(void)
{
    e4_client never = E4_CLIENT_INIT, copy;

    fill(key, sizeof key, 1);
    fill(c2, sizeof c2, 2);
    fill(id, sizeof id, 3);
    device_init(&device);
    device_init(&other);
    CHECK_IS(e4_private_key_from_seed(key, pair), E4_OK);
    CHECK_IS(e4_public_key_of(pair, public_key_), E4_OK);
    CHECK_IS(e4_c2_public_key_of(c2, c2_public), E4_OK);
    not_open(NULL);
    not_open(&never);
    CHECK_IS(e4_provision_symmetric(&device.client, &device.config, id, key), E4_OK);
    out_len = 99;
    memset(out, 0x55, sizeof out);
    FAILS(e4_protect(&device.client, NOW, T, 1, key, 5, out, sizeof out, &out_len),
          E4_ERROR_TOPIC_KEY_MISSING);
    CHECK_IS(e4_hello(&device.client, E4_NO_CLOCK, out), E4_ERROR_CLOCK_UNKNOWN);
    CHECK(is_zero(out, E4_ANSWER_LEN));
    CHECK_IS(give_topic(&device.client, key, NOW, T, key), E4_OK_COMMAND);
    CHECK_IS(e4_protect(&device.client, NOW, T, 1, key, 5, sealed, sizeof sealed, &sealed_len),
             E4_OK);
    memcpy(&copy, &device.client, sizeof copy);
    not_open(&copy);
    null_and_length_of_client_functions();
    overlaps();
    opening();
    names_and_keys();
    commands();
    CHECK_IS(e4_has_topic(&device.client, T, 1), E4_OK);
    CHECK_IS(e4_close(&device.client), E4_OK);
    not_open(&device.client);
    return check_end();
}
