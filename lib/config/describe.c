/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of settings as a commented ini file: the sample file and the daemon's help. */
#include <string.h>

#include "config/settings.h"

static const struct {
    const char *section, *title;
} sections[] = {
    {"port", "A port that orders come in by; one section each, with a name of your choice."},
    {"workers", "The threads that decide orders."},
    {"eal", "Memory for the packet path (DPDK)."},
    {"orders", "Order packets."},
    {"filter", "The XDP filter in front of AF_XDP ports."},
    {"penalty", "The penalty box: sources that misbehave are blocked for a while."},
    {"log", "The log of decisions: the truth of the sale."},
    {"redis", "Replication to Redis; without an address there is none."},
    {"postgres", "Orders and stock in PostgreSQL; without a conninfo there are none."},
    {"kafka", "Events to Kafka; without brokers there are none."},
    {"api", "The control server (fgctl, curl, metrics)."},
    {"limits", "Sizes of the appliance as a whole; memory is taken at start-up."},
};

/* What the daemon needs and cannot guess stands in the sample as a line in force. */
static bool in_force(const struct fg_config_setting *s)
{
    return s->flags & FG_SET_REQUIRED || s->kind == FG_KIND_INTERFACE;
}

static void describe_setting(const struct fg_config_setting *s, FILE *out)
{
    char accepted[160];

    fg_config_setting_accepted(s, accepted, sizeof(accepted));
    fprintf(out, "\n# %s: %s.\n", s->key, s->text);
    fprintf(out, "# Accepted: %s. Default: %s.\n", accepted,
            s->initial[0]                ? s->initial
            : s->flags & FG_SET_REQUIRED ? "none, required"
                                         : "none");
    fprintf(out, "%s%s = %s\n", in_force(s) ? "" : "#", s->key, s->sample ? s->sample : s->initial);
}

void fg_config_describe(FILE *out)
{
    fprintf(
        out,
        "# Floodgate: every setting, with its default. Remove the # in front of what you change.\n"
        "# Sizes take k, m, g; durations ms, s, m. A # starts a comment anywhere in a line.\n"
        "# `floodgate --check FILE` tells what is wrong in FILE, with line and accepted range.\n");
    for (unsigned i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        fprintf(out, "\n# %s\n[%s%s]\n", sections[i].title, sections[i].section,
                strcmp(sections[i].section, FG_PORT_SECTION) ? "" : " shop");
        for (unsigned k = 0; k < fg_config_settings_count; k++)
            if (!strcmp(fg_config_settings[k].section, sections[i].section))
                describe_setting(&fg_config_settings[k], out);
    }
}
