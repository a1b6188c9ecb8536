/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* E4 on a microcontroller: known answers, a provisioning, commands, round trips, refused tampering,
 * and the power cut at every step of every write. It ends with PASS, and tells what the calls cost.
 *
 * `cargo xtask firmware` builds it for several processors and runs it in emulators; the tests run it
 * on the host under sanitizers as well. With -DPUBLIC_KEY it uses public-key mode, too. */
#include <e4.h>

#include "flash.h"
#include "journal.h"
#include "platform.h"

#include <string.h>

/* ---- What the client works with: the memory that E4 needs, all of it. ---- */

#define KEYS 4
static e4_client client;
static e4_key_place keys[KEYS];
static const e4_config config = {
    .storage = JOURNAL_STORAGE,
    .keys = keys,
    .keys_count = KEYS,
    .settings = E4_SETTINGS_DEFAULT,
};

static uint8_t message[64], sealed[64 + E4_PK_OVERHEAD], opened[sizeof sealed];
static size_t len;

/* ---- Text, and the end of the test where something is wrong. ---- */

static int failed;

static char *put_number(char *at, uint32_t number)
{
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_text(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

static void check_at(int right, uint32_t line)
{
    char text[32], *at;
    if (right)
        return;
    failed = 1;
    at = put_text(text, "main.c:");
    at = put_number(at, line);
    at = put_text(at, ": wrong");
    *at = 0;
    platform_print(text);
}
#define CHECK(right) check_at((right), __LINE__)

/* ---- What a call costs. ---- */

static uint32_t started;

static void begin(void)
{
    platform_paint_stack();
    started = platform_instructions();
}

static void end(const char *what)
{
    uint32_t instructions = platform_instructions() - started, stack = platform_stack();
    char text[80], *at;
    at = put_text(text, "measured ");
    at = put_text(at, what);
    at = put_text(at, " stack=");
    at = put_number(at, stack);
    at = put_text(at, " instructions=");
    at = put_number(at, instructions);
    *at = 0;
    platform_print(text);
}

/* ---- Known answers: recorded from e4go and libe4 (vectors/peers). ---- */

static const uint8_t *bytes_of(const char *hex)
{
    static uint8_t bytes[4][192];
    static int number;
    uint8_t *to = bytes[number++ & 3], *at = to;
    for (; *hex; hex += 2) {
        int i, value = 0;
        for (i = 0; i < 2; i++)
            value = value * 16 + (hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
        *at++ = (uint8_t)value;
    }
    return to;
}

static const char sk_topic[] = "hayiP0/MpFs1Q";
static const char sk_topic_key[] =
    "e2c4dc9562c19fdc0f6e98bf8d1ef8c31c9cdaf545cbf339d3af438149568026";
static const char sk_payload[] =
    "76521210c45a542145fab71843cb9ebf742b223af5ef9476523a5291d65fecb4"
    "678584ef068f586373298e68e567a44429d7d47c80580d270cc107e13f648dda";
static const char sk_protected[] =
    "cc52036b000000005e4cf8afe4814127ac65d3574856c1195551e3da906d6649cbc43da1423ff660"
    "e3b5e4f811bcc13371633a27ca0f37da71ffe6318e9c1cbe06c6bec14c0ab507e4b29b040c227d8f"
    "57e1697d4e143ddc";
static const char sk_id[] = "dc3947f0a3f5da1ea4aa3b88d9b5a0c6";
static const char sk_id_key[] =
    "065982eb714bb3209d517fa80bbd335e27a1d66c48d085073fb73abbcb28e0f3";
static const char sk_control_topic[] = "e4/dc3947f0a3f5da1ea4aa3b88d9b5a0c6";
/* SetTopicKey. */
static const char sk_command[] =
    "cd52036b000000006ce8deed792626d69919bf0bdeceebe2ae74808245ad7d8c8da17a0a648ea9ca"
    "e270ead21bf0d17f8d0584119c4464876338a927ac2cf5cda816dc09631105d6f9";

static const uint64_t message_time = 1795379916, command_time = 1795379917;

/* ---- C2's side: in the real world a server. ---- */

static uint8_t command_key[E4_KEY_LEN], command[E4_COMMAND_MAX];
static size_t command_len;

static int32_t c2_gives_key(const char *topic, const uint8_t *key, uint64_t now)
{
    uint8_t hash[E4_TOPIC_HASH_LEN];
    int32_t result = e4_topic_hash(topic, strlen(topic), hash);
    return result != E4_OK ? result
                           : e4_command_set_topic_key(command_key, now, hash, key, command,
                                                      sizeof command, &command_len);
}

static int32_t take(uint64_t now)
{
    char topic[E4_CONTROL_TOPIC_LEN + 1];
    int32_t result = e4_control_topic(&client, topic);
    return result != E4_OK ? result
                           : e4_unprotect(&client, now, topic, E4_CONTROL_TOPIC_LEN, command,
                                          command_len, opened, sizeof opened, &len, NULL);
}

/* ---- What a device does. ---- */

/* A message under the key of `topic` in both directions, and altered in every byte. */
static void messages(const char *topic, const char *known, size_t overhead)
{
    const uint64_t now = message_time;
    size_t topic_len = strlen(topic), protected_len, i;
    int32_t result;

    begin();
    result = e4_protect(&client, now, topic, topic_len, message, sizeof message, sealed,
                        sizeof sealed, &protected_len);
    end("protect");
    CHECK(result == E4_OK && protected_len == sizeof message + overhead);
    CHECK(memcmp(sealed, bytes_of(known), protected_len) == 0);

    begin();
    result = e4_unprotect(&client, now, topic, topic_len, sealed, protected_len, opened,
                          sizeof opened, &len, NULL);
    end("unprotect");
    CHECK(result == E4_OK && len == sizeof message && memcmp(opened, message, len) == 0);

    for (i = 0; i < protected_len; i += overhead == E4_SK_OVERHEAD ? 1 : 33) {
        sealed[i] ^= 0x10;
        result = e4_unprotect(&client, now, topic, topic_len, sealed, protected_len, opened,
                              sizeof opened, &len, NULL);
        CHECK(result < 0 && len == 0);
        sealed[i] ^= 0x10;
    }
    for (i = 0; i < protected_len; i += 29) {
        result = e4_unprotect(&client, now, topic, topic_len, sealed, i, opened, sizeof opened,
                              &len, NULL);
        CHECK(result < 0 && len == 0);
    }
    result = e4_unprotect(&client, now + 601, topic, topic_len, sealed, protected_len, opened,
                          sizeof opened, &len, NULL);
    CHECK(result == E4_ERROR_TIMESTAMP_TOO_OLD);
    result = e4_unprotect(&client, now, "another/topic", 13, sealed, protected_len, opened,
                          sizeof opened, &len, NULL);
    CHECK(result == E4_ERROR_TOPIC_KEY_MISSING);
    result = e4_protect(&client, now, topic, topic_len, message, sizeof message, sealed,
                        protected_len - 1, &len);
    CHECK(result == E4_ERROR_BUFFER_TOO_SMALL && len == 0);
}

/* The command in `command` is applied once, answered, and refused when it is repeated or altered. */
static void command_once(void)
{
    uint8_t answer[E4_ANSWER_LEN];
    int32_t result;

    command[command_len - 1] ^= 1;
    CHECK(take(command_time) == E4_ERROR_INVALID_TAG);
    command[command_len - 1] ^= 1;
    begin();
    result = take(command_time);
    end("command");
    CHECK(result == E4_OK_COMMAND && len == 0);
    begin();
    result = e4_answer(&client, command_time, answer);
    end("answer");
    CHECK(result == E4_OK);
    CHECK(e4_answer(&client, command_time, answer) == E4_OK_NONE);
    CHECK(take(command_time) == E4_ERROR_REPLAYED);
}

static void symmetric(void)
{
    char topic[E4_CONTROL_TOPIC_LEN + 1];
    int32_t result;

    memcpy(command_key, bytes_of(sk_id_key), E4_KEY_LEN);
    begin();
    result = e4_provision_symmetric(&client, &config, bytes_of(sk_id), bytes_of(sk_id_key));
    end("provision");
    CHECK(result == E4_OK);
    CHECK(e4_control_topic(&client, topic) == E4_OK && strcmp(topic, sk_control_topic) == 0);

    command_len = (sizeof sk_command - 1) / 2;
    memcpy(command, bytes_of(sk_command), command_len);
    command_once();
    CHECK(c2_gives_key(sk_topic, bytes_of(sk_topic_key), command_time) == E4_OK);
    CHECK(take(command_time) == E4_OK_COMMAND);

    memcpy(message, bytes_of(sk_payload), sizeof message);
    messages(sk_topic, sk_protected, E4_SK_OVERHEAD);

    /* The device starts again. */
    CHECK(e4_close(&client) == E4_OK);
    CHECK(journal_start());
    begin();
    result = e4_open(&client, &config);
    end("open");
    CHECK(result == E4_OK && e4_topic_count(&client) == 2);
    CHECK(take(command_time) == E4_ERROR_REPLAYED);
    CHECK(e4_has_topic(&client, sk_topic, sizeof sk_topic - 1) == E4_OK);
}

/* ---- The power goes. ---- */

static uint8_t saved[FLASH_PAGES][FLASH_PAGE];
static const uint8_t new_key[E4_KEY_LEN] = { 42 };
static const uint64_t later = 1795379918;

/* The commands of the test, in order; 0 behind the last. */
static int32_t c2_sends(int number)
{
    uint8_t hash[E4_TOPIC_HASH_LEN];
    switch (number) {
    case 0: return c2_gives_key("a", new_key, later);
    case 1: return c2_gives_key(sk_topic, new_key, later);
    case 2: return c2_gives_key("a", command_key, later);
    case 3:
        return e4_topic_hash(sk_topic, sizeof sk_topic - 1, hash) != E4_OK
                   ? E4_ERROR_INTERNAL
                   : e4_command_remove_topic(command_key, later, hash, command, sizeof command,
                                             &command_len);
    case 4: return e4_command_set_id_key(command_key, later, new_key, command, sizeof command,
                                         &command_len);
    case 5:
        memcpy(command_key, new_key, sizeof new_key);
        return e4_command_reset_topics(command_key, later, command, sizeof command, &command_len);
    default: return 1;
    }
}

/* The device starts, and tells what it holds: its keys, and under which key it speaks to C2. */
static int restart(uint8_t state[E4_DIGEST_LEN + E4_ANSWER_LEN])
{
    flash_power = -1;
    (void)e4_close(&client);
    return journal_start() && e4_open(&client, &config) == E4_OK &&
           e4_digest(&client, state) == E4_OK &&
           e4_hello(&client, later, state + E4_DIGEST_LEN) == E4_OK;
}

static void power_cuts(void)
{
    uint8_t old[E4_DIGEST_LEN + E4_ANSWER_LEN], new[sizeof old], now[sizeof old];
    uint32_t cuts = 0, kept_old = 0, kept_new = 0;
    char text[80], *at;
    int number;

    for (number = 0; c2_sends(number) == E4_OK; number++) {
        unsigned long operations, cut, step;
        CHECK(restart(old));
        memcpy(saved, flash, sizeof saved);
        operations = flash_operations;
        CHECK(take(later) == E4_OK_COMMAND);
        operations = flash_operations - operations;
        CHECK(restart(new) && memcmp(old, new, sizeof old) != 0);
        /* Every step around the ends, and a few in the long middle of an erasure. */
        step = operations > 64 ? 3 : 1;
        for (cut = 0; cut < operations; cut += step) {
            memcpy(flash, saved, sizeof flash);
            CHECK(restart(now) && memcmp(now, old, sizeof now) == 0);
            flash_power = (long)cut;
            (void)take(later);
            CHECK(restart(now));
            cuts++;
            if (memcmp(now, old, sizeof now) == 0)
                kept_old++;
            else if (memcmp(now, new, sizeof now) == 0)
                kept_new++;
            else
                CHECK(0);
            /* What was cut is done again. */
            if (memcmp(now, new, sizeof now) != 0) {
                CHECK(take(later) == E4_OK_COMMAND);
                CHECK(restart(now));
                CHECK(memcmp(now, new, sizeof now) == 0);
            }
        }
    }
    CHECK(number == 6 && kept_old > 0 && kept_new > 0);
    at = put_text(text, "power cuts: ");
    at = put_number(at, cuts);
    at = put_text(at, ", old state ");
    at = put_number(at, kept_old);
    at = put_text(at, ", new state ");
    at = put_number(at, kept_new);
    *at = 0;
    platform_print(text);
}

/* The flash filled and copied, again and again. */
static void wear(void)
{
    unsigned long erasures = flash_erasures;
    int round;
    for (round = 0; round < 40; round++) {
        uint8_t key[E4_KEY_LEN] = { 1 };
        key[1] = (uint8_t)round;
        CHECK(c2_gives_key("a", key, later + 1 + (uint64_t)round) == E4_OK);
        CHECK(take(later + 1 + (uint64_t)round) == E4_OK_COMMAND);
    }
    CHECK(flash_erasures > erasures);
    CHECK(e4_forget(&client) == E4_OK);
    CHECK(journal_start() && e4_open(&client, &config) == E4_ERROR_NOT_PROVISIONED);
}

/* ---- Public-key mode. ---- */

#ifdef PUBLIC_KEY
static const char pk_topic[] = "e-No";
static const char pk_topic_key[] =
    "6cb05ef31112dd80c22a3f61746e0ea43f0023bed45bef658bc080f463f70fc0";
static const char pk_payload[] =
    "4638b59104f6876efcd8474b67887e990ca11beaa2b612612e372d6b6a724252"
    "6c8d3b5a8ceff9f6aab8f21059bf37cc1ead2e466ab74032a439b6909ca547cf";
static const char pk_protected[] =
    "cc52036b00000000e5cd0e1f66821bc6cd3f2de969d935c0009463cb5d08aee4f2b5ba703edde939"
    "55981afaf14d4563f3069ec982068627636ec5dc7303030b57312759a5b1e181b10adb102f4a24fb"
    "8c5b3f687a201da0b0e6438c4214ba6e724fecfeb63e77bd25e3dce54626edf690505abc4ae9ed77"
    "de7e1fec4e9b5c52f401a890613291b9a6d9b3c440a21619fbea6307edf897ca8318224e9db73286"
    "b9632e7a42bf7006";
static const char pk_id[] = "e5cd0e1f66821bc6cd3f2de969d935c0";
static const char pk_private_key[] =
    "2ad7abc291b6aa653e2b5f4984a8b4a434876b4f01d91dc2b2bec5a38fbea430"
    "39e3dbd326b9805e9e2eeab550c8621ff560a2e37ca06fcfaee56e5b03ea8547";
static const char c2_private_key[] =
    "c5d07098cb7baadd20bedb6d8bbdc29482c160a603d57dc2a76e6fc45767d2a3";
static const char c2_public_key[] =
    "0b2b6814ffc00bb9571744db7704748d6125978c16906bf2459f00a121928167";

static void public_key(void)
{
    const uint8_t *public = bytes_of(pk_private_key) + 32;
    int32_t result;

    CHECK(e4_shared_key(bytes_of(c2_private_key), public, command_key) == E4_OK);
    begin();
    result = e4_provision_public_key(&client, &config, bytes_of(pk_id), bytes_of(pk_private_key),
                                     bytes_of(c2_public_key));
    end("provision");
    CHECK(result == E4_OK);
    CHECK(c2_gives_key(pk_topic, bytes_of(pk_topic_key), command_time) == E4_OK);
    command_once();
    /* It is to know its own public key, so that it can take its own messages. */
    CHECK(e4_command_set_pub_key(command_key, command_time, bytes_of(pk_id),
                                 bytes_of(pk_private_key) + 32, command, sizeof command,
                                 &command_len) == E4_OK);
    CHECK(take(command_time) == E4_OK_COMMAND && e4_peer_count(&client) == 1);

    memcpy(message, bytes_of(pk_payload), sizeof message);
    messages(pk_topic, pk_protected, E4_PK_OVERHEAD);

    CHECK(e4_close(&client) == E4_OK);
    begin();
    result = e4_open(&client, &config);
    end("open");
    CHECK(result == E4_OK);
    CHECK(e4_forget(&client) == E4_OK);
}
#endif

int main(void)
{
    memset(flash, 0xff, sizeof flash);
    CHECK(journal_start());
    platform_print("symmetric");
    symmetric();
    power_cuts();
    wear();
#ifdef PUBLIC_KEY
    platform_print("public key");
    public_key();
#endif
    platform_print(failed ? "FAIL" : "PASS");
    return failed;
}
