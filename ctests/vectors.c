/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Answers of the two implementations in the field. `cargo xtask ctests` turns their JSON into lines
 * of words, bytes in hexadecimal and "-" for none:
 *
 *   id NAME ID                                         "!" for a value that is refused
 *   topic TOPIC HASH
 *   password PASSWORD KEY
 *   pair PASSWORD PRIVATE
 *   sk TOPIC KEY MESSAGE PROTECTED TIME RESULT
 *   pk TOPIC KEY MESSAGE PROTECTED TIME RESULT ID PRIVATE PUBLIC
 *   client sk ID KEY | client pk ID PRIVATE C2PRIVATE  a client, on which the next lines work
 *   give HASH KEY | peer ID PUBLIC                     a key that it holds
 *   command PROTECTED TIME                             it arrives and is applied
 *   then sk ID KEY | then pk ID PRIVATE C2PRIVATE      what the client must be afterwards,
 *   end                                                with the keys that give and peer name
 */
#include "check.h"

#define FIELDS 12
#define FIELD_MAX 70000

static uint8_t field[FIELDS][FIELD_MAX];
static size_t length[FIELDS];
static int refused[FIELDS];
static uint64_t number[FIELDS];
static char line[4 * FIELD_MAX + 64];

static void parse(char *text)
{
    int at = 0;
    char *word;
    for (word = strtok(text, " \n"); word && at < FIELDS; word = strtok(NULL, " \n"), at++) {
        size_t i;
        length[at] = 0;
        refused[at] = strcmp(word, "!") == 0;
        number[at] = 0;
        if (word[0] == '=') {
            number[at] = (uint64_t)strtoll(word + 1, NULL, 10);
            continue;
        }
        if (refused[at] || strcmp(word, "-") == 0)
            continue;
        for (i = 0; word[2 * i] && word[2 * i + 1] && i < FIELD_MAX; i++) {
            char pair[3];
            pair[0] = word[2 * i], pair[1] = word[2 * i + 1], pair[2] = 0;
            field[at][i] = (uint8_t)strtoul(pair, NULL, 16);
        }
        length[at] = i;
    }
}

#define TEXT(at) (const char *)field[at], length[at]

static void value(int32_t result, const uint8_t *is)
{
    if (refused[2]) {
        CHECK(result < 0);
    } else {
        CHECK_IS(result, E4_OK);
        CHECK(memcmp(is, field[2], length[2]) == 0);
    }
}

/* A client and the key under which C2 commands it. */
struct subject {
    struct device device;
    uint8_t command_key[E4_KEY_LEN];
};

static void provision(struct subject *subject, int is_pk, const uint8_t *id, const uint8_t *key,
                      const uint8_t *c2_private)
{
    uint8_t c2_public[E4_KEY_LEN];
    device_init(&subject->device);
    if (is_pk) {
        CHECK_IS(e4_c2_public_key_of(c2_private, c2_public), E4_OK);
        CHECK_IS(e4_shared_key(c2_private, key + 32, subject->command_key), E4_OK);
        CHECK_IS(e4_provision_public_key(&subject->device.client, &subject->device.config, id, key,
                                         c2_public), E4_OK);
    } else {
        memcpy(subject->command_key, key, E4_KEY_LEN);
        CHECK_IS(e4_provision_symmetric(&subject->device.client, &subject->device.config, id, key),
                 E4_OK);
    }
}

static void give(struct subject *subject, int peer, const uint8_t *name, const uint8_t *key)
{
    uint8_t command[E4_COMMAND_MAX];
    size_t len;
    if (peer)
        CHECK_IS(e4_command_set_pub_key(subject->command_key, 1, name, key, command,
                                        sizeof command, &len), E4_OK);
    else
        CHECK_IS(e4_command_set_topic_key(subject->command_key, 1, name, key, command,
                                          sizeof command, &len), E4_OK);
    CHECK_IS(command_in(&subject->device.client, 1, command, len), E4_OK_COMMAND);
}

static void message(int is_pk)
{
    static struct subject subject;
    static uint8_t out[FIELD_MAX], again[FIELD_MAX];
    static const uint8_t c2_private[E4_KEY_LEN] = { 1, 2, 3 };
    uint8_t hash[E4_TOPIC_HASH_LEN];
    size_t len;
    int32_t expected = (int32_t)(int64_t)number[6];

    CHECK_IS(e4_topic_hash(TEXT(1), hash), E4_OK);
    provision(&subject, is_pk, is_pk ? field[7] : hash, is_pk ? field[8] : field[2], c2_private);
    give(&subject, 0, hash, field[2]);
    if (is_pk)
        give(&subject, 1, field[7], field[9]);
    CHECK_IS(e4_unprotect(&subject.device.client, number[5], TEXT(1), field[4], length[4], out,
                          sizeof out, &len, NULL), expected);
    if (expected == E4_OK) {
        CHECK(len == length[3] && memcmp(out, field[3], len) == 0);
        CHECK_IS(e4_protect(&subject.device.client, number[5], TEXT(1), field[3], length[3], again,
                            sizeof again, &len), E4_OK);
        CHECK(len == length[4] && memcmp(again, field[4], len) == 0);
    } else {
        CHECK(len == 0 && is_zero(out, length[3]));
    }
    CHECK_IS(e4_close(&subject.device.client), E4_OK);
}

int main(int argc, char **argv)
{
    static struct subject was, is;
    struct subject *subject = &was;
    uint64_t time = 0;
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;

    if (!file) {
        fprintf(stderr, "usage: vectors FILE\n");
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        char kind[16];
        uint8_t out[E4_PRIVATE_KEY_LEN];
        int is_pk = strstr(line, " pk ") != NULL;
        if (sscanf(line, "%15s", kind) != 1)
            continue;
        parse(line);
        if (strcmp(kind, "id") == 0) {
            value(e4_id_from_name(TEXT(1), out), out);
        } else if (strcmp(kind, "topic") == 0) {
            value(e4_topic_hash(TEXT(1), out), out);
        } else if (strcmp(kind, "password") == 0) {
            value(e4_key_from_password(TEXT(1), out), out);
        } else if (strcmp(kind, "pair") == 0) {
            value(e4_private_key_from_password(TEXT(1), out), out);
        } else if (strcmp(kind, "sk") == 0 || strcmp(kind, "pk") == 0) {
            message(kind[0] == 'p');
        } else if (strcmp(kind, "client") == 0) {
            subject = &was;
            provision(subject, is_pk, field[2], field[3], field[4]);
        } else if (strcmp(kind, "then") == 0) {
            subject = &is;
            provision(subject, is_pk, field[2], field[3], field[4]);
        } else if (strcmp(kind, "give") == 0 || strcmp(kind, "peer") == 0) {
            give(subject, kind[0] == 'p', field[1], field[2]);
        } else if (strcmp(kind, "command") == 0) {
            time = number[2];
            CHECK_IS(command_in(&was.device.client, time, field[1], length[1]), E4_OK_COMMAND);
        } else if (strcmp(kind, "end") == 0) {
            uint8_t one[E4_ANSWER_LEN], two[E4_ANSWER_LEN];
            /* Key, topic keys and public keys in one comparison. */
            CHECK_IS(e4_hello(&was.device.client, time, one), E4_OK);
            CHECK_IS(e4_hello(&is.device.client, time, two), E4_OK);
            CHECK(memcmp(one, two, sizeof one) == 0);
            CHECK(e4_topic_count(&was.device.client) == e4_topic_count(&is.device.client));
            CHECK_IS(e4_close(&was.device.client), E4_OK);
            CHECK_IS(e4_close(&is.device.client), E4_OK);
        } else {
            CHECK(!"a kind of line that is known");
        }
    }
    fclose(file);
    return check_end();
}
