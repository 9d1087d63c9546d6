/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/pcap.h"

#include <errno.h>
#include <string.h>

struct fg_pcap {
    FILE *out;
    char path[512];
};

struct fg_pcap *fg_pcap_create(const char *path, struct fg_error *err)
{
    static const struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, sigfigs, snaplen, linktype;
    } header = {0xa1b2c3d4, 2, 4, 0, 0, 65535, 1};
    struct fg_pcap *pcap = calloc(1, sizeof(*pcap));

    if (!pcap) {
        fg_fail(err, "out of memory");
        return NULL;
    }
    snprintf(pcap->path, sizeof(pcap->path), "%s", path);
    pcap->out = fopen(path, "w");
    if (!pcap->out) {
        fg_fail(err, "%s: %s", path, strerror(errno));
        free(pcap);
        return NULL;
    }
    setvbuf(pcap->out, NULL, _IOFBF, 1 << 20);
    fwrite(&header, sizeof(header), 1, pcap->out);
    return pcap;
}

void fg_pcap_write(struct fg_pcap *pcap, uint64_t now_ns, const void *frame, uint32_t bytes)
{
    uint32_t header[4] = {(uint32_t)(now_ns / 1000000000), (uint32_t)(now_ns / 1000 % 1000000),
                          bytes, bytes};

    fwrite(header, sizeof(header), 1, pcap->out);
    fwrite(frame, bytes, 1, pcap->out);
}

bool fg_pcap_close(struct fg_pcap *pcap, struct fg_error *err)
{
    bool good = fflush(pcap->out) == 0 && !ferror(pcap->out);

    if (!good)
        fg_fail(err, "%s: %s", pcap->path, strerror(errno));
    fclose(pcap->out);
    free(pcap);
    return good;
}
