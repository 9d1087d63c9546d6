/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config.h"

#include <string.h>

#include "config/settings.h"

struct loader {
    struct fg_config *config;
    struct fg_config_problems *problems;
    struct fg_config_given given;
    unsigned section_line[FG_CONFIG_SECTIONS_MAX]; /* 0 = not given */

    /* the section that is being read */
    char title[FG_CONFIG_NAME_MAX + 1]; /* as given: "port shop" */
    const char *section;                /* as in the table: "port" */
    void *base;                         /* the struct that its settings fill */
    unsigned *lines;                    /* of its settings, 0 = not given */
};

static void set_defaults(bool port, void *base)
{
    char why[128];

    for (unsigned i = 0; i < fg_config_settings_count; i++) {
        const struct fg_config_setting *s = &fg_config_settings[i];

        if (port != !strcmp(s->section, FG_CONFIG_PORT_SECTION))
            continue;
        if (s->initial[0])
            FG_ASSERT(fg_config_setting_parse(s, s->initial, base, why, sizeof(why)));
    }
}

/* Lists what is accepted: names separated by commas, as many as fit. */
static void append(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);

    snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
}

/* An unknown key may be a stray secret: base64 ends with "=". A typing error still looks like a
 * name. */
static bool looks_like_a_key(const char *key, const char *value)
{
    return value[0] && strcmp(value, "=") && strlen(key) <= 24 &&
           key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
               '\0';
}

/* The value is not shown: it may be a secret whose key has a typing error. */
static void unknown_key(struct loader *l, unsigned line, const char *key, const char *value)
{
    char keys[512] = "";

    for (unsigned i = 0; i < fg_config_settings_count; i++)
        if (!strcmp(fg_config_settings[i].section, l->section))
            append(keys, sizeof(keys), fg_config_settings[i].key);
    if (!looks_like_a_key(key, value))
        key = "(hidden)";
    fg_config_problem(l->problems, line, "[%s] %s: no such setting; accepted: %s", l->title, key,
                      keys);
}

static const char *shown(const struct fg_config_setting *s, const char *value)
{
    if (s->flags & FG_CONFIG_SET_SECRET ||
        (s->flags & FG_CONFIG_SET_SECRET_FILE && value[0] != '/') ||
        ((s->kind == FG_CONFIG_KIND_ADDRESS || s->kind == FG_CONFIG_KIND_ENDPOINTS) &&
         strchr(value, '@'))) /* user:password@host */
        return "(hidden)";
    return value;
}

static void take_entry(void *arg, unsigned line, const char *key, const char *value)
{
    struct loader *l = arg;
    const struct fg_config_setting *s = fg_config_setting_find(l->section, key);
    char why[160], accepted[160];
    unsigned *first;

    if (!s) {
        unknown_key(l, line, key, value);
        return;
    }
    first = &l->lines[s - fg_config_settings];
    if (*first) {
        fg_config_problem(l->problems, line,
                          "[%s] %s = %s: given twice, first in line %u; accepted: once", l->title,
                          key, shown(s, value), *first);
        return;
    }
    *first = line;
    if (fg_config_setting_parse(s, value, l->base, why, sizeof(why)))
        return;
    fg_config_setting_accepted(s, accepted, sizeof(accepted));
    fg_config_problem(l->problems, line, "[%s] %s = %s: %s; accepted: %s", l->title, key,
                      shown(s, value), why, accepted);
}

static bool port_name_good(const char *name, size_t size)
{
    size_t length = strlen(name);

    return length && length < size &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length;
}

/* The port of a `[port NAME]` section; NULL when it is refused. */
static struct fg_port_options *new_port(struct loader *l, unsigned line, const char *title)
{
    struct fg_config *c = l->config;
    struct fg_port_options *port = &c->ports[c->ports_count];
    const char *name = title + strlen(FG_CONFIG_PORT_SECTION);

    name += strspn(name, " \t");
    if (!port_name_good(name, sizeof(port->name))) {
        fg_config_problem(
            l->problems, line,
            "[%s]: bad name of a port; accepted: [port NAME], 1..%zu letters, digits, . _ -", title,
            sizeof(port->name) - 1);
        return NULL;
    }
    for (unsigned i = 0; i < c->ports_count; i++)
        if (!strcmp(c->ports[i].name, name)) {
            fg_config_problem(l->problems, line,
                              "[%s]: given twice, first in line %u; accepted: once", title,
                              l->given.port_line[i]);
            return NULL;
        }
    if (c->ports_count == FG_PORT_MAX) {
        fg_config_problem(l->problems, line, "[%s]: too many ports; accepted: 1..%d", title,
                          FG_PORT_MAX);
        return NULL;
    }
    memset(port, 0, sizeof(*port));
    snprintf(port->name, sizeof(port->name), "%s", name);
    set_defaults(true, port);
    l->given.port_line[c->ports_count++] = line;
    return port;
}

static bool is_port_section(const char *name)
{
    size_t n = strlen(FG_CONFIG_PORT_SECTION);

    return !strncmp(name, FG_CONFIG_PORT_SECTION, n) &&
           (name[n] == '\0' || name[n] == ' ' || name[n] == '\t');
}

static bool unknown_section(struct loader *l, unsigned line, const char *title)
{
    char names[256] = "", name[64];

    for (unsigned i = 0; fg_config_sections[i].name; i++) {
        snprintf(name, sizeof(name), "[%s%s]", fg_config_sections[i].name,
                 strcmp(fg_config_sections[i].name, FG_CONFIG_PORT_SECTION) ? "" : " NAME");
        append(names, sizeof(names), name);
    }
    fg_config_problem(l->problems, line, "[%s]: no such section; accepted: %s", title, names);
    return false;
}

static bool take_port_section(struct loader *l, unsigned line)
{
    l->section = FG_CONFIG_PORT_SECTION;
    l->base = new_port(l, line, l->title);
    if (l->base)
        l->lines = l->given.port[l->config->ports_count - 1];
    return l->base;
}

static bool take_section(void *arg, unsigned line, const char *title)
{
    struct loader *l = arg;
    int section = fg_config_section_find(title);

    snprintf(l->title, sizeof(l->title), "%s", title);
    if (is_port_section(title))
        return take_port_section(l, line);
    if (section < 0)
        return unknown_section(l, line, title);
    if (l->section_line[section]) {
        fg_config_problem(l->problems, line, "[%s]: given twice, first in line %u; accepted: once",
                          title, l->section_line[section]);
        return false;
    }
    l->section_line[section] = line;
    l->section = fg_config_sections[section].name;
    l->base = l->config;
    l->lines = l->given.global;
    return true;
}

unsigned fg_config_check(struct fg_config *config, const char *path, FILE *out)
{
    struct fg_config_problems problems = {.path = path, .out = out};
    struct loader *l = calloc(1, sizeof(*l));

    FG_ASSERT(l);
    l->config = config;
    l->problems = &problems;
    memset(config, 0, sizeof(*config));
    set_defaults(false, config);
    if (strlen(path) >= sizeof(config->path))
        fg_config_problem(&problems, 1, "path too long; accepted: 1..%zu characters",
                          sizeof(config->path) - 1);
    snprintf(config->path, sizeof(config->path), "%s", path);
    l->given.last_line = fg_config_ini_read(
        path,
        &(struct fg_config_ini_handler){
            .section = take_section, .entry = take_entry, .known = fg_config_key_known, .arg = l},
        &problems);
    memcpy(config->lines.setting, l->given.global, sizeof(config->lines.setting));
    memcpy(config->lines.port, l->given.port_line, sizeof(config->lines.port));
    config->lines.last = l->given.last_line;
    if (l->given.last_line)
        fg_config_verify(config, &l->given, &problems);
    free(l);
    if (problems.count > FG_CONFIG_PROBLEMS_SHOWN)
        fprintf(out, "%s: %u more problems\n", path, problems.count - FG_CONFIG_PROBLEMS_SHOWN);
    return problems.count;
}

/* Whole lines of `report`, as many as fit with a last line that says how many did not. */
static void fill_error(struct fg_error *err, const char *report, unsigned count)
{
    const size_t note = 40;
    size_t used = 0;
    unsigned shown = 0;

    err->text[0] = '\0';
    while (*report) {
        const char *end = strchrnul(report, '\n');
        size_t n = (size_t)(end - report), room = sizeof(err->text) - note - used;

        if (n + 1 >= room && shown)
            break;
        if (n + 1 >= room)
            n = room - 1;
        used += (size_t)snprintf(err->text + used, sizeof(err->text) - used, "%s%.*s",
                                 shown ? "\n" : "", (int)n, report);
        shown++;
        report = *end ? end + 1 : end;
    }
    if (shown < count)
        snprintf(err->text + used, sizeof(err->text) - used, "\n(%u more problems)", count - shown);
}

bool fg_config_load(struct fg_config *config, const char *path, struct fg_error *err)
{
    char *report = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&report, &size);
    unsigned count;

    FG_ASSERT(out);
    count = fg_config_check(config, path, out);
    fclose(out);
    if (count && err)
        fill_error(err, report, count);
    free(report);
    return count == 0;
}

unsigned fg_config_line(const struct fg_config *config, const char *section, const char *key)
{
    const struct fg_config_setting *s = fg_config_setting_find(section, key);

    FG_ASSERT(s);
    return config->lines.setting[s - fg_config_settings]
               ? config->lines.setting[s - fg_config_settings]
               : config->lines.last;
}

unsigned fg_config_port_line(const struct fg_config *config, unsigned port)
{
    FG_ASSERT(port < config->ports_count);
    return config->lines.port[port];
}

int fg_config_cpu(const struct fg_config *config, unsigned index)
{
    int cpus[FG_WORKERS_MAX];
    int n;

    if (!config->workers.cpus[0])
        return -1;
    n = fg_config_cpu_list(config->workers.cpus, cpus, FG_WORKERS_MAX);
    return index < (unsigned)(n < 0 ? 0 : n) && index < FG_WORKERS_MAX ? cpus[index] : -1;
}
