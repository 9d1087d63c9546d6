/* SPDX-License-Identifier: BSD-3-Clause */
/* fgblast: shoppers by the thousand. Wiring only; docs/bench.md describes it. */
#include <string.h>

#include "tools/fgblast/run.h"

enum { GOOD, CONTRADICTED, USAGE, FAILED };

static volatile sig_atomic_t stop, enough;

static void on_signal(int number)
{
    if (number == SIGUSR1)
        enough = 1;
    else
        stop = 1;
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool start_port(struct fg_run *r, struct fg_port *port, struct fg_error *err)
{
    const struct fg_blast_options *o = r->options;
    static const uint8_t someone[6] = {2, 0, 0, 0, 0, 1}, nobody[6] = {2, 0, 0, 0, 0, 2};
    bool real = o->interface[0] || o->device[0];

    if (real) {
        r->port = port;
        if (!fg_port_start(port, o, err))
            return false;
    }
    memcpy(r->frames.client_mac, o->client_mac_set ? o->client_mac : real ? port->mac : someone, 6);
    memcpy(r->frames.server_mac, o->server_mac_set ? o->server_mac : nobody, 6);
    memcpy(r->frames.standby_mac, o->standby_mac, 6);
    r->frames.options = o;
    fg_clock_start(&r->clock);
    return !real || o->server_mac_set || fg_run_find_server(r, err);
}

static bool run_world(struct fg_run *r, const struct fg_packet_keyring *ring, json_t **report,
                      struct fg_error *err)
{
    const struct fg_blast_options *o = r->options;
    struct fg_view view;
    bool good;

    fg_clock_start(&r->clock);
    r->world = fg_world_create(o, ring, r->clock.begun_ns, err);
    if (!r->world)
        return false;
    fg_run_world(r);
    r->summary.mode = "world";
    good = !o->audit[0] || fg_world_audit(r->world, o->audit, err);
    fg_world_view(r->world, &view);
    if (good)
        *report = fg_report_view(&view, &r->summary);
    fg_world_destroy(r->world);
    return good;
}

static bool run_crowd(struct fg_run *r, const struct fg_packet_keyring *ring, json_t **report,
                      struct fg_error *err)
{
    const struct fg_blast_options *o = r->options;
    struct fg_view view;
    bool good;

    r->crowd = fg_crowd_create(o, ring, &r->frames, fg_clock_now(&r->clock), err);
    if (!r->crowd)
        return false;
    fg_clock_start(&r->clock);
    fg_run_crowd(r);
    r->summary.mode = "crowd";
    good = !o->audit[0] || fg_crowd_audit(r->crowd, o->audit, err);
    fg_crowd_view(r->crowd, &view);
    if (good)
        *report = fg_report_view(&view, &r->summary);
    fg_crowd_destroy(r->crowd);
    return good;
}

static bool run_flat(struct fg_run *r, const struct fg_packet_keyring *ring, json_t **report,
                     struct fg_error *err)
{
    static struct fg_flat flat;
    bool good = fg_flat_create(&flat, r->options, ring, &r->frames, fg_clock_now(&r->clock), err);

    r->flat = &flat;
    if (good) {
        fg_run_flat(r);
        r->summary.mode = r->options->echo ? "echo" : "flat";
        *report = fg_report_flat(&flat, &r->summary);
    }
    fg_flat_destroy(&flat);
    return good;
}

static bool run(struct fg_run *r, const struct fg_packet_keyring *ring, json_t **report,
                struct fg_error *err)
{
    static struct fg_port port;
    bool good = start_port(r, &port, err);

    if (good && r->options->pcap[0]) {
        r->pcap = fg_pcap_create(r->options->pcap, err);
        good = r->pcap != NULL;
    }
    if (good)
        good = (r->options->flat    ? run_flat
                : r->options->crowd ? run_crowd
                                    : run_world)(r, ring, report, err);
    if (r->pcap)
        good = fg_pcap_close(r->pcap, good ? err : NULL) && good;
    if (r->port) {
        json_object_set_new(*report, "frames_sent", json_integer((json_int_t)port.tx));
        json_object_set_new(*report, "frames_received", json_integer((json_int_t)port.rx));
        json_object_set_new(*report, "no_mbuf", json_integer((json_int_t)port.no_mbuf));
        fg_port_stop(&port);
    }
    return good;
}

static int finish(const struct fg_blast_options *o, json_t *report, struct fg_error *err)
{
    bool wrong = json_integer_value(json_object_get(report, "contradictions")) > 0;
    bool good = !o->json[0] || fg_report_write(report, o->json, err);

    fg_report_print(report);
    json_decref(report);
    if (!good)
        fprintf(stderr, "fgblast: %s\n", err->text);
    return !good ? FAILED : wrong ? CONTRADICTED : GOOD;
}

int main(int argc, char **argv)
{
    struct fg_blast_options options;
    struct fg_error err = {""};
    struct fg_packet_keyring *ring = NULL;
    json_t *report = NULL;
    struct fg_run r = {.options = &options, .stop = &stop, .enough = &enough};
    int code = FAILED;

    switch (fg_options_parse(&options, argc, argv, &err)) {
    case FG_OPTIONS_HELP:
        fg_options_help(stdout);
        return GOOD;
    case FG_OPTIONS_WRONG:
        fprintf(stderr, "fgblast: %s\n", err.text);
        return USAGE;
    case FG_OPTIONS_RUN:
        break;
    }
    take_signals();
    ring = fg_packet_keyring_load(options.keys, &err);
    if (ring && run(&r, ring, &report, &err))
        code = finish(&options, report, &err);
    else
        fprintf(stderr, "fgblast: %s\n", err.text);
    fg_packet_keyring_free(ring);
    fg_options_free(&options);
    return code;
}
