/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include "stock/feed.h"

/* SplitMix64 (Steele, Lea, Flood 2014; public domain) */
uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static struct fg_stock *make_engine(struct world *w, unsigned i, const struct fg_ledger *ledger)
{
    struct fg_stock *stock;
    struct rng rng = {w->setup.seed + w->lives * 64ull + i};
    struct fg_error err;
    struct fg_stock_config c = {.worker = i,
                                .workers = w->workers,
                                .limits = w->setup.limits,
                                .to = w->out[i],
                                .from = w->from[i],
                                .journal = w->journal[i],
                                .mark = &w->mark[i],
                                .committed = w->setup.pair ? &w->committed[i] : NULL,
                                .seed = rng_next(&rng),
                                .secret = {(uint8_t)w->setup.seed, (uint8_t)w->lives, (uint8_t)i}};

    stock = fg_stock_create(&c, &err);
    FG_ASSERT(stock);
    if (ledger && !fg_stock_load(stock, ledger, &err)) {
        fprintf(stderr, "%s\n", err.text);
        FG_ASSERT(!"an engine takes what was recovered");
    }
    return stock;
}

/* Every other life takes over as a standby does, if it is not one of many small ones. */
static bool takes_over(const struct world *w)
{
#if defined(FG_SIM_SMALL) || defined(FG_SIM_FUZZ)
    return false;
#else
    return w->log_len > 0 && (w->taken_over || (w->setup.seed + w->lives) % 2);
#endif
}

static void make_engines(struct world *w, const struct fg_ledger *ledger)
{
    bool fed = takes_over(w);

    for (unsigned i = 0; i < w->workers; i++)
        w->stock[i] = make_engine(w, i, fed ? NULL : ledger);
    if (!fed)
        return;
    feed_all(w, w->setup.seed + w->lives);
    for (unsigned i = 0; i < w->workers; i++) {
        struct fg_stock *loaded = make_engine(w, i, ledger);

        feed_compare(w->stock[i], loaded, ledger);
        fg_stock_destroy(loaded);
    }
    w->now_ms +=
        8; /* a tick: a hold whose deadline had passed when it was fed ends with the next */
    w->fed++;
}

static void make_rings(struct world *w)
{
    for (unsigned i = 0; i < w->workers; i++) {
        w->journal[i] = fg_ring_create(w->setup.ring_capacity);
        w->taken[i] = 0;
        atomic_store(&w->mark[i].durable, 0);
        atomic_store(&w->committed[i].durable, 0);
        for (unsigned j = 0; j < w->workers; j++) {
            w->delivered[i][j] = 0;
            w->out[i][j] = i == j ? NULL : fg_ring_create(w->setup.ring_capacity);
            w->in[i][j] = w->from[j][i] = i == j ? NULL : fg_ring_create(w->setup.ring_capacity);
        }
    }
}

/* The control plane takes the settings from the ledger. */
static void load_shelf(struct world *w, const struct fg_ledger_item *item)
{
    struct shelf *s = &w->shelves[item->index];

    s->known = true;
    s->version = 1;
    s->settings = (struct fg_stock_command){.type = FG_STOCK_ITEM_APPLY,
                                            .index = item->index,
                                            .item = item->item,
                                            .opens_ms = item->opens_ms,
                                            .closes_ms = item->closes_ms,
                                            .hold_ms = item->hold_ms,
                                            .user_limit = item->user_limit,
                                            .order_max = item->order_max,
                                            .flags = item->flags};
    s->line_version = 1;
    s->line = (struct fg_stock_command){.type = FG_STOCK_LINE_APPLY,
                                        .index = item->index,
                                        .item = item->item,
                                        .line_max = item->line_max,
                                        .claim_ms = item->claim_ms,
                                        .wait_ttl_ms = item->wait_ttl_ms,
                                        .line_flags = item->line_flags};
    for (unsigned i = 0; i < w->workers; i++)
        s->applied[i] = s->line_applied[i] = 1;
}

static void start_life(struct world *w, const struct fg_ledger *ledger)
{
    w->lives++;
    w->durable_len = w->committed_len = w->log_len;
    w->disk = DISK_OK;
    w->stopping = w->troubled = false;
    w->tokens_out = w->token_next = 0;
    memset(w->tokens, 0, sizeof(w->tokens));
    memset(w->shelves, 0, sizeof(w->shelves));
    memset(w->news, 0, sizeof(w->news));
    memset(w->mode, 0, sizeof(w->mode));
    make_rings(w);
    make_engines(w, ledger);
    for (unsigned i = 0; w->grace_ms && i < w->workers; i++)
        fg_stock_set_grace(w->stock[i], w->grace_ms);
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++)
        load_shelf(w, fg_ledger_item_at(ledger, i));
}

static void end_life(struct world *w)
{
    for (unsigned i = 0; i < w->workers; i++) {
        fg_stock_destroy(w->stock[i]);
        fg_ring_destroy(w->journal[i]);
        for (unsigned j = 0; j < w->workers; j++) {
            fg_ring_destroy(w->out[i][j]);
            fg_ring_destroy(w->in[i][j]);
        }
    }
}

void world_start(struct world *w, const struct world_setup *setup)
{
    struct fg_ledger *empty = fg_ledger_create();

    memset(w, 0, sizeof(*w));
    w->setup = *setup;
    w->workers = setup->workers;
    w->now_ms = 1700000000000ull;
    w->log = malloc(LOG_MAX * sizeof(*w->log));
    FG_ASSERT(w->log && empty);
    start_life(w, empty);
    fg_ledger_destroy(empty);
}

void world_stop(struct world *w)
{
    end_life(w);
    free(w->log);
}

/* The other box has all that is committed, and some of the rest. */
static void take_over(struct world *w, uint64_t tail)
{
    struct rng rng = {tail};

    w->taken_over = w->setup.pair && rng_chance(&rng, 70);
    w->grace_ms = 0;
    if (!w->taken_over)
        return;
    w->log_len = w->committed_len + rng_below(&rng, w->log_len - w->committed_len + 1);
    w->durable_len = w->log_len;
    w->grace_ms = rng_below(&rng, 200);
    w->took_over++;
}

void world_restart(struct world *w, unsigned workers, uint64_t tail, const char *folder)
{
    struct fg_ledger *ledger = NULL;
    uint32_t before = w->log_len;

    end_life(w);
    take_over(w, tail);
    w->log_len = disk_crash(w, tail, w->taken_over ? NULL : folder, &ledger);
    w->cut_records += before - w->log_len;
    w->workers = workers;
    w->setup.limits.orders_max = ROOMY; /* what was recovered must fit */
    w->setup.limits.users_max = ROOMY;
    if (w->setup.limits.waiting_max)
        w->setup.limits.waiting_max = ROOMY;
    start_life(w, ledger);
    fg_ledger_destroy(ledger);
}

void world_deliver(struct world *w, unsigned to, unsigned n)
{
    for (unsigned from = 0; from < w->workers; from++) {
        struct fg_ring *out = w->out[from][to], *in = w->in[from][to];
        struct fg_stock_message m;

        for (unsigned k = 0; from != to && k < n && fg_ring_room(in, 1) && fg_ring_pop(out, &m);
             k++) {
            fg_ring_push(in, &m);
            w->delivered[from][to]++;
        }
    }
}

static void append(struct world *w, struct fg_journal_record *r)
{
    FG_ASSERT(w->log_len < LOG_MAX);
    r->seq = w->log_len + 1;
    r->crc = fg_journal_record_crc(r);
    w->log[w->log_len++] = *r;
}

/* As fg_journal_commit does: a commit begins with a BATCH record that says what is durable before
 * it. */
void world_write(struct world *w, unsigned worker, unsigned n)
{
    struct fg_journal_record r;

    while (w->disk == DISK_OK && n-- > 0 && fg_ring_pop(w->journal[worker], &r)) {
        if (w->log_len == w->durable_len) {
            struct fg_journal_record batch = {.type = FG_JOURNAL_RECORD_BATCH,
                                              .arg = w->durable_len,
                                              .time_ms = w->now_ms,
                                              .worker = 255};

            append(w, &batch);
        }
        append(w, &r);
        w->taken[worker]++;
    }
}

static void commit(struct world *w, uint32_t records)
{
    for (uint32_t end = w->committed_len + records; w->committed_len < end; w->committed_len++)
        if (w->log[w->committed_len].type != FG_JOURNAL_RECORD_BATCH)
            atomic_fetch_add(&w->committed[w->log[w->committed_len].worker].durable, 1);
}

/* The other box has some of what is durable here, some of it of before. */
static void commit_some(struct world *w)
{
    uint32_t behind = w->durable_len - w->committed_len;

    if (behind)
        commit(w, 1 + (uint32_t)(fg_mix64(w->durable_len, w->committed_len) % behind));
}

/* Watermarks of a later leader, which are of no account to this one. */
static void mislead(struct world *w)
{
    for (unsigned i = 0; w->setup.pair && i < w->workers; i++)
        atomic_store(&w->committed[i].durable, w->taken[i]);
}

void world_sync(struct world *w)
{
    if (w->disk == DISK_FAILED) {
        mislead(w);
        return;
    }
    if (w->setup.pair)
        commit_some(w);
    w->durable_len = w->log_len;
    for (unsigned i = 0; i < w->workers; i++)
        atomic_store(&w->mark[i].durable, w->taken[i]);
    if (w->setup.pair)
        commit_some(w);
    else
        commit(w, w->durable_len - w->committed_len);
}

enum fg_stock_mode world_mode(const struct world *w)
{
    if (w->disk == DISK_FAILED)
        return FG_STOCK_FAILED;
    if (w->stopping)
        return FG_STOCK_STOPPING;
    return w->disk == DISK_FULL ? FG_STOCK_NO_SPACE : FG_STOCK_RUNNING;
}

static uint64_t units_in(struct fg_ring *ring, uint32_t index, bool returns)
{
    const struct fg_stock_message *m;
    uint64_t units = 0;

    for (uint64_t k = 0; (m = fg_ring_peek(ring, k)) != NULL; k++)
        if (m->index == index && m->type != FG_STOCK_MSG_NEED &&
            (returns || (m->type != FG_STOCK_MSG_RETURN && m->type != FG_STOCK_MSG_OFFER)))
            units += m->units;
    return units;
}

uint64_t world_in_flight(struct world *w, uint32_t index, bool returns)
{
    uint64_t units = 0;

    for (unsigned i = 0; i < w->workers; i++)
        for (unsigned j = 0; j < w->workers; j++)
            if (i != j)
                units +=
                    units_in(w->out[i][j], index, returns) + units_in(w->in[i][j], index, returns);
    return units;
}

uint64_t world_sent(struct world *w, unsigned from, unsigned to)
{
    return from == to ? 0 : w->delivered[from][to] + fg_ring_count(w->out[from][to]);
}

bool world_quiet(struct world *w)
{
    for (unsigned i = 0; i < w->workers; i++) {
        if (!fg_stock_idle(w->stock[i]))
            return false;
        for (unsigned j = 0; j < w->workers; j++)
            if (i != j && fg_ring_count(w->out[i][j]) + fg_ring_count(w->in[i][j]))
                return false;
    }
    return true;
}

uint32_t world_token(struct world *w)
{
    FG_ASSERT(w->tokens_out < TOKENS_MAX);
    while (w->tokens[w->token_next].used)
        w->token_next = (w->token_next + 1) % TOKENS_MAX;
    w->tokens_out++;
    memset(&w->tokens[w->token_next], 0, sizeof(struct token));
    w->tokens[w->token_next].used = true;
    w->tokens[w->token_next].min_free = UINT32_MAX;
    return w->token_next;
}

void world_token_free(struct world *w, uint32_t token)
{
    FG_ASSERT(w->tokens[token].used);
    w->tokens[token].used = false;
    w->tokens_out--;
}
