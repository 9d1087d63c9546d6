/* SPDX-License-Identifier: BSD-3-Clause */
/** doctor, private: the real probes of probe_pair.c and probe_program.c. */
#ifndef FG_DOCTOR_PROBE_H
#define FG_DOCTOR_PROBE_H

#include "doctor/doctor.h"

bool fg_doctor_probe_certificates(const char *ca, const char *cert, const char *key,
                                  const char *host, struct fg_doctor_certificates *found,
                                  struct fg_error *err);
bool fg_doctor_probe_arbiter(const struct fg_arbiter_options *options, bool *has_register,
                             struct fg_error *err);
bool fg_doctor_probe_skew(const char *socket_path, long long *ms, struct fg_error *err);
bool fg_doctor_probe_dpdk(struct fg_doctor_dpdk *dpdk, struct fg_error *err);
bool fg_doctor_probe_refuses(const char *config, bool *refuses, struct fg_error *why);

#endif
