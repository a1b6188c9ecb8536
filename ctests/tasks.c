/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Ten everyday tasks. docs/tasks.md shows what stands between the marks, beside the same in other
 * languages. */
#include "check.h"

#include <time.h>

static int keys_asked_for, answers_published;
static uint8_t published[E4_ANSWER_LEN];

static void handle(const uint8_t *plaintext, size_t len)
{
    CHECK(len == 7 && memcmp(plaintext, "4.2 bar", 7) == 0);
}

static void ask_for_key(void)
{
    keys_asked_for++;
}

static void publish(const char *topic, const uint8_t *bytes, size_t len)
{
    CHECK(strlen(topic) == E4_ANSWER_TOPIC_LEN && len == sizeof published);
    memcpy(published, bytes, sizeof published);
    answers_published++;
}

int main(int argc, char **argv)
{
    static const char TOPIC[] = "plant/pressure";
    const size_t TOPIC_LEN = sizeof TOPIC - 1;
    const char *path = argc > 1 ? argv[1] : "tasks.e4state";
    const uint64_t now = (uint64_t)time(NULL);
    static struct device device;
    e4_client pump = E4_CLIENT_INIT, gauge = E4_CLIENT_INIT;
    static e4_key_place keys[4];
    uint8_t secret[E4_KEY_LEN], topic_key[E4_KEY_LEN], c2_private[E4_KEY_LEN], c2_key[E4_KEY_LEN];
    uint8_t command[E4_COMMAND_MAX], bytes[64], out[64];
    size_t command_len = 0, bytes_len, out_len;
    int32_t result;

    remove(path);
    memset(secret, 7, sizeof secret);
    CHECK_IS(e4_random_key(topic_key), E4_OK);
    CHECK_IS(e4_random_key(c2_private), E4_OK);
    CHECK_IS(e4_c2_public_key_of(c2_private, c2_key), E4_OK);

    /* task: provision */
    e4_file *file;
    e4_config config = { .keys = keys, .keys_count = 4, .settings = E4_SETTINGS_DEFAULT };
    uint8_t id[E4_ID_LEN];
    result = e4_file_open(path, strlen(path), &file);
    if (result == E4_OK) result = e4_file_storage(file, &config.storage);
    if (result == E4_OK) result = e4_id_from_name("pump-1", 6, id);
    if (result == E4_OK) result = e4_provision_symmetric(&pump, &config, id, secret);
    /* end */
    CHECK_IS(result, E4_OK);
    CHECK_IS(e4_close(&pump), E4_OK);

    /* task: open */
    result = e4_open(&pump, &config);
    /* end */
    CHECK_IS(result, E4_OK);

    /* task: give a key */
    uint8_t hash[E4_TOPIC_HASH_LEN];
    result = e4_topic_hash(TOPIC, TOPIC_LEN, hash);
    if (result == E4_OK)
        result = e4_command_set_topic_key(secret, now, hash, topic_key,
                                          command, sizeof command, &command_len);
    /* end */
    CHECK_IS(result, E4_OK);
    char control[E4_CONTROL_TOPIC_LEN + 1];
    CHECK_IS(e4_control_topic(&pump, control), E4_OK);
    CHECK_IS(e4_unprotect(&pump, now, control, E4_CONTROL_TOPIC_LEN, command, command_len, out,
                          sizeof out, &out_len, NULL), E4_OK_COMMAND);

    /* task: protect */
    result = e4_protect(&pump, now, TOPIC, TOPIC_LEN, (const uint8_t *)"4.2 bar", 7,
                        bytes, sizeof bytes, &bytes_len);
    /* end */
    CHECK_IS(result, E4_OK);

    /* task: unprotect */
    e4_message_info info;
    result = e4_unprotect(&pump, now, TOPIC, TOPIC_LEN, bytes, bytes_len,
                          out, sizeof out, &out_len, &info);
    if (result == E4_OK) handle(out, out_len);
    else if (result == E4_OK_COMMAND) printf("%d\n", (int)info.opcode);
    /* end */
    CHECK_IS(result, E4_OK);

    /* task: answer */
    uint8_t answer[E4_ANSWER_LEN];
    char answer_topic[E4_ANSWER_TOPIC_LEN + 1];
    result = e4_answer_topic(&pump, answer_topic);
    if (result == E4_OK && e4_answer(&pump, now, answer) == E4_OK)
        publish(answer_topic, answer, sizeof answer);
    /* end */
    CHECK(answers_published == 1);

    /* task: check an answer */
    e4_answer_info got;
    result = e4_open_answer(secret, published, sizeof published, &got);
    int confirmed = result == E4_OK && got.status == 0
        && memcmp(got.command, command + E4_SIV_OFFSET, E4_SIV_LEN) == 0;
    /* end */
    CHECK(confirmed);

    /* task: errors */
    result = e4_protect(&pump, now, "unknown", 7, (const uint8_t *)"4.2 bar", 7,
                        bytes, sizeof bytes, &bytes_len);
    if (result == E4_ERROR_TOPIC_KEY_MISSING) ask_for_key();
    else if (result < 0) printf("%s (%d)\n", e4_error_text(result), (int)result);
    /* end */
    CHECK(keys_asked_for == 1);

    device_init(&device);
    e4_config *memory = &device.config;
    /* task: key pair */
    uint8_t private_key[E4_PRIVATE_KEY_LEN], public_key[E4_KEY_LEN], gauge_id[E4_ID_LEN];
    result = e4_random_private_key(private_key);
    if (result == E4_OK) result = e4_public_key_of(private_key, public_key);
    if (result == E4_OK) result = e4_id_from_name("gauge", 5, gauge_id);
    if (result == E4_OK)
        result = e4_provision_public_key(&gauge, memory, gauge_id, private_key, c2_key);
    /* end */
    CHECK_IS(result, E4_OK);

    /* task: password */
    uint8_t key[E4_KEY_LEN];
    result = e4_key_from_password("a password of some length", 25, key); /* takes a while */
    /* end */
    CHECK_IS(result, E4_OK);

    CHECK_IS(e4_close(&pump), E4_OK);
    CHECK_IS(e4_close(&gauge), E4_OK);
    e4_file_close(file);
    remove(path);
    return check_end();
}
