/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config.h"

#include <string.h>

#include "config/settings.h"

#include <rte_cfgfile.h>

struct loader {
    struct fg_config *config;
    struct fg_config_problems *problems;
    struct fg_config_given given;
    struct fg_config_scan scan;
};

static void set_defaults(bool port, void *base)
{
    char why[128];

    for (unsigned i = 0; i < fg_config_settings_count; i++) {
        const struct fg_config_setting *s = &fg_config_settings[i];

        if (port != !strcmp(s->section, FG_PORT_SECTION))
            continue;
        if (s->initial[0])
            FG_ASSERT(fg_config_setting_parse(s, s->initial, base, why, sizeof(why)));
    }
}

static void unknown_key(struct loader *l, unsigned line, const char *title, const char *section,
                        const struct rte_cfgfile_entry *e)
{
    char keys[512] = "";
    size_t used = 0;

    for (unsigned i = 0; i < fg_config_settings_count && used < sizeof(keys); i++)
        if (!strcmp(fg_config_settings[i].section, section))
            used += (size_t)snprintf(keys + used, sizeof(keys) - used, "%s%s", used ? ", " : "",
                                     fg_config_settings[i].key);
    fg_config_problem(l->problems, line, "[%s] %s = %s: no such setting; accepted: %s", title,
                      e->name, e->value, keys);
}

static void take_entry(struct loader *l, unsigned line, const char *title, const char *section,
                       void *base, unsigned *given, const struct rte_cfgfile_entry *e)
{
    const struct fg_config_setting *s = fg_config_setting_find(section, e->name);
    char why[160], accepted[160];
    const char *shown;
    unsigned at;

    if (!s) {
        unknown_key(l, line, title, section, e);
        return;
    }
    shown = s->flags & FG_SET_SECRET ? "(hidden)" : e->value;
    at = (unsigned)(s - fg_config_settings);
    if (given[at]) {
        fg_config_problem(l->problems, line,
                          "[%s] %s = %s: given twice, first in line %u; accepted: once", title,
                          e->name, shown, given[at]);
        return;
    }
    given[at] = line;
    if (fg_config_setting_parse(s, e->value, base, why, sizeof(why)))
        return;
    fg_config_setting_accepted(s, accepted, sizeof(accepted));
    fg_config_problem(l->problems, line, "[%s] %s = %s: %s; accepted: %s", title, e->name, shown,
                      why, accepted);
}

static bool port_name_good(const char *name, size_t size)
{
    size_t length = strlen(name);

    return length && length < size &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length;
}

/* The port of a `[port NAME]` section; NULL when it is refused. */
static struct fg_port_options *new_port(struct loader *l, const struct fg_config_scan_section *s)
{
    struct fg_config *c = l->config;
    struct fg_port_options *port = &c->ports[c->ports_count];
    const char *name = s->name + strlen(FG_PORT_SECTION);

    name += strspn(name, " \t");
    if (!port_name_good(name, sizeof(port->name))) {
        fg_config_problem(
            l->problems, s->line,
            "[%s]: bad name of a port; accepted: [port NAME], 1..%zu letters, digits, . _ -",
            s->name, sizeof(port->name) - 1);
        return NULL;
    }
    for (unsigned i = 0; i < c->ports_count; i++)
        if (!strcmp(c->ports[i].name, name)) {
            fg_config_problem(l->problems, s->line,
                              "[%s]: given twice, first in line %u; accepted: once", s->name,
                              l->given.port_line[i]);
            return NULL;
        }
    if (c->ports_count == FG_PORTS_MAX) {
        fg_config_problem(l->problems, s->line, "[%s]: too many ports; accepted: 1..%d", s->name,
                          FG_PORTS_MAX);
        return NULL;
    }
    memset(port, 0, sizeof(*port));
    snprintf(port->name, sizeof(port->name), "%s", name);
    set_defaults(true, port);
    l->given.port_line[c->ports_count++] = s->line;
    return port;
}

static bool is_port_section(const char *name)
{
    size_t n = strlen(FG_PORT_SECTION);

    return !strncmp(name, FG_PORT_SECTION, n) &&
           (name[n] == '\0' || name[n] == ' ' || name[n] == '\t');
}

/* False when the section is refused as a whole. */
static bool open_section(struct loader *l, unsigned index, const char **section, void **base,
                         unsigned **given)
{
    const struct fg_config_scan_section *s = &l->scan.sections[index];

    if (is_port_section(s->name)) {
        *section = FG_PORT_SECTION;
        *base = new_port(l, s);
        *given = *base ? l->given.port[l->config->ports_count - 1] : NULL;
        return *base;
    }
    *section = s->name;
    *base = l->config;
    *given = l->given.global;
    if (!fg_config_section_known(s->name)) {
        fg_config_problem(l->problems, s->line,
                          "[%s]: no such section; accepted: [port NAME], [workers], [eal], "
                          "[orders], [filter], [penalty], "
                          "[log], [redis], [postgres], [kafka], "
                          "[api], [limits]",
                          s->name);
        return false;
    }
    for (unsigned i = 0; i < index; i++)
        if (!strcmp(l->scan.sections[i].name, s->name)) {
            fg_config_problem(l->problems, s->line,
                              "[%s]: given twice, first in line %u; accepted: once", s->name,
                              l->scan.sections[i].line);
            return false;
        }
    return true;
}

static void take_section(struct loader *l, struct rte_cfgfile *file, unsigned index)
{
    const struct fg_config_scan_section *s = &l->scan.sections[index];
    unsigned end = index + 1 < l->scan.sections_count ? s[1].first : l->scan.lines_count;
    struct rte_cfgfile_entry *entries;
    char title[CFG_NAME_LEN];
    const char *section;
    unsigned *given;
    void *base;
    int n;

    if (!open_section(l, index, &section, &base, &given))
        return;
    entries = calloc(end - s->first + 1, sizeof(*entries));
    FG_ASSERT(entries);
    n = rte_cfgfile_section_entries_by_index(file, (int)index, title, entries,
                                             (int)(end - s->first));
    FG_ASSERT(n == (int)(end - s->first)); /* or the lines would be wrong */
    for (int i = 0; i < n; i++)
        take_entry(l, l->scan.lines[s->first + (unsigned)i], s->name, section, base, given,
                   &entries[i]);
    free(entries);
}

static void take_file(struct loader *l)
{
    struct rte_cfgfile_parameters parameters = {.comment_character = '#'};
    struct rte_cfgfile *file;
    char copy[64];

    snprintf(copy, sizeof(copy), "/proc/self/fd/%d", l->scan.clean_fd);
    file = rte_cfgfile_load_with_params(copy, CFG_FLAG_EMPTY_VALUES, &parameters);
    if (!file) {
        fg_config_problem(l->problems, 1, "rte_cfgfile refuses the file");
        return;
    }
    FG_ASSERT(rte_cfgfile_num_sections(file, NULL, 0) == (int)l->scan.sections_count);
    for (unsigned i = 0; i < l->scan.sections_count; i++)
        take_section(l, file, i);
    rte_cfgfile_close(file);
    l->given.last_line = l->scan.last_line;
    fg_config_verify(l->config, &l->given, l->problems);
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
    if (fg_config_scan_file(&l->scan, path, &problems))
        take_file(l);
    fg_config_scan_free(&l->scan);
    free(l);
    if (problems.count > FG_PROBLEMS_SHOWN)
        fprintf(out, "%s: %u more problems\n", path, problems.count - FG_PROBLEMS_SHOWN);
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

int fg_config_cpu(const struct fg_config *config, unsigned index)
{
    int cpus[FG_WORKERS_MAX];
    int n;

    if (!config->workers.cpus[0])
        return -1;
    n = fg_config_cpu_list(config->workers.cpus, cpus, FG_WORKERS_MAX);
    return index < (unsigned)(n < 0 ? 0 : n) && index < FG_WORKERS_MAX ? cpus[index] : -1;
}
