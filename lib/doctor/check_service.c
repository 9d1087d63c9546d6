/* SPDX-License-Identifier: BSD-3-Clause */
/* Files with secrets, who may do what, and the servers behind the appliance. */
#include <grp.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor/checks.h"
#include "packet/packet.h"

#define SERVICE_GROUP "floodgate" /* of the user that the unit names */

/* The group of the service may read what root owns. */
static bool is_shared(const struct stat *st)
{
    const struct group *service = getgrnam(SERVICE_GROUP);

    return service && st->st_uid == 0 && st->st_gid == service->gr_gid;
}

static bool is_open(const struct stat *st)
{
    return st->st_mode & (is_shared(st) ? 037 : 077);
}

static bool others_read(const struct fg_doctor *d, const char *file)
{
    char path[FG_DOCTOR_PATH];
    struct stat st;

    return file[0] && stat(fg_doctor_path(d, path, "%s", file), &st) == 0 && is_open(&st);
}

static void ask_to_close(const struct fg_doctor *d, struct fg_doctor_finding *f,
                         const char *setting, const char *file)
{
    char path[FG_DOCTOR_PATH];
    struct stat st = {0};

    stat(fg_doctor_path(d, path, "%s", file), &st);
    fg_doctor_say(f, FG_DOCTOR_WARNING, "%s = %.200s: others than its owner may read the secrets",
                  setting, file);
    fg_doctor_mend(f, "chmod %s %.280s", is_shared(&st) ? "0640" : "0600", file);
}

FG_DOCTOR_CHECK(keys)
{
    char path[FG_DOCTOR_PATH];
    struct fg_error err = {""};
    struct fg_packet_keyring *keys =
        fg_packet_keyring_load(fg_doctor_path(d, path, "%s", d->config->orders.keys), &err);

    fg_packet_keyring_free(keys);
    if (keys)
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "[orders] keys: %.280s", err.text);
}

FG_DOCTOR_CHECK(keys_mode)
{
    if (others_read(d, d->config->orders.keys))
        ask_to_close(d, f, "[orders] keys", d->config->orders.keys);
}

/* librdkafka's names: sasl.password, ssl.key.password, ssl.key.pem, sasl.oauthbearer.client.secret
 * and more. */
static bool has_secret(const struct fg_doctor *d, const char *properties)
{
    static const char *const words[] = {"password", "secret", "key.pem"};
    char path[FG_DOCTOR_PATH], line[1024];
    FILE *file = properties[0] ? fopen(fg_doctor_path(d, path, "%s", properties), "re") : NULL;
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            found |= strstr(line, words[i]) != NULL;
    if (file)
        fclose(file);
    return found;
}

FG_DOCTOR_CHECK(password_mode)
{
    const char *properties = d->config->kafka.properties_file;

    if (others_read(d, d->config->redis.password_file))
        ask_to_close(d, f, "[redis] password_file", d->config->redis.password_file);
    else if (others_read(d, d->config->postgres.password_file))
        ask_to_close(d, f, "[postgres] password_file", d->config->postgres.password_file);
    else if (others_read(d, d->config->pair.arbiter.password_file))
        ask_to_close(d, f, "[pair] arbiter_password_file", d->config->pair.arbiter.password_file);
    else if (others_read(d, d->config->fleet.etcd.password_file))
        ask_to_close(d, f, "[fleet] etcd_password_file", d->config->fleet.etcd.password_file);
    else if (others_read(d, properties) && has_secret(d, properties))
        ask_to_close(d, f, "[kafka] properties_file", properties);
}

FG_DOCTOR_CHECK(tls_key_mode)
{
    if (others_read(d, d->config->redis.tls_key))
        ask_to_close(d, f, "[redis] tls_key", d->config->redis.tls_key);
    else if (others_read(d, d->config->pair.tls_key))
        ask_to_close(d, f, "[pair] tls_key", d->config->pair.tls_key);
    else if (others_read(d, d->config->pair.arbiter.tls_key))
        ask_to_close(d, f, "[pair] arbiter_tls_key", d->config->pair.arbiter.tls_key);
    else if (others_read(d, d->config->fleet.etcd.tls_key))
        ask_to_close(d, f, "[fleet] etcd_tls_key", d->config->fleet.etcd.tls_key);
}

/* The path of the configuration is as the caller opened it: not below the root. */
FG_DOCTOR_CHECK(config_mode)
{
    bool secret = (d->config->redis.password[0] && !d->config->redis.password_file[0]) ||
                  strstr(d->config->postgres.conninfo, "password");
    struct stat st;

    if (!secret || stat(d->config->path, &st) < 0 || !is_open(&st))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "%.200s has a password in it, and others than its owner may read it",
                  d->config->path);
    fg_doctor_mend(f, "chmod %s %.280s", is_shared(&st) ? "0640" : "0600", d->config->path);
}

FG_DOCTOR_CHECK(api_mode)
{
    if (!(d->config->api.mode & 07))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "[api] mode = %04o: every user of this machine may change the sale",
                  d->config->api.mode);
    fg_doctor_mend_setting(d, f, "api", "mode", "0660");
}

FG_DOCTOR_CHECK(api_folder)
{
    char path[FG_DOCTOR_PATH], copy[sizeof(d->config->api.socket)];
    const char *folder;
    struct stat st;

    snprintf(copy, sizeof(copy), "%s", d->config->api.socket);
    folder = dirname(copy);
    if (stat(fg_doctor_path(d, path, "%s", folder), &st) < 0 || !(st.st_mode & 02) ||
        (st.st_mode & S_ISVTX))
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "every user may put a socket of theirs in place of %s, and get the operator's "
                  "commands",
                  d->config->api.socket);
    fg_doctor_mend(f, "chmod o-w %s", folder);
}

FG_DOCTOR_CHECK(gateways)
{
    if (!d->config->filter.allow_file[0] || d->config->limits.user_rate)
        return;
    fg_doctor_say(
        f, FG_DOCTOR_WARNING,
        "[filter] allow_file lets sources pass the rates, and [limits] user_rate is 0: one "
        "user behind a gateway may ask without limit");
    fg_doctor_mend_setting(d, f, "limits", "user_rate", "5");
}

FG_DOCTOR_CHECK(monitor)
{
    if (!d->config->filter.enabled || !d->config->filter.monitor)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "[filter] monitor is on: the filter counts its verdicts, and drops nothing");
    fg_doctor_mend_setting(d, f, "filter", "monitor", "no");
}

/* ---- servers --------------------------------------------------------------------------------- */

static bool read_redis(const struct fg_doctor *d, struct fg_doctor_finding *f,
                       struct fg_doctor_redis *redis, struct fg_error *err)
{
    if (!d->config->redis.enabled)
        fg_doctor_skip(f, "there is no section [redis]");
    else if (!d->probes->redis(&d->config->redis, redis, err))
        fg_doctor_skip(f, "see redis");
    else
        return true;
    return false;
}

FG_DOCTOR_CHECK(redis)
{
    struct fg_doctor_redis redis = {0};
    struct fg_error err = {""};

    if (read_redis(d, f, &redis, &err) || !d->config->redis.enabled)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING, "Redis at %.100s: %.200s; the sale runs, and Redis lags",
                  d->config->redis.address, err.text);
    fg_doctor_mend(f, "systemctl status redis-server");
}

FG_DOCTOR_CHECK(redis_version)
{
    struct fg_doctor_redis redis = {0};
    struct fg_error err = {""};

    if (read_redis(d, f, &redis, &err) && redis.major * 100 + redis.minor < 602)
        fg_doctor_say(f, FG_DOCTOR_FAULT, "Redis is of version %u.%u; accepted: 6.2 or newer",
                      redis.major, redis.minor);
}

FG_DOCTOR_CHECK(redis_policy)
{
    struct fg_doctor_redis redis = {0};
    struct fg_error err = {""};

    if (!read_redis(d, f, &redis, &err) || !redis.policy[0] || !strcmp(redis.policy, "noeviction"))
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "Redis' maxmemory-policy is %s: it may remove counters and orders without a sign",
                  redis.policy);
    fg_doctor_mend(f, "redis-cli CONFIG SET maxmemory-policy noeviction");
}

FG_DOCTOR_CHECK(redis_persistence)
{
    struct fg_doctor_redis redis = {0};
    struct fg_error err = {""};

    if (!read_redis(d, f, &redis, &err) || redis.persists)
        return;
    fg_doctor_say(
        f, FG_DOCTOR_WARNING,
        "Redis keeps nothing on disk: after its restart the appliance fills it again, and "
        "%s",
        d->config->inbound.enabled ? "confirmations that waited in it are lost" : "readers wait");
    fg_doctor_mend(f, "redis-cli CONFIG SET appendonly yes");
}

static bool read_postgres(const struct fg_doctor *d, struct fg_doctor_finding *f,
                          struct fg_sink_postgres_state *state, struct fg_error *err)
{
    if (!d->config->postgres.enabled)
        fg_doctor_skip(f, "there is no section [postgres]");
    else if (!d->probes->postgres(&d->config->postgres, state, err))
        fg_doctor_skip(f, "see postgres");
    else
        return true;
    return false;
}

FG_DOCTOR_CHECK(postgres)
{
    struct fg_sink_postgres_state state = {.version = 0};
    struct fg_error err = {""};

    if (read_postgres(d, f, &state, &err) || !d->config->postgres.enabled)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING, "PostgreSQL: %.200s; the sale runs, and PostgreSQL lags",
                  err.text);
    fg_doctor_mend(f, "fgctl backend status --config %s", d->config->path);
}

#define POSTGRES_OLDEST 12

FG_DOCTOR_CHECK(postgres_version)
{
    struct fg_sink_postgres_state state = {.version = 0};
    struct fg_error err = {""};

    if (read_postgres(d, f, &state, &err) && state.server < POSTGRES_OLDEST * 10000)
        fg_doctor_say(f, FG_DOCTOR_FAULT, "PostgreSQL is of version %u; accepted: %u or newer",
                      state.server / 10000, POSTGRES_OLDEST);
}

FG_DOCTOR_CHECK(postgres_tables)
{
    struct fg_sink_postgres_state state = {.version = 0};
    struct fg_error err = {""};

    if (!read_postgres(d, f, &state, &err) || state.version == state.known)
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "PostgreSQL's tables are of version %u, %u is needed%s",
                  state.version, state.known,
                  state.version > state.known ? ": use the newer program" : "");
    if (state.version < state.known)
        fg_doctor_mend(f, "fgctl backend init --config %s", d->config->path);
}

FG_DOCTOR_CHECK(kafka)
{
    char broker[sizeof(d->config->kafka.brokers)];
    struct fg_error err = {""};

    if (!d->config->kafka.enabled)
        return fg_doctor_skip(f, "there is no section [kafka]");
    snprintf(broker, sizeof(broker), "%.*s", (int)strcspn(d->config->kafka.brokers, ","),
             d->config->kafka.brokers);
    if (d->probes->connects(broker, &err))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "Kafka's broker %.100s: %.180s; the sale runs, and Kafka lags", broker, err.text);
    fg_doctor_mend(f, "kcat -L -b %.200s", broker);
}
