/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of settings as a commented ini file: the sample file and the daemon's help. */
#include <string.h>

#include "config/settings.h"

/* A required setting stands in the sample as a line in force. */
static bool in_force(const struct fg_config_setting *s)
{
    return s->flags & FG_CONFIG_SET_REQUIRED || s->kind == FG_CONFIG_KIND_INTERFACE;
}

static void describe_setting(const struct fg_config_setting *s, FILE *out)
{
    char accepted[160];

    fg_config_setting_accepted(s, accepted, sizeof(accepted));
    fprintf(out, "\n# %s: %s.\n", s->key, s->text);
    fprintf(out, "# Accepted: %s. Default: %s.\n", accepted,
            s->initial[0]                       ? s->initial
            : s->flags & FG_CONFIG_SET_REQUIRED ? "none, required"
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
    for (unsigned i = 0; fg_config_sections[i].name; i++) {
        fprintf(out, "\n# %s\n[%s%s]\n", fg_config_sections[i].title, fg_config_sections[i].name,
                strcmp(fg_config_sections[i].name, FG_CONFIG_PORT_SECTION) ? "" : " shop");
        for (unsigned k = 0; k < fg_config_settings_count; k++)
            if (!strcmp(fg_config_settings[k].section, fg_config_sections[i].name))
                describe_setting(&fg_config_settings[k], out);
    }
}
