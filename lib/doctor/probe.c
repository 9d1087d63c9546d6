/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts that no file of the kernel has: asked of the kernel, the disk, and the servers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "doctor/probe.h"
#include "redis/conn.h"
#include "redis/reply.h"

#define SYNCS       200
#define SMALL       4096
#define LARGE       (16u << 20)
#define CONNECT_MS  2000
#define PATIENCE_MS 3000 /* for the whole probe of a slow disk */

static bool clock_synchronised(bool *synchronised, struct fg_error *err)
{
    struct timex time = {0};
    int state = adjtimex(&time);

    if (state < 0)
        return fg_fail(err, "adjtimex: %s", strerror(errno));
    *synchronised = state != TIME_ERROR && !(time.status & STA_UNSYNC);
    return true;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool time_syncs(int fd, char *data, struct fg_doctor_disk *disk)
{
    double took[SYNCS], began = now_ms();
    unsigned n = 0;

    for (; n < SYNCS && (n < 20 || now_ms() - began < PATIENCE_MS); n++) {
        double at = now_ms();

        if (pwrite(fd, data, SMALL, n * SMALL) != SMALL || fdatasync(fd) < 0)
            return false;
        took[n] = now_ms() - at;
    }
    qsort(took, n, sizeof(took[0]), compare);
    disk->p99_ms = took[n - 1 - n / 100];
    return true;
}

static bool time_large(int fd, char *data, struct fg_doctor_disk *disk)
{
    double at = now_ms(), ms;

    for (size_t done = 0; done < LARGE;) {
        ssize_t n = pwrite(fd, data + done, LARGE - done, (off_t)done);

        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    if (fdatasync(fd) < 0)
        return false;
    ms = now_ms() - at;
    disk->mib_per_second = (LARGE >> 20) / (ms > 0.01 ? ms : 0.01) * 1e3;
    return true;
}

/* One measurement serves the checks of a run: each would cost seconds on a slow disk. */
static bool disk(const char *folder, struct fg_doctor_disk *found, struct fg_error *err)
{
    static struct fg_doctor_disk known;
    static char of[1200];
    char path[1200];
    char *data;
    int fd;
    bool ok;

    if (!strcmp(of, folder)) {
        *found = known;
        return true;
    }
    snprintf(path, sizeof(path), "%s/doctor-XXXXXX", folder);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return fg_fail(err, "%s: cannot make a file: %s", folder, strerror(errno));
    unlink(path);
    data = malloc(LARGE);
    if (data)
        memset(data, 0x5a, LARGE);
    ok = data && time_syncs(fd, data, &known) && time_large(fd, data, &known);
    if (!ok)
        fg_fail(err, "%s: cannot write: %s", folder, strerror(errno));
    free(data);
    close(fd);
    if (ok)
        snprintf(of, sizeof(of), "%s", folder);
    *found = known;
    return ok;
}

static bool connect_within(const struct addrinfo *a, int *why)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof(*why);
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    *why = fd < 0 ? errno : 0;
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
        *why = errno;
    else if (fd >= 0 && poll(&p, 1, CONNECT_MS) != 1)
        *why = ETIMEDOUT;
    else if (fd >= 0)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, why, &size);
    if (fd >= 0)
        close(fd);
    return *why == 0;
}

static bool connects(const char *address, struct fg_error *err)
{
    struct fg_redis_address where;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char port[8];
    int why, code;
    bool ok = false;

    if (!fg_redis_address_parse(address, &where, err))
        return false;
    snprintf(port, sizeof(port), "%u", where.port);
    code = getaddrinfo(where.host, port, &hints, &list);
    if (code)
        return fg_fail(err, "%s", gai_strerror(code));
    why = EHOSTUNREACH;
    for (const struct addrinfo *a = list; a && !ok; a = a->ai_next)
        ok = connect_within(a, &why);
    freeaddrinfo(list);
    return ok || fg_fail(err, "%s", strerror(why));
}

/* ---- Redis ----------------------------------------------------------------------------------- */

/* "key:value" of INFO, up to the end of its line. */
static bool info(const char *text, const char *key, char *value, size_t size)
{
    const char *found = strstr(text, key);
    size_t len = found ? strcspn(found + strlen(key), "\r\n") : 0;

    if (!found || len >= size)
        return false;
    memcpy(value, found + strlen(key), len);
    value[len] = 0;
    return true;
}

static void take_info(const char *text, struct fg_doctor_redis *redis)
{
    char value[64];

    if (info(text, "\nredis_version:", value, sizeof(value)))
        sscanf(value, "%u.%u", &redis->major, &redis->minor);
    info(text, "\nmaxmemory_policy:", redis->policy, sizeof(redis->policy));
    redis->persists = info(text, "\naof_enabled:", value, sizeof(value)) && value[0] == '1';
}

/* CONFIG GET save: a managed server may refuse it, and then the append-only file decides. */
static void take_save(const redisReply *reply, struct fg_doctor_redis *redis)
{
    if (fg_redis_reply_word(reply, 1)[0])
        redis->persists = true;
}

/* The reply to INFO comes first, so it is the last but one. */
static bool take_answers(const struct fg_redis_answer *answer, struct fg_doctor_redis *redis,
                         struct fg_error *err)
{
    struct fg_redis_text text = fg_redis_reply_text(answer->last[1]);

    if (!text.text)
        return fg_redis_reply_wrong(answer->last[1], "INFO", "a text", err);
    take_info(text.text, redis);
    take_save(answer->last[0], redis);
    return redis->major || fg_fail(err, "INFO names no redis_version");
}

static bool ask_redis(struct fg_redis_conn *conn, struct fg_doctor_redis *redis,
                      struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    bool ok;

    fg_redis_resp_clear(&conn->out);
    fg_redis_resp_command(&conn->out, 1, (const char *[]){"INFO"});
    fg_redis_resp_command(&conn->out, 3, (const char *[]){"CONFIG", "GET", "save"});
    ok =
        fg_redis_conn_exchange(conn, &conn->out, &answer, err) && take_answers(&answer, redis, err);
    fg_redis_answer_free(&answer);
    return ok;
}

static bool redis(const struct fg_redis_options *options, struct fg_doctor_redis *redis,
                  struct fg_error *err)
{
    static const struct fg_wait wait = {.wake_fd = -1};
    struct fg_redis_conn *conn = calloc(1, sizeof(*conn));
    bool ok;

    if (!conn)
        return fg_fail(err, "out of memory");
    conn->options = options;
    conn->wait = &wait;
    ok = fg_redis_conn_open(conn, err) && ask_redis(conn, redis, err);
    fg_redis_conn_close(conn);
    fg_redis_resp_free(&conn->out);
    free(conn);
    return ok;
}

static bool strips_vlan(const char *interface)
{
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
    struct ifreq r = {.ifr_data = (char *)&flags};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known;

    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", interface);
    known = s >= 0 && ioctl(s, SIOCETHTOOL, &r) == 0;
    if (s >= 0)
        close(s);
    return !known || (flags.data & ETH_FLAG_RXVLAN);
}

const struct fg_doctor_probes fg_doctor_probes_real = {
    .clock_synchronised = clock_synchronised,
    .disk = disk,
    .redis = redis,
    .postgres = fg_sink_postgres_read_state,
    .dpdk = fg_doctor_probe_dpdk,
    .refuses = fg_doctor_probe_refuses,
    .connects = connects,
    .strips_vlan = strips_vlan,
    .certificates = fg_doctor_probe_certificates,
    .arbiter = fg_doctor_probe_arbiter,
    .skew = fg_doctor_probe_skew,
};
