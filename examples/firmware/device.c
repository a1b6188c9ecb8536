/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that a device makes, for measuring how much flash they take: the program with them less
 * the program without (-DWITHOUT_E4). It is linked, not run. */
#include <e4.h>

#ifndef WITHOUT_E4
static e4_client client;
static e4_key_place keys[4];
#endif
static uint8_t in[256], out[256];
static char topic[E4_ANSWER_TOPIC_LEN + 1];
static size_t len;
volatile int32_t result;

static int32_t read(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *length)
{
    (void)ctx, (void)record, (void)buf, (void)cap;
    *length = 0;
    return E4_OK_NONE;
}

static int32_t write(void *ctx, uint32_t record, const uint8_t *buf, size_t length)
{
    (void)ctx, (void)record, (void)buf, (void)length;
    return E4_OK;
}

static int32_t erase(void *ctx, uint32_t record)
{
    (void)ctx, (void)record;
    return E4_OK;
}

/* In the program without E4 nothing calls the storage, but it is there. */
const e4_config config = {
    .storage = { NULL, read, write, erase },
#ifndef WITHOUT_E4
    .keys = keys,
    .keys_count = 4,
#endif
    .settings = E4_SETTINGS_DEFAULT,
};
const e4_config *volatile used = &config;

int main(void)
{
    const uint64_t now = 1700000000;
#ifdef WITHOUT_E4
    result = (int32_t)(now + len) + in[0] + out[0] + topic[0];
#else
#ifdef PUBLIC_KEY
    result = e4_provision_public_key(&client, used, in, in, in);
#else
    result = e4_provision_symmetric(&client, used, in, in);
#endif
    result = e4_open(&client, used);
    result = e4_control_topic(&client, topic);
    result = e4_answer_topic(&client, topic);
    result = e4_protect(&client, now, topic, 8, in, 64, out, sizeof out, &len);
    result = e4_unprotect(&client, now, topic, 8, in, len, out, sizeof out, &len, NULL);
    result = e4_answer(&client, now, out);
#endif
    return 0;
}
