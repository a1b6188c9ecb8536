/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* E4 on ESP-IDF: records in NVS, which keeps the promise that a record holds the old bytes or the new
 * ones. With flash encryption, use an encrypted NVS partition: the records hold keys. */
#include <e4.h>

#include <nvs.h>
#include <nvs_flash.h>
#include <stdio.h>
#include <time.h>

static nvs_handle_t nvs;
static e4_client client;
static e4_key_place keys[8];

static void key_of(uint32_t record, char name[NVS_KEY_NAME_MAX_SIZE])
{
    snprintf(name, NVS_KEY_NAME_MAX_SIZE, "r%lu", (unsigned long)record);
}

static int32_t record_read(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len)
{
    char name[NVS_KEY_NAME_MAX_SIZE];
    size_t size = cap;
    esp_err_t result;
    (void)ctx;
    key_of(record, name);
    result = nvs_get_blob(nvs, name, buf, &size);
    if (result == ESP_ERR_NVS_NOT_FOUND)
        return E4_OK_NONE;
    if (result == ESP_ERR_NVS_INVALID_LENGTH)
        return E4_ERROR_STATE_INCOMPATIBLE;
    *len = size;
    return result == ESP_OK ? E4_OK : E4_ERROR_STORAGE;
}

static int32_t record_write(void *ctx, uint32_t record, const uint8_t *buf, size_t len)
{
    char name[NVS_KEY_NAME_MAX_SIZE];
    esp_err_t result;
    (void)ctx;
    key_of(record, name);
    result = nvs_set_blob(nvs, name, buf, len);
    if (result == ESP_ERR_NVS_NOT_ENOUGH_SPACE)
        return E4_ERROR_STORAGE_FULL;
    return result == ESP_OK && nvs_commit(nvs) == ESP_OK ? E4_OK : E4_ERROR_STORAGE;
}

static int32_t record_erase(void *ctx, uint32_t record)
{
    char name[NVS_KEY_NAME_MAX_SIZE];
    esp_err_t result;
    (void)ctx;
    key_of(record, name);
    result = nvs_erase_key(nvs, name);
    if (result == ESP_ERR_NVS_NOT_FOUND)
        return E4_OK;
    return result == ESP_OK && nvs_commit(nvs) == ESP_OK ? E4_OK : E4_ERROR_STORAGE;
}

static const e4_config config = {
    .storage = { NULL, record_read, record_write, record_erase },
    .keys = keys,
    .keys_count = sizeof keys / sizeof *keys,
    .settings = E4_SETTINGS_DEFAULT,
};

/* The clock, or none before SNTP has set it. */
static uint64_t now(void)
{
    time_t seconds = time(NULL);
    return seconds < 1700000000 ? E4_NO_CLOCK : (uint64_t)seconds;
}

/* For MQTT_EVENT_DATA of esp-mqtt: all that arrives, the control topic among it. */
int32_t e4_device_receive(const char *topic, size_t topic_len, const uint8_t *data, size_t len,
                          uint8_t *text, size_t cap, size_t *text_len)
{
    return e4_unprotect(&client, now(), topic, topic_len, data, len, text, cap, text_len, NULL);
}

void app_main(void)
{
    char topic[E4_CONTROL_TOPIC_LEN + 1];
    int32_t result;
    if (nvs_flash_init() != ESP_OK || nvs_open("e4", NVS_READWRITE, &nvs) != ESP_OK) {
        printf("no NVS\n");
        return;
    }
    result = e4_open(&client, &config);
    if (result == E4_OK)
        result = e4_control_topic(&client, topic);
    if (result == E4_OK)
        printf("subscribe to %s\n", topic);
    else
        printf("%s\n", e4_error_text(result));
}
