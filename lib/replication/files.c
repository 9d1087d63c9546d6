/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots and lists, from the leader to its follower. The follower asks for as much as its disk
 * has kept and a window beyond; the leader sends no more than some pieces each millisecond, so that
 * records, heartbeats and the sale go first.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "journal/file.h"
#include "replication/internal.h"

#define PIECES_MS    2          /* in a millisecond: 64 MB/s */
#define AGAIN_MS     5000       /* until a fill that failed is tried again; doubled with each, */
#define AGAIN_MAX_MS 300000     /* up to this */
#define LIST_MAX     (1u << 30) /* bytes: no list is longer */
#define SILENT_MS    10000      /* a leader that promised a file and sends nothing */
#define ROOM_BYTES   (1u << 20)
#define WINDOW       ((uint64_t)FG_REPLICATION_WINDOW * FG_REPLICATION_PIECE_MAX)
#define LIST_WINDOW  (2 * FG_REPLICATION_PIECE_MAX)
#define AHEAD        (1u << 20) /* read from the disk before it is sent */
#define HOLD_MS      600000     /* what the peer lacks after a fill stays so long after it moved */

static bool leads(const struct fg_replication *r)
{
    return r->now.role == FG_PAIR_ROLE_LEADER || r->now.role == FG_PAIR_ROLE_SOLO;
}

static void send_notice(struct fg_replication *r, const struct fg_replication_notice *n)
{
    uint8_t bytes[FG_REPLICATION_NOTICE_MAX];

    if (r->current &&
        !fg_replication_put(&r->current->link, bytes, fg_replication_notice_write(n, bytes)))
        snprintf(r->broken, sizeof(r->broken), "the peer takes too little");
}

/* ---- the leader ------------------------------------------------------------------------------ */

static void close_give(struct fg_replication_give *g)
{
    if (g->fd >= 0)
        close(g->fd);
    free(g->bytes);
    *g = (struct fg_replication_give){.fd = -1};
}

static void offer(struct fg_replication *r, enum fg_replication_file file)
{
    struct fg_replication_give *g = &r->gives[file];

    g->told = true;
    g->sent = g->until = 0;
    send_notice(r, &(struct fg_replication_notice){.type = FG_REPLICATION_NOTICE_OFFER,
                                                   .file = file,
                                                   .version = g->version,
                                                   .bytes = g->size});
}

/* Of the list: the one of which the peer has a part; else the newest, or the one before when the
 * peer had all of that and asks again. */
static uint64_t choose(const struct fg_replication *r, const uint64_t *seqs, size_t count,
                       uint64_t wanted)
{
    for (size_t i = 0; i < count; i++)
        if (seqs[i] == wanted)
            return wanted;
    return seqs[count - 1 - (count > 1 && seqs[count - 1] == r->gave_whole)];
}

/* In the log's folder each has its name once it is whole. It stays readable when it is removed. */
static void open_snapshot(struct fg_replication *r, uint64_t wanted)
{
    struct fg_replication_give *g = &r->gives[FG_REPLICATION_SNAPSHOT];
    int dir_fd = open(r->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[FG_JOURNAL_NAME_SIZE];
    struct fg_error ignored;
    uint64_t *seqs = NULL;
    size_t count = 0;
    struct stat st;

    close_give(g);
    if (dir_fd < 0)
        return;
    if (fg_journal_file_list(dir_fd, r->log_dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count,
                             &ignored) &&
        count) {
        g->version = choose(r, seqs, count, wanted);
        fg_journal_file_name(name, g->version, FG_JOURNAL_SNAPSHOT_SUFFIX);
        g->fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    }
    if (g->fd >= 0 && fstat(g->fd, &st) == 0)
        g->size = (uint64_t)st.st_size;
    free(seqs);
    close(dir_fd);
}

static void offer_snapshot(struct fg_replication *r, uint64_t wanted)
{
    struct fg_replication_give *g = &r->gives[FG_REPLICATION_SNAPSHOT];

    if (g->fd < 0 || g->version != wanted)
        open_snapshot(r, wanted);
    if (g->size) {
        r->fill_seq = g->version;
        r->fill_end_ms = r->now_ms + HOLD_MS;
        fg_diag(FG_DIAG_NOTICE,
                "pair: the peer is filled from the snapshot of record %llu, %llu MiB",
                (unsigned long long)g->version, (unsigned long long)(g->size >> 20));
    }
    offer(r, FG_REPLICATION_SNAPSHOT);
}

static const char *take_get(struct fg_replication *r, const struct fg_replication_notice *n)
{
    struct fg_replication_give *g = &r->gives[n->file];

    if (!leads(r))
        return NULL; /* it finds out */
    if (n->file == FG_REPLICATION_SNAPSHOT && !n->version) {
        offer_snapshot(r, n->bytes);
        return NULL;
    }
    if (n->version != g->version || !g->told)
        return NULL; /* there is a newer one, and it was told */
    if (n->bytes > g->size || n->bytes < g->until || n->offset > n->bytes)
        return "the peer asks for what is not there";
    if (!g->until)
        g->sent = n->offset;
    if (!g->until && g->fd >= 0)
        posix_fadvise(g->fd, (off_t)g->sent, AHEAD, POSIX_FADV_WILLNEED);
    g->until = n->bytes;
    return NULL;
}

static bool read_piece(struct fg_replication_give *g, uint8_t *to, size_t n)
{
    if (g->fd < 0) {
        memcpy(to, g->bytes + g->sent, n);
        return true;
    }
    if (g->sent % AHEAD == 0)
        posix_fadvise(g->fd, (off_t)(g->sent + AHEAD), AHEAD, POSIX_FADV_WILLNEED);
    return fg_journal_file_read(g->fd, to, n, g->sent);
}

static bool give_piece(struct fg_replication *r, enum fg_replication_file file)
{
    struct fg_replication_give *g = &r->gives[file];
    uint64_t left = g->until - g->sent;
    struct fg_replication_notice n = {
        .type = FG_REPLICATION_NOTICE_PIECE,
        .file = file,
        .version = g->version,
        .offset = g->sent,
        .bytes = left < FG_REPLICATION_PIECE_MAX ? left : FG_REPLICATION_PIECE_MAX};
    size_t size = fg_replication_piece_size(n.bytes);
    uint8_t head[FG_REPLICATION_NOTICE_MAX],
        *to = fg_replication_link_room(&r->current->link, size);
    size_t head_size = fg_replication_notice_write(&n, head);

    if (!to)
        return false;
    memset(to, 0, size);
    memcpy(to, head, head_size);
    if (!read_piece(g, to + FG_REPLICATION_PIECE_HEAD, n.bytes)) {
        snprintf(r->broken, sizeof(r->broken), "cannot read the snapshot: %s", strerror(errno));
        return false;
    }
    fg_replication_link_put_done(&r->current->link, size);
    g->sent += n.bytes;
    if (file == FG_REPLICATION_SNAPSHOT) {
        r->fill_end_ms = r->now_ms + HOLD_MS;
        r->gave_whole = g->sent == g->size ? g->version : 0;
    }
    return true;
}

static bool has_to_give(const struct fg_replication *r)
{
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        if (r->gives[f].sent < r->gives[f].until)
            return true;
    return false;
}

static void give_pieces(struct fg_replication *r)
{
    const struct fg_replication_link *l = &r->current->link;

    if (r->give_ms != r->now_ms)
        r->gave = 0;
    r->give_ms = r->now_ms;
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        while (r->gives[f].sent < r->gives[f].until && r->gave < PIECES_MS &&
               l->out_to - l->out_from < ROOM_BYTES) { /* records and heartbeats wait behind it */
            if (!give_piece(r, (enum fg_replication_file)f))
                return;
            r->gave++;
        }
}

void fg_replication_files_offer(struct fg_replication *r, enum fg_replication_file file,
                                uint64_t version, uint8_t *bytes, size_t size)
{
    struct fg_replication_give *g = &r->gives[file];

    FG_ASSERT(file != FG_REPLICATION_SNAPSHOT && file < FG_REPLICATION_FILES);
    close_give(g);
    g->bytes = bytes;
    g->size = size;
    g->version = version;
}

/* ---- the follower ---------------------------------------------------------------------------- */

/* Which of the leader's files is to come next. A list would take the place of a part. */
static bool is_wanted(const struct fg_replication *r, unsigned file)
{
    bool follows =
        r->now.state == FG_PAIR_STATE_CATCHING || r->now.state == FG_PAIR_STATE_FOLLOWING;

    return r->offered_size[file] && r->offered[file] != r->has[file] &&
           (file == FG_REPLICATION_SNAPSHOT ? r->filling : follows && !r->part.version);
}

/* A list comes while the leader needs the echo of each heartbeat, which waits behind it. A fill
 * does not hurry it, and its pieces are signs of life. */
static uint64_t window_of(enum fg_replication_file file)
{
    return file == FG_REPLICATION_SNAPSHOT ? WINDOW : LIST_WINDOW;
}

static void ask_for_more(struct fg_replication *r)
{
    struct fg_replication_take *t = &r->take;
    uint64_t kept = 0, until, window = window_of(t->file);

    if (fg_replication_keeper_progress(r->keeper, &kept) != FG_REPLICATION_KEEPING)
        return;
    until = kept + window < t->size ? kept + window : t->size;
    if (until < t->until + window / 4 && !(until == t->size && t->until < until))
        return;
    t->until = until;
    send_notice(r, &(struct fg_replication_notice){.type = FG_REPLICATION_NOTICE_GET,
                                                   .file = t->file,
                                                   .version = t->version,
                                                   .bytes = until,
                                                   .offset = t->from});
}

/* The keeper has not begun another file since. */
static bool resume(struct fg_replication *r)
{
    struct fg_replication_take *t = &r->take;
    const struct fg_replication_part part = r->part;
    uint64_t kept;

    r->part.version = 0;
    if (t->file != FG_REPLICATION_SNAPSHOT || !r->peer_resumes || part.version != t->version ||
        part.size != t->size ||
        fg_replication_keeper_progress(r->keeper, &kept) == FG_REPLICATION_NOT_KEPT)
        return false;
    t->from = t->came = t->until = part.came;
    return true;
}

static void begin_take(struct fg_replication *r, enum fg_replication_file file)
{
    struct fg_replication_take *t = &r->take;

    *t = (struct fg_replication_take){.active = true,
                                      .asked = t->asked,
                                      .file = file,
                                      .version = r->offered[file],
                                      .size = r->offered_size[file],
                                      .moved_ms = r->now_ms};
    if (!resume(r) && !fg_replication_keeper_begin(r->keeper, file, t->version, t->size)) {
        t->active = false; /* an earlier one is still being given up */
        return;
    }
    if (file == FG_REPLICATION_SNAPSHOT)
        fg_diag(FG_DIAG_NOTICE,
                "pair: the leader's log begins too late; it sends its snapshot of record %llu, "
                "%llu MiB, from %llu MiB on",
                (unsigned long long)t->version, (unsigned long long)(t->size >> 20),
                (unsigned long long)(t->from >> 20));
    ask_for_more(r);
}

static const char *take_piece(struct fg_replication *r, const struct fg_replication_notice *n)
{
    struct fg_replication_take *t = &r->take;

    if (!t->active || n->file != t->file || n->version != t->version)
        return NULL; /* of a file that was given up */
    if (n->offset != t->came || n->offset + n->bytes > t->until)
        return "the peer sent a piece that nobody asked for";
    if (!fg_replication_keeper_put(r->keeper, n->tail, n->bytes))
        return "a piece came, and there is no room for it";
    t->came += n->bytes;
    t->moved_ms = r->now_ms;
    fg_pair_heard(r->pair, r->current->link.number);
    return NULL;
}

static void fill_failed(struct fg_replication *r, const char *why)
{
    uint64_t wait_ms = r->fill_wait_ms ? 2 * r->fill_wait_ms : AGAIN_MS;

    if (!r->filling)
        return;
    r->filling = false;
    if (!r->take.asked) /* the link broke during the wait */
        return;
    r->fill_wait_ms = wait_ms < AGAIN_MAX_MS ? wait_ms : AGAIN_MAX_MS;
    r->fill_ms = r->now_ms + r->fill_wait_ms;
    snprintf(r->fill_error, sizeof(r->fill_error), "%.250s", why);
}

static void drop_take(struct fg_replication *r)
{
    if (r->take.active)
        fg_replication_keeper_drop(r->keeper);
    r->take.active = false;
}

/* The link ended. What has come of a snapshot stays, so that a large one arrives over a link that
 * breaks again and again; and a fill that got on does not have to wait longer the next time. */
static void pause_take(struct fg_replication *r)
{
    const struct fg_replication_take *t = &r->take;

    if (!t->active || t->file != FG_REPLICATION_SNAPSHOT) {
        drop_take(r);
        return;
    }
    if (t->came > t->from)
        r->fill_wait_ms = 0;
    r->part = (struct fg_replication_part){t->version, t->size, t->came};
    r->take.active = false;
}

static void drop_part(struct fg_replication *r)
{
    if (r->part.version)
        fg_replication_keeper_drop(r->keeper);
    r->part.version = 0;
}

static void break_off(struct fg_replication *r, const char *why)
{
    drop_take(r);
    fill_failed(r, why);
    snprintf(r->broken, sizeof(r->broken), "%.250s", why);
}

static void took(struct fg_replication *r)
{
    struct fg_replication_take *t = &r->take;
    char path[FG_REPLICATION_PATH_MAX];

    t->active = false;
    r->has[t->file] = t->version;
    if (t->file == FG_REPLICATION_SNAPSHOT) {
        fg_diag(FG_DIAG_NOTICE, "pair: the snapshot of record %llu is here",
                (unsigned long long)t->version);
        r->filling = false;
        fg_pair_filled(r->pair, true);
        return;
    }
    fg_replication_keeper_path(r->keeper, t->file, t->version, path);
    if (r->hooks.received)
        r->hooks.received(r->hooks.ctx, t->file, path);
}

static void take_on(struct fg_replication *r)
{
    uint64_t kept;

    switch (fg_replication_keeper_progress(r->keeper, &kept)) {
    case FG_REPLICATION_KEPT:
        took(r);
        break;
    case FG_REPLICATION_NOT_KEPT:
        if (r->take.file == FG_REPLICATION_SNAPSHOT) {
            break_off(r, fg_replication_keeper_error(r->keeper));
        } else { /* best effort: the next version */
            fg_diag(FG_DIAG_WARNING, "pair: %s", fg_replication_keeper_error(r->keeper));
            r->has[r->take.file] = r->take.version;
            r->take.active = false;
        }
        break;
    case FG_REPLICATION_KEEPING:
        if (r->now_ms >= r->take.moved_ms + SILENT_MS && r->take.came < r->take.size)
            break_off(r, "the leader does not send its file");
        else
            ask_for_more(r);
        break;
    }
}

static void take_next(struct fg_replication *r)
{
    for (unsigned f = 0; f < FG_REPLICATION_FILES && !r->take.active; f++)
        if (is_wanted(r, f))
            begin_take(r, (enum fg_replication_file)f);
}

void fg_replication_fill_begin(struct fg_replication *r)
{
    r->filling = true;
    r->take.asked = false;
    r->offered[FG_REPLICATION_SNAPSHOT] = 0;
    r->offered_size[FG_REPLICATION_SNAPSHOT] = 0;
}

/* Of a peer that has none, or does not know how to send it. */
static void no_snapshot(struct fg_replication *r)
{
    r->filling = false;
    fg_pair_filled(r->pair, false);
}

static void fill(struct fg_replication *r)
{
    if (r->filling && r->now.state != FG_PAIR_STATE_FILLING) {
        fill_failed(r, r->lost);
        if (r->take.file == FG_REPLICATION_SNAPSHOT)
            drop_take(r);
    }
    if (!r->filling || r->take.asked || r->now_ms < r->fill_ms)
        return;
    if (!r->peer_takes_files) {
        no_snapshot(r);
        return;
    }
    r->take.asked = true;
    r->fill_error[0] = r->view_next.link_error[0] = 0;
    send_notice(r, &(struct fg_replication_notice){.type = FG_REPLICATION_NOTICE_GET,
                                                   .file = FG_REPLICATION_SNAPSHOT,
                                                   .bytes = r->part.version});
}

static const char *take_offer(struct fg_replication *r, const struct fg_replication_notice *n)
{
    if (n->file == FG_REPLICATION_SNAPSHOT && r->filling && !n->bytes) {
        no_snapshot(r);
        return NULL;
    }
    if (n->file != FG_REPLICATION_SNAPSHOT && n->bytes > LIST_MAX) {
        fg_diag(FG_DIAG_WARNING, "pair: a list of the leader is too large, and not taken");
        return NULL;
    }
    r->offered[n->file] = n->version;
    r->offered_size[n->file] = n->bytes;
    if (r->take.active && r->take.file == n->file && r->take.version != n->version)
        drop_take(r); /* there is a newer one */
    return NULL;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Nothing of an earlier link counts, but a part of a snapshot at the follower, and the open file of
 * it at the leader. */
static void see_link(struct fg_replication *r)
{
    uint32_t number = r->current ? r->current->link.number : 0;

    if (number == r->files_link)
        return;
    r->files_link = number;
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++) {
        struct fg_replication_give *g = &r->gives[f];

        g->told = false;
        g->sent = g->until = 0;
        r->offered_size[f] = 0;
    }
    pause_take(r);
    fill_failed(r, r->lost);
    r->take.asked = false;
}

const char *fg_replication_files_notice(struct fg_replication *r,
                                        const struct fg_replication_notice *n)
{
    see_link(r);
    switch (n->type) {
    case FG_REPLICATION_NOTICE_OFFER:
        return take_offer(r, n);
    case FG_REPLICATION_NOTICE_GET:
        return take_get(r, n);
    case FG_REPLICATION_NOTICE_PIECE:
        return take_piece(r, n);
    default:
        return NULL;
    }
}

/* What the peer has. After a fill the segments behind that are kept for it until it is in step. */
static void note_peer(struct fg_replication *r)
{
    uint64_t has = leads(r) ? r->now.peer_durable : 0;

    if (has)
        r->peer_has = has;
    else if (leads(r) && r->now.linked && r->now.peer_last < r->peer_has)
        r->peer_has = r->now.peer_last; /* it lost some */
    else if (r->now.state == FG_PAIR_STATE_FOLLOWING)
        r->peer_has = r->now.committed; /* this node may lead soon */
    if (r->fill_seq && has > r->fill_seq) {
        r->fill_seq = has;
        r->fill_end_ms = r->now_ms + HOLD_MS;
    }
    if (r->now.state == FG_PAIR_STATE_SYNC || r->now_ms >= r->fill_end_ms)
        r->fill_seq = 0;
    if (!r->fill_seq && r->gives[FG_REPLICATION_SNAPSHOT].size)
        close_give(&r->gives[FG_REPLICATION_SNAPSHOT]);
}

void fg_replication_files_pass(struct fg_replication *r)
{
    see_link(r);
    note_peer(r);
    if (leads(r) || r->now.state == FG_PAIR_STATE_FOLLOWING)
        drop_part(r); /* not wanted any more */
    if (!r->current || r->ended)
        return;
    fill(r);
    if (r->take.active)
        take_on(r);
    else
        take_next(r);
    if (!r->current || !leads(r) || !r->peer_takes_files)
        return;
    for (unsigned f = FG_REPLICATION_SNAPSHOT + 1; f < FG_REPLICATION_FILES; f++)
        if (r->gives[f].size && !r->gives[f].told)
            offer(r, (enum fg_replication_file)f);
    give_pieces(r);
}

uint64_t fg_replication_files_due_ms(const struct fg_replication *r)
{
    if (!r->current)
        return UINT64_MAX;
    if (r->filling && !r->take.asked)
        return r->fill_ms > r->now_ms ? r->fill_ms : r->now_ms;
    return has_to_give(r) ? r->now_ms + 1 : UINT64_MAX;
}

void fg_replication_files_show(struct fg_replication *r)
{
    const struct fg_replication_give *g = &r->gives[FG_REPLICATION_SNAPSHOT];
    const struct fg_replication_take *t = &r->take;
    struct fg_replication_view *v = &r->view_next;
    uint64_t kept, whole;

    if (r->current && r->filling && r->fill_error[0])
        memcpy(v->link_error, r->fill_error, sizeof(v->link_error));
    v->fill = (struct fg_replication_fill){0};
    if (t->active && t->file == FG_REPLICATION_SNAPSHOT) {
        fg_replication_keeper_progress(r->keeper, &kept);
        v->fill = (struct fg_replication_fill){t->version, kept, t->size};
    } else if (g->told && g->size && r->current) {
        v->fill = (struct fg_replication_fill){g->version, g->sent, g->size};
    }
    if (!v->fill.seq && !leads(r) && r->keeper &&
        (whole = fg_replication_keeper_whole(r->keeper, &kept)) > 0)
        v->fill = (struct fg_replication_fill){whole, kept, kept};
    v->peer_has = r->peer_has;
    v->fill_seq = r->fill_seq;
}

void fg_replication_files_free(struct fg_replication *r)
{
    fg_replication_keeper_stop(r->keeper);
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++) {
        close_give(&r->gives[f]);
        free(r->mail.offer[f].bytes);
    }
}
