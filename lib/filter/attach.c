/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/attach.h"

#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "filter/load.h"
#include "filter/own.h"
#include "filter/pins.h"
#include "filter/skeleton.h"

const struct fg_filter_attachment *fg_filter_attachment_find(const struct fg_filter *filter,
                                                             const char *ifname)
{
    for (unsigned i = 0; i < filter->attachments_count; i++)
        if (strcmp(filter->attachments[i].ifname, ifname) == 0)
            return &filter->attachments[i];
    return NULL;
}

/* ---- links ----------------------------------------------------------------------------------- */

static const char *mode_name(uint32_t flags)
{
    return flags & XDP_FLAGS_SKB_MODE ? "generic" : "native";
}

static bool attached_generic(int ifindex, bool *generic)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    if (bpf_xdp_query(ifindex, 0, &query) != 0)
        return false;
    *generic = query.attach_mode == XDP_ATTACHED_SKB;
    return query.attach_mode == XDP_ATTACHED_SKB || query.attach_mode == XDP_ATTACHED_DRV;
}

/* A pinned link of ours that is still in force on this interface: its descriptor; -1 when there is
 * none. */
static int open_link(const char *path, int ifindex)
{
    int fd = bpf_obj_get(path);
    struct bpf_link_info info = {0};
    uint32_t size = sizeof(info);

    if (fd < 0)
        return -1;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == BPF_LINK_TYPE_XDP &&
        info.xdp.ifindex == (uint32_t)ifindex)
        return fd;
    close(fd); /* of an interface that is gone: another of the same name may have come since */
    unlink(path);
    return -1;
}

static int replace_program(int link, const char *ifname, int ifindex, int program, uint32_t flags,
                           struct fg_error *err)
{
    bool generic;

    if (attached_generic(ifindex, &generic) && generic != !!(flags & XDP_FLAGS_SKB_MODE)) {
        fg_fail(
            err,
            "%s: the filter is attached in %s mode, the configuration wants %s: detach it first",
            ifname, generic ? "generic" : "native", mode_name(flags));
    } else if (bpf_link_update(link, program, NULL) != 0) {
        fg_fail(err, "%s: cannot replace the attached XDP program: %s", ifname, strerror(errno));
    } else {
        return link;
    }
    close(link);
    return -1;
}

static void explain_refusal(const char *ifname, int ifindex, uint32_t flags, int code,
                            struct fg_error *err)
{
    uint32_t id = 0;

    if (code == EBUSY || code == EEXIST) {
        bpf_xdp_query_id(ifindex, 0, &id);
        fg_fail(err,
                "%s: another XDP program (id %u) is attached: remove it (ip link set dev %s xdp "
                "off, or its bpf "
                "link) first",
                ifname, id, ifname);
    } else if (flags & XDP_FLAGS_SKB_MODE) {
        fg_fail(err, "%s: cannot attach the XDP program in generic mode: %s", ifname,
                strerror(code));
    } else {
        fg_fail(err,
                "%s: cannot attach the XDP program in native mode: %s. The driver cannot, or not "
                "with this "
                "MTU or "
                "these offloads; `generic` works everywhere, much slower",
                ifname, strerror(code));
    }
}

static int create_link(const char *path, const char *ifname, int ifindex, int program,
                       uint32_t flags, struct fg_error *err)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
    int fd = bpf_link_create(program, ifindex, BPF_XDP, &opts);

    if (fd < 0) {
        explain_refusal(ifname, ifindex, flags, errno, err);
        return -1;
    }
    if (bpf_obj_pin(fd, path) != 0) {
        fg_fail(err, "%s: cannot pin the link as %s: %s", ifname, path, strerror(errno));
        close(fd); /* the last descriptor: detaches */
        return -1;
    }
    return fd;
}

static int link_program(struct fg_filter *filter, const char *ifname, int program, bool generic,
                        struct fg_error *err)
{
    uint32_t flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
    int ifindex = (int)if_nametoindex(ifname), link;
    char path[FG_FILTER_PATH_MAX];

    fg_filter_pins_name(path, sizeof(path), filter->pins, "link", ifname);
    link = open_link(path, ifindex);
    if (link >= 0)
        return replace_program(link, ifname, ifindex, program, flags, err);
    return create_link(path, ifname, ifindex, program, flags, err);
}

/* ---- attach and detach ----------------------------------------------------------------------- */

static struct fg_filter_attachment *attachment_for(struct fg_filter *filter, const char *ifname,
                                                   struct fg_error *err)
{
    struct fg_filter_attachment *attachment =
        (struct fg_filter_attachment *)fg_filter_attachment_find(filter, ifname);

    if (strlen(ifname) >= IF_NAMESIZE || if_nametoindex(ifname) == 0) {
        fg_fail(err, "%s: no such interface in this network namespace", ifname);
        return NULL;
    }
    if (attachment)
        return attachment;
    if (filter->attachments_count == FG_FILTER_ATTACHMENTS_MAX) {
        fg_fail(err, "%s: the filter has %d interfaces already", ifname, FG_FILTER_ATTACHMENTS_MAX);
        return NULL;
    }
    attachment = &filter->attachments[filter->attachments_count];
    memset(attachment, 0, sizeof(*attachment));
    snprintf(attachment->ifname, sizeof(attachment->ifname), "%s", ifname);
    attachment->link = -1;
    return attachment;
}

static void attachment_release(struct fg_filter_attachment *attachment)
{
    fg_filter_unload_object(attachment->bpf);
    if (attachment->link >= 0)
        close(attachment->link);
    attachment->bpf = NULL;
    attachment->link = -1;
}

bool fg_filter_attach(struct fg_filter *filter, const char *ifname, bool generic,
                      const struct fg_filter_own_addresses *own, struct fg_error *err)
{
    struct fg_filter_attachment *attachment = attachment_for(filter, ifname, err);
    struct fg_bpf *bpf;
    int link, program;

    if (!attachment)
        return false;
    bpf = fg_filter_load_object(filter, ifname, err);
    if (!bpf)
        return false;
    program = bpf_program__fd(bpf->progs.xsk_def_prog);
    link = fg_filter_own_write(bpf, own, err) ? link_program(filter, ifname, program, generic, err)
                                              : -1;
    if (link >= 0 && !fg_filter_pins_program(filter, ifname, program, err)) {
        close(link); /* its pin keeps it in force */
        link = -1;
    }
    if (link < 0) {
        fg_filter_unload_object(bpf);
        return false;
    }
    attachment_release(attachment);
    attachment->bpf = bpf;
    attachment->link = link;
    if (attachment == &filter->attachments[filter->attachments_count])
        filter->attachments_count++;
    return true;
}

bool fg_filter_set_own(struct fg_filter *filter, const char *ifname,
                       const struct fg_filter_own_addresses *own, struct fg_error *err)
{
    const struct fg_filter_attachment *attachment;

    if (!ifname)
        return fg_filter_own_change(&filter->own, own, err) &&
               (!filter->base || fg_filter_own_write(filter->base, own, err));
    attachment = fg_filter_attachment_find(filter, ifname);
    if (!attachment)
        return fg_fail(err, "%s: the filter is not attached", ifname);
    return fg_filter_own_write(attachment->bpf, own, err);
}

bool fg_filter_set_servers(struct fg_filter *filter, const struct fg_filter_servers *servers,
                           struct fg_error *err)
{
    bool done = !filter->base || fg_filter_servers_write(filter->base, servers, err);

    fg_filter_servers_change(&filter->own, servers);
    for (unsigned i = 0; i < filter->attachments_count; i++)
        done &= fg_filter_servers_write(filter->attachments[i].bpf, servers, err);
    return done;
}

bool fg_filter_detach(const char *pins, const char *ifname, struct fg_error *err)
{
    char path[FG_FILTER_PATH_MAX], sockets[FG_FILTER_PATH_MAX];
    bool gone;
    int fd;

    if (strlen(pins) >= FG_FILTER_PINS_MAX || strlen(ifname) >= IF_NAMESIZE || strchr(ifname, '/'))
        return fg_fail(err, "%s: no such interface", ifname);
    fg_filter_pins_name(path, sizeof(path), pins, "link", ifname);
    fg_filter_pins_name(sockets, sizeof(sockets), pins, "xsks", ifname);
    fd = bpf_obj_get(path);
    if (fd < 0)
        return fg_fail(err, "%s: no filter of ours is attached (%s: %s)", ifname, path,
                       strerror(errno));
    /* ENOLINK: the interface went away under it. A daemon that holds the link keeps only a dead
     * one. */
    gone = bpf_link_detach(fd) == 0 || errno == ENOLINK;
    if (!gone)
        fg_fail(err, "%s: cannot detach: %s", ifname, strerror(errno));
    close(fd);
    if (!gone)
        return false;
    unlink(sockets);
    return unlink(path) == 0 || fg_fail(err, "cannot remove %s: %s", path, strerror(errno));
}

void fg_filter_attachments_release(struct fg_filter *filter)
{
    for (unsigned i = 0; i < filter->attachments_count; i++)
        attachment_release(&filter->attachments[i]);
}

/* ---- is the socket where we redirect to? ----------------------------------------------------- */

static bool program_in_force(const struct fg_filter_attachment *attachment)
{
    struct bpf_prog_info program = {0};
    struct bpf_link_info link = {0};
    uint32_t program_size = sizeof(program), link_size = sizeof(link);
    int fd = bpf_program__fd(attachment->bpf->progs.xsk_def_prog);

    return bpf_obj_get_info_by_fd(fd, &program, &program_size) == 0 &&
           bpf_obj_get_info_by_fd(attachment->link, &link, &link_size) == 0 &&
           link.prog_id == program.id && link.xdp.ifindex != 0;
}

static bool link_in_force(int link)
{
    struct bpf_link_info info = {0};
    uint32_t size = sizeof(info);

    return bpf_obj_get_info_by_fd(link, &info, &size) == 0 && info.xdp.ifindex != 0;
}

bool fg_filter_in_force(const struct fg_filter *filter, const char *ifname)
{
    const struct fg_filter_attachment *attachment = fg_filter_attachment_find(filter, ifname);
    char path[FG_FILTER_PATH_MAX];
    int link;
    bool ok;

    if (!attachment || link_in_force(attachment->link))
        return true;
    fg_filter_pins_name(path, sizeof(path), filter->pins, "link", ifname);
    link = bpf_obj_get(path);
    ok = link >= 0 && link_in_force(link);
    if (link >= 0)
        close(link);
    return ok;
}

/* User space cannot read an XSKMAP (EOPNOTSUPP), a program can: it is run once for the answer. */
static int probe_socket(const struct fg_filter_attachment *attachment, unsigned queue)
{
    uint32_t frame[16] = {queue}; /* a frame has at least 14 bytes */
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
                .repeat = 1);

    if (bpf_prog_test_run_opts(bpf_program__fd(attachment->bpf->progs.fg_probe_socket), &run) != 0)
        return -errno;
    return (int)run.retval;
}

bool fg_filter_check_socket(struct fg_filter *filter, const char *ifname, unsigned queue,
                            struct fg_error *err)
{
    const struct fg_filter_attachment *attachment = fg_filter_attachment_find(filter, ifname);
    int found;

    if (!attachment)
        return fg_fail(err, "%s: the filter is not attached", ifname);
    if (queue >= FG_FILTER_SOCKETS_MAX)
        return fg_fail(err, "%s: queue %u is beyond the last one that the filter serves (%d)",
                       ifname, queue, FG_FILTER_SOCKETS_MAX - 1);
    if (!program_in_force(attachment))
        return fg_fail(err, "%s: our XDP program is no longer the attached one", ifname);
    found = probe_socket(attachment, queue);
    if (found == FG_FILTER_PROBE_FOUND)
        return true;
    if (found == FG_FILTER_PROBE_OTHER_QUEUE)
        return fg_fail(err, "%s: the socket in our xsks_map for queue %u serves another queue",
                       ifname, queue);
    if (found != FG_FILTER_PROBE_NONE)
        return fg_fail(err, "%s: cannot look up the socket of queue %u: %s", ifname, queue,
                       strerror(found < 0 ? -found : EINVAL));
    return fg_fail(err,
                   "%s: no AF_XDP socket of queue %u in our xsks_map: libxdp did not adopt the "
                   "attached program, "
                   "or the port did not start",
                   ifname, queue);
}
