/* SPDX-License-Identifier: BSD-3-Clause */
#include "health/health.h"

#include <string.h>

#include "base/diag.h"

const char *fg_health_state_name(enum fg_health_state state)
{
    static const char *const names[] = {[FG_HEALTH_RUNNING] = "running",
                                        [FG_HEALTH_IS_DEGRADED] = "degraded",
                                        [FG_HEALTH_IS_UNHEALTHY] = "unhealthy",
                                        [FG_HEALTH_STOPPING] = "stopping"};

    return names[state];
}

const char *fg_health_level_name(enum fg_health_level level)
{
    static const char *const names[] = {
        [FG_HEALTH_NONE] = "none", [FG_HEALTH_WARNING] = "warning", [FG_HEALTH_ALARM] = "alarm"};

    return names[level];
}

static enum fg_health_level check_row(const struct fg_health_condition *row,
                                      const struct fg_health_observations *now,
                                      const struct fg_health_observations *before, char *text)
{
    enum fg_health_level level;

    text[0] = '\0';
    level = row->check(now, before, text);
    FG_ASSERT(level != FG_HEALTH_WARNING || row->warning);
    FG_ASSERT(level != FG_HEALTH_ALARM || row->alarm);
    return level;
}

/* ---- the state ------------------------------------------------------------------------------- */

static enum fg_health_effect effect_of(const struct fg_health_condition *row,
                                       enum fg_health_level level)
{
    return level == FG_HEALTH_ALARM     ? row->alarm_effect
           : level == FG_HEALTH_WARNING ? row->warning_effect
                                        : FG_HEALTH_NOTHING;
}

struct fg_health_answer fg_health_check(const struct fg_health_observations *now)
{
    struct fg_health_answer v = {.state = FG_HEALTH_RUNNING};
    enum fg_health_effect worst = FG_HEALTH_NOTHING;

    for (unsigned i = 0; i < fg_health_conditions_count; i++) {
        char text[FG_HEALTH_TEXT];
        enum fg_health_level level = check_row(&fg_health_conditions[i], now, now, text);
        enum fg_health_effect effect = effect_of(&fg_health_conditions[i], level);

        if (effect <= worst) /* of two as bad ones the first in the table speaks */
            continue;
        worst = effect;
        memcpy(v.reason, text, sizeof(text));
    }
    if (worst == FG_HEALTH_DEGRADED)
        v.state = FG_HEALTH_IS_DEGRADED;
    if (worst == FG_HEALTH_UNHEALTHY)
        v.state = FG_HEALTH_IS_UNHEALTHY;
    v.healthy = worst != FG_HEALTH_UNHEALTHY && !now->stopping;
    if (now->stopping) {
        v.state = FG_HEALTH_STOPPING;
        if (worst != FG_HEALTH_UNHEALTHY)
            snprintf(v.reason, sizeof(v.reason), "stopping");
    }
    return v;
}

/* ---- alarms ---------------------------------------------------------------------------------- */

void fg_health_init(struct fg_health *health)
{
    pthread_mutex_init(&health->lock, NULL);
}

static void tell(unsigned index, enum fg_health_level level, const char *text)
{
    const char *name = fg_health_conditions[index].name;

    if (level == FG_HEALTH_NONE)
        fg_diag(FG_DIAG_NOTICE, "alarm %s: over", name);
    else
        fg_diag(level == FG_HEALTH_ALARM ? FG_DIAG_ERROR : FG_DIAG_WARNING, "alarm %s: %s", name,
                text);
}

/* The new level of one alarm; it falls only after its time. */
static void set(struct fg_health *health, unsigned index, uint64_t now_ms,
                enum fg_health_level level, const char *text)
{
    enum fg_health_level before = health->list[index].level;

    if (level >= before)
        health->list[index].seen_ms = now_ms;
    if (level < before && now_ms - health->list[index].seen_ms < FG_HEALTH_KEEP_MS)
        return;
    pthread_mutex_lock(&health->lock);
    health->list[index].level = level;
    memcpy(health->list[index].text, text, FG_HEALTH_TEXT);
    pthread_mutex_unlock(&health->lock);
    if (level == before)
        return;
    health->list[index].seen_ms = now_ms; /* a warning that follows an alarm has its own time */
    tell(index, level, text);
}

void fg_health_poll(struct fg_health *health, const struct fg_health_observations *now)
{
    if (!health->polled) { /* counted before the first poll: no news, unless it began with us */
        health->before = *now;
        health->before.counters.dead = health->before.counters.trimmed = 0;
    }
    health->polled = true;
    for (unsigned i = 0; i < fg_health_conditions_count; i++) {
        char text[FG_HEALTH_TEXT];
        enum fg_health_level level =
            check_row(&fg_health_conditions[i], now, &health->before, text);

        set(health, i, now->now_ms, level, text);
    }
    health->before = *now;
}

void fg_health_each(struct fg_health *health,
                    void (*each)(void *ctx, const char *name, enum fg_health_level level,
                                 const char *text),
                    void *ctx)
{
    pthread_mutex_lock(&health->lock);
    for (unsigned i = 0; i < fg_health_conditions_count; i++)
        each(ctx, fg_health_conditions[i].name, health->list[i].level, health->list[i].text);
    pthread_mutex_unlock(&health->lock);
}

/* ---- the page -------------------------------------------------------------------------------- */

static void describe_level(FILE *out, const char *level, const char *when,
                           enum fg_health_effect effect, bool *first)
{
    static const char *const means[] = {[FG_HEALTH_NOTHING] = "",
                                        [FG_HEALTH_TOLD] = "",
                                        [FG_HEALTH_DEGRADED] = " (degraded)",
                                        [FG_HEALTH_UNHEALTHY] = " (unhealthy)"};

    if (!when)
        return;
    fprintf(out, "%s%s%s: %s", *first ? "" : "; ", level, means[effect], when);
    *first = false;
}

void fg_health_describe(FILE *out)
{
    fputs("| alarm | raised when | remedy |\n|---|---|---|\n", out);
    for (unsigned i = 0; i < fg_health_conditions_count; i++) {
        const struct fg_health_condition *row = &fg_health_conditions[i];
        bool first = true;

        fprintf(out, "| `%s` | ", row->name);
        describe_level(out, "warning", row->warning, row->warning_effect, &first);
        describe_level(out, "alarm", row->alarm, row->alarm_effect, &first);
        fprintf(out, " | %s |\n", row->remedy);
    }
}
