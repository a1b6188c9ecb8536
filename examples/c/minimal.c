/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A device in memory: it is provisioned, receives a topic key from C2, and talks in secret.
 *
 *     cc minimal.c $(pkg-config --cflags --libs e4) -o minimal && ./minimal
 */
#include <e4.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(int32_t result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, e4_error_text(result));
        exit(1);
    }
}

int main(void)
{
    static const char topic[] = "plant/pressure";
    const size_t topic_len = sizeof topic - 1;
    const uint64_t now = 1700000000; /* of the device's clock, in Unix seconds */

    /* All the memory that E4 uses: room for 4 keys. */
    static e4_client device = E4_CLIENT_INIT;
    static uint8_t records[E4_MEMORY_SIZE(4)];
    static e4_key_place keys[4];
    static e4_memory memory;
    e4_config config = { .keys = keys, .keys_count = 4, .settings = E4_SETTINGS_DEFAULT };
    need(e4_memory_storage(&memory, records, sizeof records, &config.storage), "storage");

    /* In the factory: an id and a key, which C2 knows as well. */
    uint8_t id[E4_ID_LEN], id_key[E4_KEY_LEN];
    need(e4_id_from_name("pump-1", 6, id), "name");
    need(e4_random_key(id_key), "key");
    need(e4_provision_symmetric(&device, &config, id, id_key), "provision");

    /* C2: a key for the topic, in a command for this device alone. */
    uint8_t hash[E4_TOPIC_HASH_LEN], topic_key[E4_KEY_LEN], command[E4_COMMAND_MAX];
    size_t command_len;
    need(e4_topic_hash(topic, topic_len, hash), "hash");
    need(e4_random_key(topic_key), "topic key");
    need(e4_command_set_topic_key(id_key, now, hash, topic_key, command, sizeof command,
                                  &command_len), "command");

    /* The device: the command arrives on its control topic. */
    char control[E4_CONTROL_TOPIC_LEN + 1];
    uint8_t out[128], sealed[128];
    size_t out_len, sealed_len;
    need(e4_control_topic(&device, control), "control topic");
    if (e4_unprotect(&device, now, control, E4_CONTROL_TOPIC_LEN, command, command_len, out,
                     sizeof out, &out_len, NULL) != E4_OK_COMMAND)
        return 1;
    printf("a command of %zu bytes arrived on %s\n", command_len, control);

    /* It protects a message; whoever has the topic key unprotects it. */
    static const char message[] = "4.2 bar";
    need(e4_protect(&device, now, topic, topic_len, (const uint8_t *)message, strlen(message),
                    sealed, sizeof sealed, &sealed_len), "protect");
    need(e4_unprotect(&device, now, topic, topic_len, sealed, sealed_len, out, sizeof out, &out_len,
                      NULL), "unprotect");
    printf("%zu bytes crossed the broker and say: %.*s\n", sealed_len, (int)out_len,
           (const char *)out);
    e4_close(&device);
    return out_len != strlen(message) || memcmp(out, message, out_len) != 0;
}
