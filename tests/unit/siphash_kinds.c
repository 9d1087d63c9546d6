/* SPDX-License-Identifier: BSD-3-Clause */
/* Tags by every kind of vector of this CPU, against the published vectors of SipHash and against
 * each other. By itself: cmocka is not there for a CPU that is only emulated (aarch64.py). */
#include <stdio.h>
#include <string.h>

#include "packet/packet.h"

#define PACKETS 70u

static uint64_t state = 1;

static uint64_t next(void)
{
    state += 0x9e3779b97f4a7c15;
    return fg_mix64(state, 0x5eed);
}

/* From the table of the authors' reference code (vectors_sip64). */
static bool reference_is_right(void)
{
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t bytes[FG_PACKET_SIZE];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    return fg_packet_siphash24_56(key, bytes) == 0xb78dbfaf3a8d83bdull;
}

static bool kind_is_right(unsigned packets, bool one_key)
{
    static uint8_t bytes[PACKETS][FG_PACKET_SIZE + 8];
    static uint64_t secrets[PACKETS][2];
    const uint64_t *keys[PACKETS];
    const void *payloads[PACKETS];
    uint64_t tags[PACKETS];

    for (unsigned i = 0; i < packets; i++) {
        for (unsigned k = 0; k < sizeof(bytes[i]); k += 8) {
            uint64_t word = next();

            memcpy(bytes[i] + k, &word, 8);
        }
        secrets[i][0] = next(), secrets[i][1] = next();
        keys[i] = secrets[one_key ? 0 : i];
        payloads[i] = bytes[i] + i % 8;
    }
    fg_packet_siphash24_56_many(keys, payloads, tags, packets);
    for (unsigned i = 0; i < packets; i++)
        if (tags[i] != fg_packet_siphash24_56(keys[i], payloads[i]))
            return false;
    return true;
}

int main(void)
{
    unsigned wrong = !reference_is_right();

    printf("# reference: %s\n", wrong ? "WRONG" : "right");
    for (unsigned kind = 0; fg_packet_siphash_kind(kind); kind++) {
        unsigned bad = 0;

        if (!fg_packet_siphash_choose(kind))
            continue;
        for (unsigned n = 1; n <= PACKETS; n++)
            bad += !kind_is_right(n, false) + !kind_is_right(n, true);
        printf("# %s: %u of %u wrong\n", fg_packet_siphash_kind(kind), bad, 2 * PACKETS);
        wrong += bad;
    }
    return wrong != 0;
}
