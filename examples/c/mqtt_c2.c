/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* C2's side by hand: gives one device the key of one topic, and waits for its answer.
 *
 *     ./mqtt_c2 --name pump-1 --key-file pump-1.key --topic plant/pressure --topic-key-file topic.key
 *
 * The topic key is made, and its file written, where the file does not exist.
 */
#define _POSIX_C_SOURCE 200809L
#include <e4.h>
#include <mosquitto.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint8_t id_key[E4_KEY_LEN], command[E4_COMMAND_MAX];
static size_t command_len;
static char control[E4_CONTROL_TOPIC_LEN + 1], answers[E4_ANSWER_TOPIC_LEN + 1];
static int done;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "error: %s: %s\n", what, why);
    exit(1);
}

static void need(int32_t result, const char *what)
{
    if (result < 0)
        die(what, e4_error_text(result));
}

static void on_connect(struct mosquitto *m, void *user, int code)
{
    (void)user;
    if (code != 0)
        die("connect", mosquitto_connack_string(code));
    mosquitto_subscribe(m, NULL, answers, 1);
}

static void on_subscribe(struct mosquitto *m, void *user, int id, int count, const int *granted)
{
    (void)user, (void)id, (void)count, (void)granted;
    /* QoS 2, not retained. */
    mosquitto_publish(m, NULL, control, (int)command_len, command, 2, false);
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *message)
{
    e4_answer_info info;
    (void)m, (void)user;
    if (e4_open_answer(id_key, message->payload, (size_t)message->payloadlen, &info) != E4_OK ||
        memcmp(info.command, command + E4_SIV_OFFSET, E4_SIV_LEN) != 0)
        return; /* a hello, or the answer to another command */
    if (info.status != E4_OK)
        die("the device refused the command", e4_error_text(info.status));
    printf("confirmed\n");
    done = 1;
}

/* Reads a key, or makes one where that is allowed and there is no file. */
static void load_key(const char *path, uint8_t key[E4_KEY_LEN], int make)
{
    FILE *file = fopen(path, "rb");
    if (!file && make) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        need(e4_random_key(key), "random key");
        if (fd < 0 || write(fd, key, E4_KEY_LEN) != E4_KEY_LEN || close(fd) != 0)
            die(path, "cannot be written");
        return;
    }
    if (!file || fread(key, 1, E4_KEY_LEN, file) != E4_KEY_LEN)
        die(path, "not a key of 32 bytes");
    fclose(file);
}

int main(int argc, char **argv)
{
    const char *host = "127.0.0.1", *name = NULL, *key_file = NULL, *topic = NULL, *topic_file = NULL;
    uint8_t id[E4_ID_LEN], hash[E4_TOPIC_HASH_LEN], topic_key[E4_KEY_LEN];
    struct mosquitto *mqtt;
    time_t end;
    int port = 1883, i;

    for (i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--host") == 0)
            host = argv[i + 1];
        else if (strcmp(argv[i], "--port") == 0)
            port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--name") == 0)
            name = argv[i + 1];
        else if (strcmp(argv[i], "--key-file") == 0)
            key_file = argv[i + 1];
        else if (strcmp(argv[i], "--topic") == 0)
            topic = argv[i + 1];
        else if (strcmp(argv[i], "--topic-key-file") == 0)
            topic_file = argv[i + 1];
    }
    if (!name || !key_file || !topic || !topic_file) {
        fprintf(stderr, "usage: mqtt_c2 --name NAME --key-file FILE --topic TOPIC "
                        "--topic-key-file FILE [--host HOST] [--port PORT]\n");
        return 2;
    }
    load_key(key_file, id_key, 0);
    load_key(topic_file, topic_key, 1);
    need(e4_id_from_name(name, strlen(name), id), name);
    need(e4_control_topic_of(id, control), name);
    need(e4_answer_topic_of(id, answers), name);
    need(e4_check_topic(topic, strlen(topic)), topic);
    need(e4_topic_hash(topic, strlen(topic), hash), topic);
    need(e4_command_set_topic_key(id_key, (uint64_t)time(NULL), hash, topic_key, command,
                                  sizeof command, &command_len), "command");

    mosquitto_lib_init();
    mqtt = mosquitto_new(NULL, true, NULL);
    if (!mqtt)
        die("mosquitto", "out of memory");
    mosquitto_connect_callback_set(mqtt, on_connect);
    mosquitto_subscribe_callback_set(mqtt, on_subscribe);
    mosquitto_message_callback_set(mqtt, on_message);
    i = mosquitto_connect(mqtt, host, port, 30);
    if (i != MOSQ_ERR_SUCCESS)
        die(host, mosquitto_strerror(i));
    for (end = time(NULL) + 10; !done && time(NULL) < end;)
        if (mosquitto_loop(mqtt, 100, 1) != MOSQ_ERR_SUCCESS)
            break;
    mosquitto_destroy(mqtt);
    mosquitto_lib_cleanup();
    e4_wipe(id_key, sizeof id_key);
    e4_wipe(topic_key, sizeof topic_key);
    if (!done)
        die(name, "no answer");
    return 0;
}
