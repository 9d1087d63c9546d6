/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's functions for the control server. Control thread, and `fg-fleet-items`. */
#include "daemon.h"

#include "base/diag.h"
#include "control/item_json.h"
#include "control/trail.h"

#define CATCH_UP_MS   5000
#define CLEAR_MS      10000 /* for all to leave a line, durably */
#define CLEAR_POLL_US 5000
#define SCAN_ORDERS   100000 /* looked at before the ledger is unlocked for a moment */

/* The result of a command, in words for the operator. */
static enum fg_control_result outcome(enum fg_worker_mail mail,
                                      const struct fg_stock_answer *answer, struct fg_error *err)
{
    switch (mail) {
    case FG_WORKER_MAIL_NOT_SENT:
        fg_fail(err, "the appliance is stopping, or an earlier command is still under way; nothing "
                     "was changed");
        return FG_CONTROL_UNAVAILABLE;
    case FG_WORKER_MAIL_TIMEOUT:
        fg_fail(err, "no answer within 5 s; it may still happen, check before you repeat it");
        return FG_CONTROL_UNAVAILABLE;
    case FG_WORKER_MAIL_ANSWERED:
        break;
    }
    switch ((enum fg_stock_outcome)answer->outcome) {
    case FG_STOCK_OUTCOME_DONE:
        return FG_CONTROL_DONE;
    case FG_STOCK_OUTCOME_INSUFFICIENT:
        fg_fail(err, "only %u units are free; nothing was changed", answer->left);
        return FG_CONTROL_CONFLICT;
    case FG_STOCK_OUTCOME_UNKNOWN_ITEM:
        fg_fail(err, "no such item");
        return FG_CONTROL_NOT_FOUND;
    case FG_STOCK_OUTCOME_UNKNOWN_ORDER:
        fg_fail(err, "no such order of this user");
        return FG_CONTROL_NOT_FOUND;
    case FG_STOCK_OUTCOME_NOT_SOLD:
        fg_fail(err, "the order is %s, not sold; nothing was changed",
                answer->state ? fg_ledger_order_state_name(answer->state) : "being decided");
        return FG_CONTROL_CONFLICT;
    case FG_STOCK_OUTCOME_FULL:
        fg_fail(err, "no room for more; nothing was changed");
        return FG_CONTROL_CONFLICT;
    case FG_STOCK_OUTCOME_TOO_LATE:
        fg_fail(err, "lottery: users wait already, or the item has opened; the settings of the "
                     "waiting list were not changed");
        return FG_CONTROL_CONFLICT;
    case FG_STOCK_OUTCOME_BUSY:
        fg_fail(err, "a queue or the log is full, a draw is under way, or etcd or a member of the "
                     "fleet does not answer; nothing was changed, try again");
        return FG_CONTROL_UNAVAILABLE;
    case FG_STOCK_OUTCOME_UNAVAILABLE:
        break;
    }
    fg_fail(err, "the log failed or the appliance is stopping; nothing was changed");
    return FG_CONTROL_UNAVAILABLE;
}

/* A lock, for `fg-fleet-items` has commands, too. */
static enum fg_control_result ask_for_left(struct fg_daemon *d, uint64_t id,
                                           struct fg_stock_command *command,
                                           struct fg_stock_answer *answer, struct fg_error *err)
{
    unsigned owner = fg_user_owner(id, d->config.workers.count);
    enum fg_worker_mail mail;

    *answer = (struct fg_stock_answer){0};
    pthread_mutex_lock(&d->mailbox_lock);
    mail = fg_worker_mailbox_ask(&d->mailbox, owner, command, answer);
    pthread_mutex_unlock(&d->mailbox_lock);
    return outcome(mail, answer, err);
}

/* The worker that owns this user, or is the home of this item. */
static enum fg_control_result ask_owner(struct fg_daemon *d, uint64_t id,
                                        struct fg_stock_command *command, struct fg_error *err)
{
    struct fg_stock_answer answer;

    return ask_for_left(d, id, command, &answer, err);
}

static enum fg_control_result ask_home(struct fg_daemon *d, struct fg_stock_command *command,
                                       struct fg_error *err)
{
    return ask_owner(d, command->item, command, err);
}

static enum fg_control_result ask_all(struct fg_daemon *d, struct fg_stock_command *command,
                                      struct fg_error *err)
{
    struct fg_stock_answer answer = {0};
    enum fg_worker_mail mail;

    pthread_mutex_lock(&d->mailbox_lock);
    mail = fg_worker_mailbox_ask_all(&d->mailbox, command, &answer);
    pthread_mutex_unlock(&d->mailbox_lock);
    return outcome(mail, &answer, err);
}

static uint64_t now_ms(void *ctx)
{
    const struct fg_daemon *d = ctx;

    return fg_clock_now_ms(&d->clock);
}

static bool up_to_date(void *ctx, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    uint32_t under_way;

    pthread_mutex_lock(&d->mailbox_lock);
    under_way = fg_worker_mailbox_under_way(&d->mailbox);
    pthread_mutex_unlock(&d->mailbox_lock);
    if (!under_way && fg_ledger_follower_catch_up(&d->follower, CATCH_UP_MS))
        return true;
    return fg_fail(
        err, "an earlier command is still under way, or the ledger lags; nothing was changed");
}

/* The ledger numbers items in the order of the log, and so do we: one creation at a time, ledger up
 * to date.
 */
static enum fg_control_result find_index(struct fg_daemon *d, uint64_t item,
                                         struct fg_ledger_item *known, uint32_t *index,
                                         struct fg_error *err)
{
    const struct fg_ledger_item *found;

    if (!up_to_date(d, err))
        return FG_CONTROL_UNAVAILABLE;
    pthread_mutex_lock(&d->follower.lock);
    found = fg_ledger_item(d->follower.ledger, item);
    *index = found ? found->index : fg_ledger_items(d->follower.ledger);
    if (found)
        *known = *found;
    pthread_mutex_unlock(&d->follower.lock);
    return found ? FG_CONTROL_DONE : FG_CONTROL_NOT_FOUND;
}

static enum fg_control_result check_item(struct fg_daemon *d, const struct fg_control_item *item,
                                         bool must_exist, struct fg_ledger_item *known,
                                         uint32_t *index, struct fg_error *err)
{
    enum fg_control_result found = find_index(d, item->item, known, index, err);

    if (found == FG_CONTROL_UNAVAILABLE)
        return found;
    if (must_exist && found == FG_CONTROL_NOT_FOUND) {
        fg_fail(err, "no item %llu", (unsigned long long)item->item);
        return FG_CONTROL_NOT_FOUND;
    }
    if (!must_exist && found == FG_CONTROL_DONE) {
        fg_fail(err, "item %llu exists already", (unsigned long long)item->item);
        return FG_CONTROL_CONFLICT;
    }
    if (*index >= d->workers.options.limits.items_max) {
        fg_fail(err, "there are %u items already, as many as [limits] items_max allows", *index);
        return FG_CONTROL_CONFLICT;
    }
    return FG_CONTROL_DONE;
}

static enum fg_control_result set_name(struct fg_daemon *d, const struct fg_control_item *item,
                                       uint32_t index, struct fg_error *err)
{
    struct fg_stock_command command = {
        .type = FG_STOCK_ITEM_NAME, .index = index, .item = item->item};

    memcpy(command.name, item->name, strnlen(item->name, sizeof(command.name)));
    return ask_home(d, &command, err);
}

static struct fg_stock_command line_of(const struct fg_control_item *item, uint32_t index)
{
    return (struct fg_stock_command){.type = FG_STOCK_LINE_SET,
                                     .index = index,
                                     .item = item->item,
                                     .line_max = item->waitlist,
                                     .claim_ms = item->claim_ms,
                                     .wait_ttl_ms = item->wait_ttl_ms,
                                     .line_flags = (item->one_unit ? FG_JOURNAL_LINE_ONE_UNIT : 0) |
                                                   (item->lottery ? FG_JOURNAL_LINE_LOTTERY : 0)};
}

static bool line_changed(const struct fg_control_item *item, const struct fg_ledger_item *known)
{
    struct fg_control_item before;

    fg_control_item_settings(known, &before);
    return item->waitlist != before.waitlist || item->claim_ms != before.claim_ms ||
           item->wait_ttl_ms != before.wait_ttl_ms || item->one_unit != before.one_unit ||
           item->lottery != before.lottery;
}

/* Settings of the waiting list, if they change: a record of their own. */
static enum fg_control_result set_line(struct fg_daemon *d, const struct fg_control_item *item,
                                       const struct fg_ledger_item *known, uint32_t index,
                                       struct fg_error *err)
{
    struct fg_stock_command command = line_of(item, index);
    enum fg_control_result result;

    if (!line_changed(item, known))
        return FG_CONTROL_DONE;
    result = ask_home(d, &command, err);
    if (result != FG_CONTROL_DONE)
        return result;
    command.type = FG_STOCK_LINE_APPLY;
    return ask_all(d, &command, err);
}

/* A draw cannot be called off: else whoever may set items could try until it suits. */
static bool check_lottery(struct fg_daemon *d, const struct fg_control_item *item,
                          const struct fg_ledger_item *known, struct fg_error *err)
{
    bool before = known->line_flags & FG_JOURNAL_LINE_LOTTERY;

    if (before && !item->lottery)
        return fg_fail(err, "lottery: the draw is to come, and cannot be called off");
    if (before || !item->lottery)
        return true;
    if (!item->waitlist)
        return fg_fail(err, "lottery: the item has no waiting list, see waitlist");
    if (known->waiting) /* their order is known, and a draw would change it */
        return fg_fail(err,
                       "lottery: %llu users wait already; a draw is set before the first comes",
                       (unsigned long long)known->waiting);
    return item->opens_ms > fg_clock_now_ms(&d->clock) ||
           fg_fail(err, "lottery: the item is open already; a draw is held at the opening");
}

static enum fg_control_result check_line(struct fg_daemon *d, const struct fg_control_item *item,
                                         const struct fg_ledger_item *known, struct fg_error *err)
{
    uint32_t max = d->workers.options.limits.waiting_max;

    if (!check_lottery(d, item, known, err))
        return FG_CONTROL_CONFLICT;
    if (!line_changed(item, known) || (max && item->waitlist <= max))
        return FG_CONTROL_DONE;
    if (max)
        fg_fail(err, "waitlist: %u is more than [limits] waiting_max = %u; nothing was changed",
                item->waitlist, max);
    else
        fg_fail(err, "this appliance has no waiting lists: [limits] waiting_max is 0");
    return FG_CONTROL_CONFLICT;
}

static bool settings_changed(const struct fg_stock_command *c, const struct fg_ledger_item *known)
{
    return c->opens_ms != known->opens_ms || c->closes_ms != known->closes_ms ||
           c->hold_ms != known->hold_ms || c->user_limit != known->user_limit ||
           c->order_max != known->order_max || c->flags != known->flags;
}

/* In the log first, then in force everywhere: no order is ever decided by settings that a crash
 * could lose.
 */
static enum fg_control_result carry_out(struct fg_daemon *d, const struct fg_control_item *item,
                                        bool exists, const struct fg_ledger_item *known,
                                        uint32_t index, struct fg_error *err)
{
    enum fg_control_result result = FG_CONTROL_DONE;
    struct fg_stock_command command = {
        .type = FG_STOCK_ITEM_SET,
        .item = item->item,
        .index = index,
        .opens_ms = item->opens_ms,
        .closes_ms = item->closes_ms,
        .hold_ms = item->hold_ms,
        .user_limit = item->user_limit,
        .order_max = item->order_max,
        .flags = (uint16_t)((item->paused ? FG_JOURNAL_ITEM_PAUSED : 0) |
                            (item->retired ? FG_JOURNAL_ITEM_RETIRED : 0))};

    if (!exists || settings_changed(&command, known))
        result = ask_home(d, &command, err);
    /* Also those that the log has: they may be of a command that was given up before this. */
    command.type = FG_STOCK_ITEM_APPLY;
    if (result == FG_CONTROL_DONE)
        result = ask_all(d, &command, err);
    if (result == FG_CONTROL_DONE)
        result = set_line(d, item, known, index, err);
    if (result == FG_CONTROL_DONE && strcmp(item->name, known->name))
        result = set_name(d, item, index, err);
    if (result == FG_CONTROL_DONE)
        fg_ledger_follower_catch_up(&d->follower, CATCH_UP_MS); /* so that who asks now sees it */
    return result;
}

static enum fg_control_result item_set(void *ctx, const struct fg_control_item *item,
                                       bool must_exist, uint32_t *behind, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_ledger_item known = {0};
    uint32_t index;
    enum fg_control_result result = check_item(d, item, must_exist, &known, &index, err);

    if (result == FG_CONTROL_DONE)
        result = check_line(d, item, &known, err);
    if (result != FG_CONTROL_DONE)
        return result;
    return d->fleet.member ? fg_catalogue_set(d, item, behind, err)
                           : carry_out(d, item, must_exist, &known, index, err);
}

enum fg_control_result fg_glue_item_apply(struct fg_daemon *d, const struct fg_control_item *item,
                                          struct fg_error *err)
{
    struct fg_ledger_item known = {0};
    struct fg_control_item whole;
    uint32_t index;
    enum fg_control_result found = find_index(d, item->item, &known, &index, err);

    if (found == FG_CONTROL_UNAVAILABLE)
        return found;
    if (index >= d->workers.options.limits.items_max) {
        fg_fail(err, "there are %u items already, as many as [limits] items_max allows", index);
        return FG_CONTROL_CONFLICT;
    }
    fg_control_item_settings(&known, &whole);
    whole.item = item->item;
    memcpy(whole.name, item->name, sizeof(whole.name));
    whole.opens_ms = item->opens_ms;
    whole.closes_ms = item->closes_ms;
    whole.hold_ms = item->hold_ms;
    whole.user_limit = item->user_limit;
    whole.order_max = item->order_max;
    whole.paused = item->paused;
    whole.retired = item->retired;
    return carry_out(d, &whole, found == FG_CONTROL_DONE, &known, index, err);
}

static enum fg_control_result stock_add(void *ctx, uint64_t item, int64_t units,
                                        struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_ledger_item known = {0};
    struct fg_stock_command command = {.item = item};
    enum fg_control_result result = find_index(d, item, &known, &command.index, err);

    if (result == FG_CONTROL_NOT_FOUND)
        fg_fail(err, "no item %llu", (unsigned long long)item);
    if (result != FG_CONTROL_DONE)
        return result;
    if (units == 0 || units < -(int64_t)FG_JOURNAL_UNITS_MAX ||
        units > (int64_t)(FG_JOURNAL_UNITS_MAX - known.total)) {
        fg_fail(err, "%lld units; accepted: not 0, and a total of at most %d (there are %llu)",
                (long long)units, FG_JOURNAL_UNITS_MAX, (unsigned long long)known.total);
        return FG_CONTROL_BAD;
    }
    command.type = units > 0 ? FG_STOCK_STOCK_ADD : FG_STOCK_STOCK_REMOVE;
    command.units = (uint32_t)(units > 0 ? units : -units);
    result = ask_home(d, &command, err);
    if (result == FG_CONTROL_DONE)
        fg_ledger_follower_catch_up(&d->follower, CATCH_UP_MS);
    return result;
}

/* The first order from *at on that is still in the line with a ticket of before. */
static bool find_waiting(struct fg_daemon *d, const struct fg_ledger_item *before, uint64_t *at)
{
    const struct fg_ledger *ledger;
    uint64_t all, end;
    bool found = false;

    do {
        pthread_mutex_lock(&d->follower.lock);
        ledger = d->follower.ledger;
        all = fg_ledger_orders(ledger);
        end = *at + SCAN_ORDERS;
        while (!found && *at < all && *at < end) {
            const struct fg_ledger_order *o = fg_ledger_order_at(ledger, *at);

            found = o->state == FG_LEDGER_ORDER_WAITING && o->item == before->item &&
                    o->ticket <= before->tickets;
            *at += !found;
        }
        pthread_mutex_unlock(&d->follower.lock);
    } while (!found && *at < all);
    return found;
}

/* Whoever waited before the command has left, by records that nothing undoes. Orders keep their
 * places in the ledger, and none gets an old ticket again: those that have left need no second
 * look. */
static enum fg_control_result wait_cleared(struct fg_daemon *d, const struct fg_ledger_item *before,
                                           struct fg_error *err)
{
    uint64_t end = fg_clock_mono_ms() + CLEAR_MS, at = 0;
    struct fg_ledger_item now = *before;
    uint32_t index;

    while (find_waiting(d, before, &at)) {
        if (fg_clock_mono_ms() > end) {
            fg_fail(err, "all are leaving, but not all of their records are on disk yet");
            return FG_CONTROL_UNAVAILABLE;
        }
        fg_clock_sleep_us(CLEAR_POLL_US);
    }
    find_index(d, before->item, &now, &index, err);
    if (!((before->line_flags ^ now.line_flags) & FG_JOURNAL_LINE_LOTTERY))
        return FG_CONTROL_DONE;
    fg_fail(err, "the draw came meanwhile, some may still wait with its tickets: repeat it");
    return FG_CONTROL_UNAVAILABLE;
}

static enum fg_control_result line_clear(void *ctx, uint64_t item, uint64_t *cleared,
                                         struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_ledger_item known = {0};
    struct fg_stock_command command = {.type = FG_STOCK_LINE_CLEAR, .item = item};
    enum fg_control_result result = find_index(d, item, &known, &command.index, err);
    struct fg_stock_answer answer;

    if (result == FG_CONTROL_NOT_FOUND)
        fg_fail(err, "no item %llu", (unsigned long long)item);
    if (result != FG_CONTROL_DONE || !d->workers.options.limits.waiting_max)
        return result; /* nobody waits */
    result = ask_for_left(d, item, &command, &answer, err);
    *cleared = answer.left;
    return result == FG_CONTROL_DONE && known.waiting ? wait_cleared(d, &known, err) : result;
}

/* Of a fleet: the user and the orders belong to another member, so nothing would come of it here.
 */
static bool is_foreign(const struct fg_daemon *d, uint64_t user, struct fg_error *err)
{
    const struct fg_worker_shards *shards = &d->fleet.shards;
    unsigned owner = d->config.fleet.enabled ? fg_fleet_owner(&shards->map, user) : shards->member;

    return owner != shards->member &&
           !fg_fail(err, "user %llu belongs to member %u of the fleet; nothing was changed",
                    (unsigned long long)user, owner);
}

static enum fg_control_result user_set(void *ctx, uint64_t user, bool deny, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_stock_command command = {.type = FG_STOCK_USER_SET, .user = user, .denied = deny};
    enum fg_control_result result;

    if (is_foreign(d, user, err))
        return FG_CONTROL_CONFLICT;
    result = ask_owner(d, user, &command, err);
    if (result == FG_CONTROL_CONFLICT)
        fg_fail(err,
                "the worker of this user has room for %d users who were ever denied; nothing was "
                "changed",
                FG_STOCK_DENIED_MAX);
    if (result == FG_CONTROL_DONE)
        fg_ledger_follower_catch_up(&d->follower, CATCH_UP_MS);
    return result;
}

static enum fg_control_result order_refund(void *ctx, uint64_t user, const uint8_t order_id[16],
                                           bool restock, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_stock_command command = {
        .type = FG_STOCK_ORDER_REFUND, .user = user, .restock = restock};
    enum fg_control_result result;

    if (is_foreign(d, user, err))
        return FG_CONTROL_CONFLICT;
    memcpy(command.order_id, order_id, sizeof(command.order_id));
    result = ask_owner(d, user, &command, err);
    if (result == FG_CONTROL_DONE)
        fg_ledger_follower_catch_up(&d->follower, CATCH_UP_MS);
    return result;
}

static int compare_users(const void *a, const void *b)
{
    const struct fg_stock_user *x = a, *y = b;

    return x->refused != y->refused ? (x->refused < y->refused ? 1 : -1)
           : x->user < y->user      ? -1
                                    : 1;
}

/* No user is on two workers, so the lists need no adding up. */
static unsigned user_worst(void *ctx, struct fg_stock_user *users, unsigned max)
{
    struct fg_daemon *d = ctx;
    struct fg_stock_user *all = calloc((size_t)d->config.workers.count * max, sizeof(*all));
    unsigned n = 0;

    for (unsigned i = 0; all && i < d->config.workers.count; i++)
        n += fg_stock_worst_users(d->workers.list[i]->stock, all + n, max);
    if (n)
        qsort(all, n, sizeof(*all), compare_users);
    n = n < max ? n : max;
    if (n)
        memcpy(users, all, n * sizeof(*users));
    free(all);
    return n;
}

static const struct fg_ledger *ledger_lock(void *ctx)
{
    struct fg_daemon *d = ctx;

    pthread_mutex_lock(&d->follower.lock);
    return d->follower.ledger;
}

static void ledger_unlock(void *ctx)
{
    struct fg_daemon *d = ctx;

    pthread_mutex_unlock(&d->follower.lock);
}

static struct fg_filter *filter(void *ctx)
{
    struct fg_daemon *d = ctx;

    return d->config.filter.enabled ? d->filter : NULL;
}

static unsigned samples(void *ctx, struct fg_filter_sample *list, unsigned max)
{
    struct fg_daemon *d = ctx;

    return d->box.samples ? fg_filter_samples_last(d->box.samples, list, max) : 0;
}

static struct fg_penalty *penalty(void *ctx)
{
    struct fg_daemon *d = ctx;

    return d->box.penalty;
}

static unsigned order_steps(void *ctx, uint64_t user, const uint8_t order_id[16],
                            struct fg_worker_steps *list, unsigned max)
{
    struct fg_daemon *d = ctx;

    return d->traced ? fg_worker_traced_find(d->traced, user, order_id, list, max) : 0;
}

static enum fg_control_result capture_begin(void *ctx, const uint64_t *user, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    const struct fg_port_capture_options options = {
        .ports = &d->ports, .clock = &d->clock, .of_user = user, .user = user ? *user : 0};

    d->capture = fg_port_capture_begin(&options, err);
    return d->capture ? FG_CONTROL_DONE : FG_CONTROL_UNAVAILABLE;
}

static size_t capture_read(void *ctx, uint8_t *out, size_t room)
{
    struct fg_daemon *d = ctx;

    return fg_port_capture_read(d->capture, out, room);
}

static struct fg_control_capture capture_count(void *ctx)
{
    struct fg_daemon *d = ctx;
    struct fg_port_capture_counters c = fg_port_capture_counters(d->capture);

    return (struct fg_control_capture){c.frames, c.skipped, c.lost};
}

static void capture_end(void *ctx)
{
    struct fg_daemon *d = ctx;

    fg_port_capture_end(d->capture);
    d->capture = NULL;
}

static enum fg_control_result keys_reload(void *ctx, struct fg_error *err)
{
    struct fg_daemon *d = ctx;

    if (!fg_worker_keys_load(&d->keys, d->config.orders.keys, &d->workers, err))
        return FG_CONTROL_BAD;
    fg_paired_keys_changed(d);
    return FG_CONTROL_DONE;
}

static enum fg_control_result log_snapshot(void *ctx, uint64_t *seq, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    bool ok = fg_ledger_snapshots_ask(&d->follower.snapshots, &d->follower.broken, seq, err);

    return ok ? FG_CONTROL_DONE : FG_CONTROL_UNAVAILABLE;
}

static enum fg_control_result log_accept(void *ctx, struct fg_error *err)
{
    return fg_behind_accept(ctx, err);
}

static enum fg_control_result sink_adopt(void *ctx, const char *name, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_sink *sink = fg_sink_group_find(&d->sinks, name);

    if (!sink) {
        fg_fail(err, "no sink '%.40s' is configured", name);
        return FG_CONTROL_NOT_FOUND;
    }
    if (!fg_sink_adopt(sink, err))
        return FG_CONTROL_CONFLICT;
    fg_diag(FG_DIAG_NOTICE, "sink %s: begins anew with this log, as the operator decided", name);
    return FG_CONTROL_DONE;
}

static struct fg_health_answer health(void *ctx)
{
    struct fg_health_observations observations;

    fg_observe_state(ctx, &observations);
    return fg_health_check(&observations);
}

struct fg_control_daemon fg_control_glue(struct fg_daemon *d)
{
    struct fg_control_daemon glue = {.ctx = d,
                                     .log_snapshot = log_snapshot,
                                     .log_accept = log_accept,
                                     .sink_adopt = sink_adopt,
                                     .pair = fg_paired_view,
                                     .pair_act = fg_paired_act,
                                     .fleet = fg_fleeted_view,
                                     .fleet_item = fg_fleeted_item,
                                     .measure = fg_measure,
                                     .alarms = &d->health,
                                     .health = health,
                                     .now_ms = now_ms,
                                     .up_to_date = up_to_date,
                                     .item_version = fg_catalogue_version,
                                     .item_set = item_set,
                                     .stock_add = stock_add,
                                     .user_set = user_set,
                                     .order_refund = order_refund,
                                     .line_clear = line_clear,
                                     .user_worst = user_worst,
                                     .ledger_lock = ledger_lock,
                                     .ledger_unlock = ledger_unlock,
                                     .filter = filter,
                                     .penalty = penalty,
                                     .samples = samples,
                                     .order_steps = order_steps,
                                     .capture_begin = capture_begin,
                                     .capture_read = capture_read,
                                     .capture_count = capture_count,
                                     .capture_end = capture_end,
                                     .keys_reload = keys_reload};

    glue.trace = d->config.orders.trace;
    snprintf(glue.audit, sizeof(glue.audit), "%s/" FG_CONTROL_TRAIL_FILE, d->config.log.dir);
    return glue;
}
