/* SPDX-License-Identifier: BSD-3-Clause */
/* The key file. */
#include <sys/stat.h>

#include "fuzz.h"
#include "packet/packet.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static void check_ring(const struct fg_packet_keyring *ring)
{
    unsigned slots = 0;

    FG_FUZZ_CHECK(ring->count >= 1 && ring->count <= FG_PACKET_KEYS_MAX);
    for (unsigned i = 0; i < ring->count; i++) {
        const struct fg_packet_key *key = &ring->keys[i];

        FG_FUZZ_CHECK(key->id != 0 && fg_packet_keyring_find(ring, key->id) == key);
        FG_FUZZ_CHECK(key->roles != 0 &&
                      key->roles <=
                          (FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND | FG_PACKET_ROLE_MONITOR));
        FG_FUZZ_CHECK(key->secret[0] | key->secret[1]);
    }
    for (unsigned id = 0; id < 65536; id++)
        slots += ring->slot[id] != 0;
    FG_FUZZ_CHECK(slots == ring->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fg_error err = {""};
    struct fg_packet_keyring *ring;
    char path[64];
    int fd = fuzz_file(data, size, path);

    FG_FUZZ_CHECK(fchmod(fd, 0600) == 0);
    ring = fg_packet_keyring_load(path, &err);
    FG_FUZZ_CHECK((ring == NULL) == (err.text[0] != '\0'));
    if (ring)
        check_ring(ring);
    fg_packet_keyring_free(ring);
    close(fd);
    return 0;
}
