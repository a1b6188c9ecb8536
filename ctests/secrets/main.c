/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Does a secret decide a branch or an address? Under valgrind, all secrets are marked as undefined
 * bytes; memcheck then reports every branch and every address that depends on one, as it does for
 * bytes that were never written. The library is built with --cfg e4_reveal, so that it tells which
 * values become public: the verdict on a tag, for instance.
 *
 * Two functions that leak on purpose prove that the check can fail. */
#include <e4.h>

#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

void e4_reveal(uint8_t *bytes, size_t len);
void e4_reveal(uint8_t *bytes, size_t len)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(bytes, len);
}

static int failed, checks;
static unsigned errors_before;

static void check(int right, const char *what)
{
    checks++;
    if (!right) {
        failed = 1;
        printf("FAILED: %s\n", what);
    }
}

static void begin(void)
{
    errors_before = VALGRIND_COUNT_ERRORS;
}

/* Whether what ran since begin() leaked is as expected. */
static void end(const char *what, int leaks)
{
    unsigned errors = VALGRIND_COUNT_ERRORS - errors_before;
    printf("%-28s %u reports\n", what, errors);
    check((errors > 0) == leaks, what);
}

static void secret(void *bytes, size_t len)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(bytes, len);
}

static void publish(void *bytes, size_t len)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(bytes, len);
}

/* ---- Leaks on purpose. ---- */

static volatile int sink;

static void leak_by_branch(const uint8_t *key)
{
    if (key[0] & 1)
        sink++;
}

static void leak_by_address(const uint8_t *key)
{
    static const volatile uint8_t table[256] = { 1, 2, 3 };
    sink = table[key[0]];
}

/* ---- A device. ---- */

static e4_client client;
static e4_key_place keys[4];
static uint8_t records[E4_MEMORY_SIZE(4)];
static e4_memory memory;
static e4_config config = { .keys = keys, .keys_count = 4, .settings = E4_SETTINGS_DEFAULT };
static const uint64_t now = 1700000000;
static uint8_t command[E4_COMMAND_MAX], message[64], sealed[64 + E4_PK_OVERHEAD], opened[256];
static size_t command_len, sealed_len, len;

static void start(void)
{
    memset(records, 0, sizeof records);
    memset(message, 'm', sizeof message);
    check(e4_memory_storage(&memory, records, sizeof records, &config.storage) == E4_OK, "storage");
}

static int32_t take(void)
{
    char topic[E4_CONTROL_TOPIC_LEN + 1];
    if (e4_control_topic(&client, topic) != E4_OK)
        return E4_ERROR_INTERNAL;
    return e4_unprotect(&client, now, topic, E4_CONTROL_TOPIC_LEN, command, command_len, opened,
                        sizeof opened, &len, NULL);
}

/* What a device does with keys that are secret from here on; command_key is C2's copy. */
static void work(const char *mode, const uint8_t *command_key, const uint8_t *id,
                 const uint8_t *public_key)
{
    static const uint8_t first[E4_KEY_LEN] = { 11 }, second[E4_KEY_LEN] = { 12 };
    uint8_t hash[E4_TOPIC_HASH_LEN], answer[E4_ANSWER_LEN];
    int number;

    printf("%s\n", mode);
    check(e4_topic_hash("topic", 5, hash) == E4_OK, "hash");
    for (number = 0; number < 3; number++) {
        check(e4_command_set_topic_key(command_key, now, hash, number == 0 ? first : second,
                                       command, sizeof command, &command_len) == E4_OK, "command");
        /* The same key twice is another moment, so that it is no repetition. */
        if (number == 2)
            check(e4_command_set_topic_key(command_key, now + 1, hash, second, command,
                                           sizeof command, &command_len) == E4_OK, "command");
        begin();
        check(take() == E4_OK_COMMAND, "SetTopicKey");
        end("  SetTopicKey", 0);
        begin();
        check(e4_answer(&client, now, answer) == E4_OK, "answer");
        end("  answer", 0);
    }
    if (public_key != NULL) {
#ifdef PUBLIC_KEY
        check(e4_command_set_pub_key(command_key, now + 1, id, public_key, command, sizeof command,
                                     &command_len) == E4_OK, "command");
        begin();
        check(take() == E4_OK_COMMAND, "SetPubKey");
        end("  SetPubKey", 0);
#endif
    }
    secret(message, sizeof message);
    begin();
    check(e4_protect(&client, now, "topic", 5, message, sizeof message, sealed, sizeof sealed,
                     &sealed_len) == E4_OK, "protect");
    end("  protect", 0);
    publish(sealed, sizeof sealed);
    begin();
    check(e4_unprotect(&client, now, "topic", 5, sealed, sealed_len, opened, sizeof opened, &len,
                       NULL) == E4_OK && len == sizeof message, "unprotect");
    end("  unprotect", 0);
    publish(opened, len);
    publish(message, sizeof message);
    check(memcmp(opened, message, len) == 0, "the message is the same");
    check(e4_command_remove_topic(command_key, now + 1, hash, command, sizeof command,
                                  &command_len) == E4_OK, "command");
    begin();
    check(take() == E4_OK_COMMAND, "RemoveTopic");
    end("  RemoveTopic", 0);
}

int main(void)
{
    static const uint8_t id[E4_ID_LEN] = { 1 };
    uint8_t id_key[E4_KEY_LEN] = { 7 }, copy[E4_KEY_LEN];

    check(RUNNING_ON_VALGRIND != 0, "this runs under valgrind");

    memcpy(copy, id_key, sizeof copy);
    secret(copy, sizeof copy);
    begin();
    leak_by_branch(copy);
    end("a branch on a key", 1);
    begin();
    leak_by_address(copy);
    end("a table looked up by a key", 1);

    start();
    begin();
    check(e4_provision_symmetric(&client, &config, id, copy) == E4_OK, "provision");
    end("provision", 0);
    work("symmetric", id_key, id, NULL);
    check(e4_close(&client) == E4_OK, "close");

#ifdef PUBLIC_KEY
    {
        static const uint8_t seed[E4_KEY_LEN] = { 3 }, c2_private[E4_KEY_LEN] = { 4 };
        uint8_t private_key[E4_PRIVATE_KEY_LEN], c2_public[E4_KEY_LEN], shared[E4_KEY_LEN];
        static uint8_t copy_of[sizeof client];
        size_t at, found = 0;

        check(e4_private_key_from_seed(seed, private_key) == E4_OK, "seed");
        check(e4_c2_public_key_of(c2_private, c2_public) == E4_OK, "C2");
        check(e4_shared_key(c2_private, private_key + 32, shared) == E4_OK, "shared");
        start();
        secret(private_key, 32);
        begin();
        check(e4_provision_public_key(&client, &config, id, private_key, c2_public) == E4_OK,
              "provision");
        end("provision", 0);
        publish(private_key, 32);
        /* They are where they are looked for. */
        memcpy(copy_of, &client, sizeof client);
        publish(copy_of, sizeof copy_of);
        for (at = 0; at + 32 <= sizeof client; at++) {
            if (memcmp(copy_of + at, seed, 32) == 0 || memcmp(copy_of + at, shared, 32) == 0) {
                secret((uint8_t *)&client + at, 32);
                found++;
            }
        }
        check(found == 2, "the seed and the shared key are in the client");
        work("public key", shared, id, private_key + 32);
        check(e4_close(&client) == E4_OK, "close");
    }
#endif
    printf("%d passed, %d failed\n", checks, failed);
    return failed;
}
