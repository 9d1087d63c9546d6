/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration file: any bytes are either refused with a reason or give values in their
 * ranges. */
#include "config/settings.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

/* What the rest of the daemon relies on. */
static void check_config(const struct fg_config *c)
{
    FG_FUZZ_CHECK(c->ports_count >= 1 && c->ports_count <= FG_PORT_MAX);
    for (unsigned i = 0; i < c->ports_count; i++) {
        FG_FUZZ_CHECK(c->ports[i].name[0] && c->ports[i].device[0]);
        FG_FUZZ_CHECK(c->ports[i].queues >= 1 && c->ports[i].queues <= FG_PORT_QUEUES_MAX);
        FG_FUZZ_CHECK((c->ports[i].descriptors & (c->ports[i].descriptors - 1)) == 0);
    }
    FG_FUZZ_CHECK(c->workers.count >= 1 && c->workers.count <= FG_WORKERS_MAX);
    for (unsigned i = 0; i < FG_WORKERS_MAX; i++) {
        int cpu = fg_config_cpu(c, i);

        FG_FUZZ_CHECK(cpu >= -1 && cpu <= FG_CONFIG_CPU_MAX);
        FG_FUZZ_CHECK((cpu >= 0) == (c->workers.cpus[0] && i < c->workers.count));
    }
    FG_FUZZ_CHECK(c->log.segment_bytes % 64 == 0 && c->log.segment_bytes > 0);
    FG_FUZZ_CHECK((c->log.ring & (c->log.ring - 1)) == 0 && c->log.ring > 0);
    FG_FUZZ_CHECK(c->orders.keys[0] == '/' && c->orders.port != 0);
    FG_FUZZ_CHECK(c->redis.enabled == (c->redis.address[0] != '\0'));
}

static unsigned lines(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fg_config config;
    struct fg_error err = {""};
    char path[64], *report = NULL;
    size_t length;
    int fd = fuzz_file(data, size, path);
    FILE *out = open_memstream(&report, &length);
    unsigned problems = fg_config_check(&config, path, out);

    fclose(out);
    FG_FUZZ_CHECK(lines(report) == (problems > FG_CONFIG_PROBLEMS_SHOWN
                                        ? FG_CONFIG_PROBLEMS_SHOWN + 1
                                        : problems)); /* one each */
    FG_FUZZ_CHECK(fg_config_load(&config, path, &err) == (problems == 0));
    FG_FUZZ_CHECK((err.text[0] != '\0') == (problems != 0));
    if (!problems)
        check_config(&config);
    free(report);
    close(fd);
    return 0;
}
