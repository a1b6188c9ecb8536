/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* E4 on Zephyr: records in NVS, which keeps the promise that a record holds the old bytes or the new
 * ones. An entry of NVS that was replaced stays in flash until its sector is erased, and with it the
 * old key; where that matters, take examples/firmware/journal.c over the flash driver. */
#include <e4.h>

#include <errno.h>
#include <zephyr/drivers/flash.h>
#include <zephyr/fs/nvs.h>
#include <zephyr/kernel.h>
#include <zephyr/storage/flash_map.h>

static struct nvs_fs nvs;
static e4_client client;
static e4_key_place keys[8];

/* NVS names entries by 16 bits. */
#define FIRST_ENTRY 0x4500u

static int32_t record_read(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len)
{
    ssize_t size = nvs_read(&nvs, (uint16_t)(FIRST_ENTRY + record), buf, cap);
    ARG_UNUSED(ctx);
    if (size == -ENOENT)
        return E4_OK_NONE;
    if (size < 0)
        return E4_ERROR_STORAGE;
    if ((size_t)size > cap)
        return E4_ERROR_STATE_INCOMPATIBLE;
    *len = (size_t)size;
    return E4_OK;
}

static int32_t record_write(void *ctx, uint32_t record, const uint8_t *buf, size_t len)
{
    ssize_t size = nvs_write(&nvs, (uint16_t)(FIRST_ENTRY + record), buf, len);
    ARG_UNUSED(ctx);
    if (size == -ENOSPC)
        return E4_ERROR_STORAGE_FULL;
    /* 0: the same bytes were there. */
    return size == (ssize_t)len || size == 0 ? E4_OK : E4_ERROR_STORAGE;
}

static int32_t record_erase(void *ctx, uint32_t record)
{
    ARG_UNUSED(ctx);
    return nvs_delete(&nvs, (uint16_t)(FIRST_ENTRY + record)) == 0 ? E4_OK : E4_ERROR_STORAGE;
}

static const e4_config config = {
    .storage = { NULL, record_read, record_write, record_erase },
    .keys = keys,
    .keys_count = ARRAY_SIZE(keys),
    .settings = E4_SETTINGS_DEFAULT,
};

int main(void)
{
    char topic[E4_CONTROL_TOPIC_LEN + 1];
    struct flash_pages_info page;
    int32_t result;

    nvs.flash_device = FIXED_PARTITION_DEVICE(storage_partition);
    nvs.offset = FIXED_PARTITION_OFFSET(storage_partition);
    if (flash_get_page_info_by_offs(nvs.flash_device, nvs.offset, &page) != 0)
        return 1;
    nvs.sector_size = (uint16_t)page.size;
    nvs.sector_count = 3;
    if (nvs_mount(&nvs) != 0)
        return 1;

    result = e4_open(&client, &config);
    if (result == E4_OK)
        result = e4_control_topic(&client, topic);
    if (result == E4_OK)
        printk("subscribe to %s\n", topic);
    else
        printk("%s\n", e4_error_text(result));
    return result != E4_OK;
}
