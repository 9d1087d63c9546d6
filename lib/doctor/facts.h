/* SPDX-License-Identifier: BSD-3-Clause */
/** doctor, private: files of the kernel below the doctor's root, and what to say about them. */
#ifndef FG_DOCTOR_FACTS_H
#define FG_DOCTOR_FACTS_H

#include "doctor/doctor.h"

#define FG_DOCTOR_PATH 1100

/** The path below the root, in a buffer of FG_DOCTOR_PATH bytes; returns it. */
__attribute__((format(printf, 3, 4))) const char *
fg_doctor_path(const struct fg_doctor *d, char path[FG_DOCTOR_PATH], const char *fmt, ...);

/** The first line of a file without its end; false when there is none. */
__attribute__((format(printf, 4, 5))) bool fg_doctor_line(const struct fg_doctor *d, char *text,
                                                          size_t size, const char *fmt, ...);
/** The first number of a file. */
__attribute__((format(printf, 3, 4))) bool
fg_doctor_number(const struct fg_doctor *d, long long *number, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) bool fg_doctor_exists(const struct fg_doctor *d,
                                                            const char *fmt, ...);
/** The last part of where a link leads: the driver of a device. */
__attribute__((format(printf, 4, 5))) bool fg_doctor_link(const struct fg_doctor *d, char *text,
                                                          size_t size, const char *fmt, ...);
/** Entries of a folder whose names begin with a prefix. */
__attribute__((format(printf, 3, 4))) unsigned
fg_doctor_entries(const struct fg_doctor *d, const char *prefix, const char *fmt, ...);

/** The mount that holds a path. */
struct fg_doctor_mount {
    char point[512], type[64];
};
bool fg_doctor_mount_of(const struct fg_doctor *d, const char *path, struct fg_doctor_mount *mount);
/** Whether a file system of this type is mounted anywhere; the first place. */
bool fg_doctor_mounted(const struct fg_doctor *d, const char *type, struct fg_doctor_mount *mount);

/** Whether a daemon listens at the control socket; a socket that a dead one left does not count. */
bool fg_doctor_daemon_runs(const struct fg_doctor *d);

/** Whether a list of the kernel, "0-3,8", has this CPU. */
bool fg_doctor_list_has(const char *list, int cpu);

/** Sets the finding. */
__attribute__((format(printf, 3, 4))) void
fg_doctor_say(struct fg_doctor_finding *f, enum fg_doctor_verdict verdict, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void fg_doctor_mend(struct fg_doctor_finding *f,
                                                          const char *fmt, ...);
/** The command that sets one setting in the configuration file, whether its section has it or not,
 * and leaves comments, and settings of this name in other sections, as they are. The file must have
 * the section. section: as its heading has it, "port shop". */
void fg_doctor_mend_setting(const struct fg_doctor *d, struct fg_doctor_finding *f,
                            const char *section, const char *key, const char *value);
void fg_doctor_skip(struct fg_doctor_finding *f, const char *why);

#define FG_DOCTOR_CHECK(name)                                                                      \
    void fg_doctor_check_##name(const struct fg_doctor *d, struct fg_doctor_finding *f)

#endif
