/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What works: both modes, every command, answers, storage in a file. */
#include "check.h"

static const char TOPIC[] = "plant/pressure";
#define TOPIC_LEN (sizeof TOPIC - 1)

/* A message from one client to another, of every length up to 300, and a long one. */
static void talk(e4_client *from, e4_client *to, size_t overhead, int32_t signer_status)
{
    static uint8_t message[65536], sealed[65536 + E4_PK_OVERHEAD], opened[65536];
    size_t len, sealed_len, opened_len;
    uint8_t id[E4_ID_LEN];
    e4_message_info info;

    CHECK_IS(e4_id(from, id), E4_OK);
    fill(message, sizeof message, 77);
    for (len = 0; len <= sizeof message; len = len < 300 ? len + 1 : len == 300 ? sizeof message : len + 1) {
        CHECK_IS(e4_protect(from, NOW, TOPIC, TOPIC_LEN, message, len, sealed, len + overhead,
                            &sealed_len), E4_OK);
        CHECK(sealed_len == len + overhead);
        memset(&info, 0x55, sizeof info);
        CHECK_IS(e4_unprotect(to, NOW + 5, TOPIC, TOPIC_LEN, sealed, sealed_len, opened,
                              sizeof opened, &opened_len, &info), E4_OK);
        CHECK(opened_len == len && memcmp(opened, message, len) == 0);
        CHECK(info.timestamp == NOW && info.opcode == 0);
        CHECK(info.signer_status == signer_status);
        CHECK(signer_status == E4_SIGNER_NONE ? is_zero(info.signer, sizeof info.signer)
                                              : memcmp(info.signer, id, sizeof id) == 0);
        /* One bit anywhere. */
        sealed[len % sealed_len] ^= 4;
        CHECK(e4_unprotect(to, NOW, TOPIC, TOPIC_LEN, sealed, sealed_len, opened, sizeof opened,
                           &opened_len, NULL) < 0);
        CHECK(opened_len == 0 && is_zero(opened, len));
    }
}

static void check_answer(e4_client *client, const uint8_t *key, const uint8_t *command,
                         int32_t status)
{
    uint8_t answer[E4_ANSWER_LEN], digest[E4_DIGEST_LEN], out[E4_COMMAND_MAX];
    char topic[E4_CONTROL_TOPIC_LEN + 1];
    e4_answer_info info;
    size_t out_len;

    CHECK_IS(e4_answer(client, NOW + 9, answer), E4_OK);
    CHECK_IS(e4_open_answer(key, answer, sizeof answer, &info), E4_OK);
    CHECK(info.timestamp == NOW + 9 && info.status == status && info.hello == 0);
    CHECK(memcmp(info.command, command + E4_SIV_OFFSET, E4_SIV_LEN) == 0);
    CHECK_IS(e4_digest(client, digest), E4_OK);
    CHECK(memcmp(info.digest, digest, sizeof digest) == 0);
    CHECK_IS(e4_answer(client, NOW + 9, answer), E4_OK_NONE);
    CHECK(is_zero(answer, sizeof answer));
    /* An answer is not a command. */
    CHECK_IS(e4_hello(client, NOW + 9, answer), E4_OK);
    CHECK_IS(e4_open_answer(key, answer, sizeof answer, &info), E4_OK);
    CHECK(info.hello == 1 && is_zero(info.command, sizeof info.command));
    CHECK_IS(e4_control_topic(client, topic), E4_OK);
    CHECK_IS(e4_unprotect(client, NOW + 9, topic, E4_CONTROL_TOPIC_LEN, answer, sizeof answer, out,
                          sizeof out, &out_len, NULL), E4_ERROR_INVALID_TAG);
}

static void symmetric(void)
{
    static struct device a, b;
    uint8_t id[E4_ID_LEN], key[E4_KEY_LEN], next[E4_KEY_LEN], topic_key[E4_KEY_LEN];
    uint8_t command[E4_COMMAND_MAX], out[E4_COMMAND_MAX], hash[E4_TOPIC_HASH_LEN];
    uint8_t old[100], opened[100];
    char control[E4_CONTROL_TOPIC_LEN + 1], answers[E4_ANSWER_TOPIC_LEN + 1];
    size_t len, old_len, opened_len;
    e4_message_info info;
    e4_settings settings;

    device_init(&a);
    device_init(&b);
    fill(key, sizeof key, 1);
    fill(topic_key, sizeof topic_key, 2);
    CHECK_IS(e4_open(&a.client, &a.config), E4_ERROR_NOT_PROVISIONED);
    CHECK_IS(e4_id_from_name("a", 1, id), E4_OK);
    CHECK_IS(e4_provision_symmetric(&a.client, &a.config, id, key), E4_OK);
    CHECK_IS(e4_control_topic(&a.client, control), E4_OK);
    CHECK(strcmp(control, "e4/80084bf2fba02475726feb2cab2d8215") == 0);
    CHECK_IS(e4_answer_topic(&a.client, answers), E4_OK);
    CHECK(strcmp(answers, "e4/80084bf2fba02475726feb2cab2d8215/ack") == 0);
    CHECK_IS(e4_id_from_answer_topic(answers, strlen(answers), hash), E4_OK);
    CHECK(memcmp(hash, id, sizeof id) == 0);
    CHECK_IS(e4_id_from_answer_topic(control, strlen(control), hash), E4_ERROR_INVALID_TOPIC);
    CHECK_IS(e4_id_from_name("b", 1, id), E4_OK);
    CHECK_IS(e4_provision_symmetric(&b.client, &b.config, id, key), E4_OK);
    CHECK_IS(e4_mode(&a.client), E4_MODE_SYMMETRIC);
    CHECK_IS(e4_public_key(&a.client, next), E4_ERROR_WRONG_MODE);
    CHECK_IS(e4_has_topic(&a.client, TOPIC, TOPIC_LEN), E4_ERROR_TOPIC_KEY_MISSING);
    CHECK_IS(e4_answer(&a.client, NOW, command), E4_OK_NONE);
    CHECK_IS(give_topic(&a.client, key, NOW, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(give_topic(&a.client, key, NOW, TOPIC, topic_key), E4_ERROR_REPLAYED);
    CHECK_IS(give_topic(&b.client, key, NOW, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(e4_has_topic(&a.client, TOPIC, TOPIC_LEN), E4_OK);
    CHECK_IS(e4_topic_count(&a.client), 1);
    CHECK_IS(e4_peer_count(&a.client), 0);
    talk(&a.client, &b.client, E4_SK_OVERHEAD, E4_SIGNER_NONE);

    /* Without a clock the time is that of the last command. */
    CHECK_IS(e4_protect(&a.client, E4_NO_CLOCK, TOPIC, TOPIC_LEN, NULL, 0, out, sizeof out, &len),
             E4_OK);
    CHECK(len == E4_SK_OVERHEAD);
    CHECK_IS(e4_unprotect(&b.client, NOW, TOPIC, TOPIC_LEN, out, len, NULL, 0, &opened_len, NULL),
             E4_OK);

    /* A key is replaced, and what was sealed under the old one opens for an hour. */
    CHECK_IS(e4_protect(&a.client, NOW + 10, TOPIC, TOPIC_LEN, (const uint8_t *)"old", 3, old,
                        sizeof old, &old_len), E4_OK);
    fill(topic_key, sizeof topic_key, 3);
    CHECK_IS(give_topic(&b.client, key, NOW + 1, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(e4_unprotect(&b.client, NOW + 10, TOPIC, TOPIC_LEN, old, old_len, opened,
                          sizeof opened, &opened_len, NULL), E4_OK);
    CHECK(opened_len == 3 && memcmp(opened, "old", 3) == 0);
    CHECK_IS(e4_settings_get(&b.client, &settings), E4_OK);
    CHECK(settings.past == 600 && settings.future == 600 && settings.transition == 3600 &&
          settings.accept_unknown_signers == 0);
    settings.transition = 5;
    CHECK_IS(e4_settings_set(&b.client, &settings), E4_OK);
    CHECK_IS(e4_unprotect(&b.client, NOW + 10, TOPIC, TOPIC_LEN, old, old_len, opened,
                          sizeof opened, &opened_len, NULL), E4_ERROR_INVALID_TAG);
    settings.past = 2;
    CHECK_IS(e4_settings_set(&b.client, &settings), E4_OK);
    CHECK_IS(e4_unprotect(&b.client, NOW + 13, TOPIC, TOPIC_LEN, old, old_len, opened,
                          sizeof opened, &opened_len, NULL), E4_ERROR_TIMESTAMP_TOO_OLD);

    /* The rest of the commands, with their answers. */
    CHECK_IS(e4_topic_hash(TOPIC, TOPIC_LEN, hash), E4_OK);
    CHECK_IS(e4_command_remove_topic(key, NOW + 2, hash, command, sizeof command, &len), E4_OK);
    CHECK(len == 17 + E4_SK_OVERHEAD);
    memset(&info, 0x55, sizeof info);
    CHECK_IS(e4_unprotect(&a.client, NOW + 2, control, E4_CONTROL_TOPIC_LEN, command, len, out,
                          sizeof out, &opened_len, &info), E4_OK_COMMAND);
    CHECK(info.opcode == E4_REMOVE_TOPIC && info.timestamp == 0 && opened_len == 0);
    CHECK_IS(e4_topic_count(&a.client), 0);
    check_answer(&a.client, key, command, E4_OK);
    CHECK_IS(give_topic(&a.client, key, NOW + 3, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(e4_command_reset_topics(key, NOW + 4, command, sizeof command, &len), E4_OK);
    CHECK_IS(command_in(&a.client, NOW + 4, command, len), E4_OK_COMMAND);
    CHECK_IS(e4_topic_count(&a.client), 0);
    fill(next, sizeof next, 4);
    CHECK_IS(e4_command_set_id_key(key, NOW + 5, next, command, sizeof command, &len), E4_OK);
    CHECK_IS(command_in(&a.client, NOW + 5, command, len), E4_OK_COMMAND);
    check_answer(&a.client, next, command, E4_OK);
    CHECK_IS(give_topic(&a.client, key, NOW + 6, TOPIC, topic_key), E4_ERROR_INVALID_TAG);
    CHECK_IS(give_topic(&a.client, next, NOW + 6, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(e4_command_reset_pub_keys(next, NOW + 7, command, sizeof command, &len), E4_OK);
    CHECK_IS(command_in(&a.client, NOW + 7, command, len), E4_ERROR_INVALID_COMMAND);
    check_answer(&a.client, next, command, E4_ERROR_INVALID_COMMAND);

    /* The state survives; closing wipes the struct and the table. */
    CHECK(holds_bytes(&a.keys, sizeof a.keys, topic_key, sizeof topic_key));
    CHECK(holds_bytes(&a.client, sizeof a.client, next, sizeof next));
    CHECK_IS(e4_close(&a.client), E4_OK);
    CHECK(is_zero(&a.client, sizeof a.client));
    CHECK(!holds_bytes(&a.keys, sizeof a.keys, topic_key, sizeof topic_key));
    CHECK_IS(e4_open(&a.client, &a.config), E4_OK);
    CHECK_IS(e4_has_topic(&a.client, TOPIC, TOPIC_LEN), E4_OK);
    CHECK_IS(e4_provision_symmetric(&b.client, &a.config, id, key), E4_ERROR_INVALID_PARAMETER);
    CHECK_IS(e4_close(&b.client), E4_OK);
    CHECK_IS(e4_provision_symmetric(&b.client, &a.config, id, key), E4_ERROR_ALREADY_PROVISIONED);
    CHECK_IS(e4_forget(&a.client), E4_OK);
    CHECK(is_zero(&a.client, sizeof a.client) && is_zero(a.bytes, sizeof a.bytes));
    CHECK_IS(e4_open(&a.client, &a.config), E4_ERROR_NOT_PROVISIONED);

    /* Without a table keys are read from the storage; without room a new key is refused. */
    a.config.keys = NULL;
    a.config.keys_count = 0;
    CHECK_IS(e4_memory_storage(&a.memory, a.bytes, E4_MEMORY_SIZE(1), &a.config.storage), E4_OK);
    CHECK_IS(e4_provision_symmetric(&a.client, &a.config, id, key), E4_OK);
    CHECK_IS(give_topic(&a.client, key, NOW, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(give_topic(&a.client, key, NOW, "another", topic_key), E4_ERROR_STORAGE_FULL);
    CHECK_IS(e4_has_topic(&a.client, TOPIC, TOPIC_LEN), E4_OK);
    CHECK_IS(e4_has_topic(&a.client, "another", 7), E4_ERROR_TOPIC_KEY_MISSING);
    CHECK_IS(e4_close(&a.client), E4_OK);

    /* A replay cache. */
    a.config.seen = a.seen;
    a.config.seen_count = 4;
    CHECK_IS(e4_open(&a.client, &a.config), E4_OK);
    CHECK_IS(e4_protect(&a.client, NOW, TOPIC, TOPIC_LEN, key, 5, old, sizeof old, &old_len), E4_OK);
    CHECK_IS(e4_unprotect(&a.client, NOW, TOPIC, TOPIC_LEN, old, old_len, opened, sizeof opened,
                          &opened_len, NULL), E4_OK);
    memset(opened, 0x55, sizeof opened);
    CHECK_IS(e4_unprotect(&a.client, NOW, TOPIC, TOPIC_LEN, old, old_len, opened, sizeof opened,
                          &opened_len, NULL), E4_ERROR_REPLAYED);
    CHECK(is_zero(opened, 5));
    CHECK_IS(e4_close(&a.client), E4_OK);
}

static void public_key(void)
{
    static struct device a, b;
    uint8_t a_private[E4_PRIVATE_KEY_LEN], b_private[E4_PRIVATE_KEY_LEN];
    uint8_t a_public[E4_KEY_LEN], b_public[E4_KEY_LEN], a_shared[E4_KEY_LEN], b_shared[E4_KEY_LEN];
    uint8_t c2_private[E4_KEY_LEN], c2_public[E4_KEY_LEN], topic_key[E4_KEY_LEN];
    uint8_t a_id[E4_ID_LEN], b_id[E4_ID_LEN], command[E4_COMMAND_MAX], sealed[200], opened[200];
    size_t len, opened_len;
    e4_message_info info;
    e4_settings settings = E4_SETTINGS_DEFAULT;

    device_init(&a);
    device_init(&b);
    CHECK_IS(e4_random_private_key(a_private), E4_OK);
    fill(topic_key, sizeof topic_key, 5);
    CHECK_IS(e4_private_key_from_seed(topic_key, b_private), E4_OK);
    CHECK(memcmp(b_private, topic_key, E4_KEY_LEN) == 0);
    CHECK_IS(e4_public_key_of(a_private, a_public), E4_OK);
    CHECK_IS(e4_public_key_of(b_private, b_public), E4_OK);
    CHECK(memcmp(b_private + 32, b_public, 32) == 0);
    CHECK_IS(e4_random_key(c2_private), E4_OK);
    CHECK_IS(e4_c2_public_key_of(c2_private, c2_public), E4_OK);
    CHECK_IS(e4_check_c2_public_key(c2_public), E4_OK);
    CHECK_IS(e4_shared_key(c2_private, a_public, a_shared), E4_OK);
    CHECK_IS(e4_shared_key(c2_private, b_public, b_shared), E4_OK);
    CHECK_IS(e4_random_id(a_id), E4_OK);
    CHECK_IS(e4_random_id(b_id), E4_OK);
    CHECK(memcmp(a_id, b_id, sizeof a_id) != 0);
    CHECK_IS(e4_provision_public_key(&a.client, &a.config, a_id, a_private, c2_public), E4_OK);
    CHECK_IS(e4_provision_public_key(&b.client, &b.config, b_id, b_private, c2_public), E4_OK);
    CHECK_IS(e4_mode(&a.client), E4_MODE_PUBLIC_KEY);
    CHECK_IS(e4_public_key(&a.client, opened), E4_OK);
    CHECK(memcmp(opened, a_public, E4_KEY_LEN) == 0);

    CHECK_IS(give_topic(&a.client, a_shared, NOW, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(give_topic(&b.client, b_shared, NOW, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(e4_protect(&a.client, NOW, TOPIC, TOPIC_LEN, a_id, 16, sealed, sizeof sealed, &len),
             E4_OK);
    CHECK_IS(e4_unprotect(&b.client, NOW, TOPIC, TOPIC_LEN, sealed, len, opened, sizeof opened,
                          &opened_len, NULL), E4_ERROR_SIGNER_UNKNOWN);
    settings.accept_unknown_signers = 1;
    CHECK_IS(e4_settings_set(&b.client, &settings), E4_OK);
    CHECK_IS(e4_unprotect(&b.client, NOW, TOPIC, TOPIC_LEN, sealed, len, opened, sizeof opened,
                          &opened_len, &info), E4_OK);
    CHECK(info.signer_status == E4_SIGNER_UNKNOWN && memcmp(info.signer, a_id, 16) == 0);
    settings.accept_unknown_signers = 0;
    CHECK_IS(e4_settings_set(&b.client, &settings), E4_OK);
    CHECK_IS(e4_command_set_pub_key(b_shared, NOW, a_id, a_public, command, sizeof command, &len),
             E4_OK);
    CHECK(len == 49 + E4_SK_OVERHEAD);
    CHECK_IS(command_in(&b.client, NOW, command, len), E4_OK_COMMAND);
    CHECK_IS(e4_peer_count(&b.client), 1);
    talk(&a.client, &b.client, E4_PK_OVERHEAD, E4_SIGNER_VERIFIED);

    CHECK_IS(e4_command_remove_pub_key(b_shared, NOW + 1, a_id, command, sizeof command, &len),
             E4_OK);
    CHECK_IS(command_in(&b.client, NOW + 1, command, len), E4_OK_COMMAND);
    check_answer(&b.client, b_shared, command, E4_OK);
    CHECK_IS(e4_peer_count(&b.client), 0);
    CHECK_IS(e4_command_set_pub_key(b_shared, NOW + 2, a_id, a_public, command, sizeof command,
                                    &len), E4_OK);
    CHECK_IS(command_in(&b.client, NOW + 2, command, len), E4_OK_COMMAND);
    CHECK_IS(e4_command_reset_pub_keys(b_shared, NOW + 3, command, sizeof command, &len), E4_OK);
    CHECK_IS(command_in(&b.client, NOW + 3, command, len), E4_OK_COMMAND);
    CHECK_IS(e4_peer_count(&b.client), 0);

    /* A new key pair: commands come under the shared key that follows from it. */
    CHECK_IS(e4_command_set_private_key(b_shared, NOW + 4, a_private, command, sizeof command, &len),
             E4_OK);
    CHECK(len == E4_COMMAND_MAX);
    CHECK_IS(command_in(&b.client, NOW + 4, command, len), E4_OK_COMMAND);
    check_answer(&b.client, a_shared, command, E4_OK);
    CHECK_IS(e4_public_key(&b.client, opened), E4_OK);
    CHECK(memcmp(opened, a_public, E4_KEY_LEN) == 0);
    /* A new key of C2. */
    CHECK_IS(e4_random_key(c2_private), E4_OK);
    CHECK_IS(e4_c2_public_key_of(c2_private, c2_public), E4_OK);
    CHECK_IS(e4_command_set_c2_key(a_shared, NOW + 5, c2_public, command, sizeof command, &len),
             E4_OK);
    CHECK_IS(command_in(&b.client, NOW + 5, command, len), E4_OK_COMMAND);
    CHECK_IS(e4_shared_key(c2_private, a_public, b_shared), E4_OK);
    check_answer(&b.client, b_shared, command, E4_OK);
    CHECK_IS(e4_command_set_id_key(b_shared, NOW + 6, topic_key, command, sizeof command, &len),
             E4_OK);
    CHECK_IS(command_in(&b.client, NOW + 6, command, len), E4_ERROR_INVALID_COMMAND);
    CHECK_IS(e4_close(&a.client), E4_OK);
    CHECK_IS(e4_close(&b.client), E4_OK);
}

/* A client whose id and key come from a name and a password, stored in a file. */
static void in_a_file(const char *path)
{
    static const char password[] = "correct horse battery";
    e4_client client = E4_CLIENT_INIT;
    e4_config config;
    e4_file *file, *second;
    uint8_t key[E4_KEY_LEN], pair[E4_PRIVATE_KEY_LEN], topic_key[E4_KEY_LEN], id[E4_ID_LEN];
    uint8_t c2_private[E4_KEY_LEN], c2_public[E4_KEY_LEN], public_key_[E4_KEY_LEN], is[E4_ID_LEN];
    static const e4_settings settings = E4_SETTINGS_DEFAULT;
    FILE *other;

    (void)remove(path);
    memset(&config, 0, sizeof config);
    config.settings = settings;
    fill(topic_key, sizeof topic_key, 6);
    fill(c2_private, sizeof c2_private, 7);
    CHECK_IS(e4_file_open(path, strlen(path), &file), E4_OK);
    CHECK_IS(e4_file_open(path, strlen(path), &second), E4_ERROR_STORAGE);
    CHECK(second == NULL);
    CHECK_IS(e4_file_storage(file, &config.storage), E4_OK);
    CHECK_IS(e4_provision_symmetric_password(&client, &config, "pump", 4, password,
                                             strlen(password)), E4_OK);
    CHECK_IS(e4_key_from_password(password, strlen(password), key), E4_OK);
    CHECK_IS(give_topic(&client, key, NOW, TOPIC, topic_key), E4_OK_COMMAND);
    CHECK_IS(e4_close(&client), E4_OK);
    e4_file_close(file);

    CHECK_IS(e4_file_open(path, strlen(path), &file), E4_OK);
    CHECK_IS(e4_file_storage(file, &config.storage), E4_OK);
    CHECK_IS(e4_open(&client, &config), E4_OK);
    CHECK_IS(e4_has_topic(&client, TOPIC, TOPIC_LEN), E4_OK);
    CHECK_IS(e4_id(&client, id), E4_OK);
    CHECK_IS(e4_id_from_name("pump", 4, is), E4_OK);
    CHECK(memcmp(id, is, sizeof id) == 0);
    CHECK_IS(e4_forget(&client), E4_OK);

    CHECK_IS(e4_c2_public_key_of(c2_private, c2_public), E4_OK);
    CHECK_IS(e4_provision_public_key_password(&client, &config, "pump", 4, password,
                                              strlen(password), c2_public), E4_OK);
    CHECK_IS(e4_private_key_from_password(password, strlen(password), pair), E4_OK);
    CHECK(memcmp(pair, key, sizeof key) == 0);
    CHECK_IS(e4_public_key(&client, public_key_), E4_OK);
    CHECK(memcmp(pair + 32, public_key_, 32) == 0);
    CHECK_IS(e4_close(&client), E4_OK);
    e4_file_close(file);

    other = fopen(path, "wb");
    if (CHECK(other != NULL)) {
        fputs("not a state file", other);
        fclose(other);
    }
    CHECK_IS(e4_file_open(path, strlen(path), &file), E4_ERROR_STATE_INCOMPATIBLE);
    CHECK(file == NULL);
    (void)remove(path);
}

int main(int argc, char **argv)
{
    CHECK(e4_abi() == E4_ABI);
    CHECK(e4_version() == (E4_VERSION_MAJOR << 16 | E4_VERSION_MINOR << 8 | E4_VERSION_PATCH));
    CHECK(strcmp(e4_version_text(), E4_VERSION) == 0);
    CHECK(strcmp(e4_error_text(E4_ERROR_TOPIC_KEY_MISSING), "topic key not found") == 0);
    CHECK(strcmp(e4_error_text(E4_OK_COMMAND), "success") == 0);
    CHECK(strcmp(e4_error_text(-99), "unknown error") == 0);
    symmetric();
    public_key();
    in_a_file(argc > 1 ? argv[1] : "roundtrip.e4state");
    return check_end();
}
