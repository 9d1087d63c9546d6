/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * doctor: is this machine fit for a sale by this configuration? One table of checks: each says how
 * it is tested, the cause, and the exact command that mends it. Works without the daemon, and
 * beside one.
 *
 * A check reads files of the kernel below a root folder ("" = the machine itself), so that a test
 * can break exactly one thing. The probes, which a caller may replace, tell the rest.
 * A check changes nothing, apart from the probe of the disk, which writes a temporary file in the
 * log's folder and removes it. One thread.
 */
#ifndef FG_DOCTOR_H
#define FG_DOCTOR_H

#include <stdio.h>

#include "config/config.h"

enum fg_doctor_verdict {
    FG_DOCTOR_GOOD,
    FG_DOCTOR_SKIPPED, /**< has no meaning with this configuration, or cannot be known */
    FG_DOCTOR_WARNING, /**< a sale runs, slower or with a risk */
    FG_DOCTOR_FAULT    /**< the daemon does not start, or the sale fails */
};
const char *fg_doctor_verdict_name(enum fg_doctor_verdict verdict); /**< "good", "fault" ... */

#define FG_DOCTOR_TEXT    320
#define FG_DOCTOR_COMMAND 1024 /**< with the path of the configuration in it */

/** The finding of a check. Both texts are empty when it is good. */
struct fg_doctor_finding {
    enum fg_doctor_verdict verdict;
    char cause[FG_DOCTOR_TEXT];      /**< with the values that were seen */
    char command[FG_DOCTOR_COMMAND]; /**< mends it; "" = only a person can, see the row's remedy */
};

struct fg_doctor_disk {
    double p99_ms;         /**< of writes of 4 KiB that are synced */
    double mib_per_second; /**< of a large write that is synced */
};

/** Of Redis, as INFO and CONFIG say it. */
struct fg_doctor_redis {
    unsigned major, minor;
    char policy[32]; /**< maxmemory-policy */
    bool persists;   /**< an append-only file or snapshots */
};

/** Of a pair's certificates. */
struct fg_doctor_certificates {
    bool key_fits, vouched, host_fits;
    char why[64]; /**< it is not vouched for */
    int days;     /**< until the first of them ends */
};

/** Versions of DPDK, "22.11.5". */
struct fg_doctor_dpdk {
    char built[32], found[32]; /**< of the build; of the library that the daemon gets here */
    unsigned abi;              /**< the number in the name of the build's library */
};

/** Facts that no file below the root has. Each returns false with err when it could not be found
 * out. */
struct fg_doctor_probes {
    bool (*clock_synchronised)(bool *synchronised, struct fg_error *err);
    bool (*disk)(const char *folder, struct fg_doctor_disk *disk, struct fg_error *err);
    bool (*redis)(const struct fg_redis_options *options, struct fg_doctor_redis *redis,
                  struct fg_error *err);
    bool (*postgres)(const struct fg_sink_postgres_options *options,
                     struct fg_sink_postgres_state *state, struct fg_error *err);
    /** False: there is no library with the build's ABI; built and abi are filled anyway. */
    bool (*dpdk)(struct fg_doctor_dpdk *dpdk, struct fg_error *err);
    /** Whether the daemon would refuse to start, and why. False: its program was not found. */
    bool (*refuses)(const char *config, bool *refuses, struct fg_error *why);
    /** A TCP connection to "host:port" within two seconds. */
    bool (*connects)(const char *address, struct fg_error *err);
    /** Whether the NIC takes VLAN tags off frames; true also when that could not be found out. */
    bool (*strips_vlan)(const char *interface);
    /** Files in PEM; host: that the certificate must be made for. False: one cannot be read. */
    bool (*certificates)(const char *ca, const char *cert, const char *key, const char *host,
                         struct fg_doctor_certificates *found, struct fg_error *err);
    /** Reads the register of the pair. */
    bool (*arbiter)(const struct fg_arbiter_options *options, bool *has_register,
                    struct fg_error *err);
    /** The peer's clock minus ours, by the daemon that listens at the socket. */
    bool (*skew)(const char *socket_path, long long *ms, struct fg_error *err);
};
extern const struct fg_doctor_probes fg_doctor_probes_real;

struct fg_doctor {
    const char *root; /**< in front of every path that is read; "" = the machine */
    const struct fg_config *config;
    const struct fg_doctor_probes *probes;
};

struct fg_doctor_check {
    const char *name;   /**< "hugepages-free" */
    const char *tested; /**< how, in words */
    const char *remedy; /**< the command, in general, or what a person does */
    bool fixable;       /**< the command of a finding changes this machine only, and at once */
    void (*run)(const struct fg_doctor *doctor, struct fg_doctor_finding *finding);
};

extern const struct fg_doctor_check fg_doctor_checks[];
extern const unsigned fg_doctor_checks_count;

void fg_doctor_run(const struct fg_doctor *doctor, const struct fg_doctor_check *check,
                   struct fg_doctor_finding *finding);
/** The table as docs/doctor.md has it. */
void fg_doctor_describe(FILE *out);

#endif
