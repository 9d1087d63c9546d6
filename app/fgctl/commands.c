/* SPDX-License-Identifier: BSD-3-Clause */
/* The only list of what fgctl can do: parsing, --help, completion and the check of the docs come
 * from it. */
#include "fgctl.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define NONE        NULL, 0
#define OPTIONS(o)  o, COUNT(o)

const struct fg_option fg_global_options[] = {
    {"json", NULL, "print what the daemon answers, as JSON"},
    {"socket", "PATH", "control socket (default: $FLOODGATE_SOCKET, else " FG_DEFAULT_SOCKET ")"},
    {"help", NULL, "this help"},
    {"version", NULL, "print the version"},
};
const unsigned fg_global_options_count = COUNT(fg_global_options);

#define HINT_NUMBER   "N"
#define HINT_TEXT     "TEXT"
#define HINT_DURATION "DURATION"
#define HINT_TIME     "TIME"
#define HINT_FLAG     "true|false"

const struct fg_option fg_item_options[FG_CONTROL_ITEM_FIELDS - 1] = {
#define X(name, option, kind, min, max, initial, text) {option, HINT_##kind, text},
    FG_CONTROL_ITEM_SETTING_LIST(X)
#undef X
};
_Static_assert(FG_CONTROL_ITEM_FIELD_item == 0, "options are the fields behind the first");

static const struct fg_option list_options[] = {{"retired", NULL, "list retired items, too"}};
static const struct fg_option import_options[] = {
    {"dry-run", NULL, "check the file against the daemon and print what would be done"}};
static const struct fg_option top_options[] = {
    {"interval", "DURATION", "time between two views, 100ms..1h (default 1s)"},
    {"count", "N", "end after N views (default: until interrupted)"}};
static const struct fg_option prefix_options[] = {
    {"file", "FILE",
     "read prefixes from FILE, one a line, # starts a comment; - is standard input"},
    {"reason", "TEXT", "why, at most 23 characters: shown by list and explain"},
    {"for", "DURATION", "for so long, like 10m or 24h"},
    {"expires", "TIME", "until then, like +10m, Unix milliseconds or 2026-11-27T09:00:00Z"},
    {"replace", NULL,
     "prefixes that are there already get this reason and end, and keep their hits"},
    {"yes", NULL, "do not ask before 0.0.0.0/0 or ::/0, which is every source"}};
static const struct fg_option load_options[] = {
    {"yes", NULL, "do not ask about 0.0.0.0/0 or ::/0, which is every source"}};
static const struct fg_option explain_options[] = {
    {"class", "CLASS", "only for packets of this class: order, syn or other"},
    {"port", "N",
     "only for packets to this port: the order port (order), or another one (syn and other)"}};

static const struct fg_option user_options[] = {
    {"file", "FILE", "read users from FILE, one a line, # starts a comment; - is standard input"}};
static const struct fg_option wait_options[] = {{"limit", "N", "how many, 1..10000 (default 20)"}};
static const struct fg_option worst_options[] = {{"limit", "N", "how many, 1..1000 (default 20)"}};

static const struct fg_option filter_top_options[] = {
    {"limit", "N", "sources of each class, 1..1024 (default 10)"},
    {"interval", "DURATION", "repeat the view that often, 100ms..1h (default: one view)"}};
static const struct fg_option samples_options[] = {{"limit", "N", "how many, 1..256 (default 50)"}};
static const struct fg_option pins_options[] = {
    {"pins", "FOLDER", "folder of the pins, [filter] pins (default /sys/fs/bpf/floodgate)"},
    {"generic", NULL, "attach in generic (SKB) mode, where the driver has no native XDP"}};
static const struct fg_option report_options[] = {
    {"count", "N", "offences, 1..1000000 (default 1)"}};
static const struct fg_option follow_options[] = {
    {"all", NULL, "report what is in FILE from its start, and end there"},
    {"direct", NULL,
     "no proxy or CDN stands before nginx: a peer that sends X-Forwarded-For is reported, too"}};

static const struct fg_option report_of_options[] = {
    {"config", "FILE",
     "the daemon's configuration (default /etc/floodgate/floodgate.conf): section [log]"},
    {"dir", "FOLDER", "the folder of the log, instead"}};
static const char report_help[] =
    "Units of each item: added = sold + refunded + held + unsold. late: of those sold, paid after "
    "the "
    "hold had\nended. restocked: refunded, and back on sale. expired, cancelled: held once, and "
    "not "
    "paid. The end of the log\ncounts: when the daemon runs, what is written meanwhile may be "
    "missing.\n";
static const char trace_help[] = "It reads the log itself, from its beginning, also without a "
                                 "daemon; only a daemon knows how far "
                                 "its sinks are.\n";
static const struct fg_option rates_options[] = {
    {"order-rate", "N", "order packets a second of one source; 0 = no limit"},
    {"order-burst", "N", "how many of them at once"},
    {"syn-rate", "N", "connection attempts a second of one source; 0 = no limit"},
    {"syn-burst", "N", "how many of them at once"},
    {"other-rate", "N", "other packets a second of one source; 0 = no limit"},
    {"other-burst", "N", "how many of them at once"},
    {"monitor", "true|false", "decide and count everything, drop nothing"},
    {"penalty-mode", "MODE", "off, proven or suspected: which offences block their source"},
    {"penalty-first", "DURATION", "how long the first block lasts, 1s..24h"},
    {"penalty-bad-tag", "N", "packets with a wrong tag within 10 s that block; 0 = never"},
    {"penalty-malformed", "N", "malformed packets, likewise"},
    {"penalty-role", "N", "requests whose key may not do the operation, likewise"},
    {"penalty-user-rate", "N", "reservations of users who ask too often, likewise"},
    {"penalty-user-denied", "N", "reservations of denied users, likewise"},
    {"penalty-http", "N", "offences that nginx reported, likewise"}};
static const char rates_help[] =
    "What is not given stays. A burst is at least 10 ms of its rate. The next start of the daemon "
    "takes the file again.\n";
static const struct fg_option capture_options[] = {
    {"seconds", "N", "how long, 1..3600 (default 10); Ctrl-C ends it earlier"},
    {"user", "USER", "only requests of this user, and their replies"}};
static const char capture_help[] =
    "FILE is written by fgctl with the rights of its caller; - is standard output. At most 10,000 "
    "requests a second\nare taken; what was left out is counted. tools/wireshark reads it "
    "(docs/wireshark.md). It holds addresses\nand users.\n";
static const struct fg_option audit_options[] = {
    {"limit", "N", "how many changes, the newest, 1..1000 (default 50)"}};
static const struct fg_option refund_options[] = {
    {"restock", NULL, "put the units back on sale (without it they are gone)"}};

static const struct fg_option drill_options[] = {
    {"server", "ADDR[:PORT]",
     "order port of the appliance; of several, separated by commas, the "
     "next is asked when one is silent"},
    {"keys", "FILE", "key file (default " FG_DRILL_KEYS ")"},
    {"key", "N", "id of the key (default: the first in the file that may do this)"},
    {"timeout", "DURATION", "how long to ask, 100ms..1h (default 10s)"},
    {"order", "ORDER", "id of the new order (default: a random one, which is printed)"}};
static const char drill_help[] =
    "For drills: it needs no daemon on this machine, and speaks to the order port over the "
    "network.\n"
    "A repeat of the same order changes nothing. Exit code 0: what was asked for is so (RESERVED,\n"
    "SOLD, CANCELLED); 1: refused; 3: no answer, and the outcome is unknown; 4: not now, like "
    "BUSY\n"
    "or NOT_OPEN (docs/protocol.md has all statuses).\n";

static const char top_help[] =
    "COUNT fades by half each minute, and is too high by ERROR at most. PROVEN: "
    "offences that a forged source\n"
    "address could not have produced. Under a flood all are of a sample.\n";
static const char follow_help[] =
    "FILE is the log that config/nginx-floodgate.conf makes nginx write. Clients that limit_req,\n"
    "limit_conn or a time-out for header and body stopped are reported; [penalty] http of them\n"
    "within 10 s block the client. Lines older than that are not reported, nor are proxies.\n"
    "Follows rotations.\n";
static const struct fg_option backend_options[] = {
    {"config", "FILE",
     "the daemon's configuration (default /etc/floodgate/floodgate.conf): section [postgres]"},
    {"conninfo", "TEXT",
     "connection string of libpq, instead of a configuration, or of the connection that --config "
     "has"},
    {"password-file", "FILE", "file whose first line is the password"},
    {"schema", "NAME",
     "schema of the tables (default: that of the configuration, else floodgate)"}};
static const struct fg_option doctor_options[] = {
    {"config", "FILE", "the daemon's configuration (default: /etc/floodgate/floodgate.conf)"},
    {"fix", NULL, "run the commands that change this machine only, and check again"},
    {"only", "CHECK", "this check alone"},
    {"all", NULL, "show the checks that are good or skipped, too"}};
static const char doctor_help[] =
    "Needs no daemon, and does no harm beside one. Prints, for each check that is not good, the "
    "cause and the command\nthat mends it. Exit code 0: nothing worse than a warning; 5: a fault. "
    "docs/doctor.md lists the checks.\n";
static const char backend_help[] =
    "It speaks to PostgreSQL itself: the daemon need not run. Running init "
    "again, also twice at a time, does no\n"
    "harm. Its user needs the right to make a schema in the database; the "
    "daemon's needs less (docs/postgres.md).\n";

static const struct fg_option log_options[] = {
    {"config", "FILE",
     "the daemon's configuration (default /etc/floodgate/floodgate.conf): section [log]"},
    {"dir", "FOLDER", "the folder, instead of [log] dir; without --config the rest is default"}};
static const char log_help[] =
    "It makes the folder when it is missing, and refuses one that holds a log. A daemon never\n"
    "begins a new log by itself: it needs this, or `floodgate --new-log`.\n";

static const char accept_help[] =
    "An appliance whose log is an older copy sells nothing: what it lacks was sold already. Only\n"
    "when the right log is lost is this the way to continue (docs/log.md).\n";
static const char adopt_help[] = "NAME is redis, postgres or kafka. The data in the sink is "
                                 "discarded, and written anew from the\n"
                                 "log (docs/log.md).\n";

static const struct fg_option pair_force_options[] = {
    {"confirm", "TEXT", "instead of typing it: \"the other box is powered off\""}};
static const struct fg_option pair_init_options[] = {
    {"config", "FILE",
     "the daemon's configuration (default /etc/floodgate/floodgate.conf): section [pair]"},
    {"keys", "FOLDER", "make certificates in FOLDER instead: of an authority, node 0 and node 1"},
    {"hosts", "ADDR,ADDR", "with --keys: the hosts of [pair] peer, of node 0 and node 1"}};
static const struct fg_option fleet_options[] = {
    {"config", "FILE",
     "the daemon's configuration (default /etc/floodgate/floodgate.conf): section [fleet]"}};
static const char fleet_top_help[] =
    "A member knows of the others what the pools in etcd say: HELD are the units that a member "
    "has\n"
    "sold, reserved, or free; HELD/S is their change. RESERVED, SOLD and ORDERS/S are of this\n"
    "member alone. `q` ends it.\n";
static const struct fg_option fleet_retire_options[] = {
    {"config", "FILE",
     "the daemon's configuration (default /etc/floodgate/floodgate.conf): section [fleet]"},
    {"confirm", "TEXT", "instead of typing it: \"member N is powered off\""},
    {"log", "FOLDER", "the log of that member, from its disk, not a backup"},
    {"write-off", NULL, "its log is lost: what it held stays out of the sale"}};
static const struct fg_option fleet_rebuild_options[] = {
    {"config", "FILE",
     "the daemon's configuration (default /etc/floodgate/floodgate.conf): section [fleet]"},
    {"confirm", "TEXT", "instead of typing it: \"all members are stopped\""},
    {"retired", "N,N", "members that were retired, with their logs"}};
static const char fleet_retire_help[] =
    "For a member that never comes back. By its log, the units that it did not sell go to the\n"
    "others. It says what may be lost, and wants a sentence typed. Shards do not move: the users\n"
    "of that member can order nothing any more. A copy of a log has no lock: the command cannot\n"
    "see that its daemon still runs, nor which orders a backup lacks.\n";
static const char fleet_rebuild_help[] =
    "For an etcd that was lost, or restored from a copy. FOLDER: the logs of all members, from\n"
    "their disks and not backups, in the order of their numbers; no member may run, and a copy\n"
    "has no lock that would tell. It refuses when their numbers contradict each other, says what\n"
    "it would do, and wants a sentence typed. An empty etcd cannot tell which leases a log lacks.\n"
    "The fleet is frozen then: start the members, look at `fgctl fleet status` whether each holds\n"
    "what it should, and `fgctl fleet thaw`.\n";
static const char fleet_init_help[] =
    "It writes the first map of members and shards to etcd, as the configuration has it, and\n"
    "refuses when there is one. Once for all members; each of them must have the same map.\n";
static const char fleet_freeze_help[] =
    "Until `fgctl fleet thaw` no member leases or returns units. Members that run sell what they\n"
    "hold, and answer BUSY to requests that need more; a member that starts meanwhile sells\n"
    "nothing, for it cannot take part.\n";
static const char fleet_dump_help[] =
    "Map, members and pools: a line with the key, one with the value, as `etcdctl get --prefix`\n"
    "prints them. Freeze the fleet first when its members run.\n";
static const char pair_force_help[] =
    "The last resort, when the other box is lost and the arbiter's register names it. What it\n"
    "acknowledged alone is lost with it. It says what it would do, and wants a sentence typed.\n";
static const char pair_init_help[] =
    "It writes the first register of the pair to etcd: this node leads, with the log that it has.\n"
    "It refuses when there is one; a daemon may run beside it. The other node needs no init: it\n"
    "joins. With --keys, an authority in FOLDER (ca.pem, ca.key) is taken again, so that new\n"
    "certificates can replace old ones, which stay as FILE.old (docs/pair.md).\n";

static const char values_help[] =
    "A DURATION is like 500ms, 90s, 2m, 1h30m. A TIME is `now`, +10m, Unix\n"
    "milliseconds, or like 2026-11-27T09:00:00Z; 0 takes it away.\n";
static const char set_help[] =
    "A DURATION is like 500ms, 90s, 2m, 1h30m. A TIME is `now`, +10m, Unix\n"
    "milliseconds, or like 2026-11-27T09:00:00Z; 0 takes it away. A member of a fleet\n"
    "refuses --total: `fgctl stock add` and `remove` change what the fleet sells.\n";
static const char import_help[] =
    "The first line of FILE names the columns: item, and any of name, total, "
    "user_limit, order_max, hold_ms,\n"
    "opens, closes, paused, retired, waitlist, claim_ms, wait_ttl_ms, one_unit, lottery. An empty "
    "cell "
    "leaves the default, or what is "
    "there. Items that exist are changed;\n"
    "their total is raised or lowered to the given number. Everything is "
    "checked before anything is sent, and\n"
    "running it again does nothing that was done already. A retired item is left alone, unless its "
    "cell in the\ncolumn retired is false. A member of a fleet refuses the column total: add units "
    "once, at one member,\nby `fgctl stock add`.\n";

static const char list_file_help[] =
    "The daemon reads or writes FILE: one PREFIX [EXPIRES [REASON]] a line, # starts a comment "
    "(docs/filter.md). When a\n"
    "line is wrong nothing is changed. Entries of limited time that are not in the file stay. "
    "Under systemd "
    "the "
    "daemon\nsees neither /home nor /root nor your /tmp: use /var/lib/floodgate.\n";

const struct fg_command fg_commands[] = {
    {"status", NULL, "", 0, 0, NONE, fg_cmd_status, "state of the appliance, its log and its sinks",
     NULL},
    {"health", NULL, "", 0, 0, NONE, fg_cmd_health, "exit code 0 when healthy, else 5", NULL},
    {"stats", NULL, "", 0, 0, NONE, fg_cmd_stats, "all counters", NULL},
    {"top", NULL, "", 0, 0, OPTIONS(top_options), fg_cmd_top, "live view: rates, drops, items",
     "The key q ends it. It keeps to the size of the terminal. Without a terminal it prints one "
     "view\n"
     "below the other; with --json one object a line.\n"},
    {"item", "list", "", 0, 0, OPTIONS(list_options), fg_cmd_item_list,
     "table of the items that are not retired", NULL},
    {"item", "show", "ITEM", 1, 1, NONE, fg_cmd_item_show, "one item with all settings", NULL},
    {"item", "add", "ITEM", 1, 1, OPTIONS(fg_item_options), fg_cmd_item_add, "create an item",
     values_help},
    {"item", "set", "ITEM", 1, 1, OPTIONS(fg_item_options), fg_cmd_item_set,
     "change settings of an item; --total adds or removes the difference", set_help},
    {"item", "import", "FILE.csv", 1, 1, OPTIONS(import_options), fg_cmd_item_import,
     "create and change items from a catalogue", import_help},
    {"stock", "add", "ITEM UNITS", 2, 2, NONE, fg_cmd_stock, "add units to an item", NULL},
    {"stock", "remove", "ITEM UNITS", 2, 2, NONE, fg_cmd_stock, "take free units away, all or none",
     NULL},
    {"open", NULL, "ITEM...", 1, FG_POSITIONS_MAX, NONE, fg_cmd_switch,
     "open the sale now, without an end", NULL},
    {"close", NULL, "ITEM...", 1, FG_POSITIONS_MAX, NONE, fg_cmd_switch, "end the sale now", NULL},
    {"pause", NULL, "ITEM...", 1, FG_POSITIONS_MAX, NONE, fg_cmd_switch,
     "sell nothing until resumed", NULL},
    {"resume", NULL, "ITEM...", 1, FG_POSITIONS_MAX, NONE, fg_cmd_switch,
     "sell again after a pause", NULL},
    {"order", "show", "USER ORDER", 2, 2, NONE, fg_cmd_order_show,
     "state of one order (ORDER: " FG_TEXT_ORDER ")", NULL},
    {"order", "trace", "USER ORDER", 2, 2, OPTIONS(report_of_options), fg_cmd_order_trace,
     "every step of one order in the log, with its time, and which sinks have it", trace_help},
    {"order", "refund", "USER ORDER", 2, 2, OPTIONS(refund_options), fg_cmd_order_refund,
     "undo a sale, once; the buyer's limit is free again",
     "It moves no money: the shop pays back. A second refund changes nothing.\n"},
    {"order", "reserve", "USER ITEM [UNITS]", 2, 3, OPTIONS(drill_options), fg_cmd_drill,
     "by packet, as a shop does it: hold units (default 1)", drill_help},
    {"order", "confirm", "USER ORDER", 2, 2, drill_options, COUNT(drill_options) - 1, fg_cmd_drill,
     "by packet, as a backend does it: the order is paid", drill_help},
    {"order", "cancel", "USER ORDER", 2, 2, drill_options, COUNT(drill_options) - 1, fg_cmd_drill,
     "by packet, as a shop does it: give the units back", drill_help},
    {"orders", NULL, "USER", 1, 1, NONE, fg_cmd_orders, "all orders of a user", NULL},
    {"wait", "list", "ITEM", 1, 1, OPTIONS(wait_options), fg_cmd_wait_list,
     "who waits for units of an item, the next one first", NULL},
    {"wait", "show", "USER", 1, 1, NONE, fg_cmd_wait_show, "the places of a user in waiting lists",
     NULL},
    {"wait", "clear", "ITEM", 1, 1, NONE, fg_cmd_wait_clear,
     "all who wait for an item leave; their orders are cancelled", NULL},
    {"block", "list", "", 0, 0, NONE, fg_cmd_filter_list, "block list with hits, end and reason",
     NULL},
    {"block", "add", "PREFIX...", 0, FG_POSITIONS_MAX, OPTIONS(prefix_options),
     fg_cmd_filter_change, "block sources", NULL},
    {"block", "del", "PREFIX...", 0, FG_POSITIONS_MAX, prefix_options, 1, fg_cmd_filter_change,
     "unblock sources", NULL},
    {"block", "load", "FILE", 1, 1, OPTIONS(load_options), fg_cmd_filter_file,
     "replace the block list by a file, all at once", list_file_help},
    {"block", "save", "FILE", 1, 1, NONE, fg_cmd_filter_file, "write the block list to a file",
     list_file_help},
    {"allow", "list", "", 0, 0, NONE, fg_cmd_filter_list, "allow list with hits, end and reason",
     NULL},
    {"allow", "add", "PREFIX...", 0, FG_POSITIONS_MAX, OPTIONS(prefix_options),
     fg_cmd_filter_change, "let sources pass block list and rates", NULL},
    {"allow", "del", "PREFIX...", 0, FG_POSITIONS_MAX, prefix_options, 1, fg_cmd_filter_change,
     "take sources off the allow list", NULL},
    {"allow", "load", "FILE", 1, 1, OPTIONS(load_options), fg_cmd_filter_file,
     "replace the allow list by a file, all at once", list_file_help},
    {"allow", "save", "FILE", 1, 1, NONE, fg_cmd_filter_file, "write the allow list to a file",
     list_file_help},
    {"filter", "top", "", 0, 0, OPTIONS(filter_top_options), fg_cmd_filter_top,
     "sources that misbehave most, by class", top_help},
    {"filter", "samples", "", 0, 0, OPTIONS(samples_options), fg_cmd_filter_samples,
     "some of the packets that were dropped last", NULL},
    {"filter", "explain", "ADDR", 1, 1, OPTIONS(explain_options), fg_cmd_filter_explain,
     "what would happen to a packet of this source now, and why", NULL},
    {"filter", "rates", "", 0, 0, NONE, fg_cmd_filter_rates,
     "rates, monitor mode and penalties: in force, and in the file", NULL},
    {"filter", "set", "", 0, 0, OPTIONS(rates_options), fg_cmd_filter_set,
     "change rates, monitor mode and penalties, until the daemon restarts", rates_help},
    {"filter", "status", "", 0, 0, pins_options, 1, fg_cmd_filter_status,
     "what is attached where, and verdicts; needs no daemon", NULL},
    {"filter", "attach", "IFNAME", 1, 1, OPTIONS(pins_options), fg_cmd_filter_attach,
     "attach the program of the last daemon again; needs no daemon", NULL},
    {"filter", "detach", "IFNAME", 1, 1, pins_options, 1, fg_cmd_filter_detach,
     "take the program away: packets flow unfiltered; needs no daemon", NULL},
    {"penalty", "list", "", 0, 0, NONE, fg_cmd_penalty_list, "sources in the penalty box", NULL},
    {"penalty", "release", "ADDR...", 1, FG_POSITIONS_MAX, NONE, fg_cmd_penalty_release,
     "take sources out of the penalty box", NULL},
    {"penalty", "report", "ADDR", 1, 1, OPTIONS(report_options), fg_cmd_penalty_report,
     "report an offence of a client that completed a TCP handshake", NULL},
    {"penalty", "follow", "FILE", 1, 1, OPTIONS(follow_options), fg_cmd_penalty_follow,
     "report clients that nginx refuses, from its log of offences", follow_help},
    {"user", "deny", "USER...", 0, FG_POSITIONS_MAX, OPTIONS(user_options), fg_cmd_user_change,
     "let users reserve nothing", NULL},
    {"user", "allow", "USER...", 0, FG_POSITIONS_MAX, OPTIONS(user_options), fg_cmd_user_change,
     "let users reserve again", NULL},
    {"user", "denied", "", 0, 0, NONE, fg_cmd_user_denied,
     "users who may reserve nothing, one a line", NULL},
    {"user", "worst", "", 0, 0, OPTIONS(worst_options), fg_cmd_user_worst,
     "users who were refused most often because they ask too often", NULL},
    {"backend", "init", "", 0, 0, OPTIONS(backend_options), fg_cmd_backend_init,
     "make the tables in PostgreSQL, or bring them to this version", backend_help},
    {"backend", "status", "", 0, 0, OPTIONS(backend_options), fg_cmd_backend_status,
     "version, cursor and lag of the tables in PostgreSQL", backend_help},
    {"doctor", NULL, "", 0, 0, OPTIONS(doctor_options), fg_cmd_doctor,
     "check whether this machine is fit for the configuration; needs no daemon", doctor_help},
    {"keys", "reload", "", 0, 0, NONE, fg_cmd_keys_reload, "read the key file again", NULL},
    {"log", "init", "", 0, 0, OPTIONS(log_options), fg_cmd_log_init,
     "begin a new log in an empty folder; the daemon need not run", log_help},
    {"log", "accept", "", 0, 0, NONE, fg_cmd_log_accept,
     "sell from this log although a sink knows later records, until the next restart", accept_help},
    {"log", "snapshot", "", 0, 0, NONE, fg_cmd_log_snapshot,
     "make a snapshot of the log, so that the next start is quick", NULL},
    {"sink", "adopt", "NAME", 1, 1, NONE, fg_cmd_sink_adopt,
     "let a sink that refuses begin anew with this log", adopt_help},
    {"pair", "status", "", 0, 0, NONE, fg_cmd_pair_status,
     "both appliances of the pair: roles, lag, skew, arbiter, last changes", NULL},
    {"pair", "switch", "", 0, 0, NONE, fg_cmd_pair_switch,
     "hand over to the standby, without losing a request", NULL},
    {"pair", "solo", "", 0, 0, NONE, fg_cmd_pair_solo,
     "lead without a standby, and take none on until `fgctl pair join`", NULL},
    {"pair", "join", "", 0, 0, NONE, fg_cmd_pair_join, "take a standby on again", NULL},
    {"pair", "force", "", 0, 0, OPTIONS(pair_force_options), fg_cmd_pair_force,
     "lead although the arbiter's register names the other box, which is powered off",
     pair_force_help},
    {"pair", "init", "", 0, 0, OPTIONS(pair_init_options), fg_cmd_pair_init,
     "begin a pair: its register in etcd, or its certificates; needs no daemon", pair_init_help},
    {"fleet", "status", "", 0, 0, NONE, fg_cmd_fleet_status,
     "this member of a fleet, its map and etcd; pool, units held and demand of each item", NULL},
    {"fleet", "top", "", 0, 0, OPTIONS(top_options), fg_cmd_fleet_top,
     "live view: what each member holds and waits for, the pool, the items that move most",
     fleet_top_help},
    {"fleet", "init", "", 0, 0, OPTIONS(fleet_options), fg_cmd_fleet_map,
     "begin a fleet: its map in etcd; needs no daemon", fleet_init_help},
    {"fleet", "freeze", "", 0, 0, OPTIONS(fleet_options), fg_cmd_fleet_map,
     "stop all leases and returns of all members; needs no daemon", fleet_freeze_help},
    {"fleet", "thaw", "", 0, 0, OPTIONS(fleet_options), fg_cmd_fleet_map,
     "allow them again; needs no daemon", NULL},
    {"fleet", "dump", "", 0, 0, OPTIONS(fleet_options), fg_cmd_fleet_map,
     "what etcd has of the fleet, as text, for `fgaudit --fleet --pools`; needs no daemon",
     fleet_dump_help},
    {"fleet", "retire", "MEMBER", 1, 1, OPTIONS(fleet_retire_options), fg_cmd_fleet_retire,
     "give the units of a member that never comes back to the others; needs no daemon",
     fleet_retire_help},
    {"fleet", "rebuild", "FOLDER...", 1, 16, OPTIONS(fleet_rebuild_options), fg_cmd_fleet_rebuild,
     "write a lost etcd anew from the logs of all members; needs no daemon", fleet_rebuild_help},
    {"report", NULL, "", 0, 0, OPTIONS(report_of_options), fg_cmd_report,
     "what became of each item's units, as CSV; reads the log, needs no daemon", report_help},
    {"capture", NULL, "FILE", 1, 1, OPTIONS(capture_options), fg_cmd_capture,
     "order packets and their replies as a pcap, which tcpdump cannot see behind XDP",
     capture_help},
    {"audit", NULL, "", 0, 0, OPTIONS(audit_options), fg_cmd_audit,
     "who changed what by this socket, when, and with which outcome", NULL},
    {"help", NULL, "[COMMAND...]", 0, 2, NONE, fg_cmd_help, "this help, or that of a command",
     NULL},
    {"completion", NULL, "", 0, 0, NONE, fg_cmd_completion, "print the completion script for bash",
     NULL},
};
const unsigned fg_commands_count = COUNT(fg_commands);
