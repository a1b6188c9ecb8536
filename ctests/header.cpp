// SPDX-License-Identifier: Apache-2.0 OR MIT
// The header in C++11: it compiles, links, and its initialisers work.
#include "e4.h"

#include <cstdio>
#include <cstring>

static_assert(sizeof(e4_client) == 8 * E4_CLIENT_WORDS, "size of a client");
static_assert(E4_NO_CLOCK == UINT64_MAX && E4_ERROR_INTERNAL == -100 && E4_OK == 0, "constants");

int main()
{
    e4_client client = E4_CLIENT_INIT;
    e4_settings settings = E4_SETTINGS_DEFAULT;
    unsigned char bytes[E4_MEMORY_SIZE(1)] = {};
    e4_memory memory;
    e4_config config = {};
    const unsigned char id[E4_ID_LEN] = {1}, key[E4_KEY_LEN] = {1};

    config.settings = settings;
    int good = e4_memory_storage(&memory, bytes, sizeof bytes, &config.storage) == E4_OK;
    good += e4_provision_symmetric(&client, &config, id, key) == E4_OK;
    good += e4_close(&client) == E4_OK;
    good += std::strcmp(e4_version_text(), E4_VERSION) == 0;
    std::printf("%d passed, %d failed\n", good, 4 - good);
    return good != 4;
}
