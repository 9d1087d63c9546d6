/* SPDX-License-Identifier: BSD-3-Clause */
/* Block list and allow list of the filter. */
#include <inttypes.h>
#include <string.h>

#include "control/lists.h"

struct wanted {
    struct fg_filter_prefix prefix;
    bool is_so; /**< there already, or not there as it is to be */
};

struct batch {
    struct wanted *entries;
    size_t count;
    struct fg_filter_list_entry say; /**< reason and expiry, the same for all */
    bool replace; /**< what is there gets this reason and expiry, and keeps its hits */
};

static struct fg_filter *filter_of(struct fg_control_call *call)
{
    struct fg_filter *filter = call->control->daemon.filter(call->control->daemon.ctx);

    if (!filter)
        fg_control_call_fail(call, 503, NULL,
                             "the filter is off (configuration, [filter] enabled)");
    return filter;
}

static int compare(const void *a, const void *b)
{
    const struct fg_filter_prefix *x = &((const struct wanted *)a)->prefix,
                                  *y = &((const struct wanted *)b)->prefix;
    int order = x->family - y->family;

    if (order == 0)
        order = memcmp(x->addr, y->addr, x->family == 4 ? 4 : 16);
    return order ? order : x->length - y->length;
}

static bool parse_prefix(struct fg_control_call *call, const json_t *value, struct batch *batch)
{
    struct wanted *entry = &batch->entries[batch->count];
    struct fg_error err = {""};

    if (!json_is_string(value))
        return fg_control_call_fail(
            call, 400, "prefix", "prefix %zu: not a text like \"198.18.0.0/16\"", batch->count + 1);
    if (!fg_filter_prefix_parse(json_string_value(value), &entry->prefix, &err))
        return fg_control_call_fail(call, 400, "prefix", "prefix %zu: %s", batch->count + 1,
                                    err.text);
    batch->count++;
    return true;
}

/* "reason", "expires_ms" and "replace" of a body; *found: how many of them are there. */
static bool read_saying(struct fg_control_call *call, struct fg_filter_list_entry *say,
                        bool *replace, size_t *found)
{
    const json_t *reason = json_object_get(call->body, "reason"),
                 *expires = json_object_get(call->body, "expires_ms"),
                 *again = json_object_get(call->body, "replace");
    const char *text = json_string_value(reason);
    struct fg_error err = {""};

    *found = !!reason + !!expires + !!again;
    if (reason && (!text || !fg_filter_reason_is_sane(text)))
        return fg_control_call_fail(
            call, 400, "reason",
            "reason: not a text of at most 23 printable ASCII characters without # and ;");
    if (json_is_integer(expires) && json_integer_value(expires) > 0 &&
        !fg_text_moment_check((uint64_t)json_integer_value(expires), &err))
        return fg_control_call_fail(call, 400, "expires_ms", "expires_ms: %s", err.text);
    if (expires && (!json_is_integer(expires) ||
                    json_integer_value(expires) <= (json_int_t)fg_control_now_ms(call->control)))
        return fg_control_call_fail(call, 400, "expires_ms",
                                    "expires_ms: not a time to come, in Unix milliseconds");
    if (again && !json_is_boolean(again))
        return fg_control_call_fail(call, 400, "replace", "replace: neither true nor false");
    *replace = json_is_true(again);
    if (reason)
        snprintf(say->reason, sizeof(say->reason), "%s", text);
    say->expires_ms = expires ? (uint64_t)json_integer_value(expires) : 0;
    return true;
}

/* {"prefix": TEXT} or {"prefixes": [TEXT, ...]}, sorted; with what is said of them when they are
 * added. */
static bool read_batch(struct fg_control_call *call, struct batch *batch, bool adds)
{
    const json_t *one = json_object_get(call->body, "prefix"),
                 *many = json_object_get(call->body, "prefixes");
    size_t count = one ? 1 : json_array_size(many), said = 0;

    if (adds && !read_saying(call, &batch->say, &batch->replace, &said))
        return false;
    if (json_object_size(call->body) != 1 + said || (!one && !json_is_array(many)) || count == 0)
        return fg_control_call_fail(
            call, 400, NULL, "body: must be {\"prefix\": TEXT} or {\"prefixes\": [TEXT, ...]}%s",
            adds ? ", and may have \"reason\", \"expires_ms\" and \"replace\"" : "");
    batch->entries = calloc(count, sizeof(*batch->entries));
    if (!batch->entries)
        return fg_control_call_fail(call, 500, NULL, "out of memory");
    for (size_t i = 0; i < count; i++)
        if (!parse_prefix(call, one ? one : json_array_get(many, i), batch))
            return false;
    qsort(batch->entries, count, sizeof(*batch->entries), compare);
    for (size_t i = 1; i < count; i++) {
        char text[64];

        fg_filter_prefix_format(&batch->entries[i].prefix, text);
        if (compare(&batch->entries[i - 1], &batch->entries[i]) == 0)
            return fg_control_call_fail(call, 400, "prefixes", "prefixes: %s is there twice", text);
    }
    return true;
}

/* Whether the entry says what the request wants to say. An entry without an end is not what a
 * request with one asks for, and the other way round. */
static bool says_so(const struct batch *batch, const struct fg_filter_list_entry *entry)
{
    return (!batch->say.reason[0] || strcmp(batch->say.reason, entry->reason) == 0) &&
           batch->say.expires_ms == entry->expires_ms;
}

/* All or nothing as far as it can be known before: finds out what is so already, and refuses what
 * is there with another reason or end. */
static bool check_listed(struct fg_control_call *call, struct fg_filter *filter,
                         enum fg_filter_list list, struct batch *batch, bool adds)
{
    for (size_t i = 0; i < batch->count && !batch->replace; i++) {
        struct wanted *wanted = &batch->entries[i];
        struct fg_filter_list_entry entry;
        bool there = fg_filter_find(filter, list, &wanted->prefix, &entry);
        char text[64];

        wanted->is_so = there == adds;
        if (!adds || !there || says_so(batch, &entry))
            continue;
        fg_filter_prefix_format(&wanted->prefix, text);
        return fg_control_call_fail(call, 409, "prefix",
                                    "%s is already in the list, with another reason or end; "
                                    "\"replace\": true changes them; nothing was changed",
                                    text);
    }
    return true;
}

static bool take_off(struct fg_filter *filter, enum fg_filter_list list,
                     const struct fg_filter_prefix *prefix, const struct fg_filter_list_entry *say,
                     struct fg_error *err)
{
    return fg_filter_del(filter, list, prefix, err);
}

static void apply(struct fg_control_call *call, enum fg_filter_list list, bool adds)
{
    bool (*act)(struct fg_filter *, enum fg_filter_list, const struct fg_filter_prefix *,
                const struct fg_filter_list_entry *, struct fg_error *) =
        adds ? fg_filter_add : take_off;
    const char *verb = adds ? "added" : "removed";
    struct fg_filter *filter = filter_of(call);
    struct batch batch = {0};
    struct fg_error err = {""};
    size_t done = 0, unchanged = 0;

    if (filter && read_batch(call, &batch, adds) &&
        check_listed(call, filter, list, &batch, adds)) {
        if (batch.replace)
            act = fg_filter_put;
        for (; done < batch.count; done++) {
            if (batch.entries[done].is_so)
                unchanged++;
            else if (!act(filter, list, &batch.entries[done].prefix, &batch.say, &err))
                break;
        }
        if (done == batch.count)
            fg_control_call_reply(call, 200,
                                  json_pack("{s:I, s:I}", verb, (json_int_t)(done - unchanged),
                                            "unchanged", (json_int_t)unchanged));
        else if (batch.count == 1)
            fg_control_call_fail(call, 409, "prefix", "%s", err.text);
        else
            fg_control_call_fail(call, 409, "prefix", "%s; %zu of %zu were %s before", err.text,
                                 done, batch.count, verb);
    }
    free(batch.entries);
}

struct page {
    json_t *list;
    uint64_t seen, from, until;
};

static json_t *entry_json(const char *prefix, const struct fg_filter_list_entry *entry)
{
    json_t *o = json_pack("{s:s, s:I}", "prefix", prefix, "hits", (json_int_t)entry->hits);

    if (entry->reason[0])
        json_object_set_new(o, "reason", json_string(entry->reason));
    if (entry->expires_ms)
        json_object_set_new(o, "expires_ms", json_integer((json_int_t)entry->expires_ms));
    if (entry->last_ms)
        json_object_set_new(o, "last_ms", json_integer((json_int_t)entry->last_ms));
    return o;
}

static bool take_entry(void *ctx, const struct fg_filter_prefix *prefix,
                       const struct fg_filter_list_entry *entry)
{
    struct page *page = ctx;
    uint64_t index = page->seen++;
    char text[64];

    if (index >= page->from && index < page->until) {
        fg_filter_prefix_format(prefix, text);
        json_array_append_new(page->list, entry_json(text, entry));
    }
    return true;
}

static void show(struct fg_control_call *call, enum fg_filter_list list, const char *name)
{
    struct fg_filter *filter = filter_of(call);
    struct page page = {.from = call->offset, .until = call->offset + call->limit};

    if (!filter)
        return;
    page.list = json_array();
    fg_filter_each(filter, list, take_entry, &page);
    fg_control_call_reply(call, 200,
                          json_pack("{s:s, s:o, s:I, s:I, s:I}", "list", name, "prefixes",
                                    page.list, "count", (json_int_t)page.seen, "offset",
                                    (json_int_t)call->offset, "limit", (json_int_t)call->limit));
}

/* The lines are the client's: the daemon opens no file for a client. */
static void load(struct fg_control_call *call, enum fg_filter_list list)
{
    struct fg_filter *filter = filter_of(call);
    struct fg_filter_list_loaded loaded;
    struct fg_error err = {""};
    FILE *lines;
    bool ok;

    if (!filter)
        return;
    /* fmemopen of no bytes fails; a line without a prefix says the same */
    lines = call->lines_size ? fmemopen((void *)(uintptr_t)call->lines, call->lines_size, "r")
                             : fmemopen((char[]){'\n'}, 1, "r");
    FG_ASSERT(lines);
    ok = fg_filter_load_stream(filter, list, lines, "body", &loaded, &err);
    fclose(lines);
    if (!ok)
        fg_control_call_fail(call, 400, NULL, "%s; nothing was changed", err.text);
    else
        fg_control_call_reply(call, 200,
                              json_pack("{s:I, s:I, s:I, s:f}", "loaded",
                                        (json_int_t)loaded.entries, "expired",
                                        (json_int_t)loaded.expired, "kept", (json_int_t)loaded.kept,
                                        "seconds", loaded.seconds));
}

static void save(struct fg_control_call *call, enum fg_filter_list list)
{
    struct fg_filter *filter = filter_of(call);
    char *text = NULL;
    size_t size;
    uint32_t saved;
    FILE *out;
    bool ok;

    if (!filter)
        return;
    out = open_memstream(&text, &size);
    ok = out && fg_filter_save(filter, list, out, &saved);
    ok &= out && fclose(out) == 0;
    if (!ok) {
        free(text);
        fg_control_call_fail(call, 500, NULL, "out of memory");
        return;
    }
    call->code = 200;
    call->text = text;
    call->text_type = "text/plain; charset=utf-8";
}

void fg_control_handle_block_load(struct fg_control_call *call)
{
    load(call, FG_FILTER_LIST_BLOCK);
}

void fg_control_handle_block_save(struct fg_control_call *call)
{
    save(call, FG_FILTER_LIST_BLOCK);
}

void fg_control_handle_allow_load(struct fg_control_call *call)
{
    load(call, FG_FILTER_LIST_ALLOW);
}

void fg_control_handle_allow_save(struct fg_control_call *call)
{
    save(call, FG_FILTER_LIST_ALLOW);
}

void fg_control_handle_block_list(struct fg_control_call *call)
{
    show(call, FG_FILTER_LIST_BLOCK, "block");
}

void fg_control_handle_block_add(struct fg_control_call *call)
{
    apply(call, FG_FILTER_LIST_BLOCK, true);
}

void fg_control_handle_block_del(struct fg_control_call *call)
{
    apply(call, FG_FILTER_LIST_BLOCK, false);
}

void fg_control_handle_allow_list(struct fg_control_call *call)
{
    show(call, FG_FILTER_LIST_ALLOW, "allow");
}

void fg_control_handle_allow_add(struct fg_control_call *call)
{
    apply(call, FG_FILTER_LIST_ALLOW, true);
}

void fg_control_handle_allow_del(struct fg_control_call *call)
{
    apply(call, FG_FILTER_LIST_ALLOW, false);
}
