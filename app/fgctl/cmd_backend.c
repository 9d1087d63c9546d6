/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables of the order backend. These two speak to PostgreSQL itself: the daemon need not run.
 */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#include "config/config.h"
#include "sink/sink.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"

enum { OPT_CONFIG, OPT_CONNINFO, OPT_PASSWORD_FILE, OPT_SCHEMA }; /* as in commands.c */

static int input_error(const char *text)
{
    fg_complain("%s", text);
    return FG_EXIT_INPUT;
}

static bool copy(char *to, size_t size, const char *from, const char *what)
{
    if (snprintf(to, size, "%s", from) < (int)size)
        return true;
    fg_usage_error("--%s: %zu characters; accepted: up to %zu", what, strlen(from), size - 1);
    return false;
}

static int read_password(struct fg_sink_postgres_options *o, const char *path)
{
    char line[sizeof(o->password) + 1] = "", text[300];
    FILE *f = fopen(path, "re");
    size_t length = 0;

    if (f && fgets(line, sizeof(line), f))
        length = strcspn(line, "\r\n");
    if (f)
        fclose(f);
    if (!length || length >= sizeof(o->password)) {
        snprintf(text, sizeof(text), "%s: its first line is not a password of 1..%zu characters",
                 path, sizeof(o->password) - 1);
        return input_error(text);
    }
    memcpy(o->password, line, length);
    o->password[length] = '\0';
    return FG_EXIT_OK;
}

/* other: the connection is given by itself. */
static int from_config(struct fg_sink_postgres_options *o, const char *path, bool other)
{
    struct fg_config *c = calloc(1, sizeof(*c));
    struct fg_error err = {""};
    int code = FG_EXIT_OK;

    if (!c)
        return input_error("out of memory");
    if (!fg_config_load(c, path, &err)) {
        code = input_error(err.text);
    } else if (!c->postgres.enabled && !other) {
        fg_fail(&err, "%s: [postgres] conninfo: missing; give it there, or --conninfo here", path);
        code = input_error(err.text);
    } else {
        *o = c->postgres;
    }
    explicit_bzero(c, sizeof(*c));
    free(c);
    return code;
}

/* The configuration's connection is replaced as a whole: its password is of another user. */
static int override_connection(struct fg_sink_postgres_options *o, const char *conninfo)
{
    explicit_bzero(o->password, sizeof(o->password));
    o->password_file[0] = '\0';
    return copy(o->conninfo, sizeof(o->conninfo), conninfo, "conninfo") ? FG_EXIT_OK
                                                                        : FG_EXIT_USAGE;
}

/* From the daemon's configuration, from the command line alone, or from both. */
static int take_options(const struct fg_args *args, struct fg_sink_postgres_options *o)
{
    const char *conninfo = args->options[OPT_CONNINFO], *schema = args->options[OPT_SCHEMA];
    const char *config = args->options[OPT_CONFIG];
    int code = FG_EXIT_OK;

    *o = (struct fg_sink_postgres_options){.schema = "floodgate"};
    if (config || !conninfo)
        code = from_config(o, config ? config : CONFIG_PATH, conninfo != NULL);
    if (code == FG_EXIT_OK && conninfo)
        code = override_connection(o, conninfo);
    if (code == FG_EXIT_OK && args->options[OPT_PASSWORD_FILE])
        code = read_password(o, args->options[OPT_PASSWORD_FILE]);
    if (code == FG_EXIT_OK && schema && !copy(o->schema, sizeof(o->schema), schema, "schema"))
        code = FG_EXIT_USAGE;
    return code;
}

static int refused(const struct fg_error *err)
{
    fg_complain("%s", err->text);
    return FG_EXIT_REFUSED;
}

int fg_cmd_backend_init(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_sink_postgres_options o;
    struct fg_sink_postgres_made made;
    struct fg_error err = {""};
    char schema[64];
    int code = take_options(args, &o);

    if (code != FG_EXIT_OK)
        return code;
    if (!fg_sink_postgres_init(&o, &made, &err))
        return refused(&err);
    fg_sink_postgres_schema(&o, schema);
    if (cli->json)
        printf(
            "{\"schema\": \"%s\", \"schema_made\": %s, \"version_before\": %u, \"version\": %u}\n",
            schema, made.schema ? "true" : "false", made.from, made.to);
    else if (made.from == made.to)
        printf("schema %s: its tables are of version %u; nothing to do\n", schema, made.to);
    else
        printf("schema %s%s: tables %s version %u\n", schema, made.schema ? " made" : "",
               made.from ? "brought to" : "made,", made.to);
    return FG_EXIT_OK;
}

/* Last durable record of the daemon's log; 0 when it does not answer. */
static uint64_t durable_seq(struct fg_cli *cli)
{
    struct fg_error err;
    json_t *reply = NULL;
    uint64_t seq = 0;

    if (fg_request_quiet(cli, "GET", "/v1/status", NULL, &reply, &err) == FG_EXIT_OK)
        seq = (uint64_t)json_integer_value(
            json_object_get(json_object_get(reply, "log"), "durable_seq"));
    json_decref(reply);
    return seq;
}

static json_t *state_json(const struct fg_sink_postgres_options *o,
                          const struct fg_sink_postgres_state *s, uint64_t durable)
{
    char schema[64];
    json_t *out;

    fg_sink_postgres_schema(o, schema);
    out = json_pack("{s:s, s:s, s:i, s:i}", "address", s->address, "schema", schema, "version",
                    (int)s->version, "version_needed", (int)s->known);

    if (s->version != s->known)
        return out;
    json_object_set_new(out, "appliance",
                        s->appliance[0] ? json_string(s->appliance) : json_null());
    json_object_set_new(out, "cursor", json_integer((json_int_t)s->cursor));
    json_object_set_new(
        out, "lag",
        durable ? json_integer((json_int_t)(durable > s->cursor ? durable - s->cursor : 0))
                : json_null());
    json_object_set_new(out, "updated", s->updated[0] ? json_string(s->updated) : json_null());
    json_object_set_new(out, "orders", json_integer((json_int_t)s->orders));
    json_object_set_new(out, "items", json_integer((json_int_t)s->items));
    return out;
}

int fg_cmd_backend_status(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_sink_postgres_options o;
    struct fg_sink_postgres_state state = {.version = 0};
    struct fg_error err = {""};
    int code = take_options(args, &o);
    json_t *out;

    if (code != FG_EXIT_OK)
        return code;
    if (!fg_sink_postgres_read_state(&o, &state, &err))
        return refused(&err);
    out = state_json(&o, &state, durable_seq(cli));
    if (cli->json)
        fg_print_json_error(out); /* when the version is another */
    else
        fg_show(stdout, out);
    json_decref(out);
    if (state.version == state.known)
        return FG_EXIT_OK;
    fg_complain("the tables are of version %u, %u is needed: %s", state.version, state.known,
                state.version < state.known ? "run `fgctl backend init`" : "use the newer program");
    return FG_EXIT_REFUSED;
}
