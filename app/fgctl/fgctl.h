/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * fgctl: the operator's command. One table of commands (commands.c) gives parsing, help and
 * completion; the settings of an item come from lib/control/fields.h. Everything it does is a
 * request that curl could send.
 */
#ifndef FG_FGCTL_H
#define FG_FGCTL_H

#include <jansson.h>

#include "base/json.h"
#include "base/text.h"
#include "control/fields.h"

#define FG_DEFAULT_SOCKET "/run/floodgate/control.sock"
#define FG_DRILL_KEYS     "/etc/floodgate/keys"
#define FG_POSITIONS_MAX  4096
#define FG_OPTIONS_MAX    16

/* name, number, meaning */
#define FG_EXIT_LIST(X)                                                                            \
    X(OK, 0, "done, or so already")                                                                \
    X(REFUSED, 1, "the daemon refused: bad value, not found, conflict; nothing more was done")     \
    X(USAGE, 2, "wrong command, option or value; nothing was sent")                                \
    X(CONNECT, 3, "the daemon cannot be reached, or the connection was lost")                      \
    X(UNAVAILABLE, 4, "the daemon cannot do it now (stopping, log failed, filter off, timeout)")   \
    X(UNHEALTHY, 5, "health: the daemon answers, and is not healthy")                              \
    X(INPUT, 6, "a file cannot be read, or has errors; nothing was sent")                          \
    X(RACE, 7, "another change was faster: the state that this one expects has changed")

enum fg_exit {
#define X(name, number, text) FG_EXIT_##name = number,
    FG_EXIT_LIST(X)
#undef X
};

struct fg_option {
    const char *name;  /**< without dashes */
    const char *value; /**< what it takes, for help; NULL = a flag */
    const char *help;
};

/** The words of the command line. */
struct fg_args {
    const struct fg_command *command;
    const char *positions[FG_POSITIONS_MAX];
    unsigned count;
    const char
        *options[FG_OPTIONS_MAX]; /**< by index in command->options; NULL = not given; flags: "" */
};

struct fg_http;

struct fg_cli {
    const char *socket;
    bool json;
    struct fg_http *http;
};

struct fg_command {
    const char *noun, *verb; /**< verb NULL: the noun stands alone */
    const char *args;        /**< for help: "ITEM UNITS" */
    unsigned args_min, args_max;
    const struct fg_option *options;
    unsigned options_count;
    int (*run)(struct fg_cli *cli, const struct fg_args *args);
    const char *help, *more;
};

extern const struct fg_command fg_commands[];
extern const unsigned fg_commands_count;
extern const struct fg_option fg_global_options[];
extern const unsigned fg_global_options_count;
extern const struct fg_option
    fg_item_options[FG_CONTROL_ITEM_FIELDS - 1]; /**< option i is field i + 1 */

/** parse.c: -1 = run args->command, else the exit code. Prints help and complaints. */
int fg_parse(struct fg_cli *cli, int argc, char **argv, struct fg_args *args);
__attribute__((format(printf, 1, 2))) int fg_usage_error(const char *fmt, ...);
/** complain.c: a line on standard error; with --json, the first one becomes the error in JSON. */
__attribute__((format(printf, 1, 2))) void fg_complain(const char *fmt, ...);
/** Remembers a line that the caller has printed. */
void fg_complained(const char *text);
/** The sentence was given by an option (NULL: none), or is typed now. */
bool fg_confirmed(const char *option, const char *sentence);
void fg_print_json_error(const json_t *json); /**< of the daemon: it is the error in JSON */
/** With --json, at the end: the error, unless it is told. */
void fg_tell_error(enum fg_exit code);
void fg_help(FILE *out, const struct fg_command *command);
void fg_command_name(const struct fg_command *command, char name[64]);

/* suggest.c: of the words that are known, the one that is nearest to what was typed */
struct fg_suggestion {
    const char *word; /**< NULL: none is near */
    unsigned changes;
};
void fg_suggest(struct fg_suggestion *s, const char *typed, const char *word);
/** "; did you mean \"item list\"?", or "". `before` stands in front of the word. */
const char *fg_suggestion_text(const struct fg_suggestion *s, const char *before, char text[96]);

/* http.c: HTTP/1.1 over a unix socket */
struct fg_reply {
    unsigned code; /**< HTTP status; 0 = there was none, error says why */
    char *body;    /**< terminated; owned */
    size_t size;
    struct fg_error error;
};
struct fg_http *fg_http_open(const char *socket);
void fg_http_close(struct fg_http *http);
void fg_http_request(struct fg_http *http, const char *method, const char *path, const char *body,
                     struct fg_reply *reply);

/** What a long answer is for: take gets its bytes, progress is called about once a second; false of
 * either ends it. */
struct fg_http_stream {
    bool (*take)(void *ctx, const char *data, size_t size);
    bool (*progress)(void *ctx);
    void *ctx;
};
/** POSTs; an answer 200 goes to the stream, however long it is silent, any other into *reply. An
 * end by the stream's wish is an error, too. */
void fg_http_post_stream(struct fg_http *http, const char *path, const char *body,
                         const struct fg_http_stream *stream, struct fg_reply *reply);

/* request.c */
/** Sends (takes body), and prints what went wrong. *reply (owned by the caller, may be NULL) is set
 * on FG_EXIT_OK only. */
int fg_request(struct fg_cli *cli, const char *method, const char *path, json_t *body,
               json_t **reply);
/** As before, and leaves the printing to the caller: *reply is also set to the daemon's error. */
int fg_request_quiet(struct fg_cli *cli, const char *method, const char *path, json_t *body,
                     json_t **reply, struct fg_error *err);
/** POSTs a text as it is; *reply as in fg_request, err as in fg_request_quiet. */
int fg_request_text(struct fg_cli *cli, const char *path, const char *text, json_t **reply,
                    struct fg_error *err);
/** GETs what is no JSON; the caller frees reply->body, also after an error. */
int fg_request_raw(struct fg_cli *cli, const char *path, struct fg_reply *reply,
                   struct fg_error *err);
/** fg_http_post_stream with an exit code; err as in fg_request_quiet. */
int fg_request_stream(struct fg_cli *cli, const char *path, const char *body,
                      const struct fg_http_stream *stream, struct fg_error *err);
/** Fetches all pages of a list: calls each for every entry of `key`. */
int fg_request_pages(struct fg_cli *cli, const char *path, const char *key,
                     void (*each)(void *ctx, json_t *entry), void *ctx);
/** Gets an object and prints it. */
int fg_request_show(struct fg_cli *cli, const char *path);
/** Gets all pages of a list and prints them as a table; row: takes an entry, with the table. */
int fg_request_table(struct fg_cli *cli, const char *path, const char *key,
                     const char *const *columns, unsigned count,
                     void (*row)(void *table, json_t *entry));

/* value.c: settings of an item as typed on the command line or in a CSV file */
struct fg_values {
    bool given[FG_CONTROL_ITEM_FIELDS];
    uint64_t number[FG_CONTROL_ITEM_FIELDS];
    char name[FG_JOURNAL_ITEM_NAME_MAX + 1];
};
/** A duration with its unit; err says so when there is none. */
bool fg_duration_parse(const char *text, uint64_t *ms, struct fg_error *err);
/** Unix ms, `now`, +DURATION, or RFC 3339. */
bool fg_time_parse(const char *text, uint64_t *ms);
bool fg_value_parse(unsigned field, const char *text, struct fg_values *values,
                    struct fg_error *err);
json_t *fg_values_json(const struct fg_values *values);
/** Unix time by the clock of the daemon that fg_now_of named; else by our own. */
uint64_t fg_now_ms(void);
void fg_now_of(struct fg_cli *cli);
uint64_t fg_mono_ms(void);

/* plan.c: from what is there to what is wanted */
struct fg_plan {
    uint64_t item;
    unsigned long line; /**< of the CSV file */
    bool create;
    json_t *body;   /**< POST or PATCH, without `total` of an item that exists; NULL = nothing */
    json_t *seen;   /**< of an item that exists: the fields that change, as they were */
    uint64_t total; /**< of an item that exists, when units is not 0 */
    int64_t units;  /**< that it gets or loses by that */
};
/** existing: JSON of the item, or NULL. False and err (and the field) when it cannot be. */
bool fg_plan_make(const struct fg_values *values, const json_t *existing, struct fg_plan *plan,
                  unsigned *field, struct fg_error *err);
int fg_plan_run(struct fg_cli *cli, const struct fg_plan *plan, json_t **reply,
                struct fg_error *err);
void fg_plan_print(FILE *out, const struct fg_plan *plan);
void fg_plan_free(struct fg_plan *plan);

/* csv.c: RFC 4180 */
struct fg_csv_row {
    unsigned long line;
    unsigned count;
    char **cells;
};
struct fg_csv {
    char *text; /**< the file; cells point into it */
    char **cells;
    struct fg_csv_row *rows;
    size_t rows_count;
};
bool fg_csv_read(const char *path, struct fg_csv *csv, struct fg_error *err);
void fg_csv_free(struct fg_csv *csv);

/* table.c: aligned columns */
struct fg_table;
/** columns: "ITEM>" is right-aligned, "NAME" left-aligned. */
struct fg_table *fg_table_create(const char *const *columns, unsigned count);
void fg_table_add(struct fg_table *table, const char *const *cells);
void fg_table_print(struct fg_table *table, FILE *out);
void fg_table_free(struct fg_table *table);
/** Columns of a terminal that the character takes which begins here, and its bytes. */
size_t fg_char_columns(const char *text, size_t *bytes);

/* screen.c: the terminal of a live view */
void fg_screen_begin(void);
void fg_screen_end(void);
void fg_screen_size(unsigned *rows, unsigned *columns);
/** Lines of the head are continued in the next row, those of the body cut: no row too many. */
void fg_screen_show(const char *head, const char *body);
/** Whether q was pressed. A signal ends it early. */
bool fg_screen_wait(uint64_t ms);

/* live.c: a view that is repeated */
/** By the options --interval and --count, until q, SIGINT, SIGTERM, or an exit code of `view`,
 * which fetches and prints one. */
int fg_live(const struct fg_cli *cli, const struct fg_args *args,
            int (*view)(void *ctx, bool terminal), void *ctx);
void fg_live_print_json(json_t *view); /**< on one line; releases it */
/** head and body as fg_screen_show takes them. */
void fg_live_print(bool terminal, void (*head)(FILE *out, const void *ctx),
                   void (*body)(FILE *out, const void *ctx), const void *ctx);

/* show.c */
void fg_print_json(const json_t *json);
void fg_show(FILE *out, const json_t *json); /**< as indented `name: value` lines */
/** The alarms of /v1/status, one a line; returns how many. */
int fg_show_alarms(FILE *out, const json_t *status);
void fg_clean(char *text); /**< control characters become '?' */

/* rates.c: counters as a flat list, and their change per second */
struct fg_sample {
    char name[96]; /**< "drops.tag"; workers are summed up */
    double value, rate;
};
struct fg_sample_set {
    struct fg_sample *list;
    size_t count, room;
};
void fg_samples_take(struct fg_sample_set *set, const json_t *stats);
void fg_samples_rate(struct fg_sample_set *now, const struct fg_sample_set *before, double seconds);
double fg_sample_rate(const struct fg_sample_set *set, const char *name);
double fg_sample_value(const struct fg_sample_set *set, const char *name);
void fg_samples_free(struct fg_sample_set *set);

/* the commands */
int fg_cmd_status(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_stats(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_health(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_top(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_keys_reload(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_log_accept(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_sink_adopt(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_log_init(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_log_snapshot(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_item_add(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_item_set(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_item_list(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_item_show(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_item_import(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_stock(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_switch(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_order_show(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_wait_list(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_wait_show(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_wait_clear(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_order_refund(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_drill(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_orders(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_list(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_change(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_file(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_user_change(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_user_denied(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_user_worst(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_attach(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_detach(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_status(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_samples(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_explain(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_top(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_penalty_list(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_penalty_release(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_penalty_report(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_penalty_follow(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_backend_init(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_backend_status(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_doctor(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_rates(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_filter_set(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_order_trace(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_report(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_capture(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_pair_status(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_pair_switch(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_pair_solo(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_pair_join(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_pair_force(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_pair_init(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_fleet_status(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_fleet_top(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_fleet_map(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_fleet_retire(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_fleet_rebuild(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_audit(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_help(struct fg_cli *cli, const struct fg_args *args);
int fg_cmd_completion(struct fg_cli *cli, const struct fg_args *args);

/** cmd_list.c: appends the words of a file (one a line, # starts a comment, "-" is standard input);
 * false after a complaint, which calls a word `what`. */
bool fg_words_read(const char *path, const char *what, json_t *list);

/** cmd_penalty.c: an offence of a client that completed a handshake. err NULL: a person reports it,
 * and what is wrong is printed; otherwise the audit trail does not have it. */
int fg_report_offence(struct fg_cli *cli, const char *address, uint64_t count,
                      struct fg_error *err);

/** cmd_item.c: the ITEM of the command line; false after a complaint. */
bool fg_item_arg(const char *text, uint64_t *item);
/** cmd_order.c: the USER of the command line; false after a complaint. */
bool fg_user_arg(const char *text, uint64_t *user);

#endif
