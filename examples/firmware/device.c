/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that a device makes, for measuring how much flash the library takes for them. It is
 * linked, not run. */
#include <e4.h>

static e4_client client;
static e4_key_place keys[4];
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

const e4_config config = {
    .storage = { NULL, read, write, erase },
    .keys = keys,
    .keys_count = 4,
    .settings = E4_SETTINGS_DEFAULT,
};
const e4_config *volatile used = &config;

int main(void)
{
    const uint64_t now = 1700000000;
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
    return 0;
}
