/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * filter: the user-space side of the XDP program: load, attach by a pinned link, lists, rates,
 * counters. Lists and counters live in pinned maps and survive the daemon. Open, attach and close
 * from one thread; lists and counters from any thread but a worker; fg_filter_verdict_of_frame from
 * workers.
 *
 * The struct for each map entry, and the verdict logic that XDP and workers share, are in xdp/.
 */
#ifndef FG_FILTER_H
#define FG_FILTER_H

#include "base/base.h"
#include "base/clock.h"
#include "xdp/shared.h" /* FG_FILTER_VERDICT_LIST, enum fg_filter_verdict, enum fg_filter_list */

const char *
fg_filter_verdict_name(unsigned verdict); /**< "rate-order"; lower case, for JSON and metrics */
const char *fg_filter_verdict_text(unsigned verdict);

struct fg_filter_prefix {
    uint8_t family;   /**< 4 or 6 */
    uint8_t length;   /**< bits: 0..32, 0..128 */
    uint8_t addr[16]; /**< network byte order; IPv4 in the first four; host bits zero */
};

/** "198.18.7.0/24", "2001:db8::1". Host bits must be zero; without length a host. */
bool fg_filter_prefix_parse(const char *text, struct fg_filter_prefix *prefix,
                            struct fg_error *err);
/** Zeroes the bits behind the length. */
void fg_filter_prefix_clear_host(struct fg_filter_prefix *prefix);
/** text: at least 64 bytes. */
void fg_filter_prefix_format(const struct fg_filter_prefix *prefix, char *text);

struct fg_filter_options {
    const char *pins;     /**< folder on a bpffs (mounted when it is not), for maps; links lie in
                             pins/link-IFNAME.     NULL: no kernel; lists and buckets in plain memory,
                             for     fg_filter_verdict_of_frame alone */
    const char *object;   /**< BPF object file; NULL = the one built into the library */
    uint16_t order_port;  /**< host byte order */
    uint16_t order_ports; /**< how many there are, from order_port on; 0 is 1 */
    uint32_t order_rate, order_burst; /**< packets/s and packets, per source; rate 0 = no limit */
    uint32_t syn_rate, syn_burst; /**< connection attempts; a burst is at least 10 ms of its rate */
    uint32_t other_rate, other_burst;
    uint32_t net_factor;   /**< a /24 or /48 as a whole may send this many times the rate of one
                              source; 0 = no limit */
    uint32_t sources_max;  /**< the table of sources has at least twice as many slots */
    uint32_t prefixes_max; /**< entries of both lists together */
    unsigned v6_prefix;    /**< leading bits of an IPv6 address that make a source, 1 to 64 */
    uint32_t
        sample_rate; /**< dropped packets a second that become samples, for each verdict and CPU */
    bool ignore_lists; /**< keep them, but decide without them */
    bool monitor;      /**< decide and count everything, drop nothing */
};

/** The smallest burst that the filter takes with a rate: 10 ms of it. */
static inline uint32_t fg_filter_burst_min(uint32_t rate)
{
    return rate / 100 ? rate / 100 : 1;
}

/** What can be changed while the filter runs: packets/s and packets, per source. */
#define FG_FILTER_RATES_LIST(X)                                                                    \
    X(order_rate)                                                                                  \
    X(order_burst)                                                                                 \
    X(syn_rate)                                                                                    \
    X(syn_burst)                                                                                   \
    X(other_rate)                                                                                  \
    X(other_burst)

struct fg_filter_rates {
#define X(name) uint32_t name;
    FG_FILTER_RATES_LIST(X)
#undef X
    bool monitor;
};

struct fg_filter;

/** Opens or creates the pinned maps and loads the program. NULL and err (what failed, and what to
 * do). */
struct fg_filter *fg_filter_open(const struct fg_filter_options *options, struct fg_error *err);

/** What is in force, and what the filter was opened with. Either may be NULL. Any thread. */
void fg_filter_rates(struct fg_filter *filter, struct fg_filter_rates *now,
                     struct fg_filter_rates *begun);
/** Puts them in force, until the filter is closed. False and err (a value out of range): nothing is
 * changed. Any thread. */
bool fg_filter_rates_set(struct fg_filter *filter, const struct fg_filter_rates *rates,
                         struct fg_error *err);

/**
 * Locks the folder of the pins until the process ends, however it ends. Without it a second daemon
 * would replace the program of a running one, and its rates. After fg_filter_open, which makes the
 * folder; once in a process. Waits up to 2 s for a process that is being killed. False and err.
 */
bool fg_filter_lock(const char *pins, struct fg_error *err);
/** The pins lie in a mount namespace of our own: they end with it, although they are to outlive
 * the process. Needs root; false when it cannot be found out. */
bool fg_filter_pins_are_private(const char *pins);

/** Which frames are for us: those to one of these MAC addresses and one of these IP addresses. */
struct fg_filter_own_addresses {
    unsigned macs, addresses; /**< how many */
    uint8_t mac[FG_FILTER_OWN_MACS][6];
    struct {
        uint8_t family;    /**< 4 or 6 */
        uint8_t bytes[16]; /**< network byte order; IPv4 in the first four */
    } address[FG_FILTER_OWN_ADDRESSES];
};

/**
 * Attaches to an interface, or replaces the program of an existing pinned link of ours with no gap.
 * own: see fg_filter_set_own.
 */
bool fg_filter_attach(struct fg_filter *filter, const char *ifname, bool generic,
                      const struct fg_filter_own_addresses *own, struct fg_error *err);

/**
 * From the next packet on, a packet to the order port of another MAC or IP address is none of ours
 * (FG_FILTER_VERDICT_FOREIGN). NULL: any address is taken for ours. ifname NULL: for
 * fg_filter_verdict_of_frame, and for the program that is attached to nothing. Main thread.
 */
bool fg_filter_set_own(struct fg_filter *filter, const char *ifname,
                       const struct fg_filter_own_addresses *own, struct fg_error *err);

/** Servers that we are connected to. */
struct fg_filter_servers {
    unsigned count; /**< further ones than FG_FILTER_SERVERS are left out */
    struct {
        uint8_t family;    /**< 4 or 6 */
        uint8_t bytes[16]; /**< network byte order; IPv4 in the first four */
    } address[FG_FILTER_SERVERS];
};

/** Those that this process is connected to now by TCP; `listening`: the port at which clients
 * connect to us, who are none. Any thread. */
void fg_filter_servers_connected(struct fg_filter_servers *servers, uint16_t listening);

/** From the next packet on, the rate of other packets does not hold for these sources; all else
 * does. At every interface, and for fg_filter_verdict_of_frame. Main thread. */
bool fg_filter_set_servers(struct fg_filter *filter, const struct fg_filter_servers *servers,
                           struct fg_error *err);

/**
 * Is a program of ours attached to it now? Also when it was detached and attached again by hand.
 * True for an interface that is none of ours.
 */
bool fg_filter_in_force(const struct fg_filter *filter, const char *ifname);

/** After the port has started: is the AF_XDP socket of that queue in our xsks_map of that
 * interface? */
bool fg_filter_check_socket(struct fg_filter *filter, const char *ifname, unsigned queue,
                            struct fg_error *err);

/**
 * Descriptor of the program as loaded for an interface, or (NULL) of the one that fg_filter_open
 * loaded and that is attached to nothing: for BPF_PROG_TEST_RUN and for asking the kernel about it.
 * -1: no such interface. Owned by the filter.
 */
int fg_filter_program(const struct fg_filter *filter, const char *ifname);

/** Removes link and pins of one interface: packets flow unfiltered from now on. Works without a
 * daemon. */
bool fg_filter_detach(const char *pins, const char *ifname, struct fg_error *err);

/**
 * Attaches the program that fg_filter_attach last put there, as it was, with its lists and rates.
 * By the pins alone: works without a daemon. False and err: attached already, none there, refused
 * by the kernel.
 */
bool fg_filter_attach_again(const char *pins, const char *ifname, bool generic,
                            struct fg_error *err);

struct fg_filter_link {
    char ifname[16];
    uint32_t program; /**< number of the attached program; 0 = detached */
    uint32_t ifindex; /**< 0 = the interface is gone */
    bool generic;     /**< known only in the interface's network namespace */
};
/** Interfaces that have a program, up to max, and packets by verdict, by the pins alone. How many;
 * -1 and err. */
int fg_filter_status(const char *pins, struct fg_filter_link *links, unsigned max,
                     uint64_t counters[FG_FILTER_VERDICT_COUNT], struct fg_error *err);

/** Closes descriptors; program, link and maps stay in force. */
void fg_filter_close(struct fg_filter *filter);

/** An entry by an operator (or the penalty box) for a prefix, and the data path's count. */
struct fg_filter_list_entry {
    char reason[FG_FILTER_REASON_MAX]; /**< printable ASCII with its closing zero; "" = none */
    uint64_t expires_ms;               /**< Unix time from which it no longer matches; 0 = never */
    uint64_t hits;                     /**< packets that matched; ignored by add and put */
    uint64_t last_ms; /**< Unix time of the last of them, to about a tenth of a second; 0 = none */
};

/** Times of entries are by this clock from now on, and no longer by the system's. The main thread,
 * before any other uses the filter. */
void fg_filter_set_clock(struct fg_filter *filter, const struct fg_clock *clock);
uint64_t fg_filter_unix_ms(const struct fg_filter *filter); /**< now */

/** At most 23 characters of printable ASCII without # and ;. */
bool fg_filter_reason_is_sane(const char *reason);
/**
 * False and err: full, already there / not there, reason not printable, expiry already over. entry
 * NULL: no reason, no expiry. An expired entry counts as not there. A change is in force when the
 * call returns.
 */
bool fg_filter_add(struct fg_filter *filter, enum fg_filter_list list,
                   const struct fg_filter_prefix *prefix, const struct fg_filter_list_entry *entry,
                   struct fg_error *err);
/** Adds, or gives an entry that is there another reason and expiry; its hits stay. */
bool fg_filter_put(struct fg_filter *filter, enum fg_filter_list list,
                   const struct fg_filter_prefix *prefix, const struct fg_filter_list_entry *entry,
                   struct fg_error *err);
bool fg_filter_del(struct fg_filter *filter, enum fg_filter_list list,
                   const struct fg_filter_prefix *prefix, struct fg_error *err);
/** The entry of exactly this prefix. entry may be NULL. */
bool fg_filter_find(struct fg_filter *filter, enum fg_filter_list list,
                    const struct fg_filter_prefix *prefix, struct fg_filter_list_entry *entry);
/** The longest prefix in force that holds an address (a prefix of full length): what the data path
 * takes. */
bool fg_filter_match(struct fg_filter *filter, enum fg_filter_list list,
                     const struct fg_filter_prefix *address, struct fg_filter_prefix *prefix,
                     struct fg_filter_list_entry *entry);

/** Calls each for every entry in force until it returns false. It must not change the list. */
void fg_filter_each(struct fg_filter *filter, enum fg_filter_list list,
                    bool (*each)(void *ctx, const struct fg_filter_prefix *prefix,
                                 const struct fg_filter_list_entry *entry),
                    void *ctx);
/** The same for entries whose time is over and that are not taken out yet. */
void fg_filter_each_over(struct fg_filter *filter, enum fg_filter_list list,
                         bool (*each)(void *ctx, const struct fg_filter_prefix *prefix,
                                      const struct fg_filter_list_entry *entry),
                         void *ctx);
/** Takes expired entries out of both lists: they matched nothing any more, but took room. How many.
 */
size_t fg_filter_expire(struct fg_filter *filter);
/**
 * Expired entries whose reason begins so (a constant) are taken out so much later, or when an entry
 * finds no room: until then they remember what they were, also over restarts. To be called before
 * any thread uses the lists.
 */
void fg_filter_remember(struct fg_filter *filter, const char *reason, uint64_t ms);

/** Entries of a list, expired ones that fg_filter_expire has not yet taken out as well. */
uint32_t fg_filter_count(struct fg_filter *filter, enum fg_filter_list list);

struct fg_filter_list_loaded {
    uint32_t entries; /**< of the file that are in force now */
    uint32_t expired; /**< of the file, left out */
    uint32_t kept;    /**< not in the file, but of limited time: they stay until it is over */
    uint64_t wrong;   /**< lines, left out; fg_filter_load_good */
    double seconds;
};

/**
 * Replaces a list by what a file says, all at once: until then the list before is in
 * force, and it stays when anything is wrong (err: file, line, what; how many more). docs/filter.md
 * has the format. Entries that stay keep their hits.
 */
bool fg_filter_load(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                    struct fg_filter_list_loaded *loaded, struct fg_error *err);
/**
 * The same for a start, which one wrong line must not stop: wrong lines are left out, and err names
 * the first ones by number. False only when the file cannot be read.
 */
bool fg_filter_load_good(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                         struct fg_filter_list_loaded *loaded, struct fg_error *err);
/**
 * For a start: fills a list that is empty from a file; entries that are there already are newer
 * than the file. path "" = none. Wrong lines are left out: a warning on stderr names them, and
 * left_out (unchanged when there are none) keeps them for the operator. False and err: the file
 * cannot be read.
 */
bool fg_filter_load_at_start(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                             char *left_out, size_t size, struct fg_error *err);
/** The answer of fg_filter_load_good, without a kernel and without a change. */
bool fg_filter_check_list(enum fg_filter_list list, const char *path, uint32_t prefixes_max,
                          struct fg_filter_list_loaded *loaded, struct fg_error *err);
/** The same from an open stream; `name` stands for it in messages. */
bool fg_filter_load_stream(struct fg_filter *filter, enum fg_filter_list list, FILE *file,
                           const char *name, struct fg_filter_list_loaded *loaded,
                           struct fg_error *err);
/** Writes a list as fg_filter_load reads it. *saved: entries. False: the stream took not all. */
bool fg_filter_save(struct fg_filter *filter, enum fg_filter_list list, FILE *file,
                    uint32_t *saved);

/**
 * Writes a list for another appliance, which is to have the same: as fg_filter_save, and behind it
 * the entries that are over and remembered.
 */
bool fg_filter_save_copy(struct fg_filter *filter, enum fg_filter_list list, FILE *file);
/**
 * Makes a list what fg_filter_save_copy wrote: entries of limited time that are not in it go, too.
 * Wrong lines, and those that find no room, are left out, and err names the first ones. False: the
 * list stays as it was.
 */
bool fg_filter_load_copy(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                         struct fg_filter_list_loaded *loaded, struct fg_error *err);
/** Grows with each change of a list by this process; entries whose time ends are none. */
uint64_t fg_filter_changes(const struct fg_filter *filter, enum fg_filter_list list);

/** Bytes of lists, and of buckets. */
void fg_filter_memory(const struct fg_filter *filter, uint64_t *lists, uint64_t *buckets);

/* ---- samples of dropped packets */

/**
 * Descriptor of the kernel's ring of samples (struct fg_filter_sample), for ring_buffer__new. Owned
 * by the filter; -1: no kernel.
 */
int fg_filter_samples(const struct fg_filter *filter);
/**
 * The next sample that fg_filter_verdict_of_frame took (ifindex 0); false: there is none. One
 * thread at a time.
 */
bool fg_filter_next_sample(struct fg_filter *filter, struct fg_filter_sample *sample);

#define FG_FILTER_SAMPLE_TEXT  256 /**< bytes of a sample's line */
#define FG_FILTER_SAMPLES_KEPT 256 /**< samples that a reader remembers */

/** The packet of a sample as a line, and its source (family 0: none). Any thread. */
void fg_filter_sample_decode(const struct fg_filter_sample *sample, struct fg_filter_prefix *source,
                             char *text, size_t size);

/** Takes samples out of both kinds of rings. Any thread but a worker; it has a lock. */
struct fg_filter_samples_reader;

/** The source of a new sample (family 0: none), told by fg_filter_samples_poll under the reader's
 * lock. */
typedef void fg_filter_sample_source(void *ctx, const struct fg_filter_prefix *source);

/** on_source may be NULL. NULL and err: out of memory, or the kernel refuses. The filter outlives
 * it. */
struct fg_filter_samples_reader *fg_filter_samples_open(struct fg_filter *filter,
                                                        fg_filter_sample_source *on_source,
                                                        void *ctx, struct fg_error *err);
void fg_filter_samples_close(struct fg_filter_samples_reader *reader); /**< NULL: nothing */
/** Takes up to 512 new samples. */
void fg_filter_samples_poll(struct fg_filter_samples_reader *reader);
/** The last samples, newest first; returns how many. */
unsigned fg_filter_samples_last(struct fg_filter_samples_reader *reader,
                                struct fg_filter_sample *list, unsigned max);

/**
 * The same verdict in user space, for a frame of a port without a kernel driver. Any worker, by its
 * own number; it takes no lock and makes no system call. now_ns: CLOCK_MONOTONIC. *drop: what to
 * do; false also in monitor mode. NO_SOCKET does not occur.
 */
enum fg_filter_verdict fg_filter_verdict_of_frame(struct fg_filter *filter, unsigned worker,
                                                  const uint8_t *frame, uint32_t length,
                                                  uint64_t now_ns, bool *drop);

/** The limits that a class of packets of a source would meet now. */
struct fg_filter_explained {
    enum fg_filter_verdict verdict;
    bool limited, net_limited;   /**< a rate is set, for the source and for its network */
    uint64_t rate, net_rate;     /**< packets/s */
    uint64_t tokens, net_tokens; /**< packets that would pass at once */
};

struct fg_filter_explanation {
    uint16_t order_port; /**< host byte order */
    bool monitor, lists_ignored, allowed, blocked;
    bool known; /**< has a slot in the table of sources */
    struct fg_filter_prefix allow_prefix, block_prefix;
    struct fg_filter_list_entry allow, block; /**< set when allowed, blocked */
    struct fg_filter_explained classes[FG_FILTER_CLASSES];
};
/** Looks, and changes nothing: no hit is counted, no token taken. address: of full length. */
void fg_filter_explain(struct fg_filter *filter, const struct fg_filter_prefix *address,
                       struct fg_filter_explanation *e);

const char *fg_filter_event_name(unsigned event); /**< "source-refused" */
const char *fg_filter_event_text(unsigned event);
void fg_filter_events(struct fg_filter *filter, uint64_t events[FG_EVENT_COUNT]);

/** Sums over all CPUs and workers. */
void fg_filter_counters(struct fg_filter *filter, uint64_t counters[FG_FILTER_VERDICT_COUNT]);

#endif
