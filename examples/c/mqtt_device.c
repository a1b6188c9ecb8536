/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A device on MQTT, with libmosquitto. It takes C2's commands, answers them, says hello when it
 * connects, and talks on topics whose keys it has been given.
 *
 *     cc mqtt_device.c $(pkg-config --cflags --libs e4 libmosquitto) -o mqtt_device
 *     head -c 32 /dev/urandom > pump-1.key
 *     ./mqtt_device --host 127.0.0.1 --name pump-1 --key-file pump-1.key --state pump-1.e4state
 *
 * Then, on its standard input: "subscribe TOPIC", "send TOPIC TEXT".
 */
#define _POSIX_C_SOURCE 200112L
#include <e4.h>
#include <mosquitto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 65536

static e4_client client = E4_CLIENT_INIT;
static e4_key_place keys[64];
static struct mosquitto *mqtt;
static int control_subscription;
static char control[E4_CONTROL_TOPIC_LEN + 1], answers[E4_ANSWER_TOPIC_LEN + 1];

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

static uint64_t now(void)
{
    return (uint64_t)time(NULL);
}

static void send_answer(const uint8_t answer[E4_ANSWER_LEN])
{
    mosquitto_publish(mqtt, NULL, answers, E4_ANSWER_LEN, answer, 1, false);
}

/* Callbacks of libmosquitto. They run inside mosquitto_loop, in the only thread, so that calls on
 * the client follow one another. */

static void on_connect(struct mosquitto *m, void *user, int code)
{
    (void)user;
    if (code != 0)
        die("connect", mosquitto_connack_string(code));
    mosquitto_subscribe(m, &control_subscription, control, 2);
}

static void on_subscribe(struct mosquitto *m, void *user, int id, int count, const int *granted)
{
    uint8_t hello[E4_ANSWER_LEN];
    (void)m, (void)user, (void)count, (void)granted;
    if (id != control_subscription) {
        printf("subscribed\n");
        return;
    }
    if (e4_hello(&client, now(), hello) == E4_OK)
        send_answer(hello);
    printf("ready\n");
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *message)
{
    static uint8_t out[MESSAGE_MAX];
    uint8_t answer[E4_ANSWER_LEN];
    e4_message_info info;
    size_t len;
    int32_t result;
    (void)m, (void)user;

    result = e4_unprotect(&client, now(), message->topic, strlen(message->topic), message->payload,
                          (size_t)message->payloadlen, out, sizeof out, &len, &info);
    if (result == E4_OK)
        printf("%s: %.*s\n", message->topic, (int)len, (const char *)out);
    else if (result == E4_OK_COMMAND)
        printf("command %d applied\n", info.opcode);
    else
        printf("%s: %s\n", message->topic, e4_error_text(result));
    e4_wipe(out, len);
    if (e4_answer(&client, now(), answer) == E4_OK)
        send_answer(answer);
}

static void send_text(const char *topic, const char *text)
{
    static uint8_t sealed[MESSAGE_MAX];
    size_t len;
    int32_t result = e4_protect(&client, now(), topic, strlen(topic), (const uint8_t *)text,
                                strlen(text), sealed, sizeof sealed, &len);
    if (result == E4_OK)
        mosquitto_publish(mqtt, NULL, topic, (int)len, sealed, 1, false);
    else
        printf("%s: %s\n", topic, e4_error_text(result));
}

static void command_line(char *line)
{
    char *topic = strchr(line, ' ');
    char *text = topic ? strchr(topic + 1, ' ') : NULL;
    if (topic)
        *topic++ = '\0';
    if (text)
        *text++ = '\0';
    if (topic && !text && strcmp(line, "subscribe") == 0) {
        mosquitto_subscribe(mqtt, NULL, topic, 1);
    } else if (text && strcmp(line, "send") == 0) {
        send_text(topic, text);
    } else {
        printf("subscribe TOPIC | send TOPIC TEXT\n");
    }
}

/* The network and the standard input, until that ends. */
static void serve(char *line, size_t capacity)
{
    size_t have = 0;
    for (;;) {
        struct timeval wait = { 0, 100000 };
        fd_set ready;
        int code, top = mosquitto_socket(mqtt);

        FD_ZERO(&ready);
        FD_SET(0, &ready);
        if (top >= 0)
            FD_SET(top, &ready);
        if (select((top < 0 ? 0 : top) + 1, &ready, NULL, NULL, &wait) > 0 && FD_ISSET(0, &ready)) {
            ssize_t got = read(0, line + have, capacity - 1 - have);
            char *end;
            if (got <= 0)
                return;
            have += (size_t)got;
            while ((end = memchr(line, '\n', have)) != NULL) {
                size_t used = (size_t)(end - line) + 1;
                *end = '\0';
                command_line(line);
                have -= used;
                memmove(line, line + used, have);
            }
            if (have == capacity - 1)
                have = 0;
        }
        code = mosquitto_loop(mqtt, 0, 1);
        if (code != MOSQ_ERR_SUCCESS) {
            fprintf(stderr, "%s; trying again\n", mosquitto_strerror(code));
            sleep(1);
            (void)mosquitto_reconnect(mqtt);
        }
    }
}

int main(int argc, char **argv)
{
    const char *host = "127.0.0.1", *name = NULL, *key_file = NULL, *state = NULL;
    static char line[MESSAGE_MAX];
    e4_config config = { .keys = keys, .keys_count = 64, .settings = E4_SETTINGS_DEFAULT };
    e4_file *file;
    int port = 1883, i, code;
    int32_t result;

    for (i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--host") == 0)
            host = argv[i + 1];
        else if (strcmp(argv[i], "--port") == 0)
            port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--name") == 0)
            name = argv[i + 1];
        else if (strcmp(argv[i], "--key-file") == 0)
            key_file = argv[i + 1];
        else if (strcmp(argv[i], "--state") == 0)
            state = argv[i + 1];
    }
    if (!name || !state) {
        fprintf(stderr, "usage: mqtt_device --name NAME --state FILE [--key-file FILE] "
                        "[--host HOST] [--port PORT]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);

    /* The state file, or the key file the first time. */
    need(e4_file_open(state, strlen(state), &file), state);
    need(e4_file_storage(file, &config.storage), state);
    result = e4_open(&client, &config);
    if (result == E4_ERROR_NOT_PROVISIONED && key_file) {
        uint8_t id[E4_ID_LEN], key[E4_KEY_LEN];
        FILE *from = fopen(key_file, "rb");
        if (!from || fread(key, 1, sizeof key, from) != sizeof key)
            die(key_file, "not a key of 32 bytes");
        fclose(from);
        need(e4_id_from_name(name, strlen(name), id), name);
        result = e4_provision_symmetric(&client, &config, id, key);
        e4_wipe(key, sizeof key);
    }
    need(result, state);
    need(e4_control_topic(&client, control), "control topic");
    need(e4_answer_topic(&client, answers), "answer topic");

    mosquitto_lib_init();
    mqtt = mosquitto_new(NULL, true, NULL);
    if (!mqtt)
        die("mosquitto", "out of memory");
    mosquitto_connect_callback_set(mqtt, on_connect);
    mosquitto_subscribe_callback_set(mqtt, on_subscribe);
    mosquitto_message_callback_set(mqtt, on_message);
    code = mosquitto_connect(mqtt, host, port, 30);
    if (code != MOSQ_ERR_SUCCESS)
        die(host, mosquitto_strerror(code));

    serve(line, sizeof line);
    mosquitto_disconnect(mqtt);
    mosquitto_destroy(mqtt);
    mosquitto_lib_cleanup();
    e4_close(&client);
    e4_file_close(file);
    return 0;
}
