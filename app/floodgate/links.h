/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * links: whether each port has a link. Looked at by the main thread, read by the control thread. A
 * port with an interface of the kernel behind it (AF_XDP, af_packet, tap) is asked of the kernel,
 * because those drivers do not tell; any other of its driver.
 */
#ifndef FG_LINKS_H
#define FG_LINKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, name in text, what it means */
#define FG_LINK_LIST(X)                                                                            \
    X(NEW, "new", "no link since the start: the other end is not there yet")                       \
    X(UP, "up", "frames can come and go")                                                          \
    X(DOWN, "down", "lost: comes back by itself")                                                  \
    X(DETACHED, "detached",                                                                        \
      "the link is up, but the XDP program was taken away: `fgctl filter attach`")                 \
    X(GONE, "gone", "the interface was removed: needs a restart once it is there again")

enum fg_port_link_state {
#define X(name, text, help) FG_LINK_##name,
    FG_LINK_LIST(X)
#undef X
        FG_LINKS
};

struct fg_port_link {
    unsigned interface;    /**< index in the kernel of the device; 0 = none */
    _Atomic int state;     /**< enum fg_port_link_state */
    _Atomic uint64_t lost; /**< how often it was lost */
};

struct fg_daemon;

const char *fg_port_link_name(int state);
void fg_port_links_start(struct fg_daemon *d);
void fg_port_links_poll(
    struct fg_daemon *d); /**< main thread, every 100 ms: what is shorter may stay unseen */
void fg_port_links_stop(struct fg_daemon *d);

/** What is wrong with the ports, as one sentence; false = nothing. Any thread. */
bool fg_port_links_wrong(const struct fg_daemon *d, char *text, size_t size);
/** No order can come in, or an interface is gone: somebody must act. Any thread. */
bool fg_port_links_broken(const struct fg_daemon *d);

#endif
