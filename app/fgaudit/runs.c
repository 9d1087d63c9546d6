/* SPDX-License-Identifier: BSD-3-Clause */
#include "runs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX 10000

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "fgaudit: %s: %s\n", what, why);
    return 2;
}

/* A directory with a segment of a log in it. */
static bool holds_log(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool found = false;

    while (dir && !found && (entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);

        found = len == 24 && !strcmp(entry->d_name + 20, ".fgj");
    }
    if (dir)
        closedir(dir);
    return found;
}

/* The child's own report goes where our text goes; its JSON into a file. */
static int audit_one(const struct fg_runs_options *o, const char *log, const char *json)
{
    char settle[24], limit[24];
    int status;
    pid_t pid;

    snprintf(settle, sizeof(settle), "%" PRIu64, o->settle_ms);
    snprintf(limit, sizeof(limit), "%" PRIu64, o->limit_lists);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (o->json && !strcmp(o->json, "-"))
            dup2(STDERR_FILENO, STDOUT_FILENO);
        execl("/proc/self/exe", "fgaudit", "--log", log, "--json", json, "--settle-ms", settle,
              "--limit-lists", limit, (char *)NULL);
        _exit(2);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return complain(log, strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/* One JSON of a run into the array; what could not be read has none. */
static void append(FILE *out, const char *name, const char *json, bool first)
{
    FILE *in = fopen(json, "re");
    char buffer[65536];
    size_t n, total = 0;

    fprintf(out, "%s\n{\"run\": \"", first ? "" : ",");
    for (const char *p = name; *p; p++)
        fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : (unsigned char)*p < 0x20 ? "?" : "%c", *p);
    fputs("\", \"result\": ", out);
    while (in && (n = fread(buffer, 1, sizeof(buffer), in)) > 0) {
        fwrite(buffer, 1, n, out);
        total += n;
    }
    if (in)
        fclose(in);
    fputs(total ? "}" : "null}", out);
}

static int audit_all(const struct fg_runs_options *o, struct dirent **names, int count, FILE *out,
                     char *scratch)
{
    FILE *text = o->json && !strcmp(o->json, "-") ? stderr : stdout;
    unsigned runs = 0, by_code[3] = {0};
    int worst = 0;

    for (int i = 0; i < count; i++) {
        char path[4096];
        int code;

        snprintf(path, sizeof(path), "%s/%s", o->dir, names[i]->d_name);
        if (names[i]->d_name[0] == '.' || !holds_log(path))
            continue;
        fprintf(text, "run      %s\n", names[i]->d_name);
        if (truncate(scratch, 0) < 0)
            return complain(scratch, strerror(errno));
        code = audit_one(o, path, scratch);
        by_code[code > 2 ? 2 : code]++;
        worst = code > worst ? code : worst;
        if (out)
            append(out, names[i]->d_name, scratch, runs == 0);
        runs++;
    }
    if (!runs)
        return complain(o->dir,
                        "no directory in it holds a log; accepted: a directory of log directories");
    fprintf(text, "runs     %u: %u pass, %u fail, %u cannot be read\n", runs, by_code[0],
            by_code[1], by_code[2]);
    if (out)
        fprintf(out, "],\n\"audit\": \"%s\", \"passed\": %u, \"failed\": %u, \"unreadable\": %u}\n",
                worst ? "fail" : "pass", by_code[0], by_code[1], by_code[2]);
    return worst;
}

int fg_runs_audit(const struct fg_runs_options *o)
{
    char scratch[] = "/tmp/fgaudit-XXXXXX";
    struct dirent **names = NULL;
    FILE *out = NULL;
    int count, code, fd;

    count = scandir(o->dir, &names, NULL, alphasort);
    if (count < 0)
        return complain(o->dir, strerror(errno));
    if (count > RUNS_MAX)
        return complain(o->dir, "more than 10000 entries");
    if (o->json && !(out = strcmp(o->json, "-") ? fopen(o->json, "we") : stdout))
        return complain(o->json, strerror(errno));
    fd = mkstemp(scratch);
    if (fd < 0)
        return complain(scratch, strerror(errno));
    close(fd);
    if (out)
        fputs("{\"runs\": [", out);
    code = audit_all(o, names, count, out, scratch);
    unlink(scratch);
    if (out && (ferror(out) | (out == stdout ? fflush(out) : fclose(out))))
        code = complain(o->json, "cannot be written");
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return code;
}
