/* SPDX-License-Identifier: BSD-3-Clause */
/* The built fgctl as people meet it: help, mistyped words, errors for programs, warnings, the live
 * view on a terminal. */
#include <pty.h>

#include "fgctl_run.h"

static void helps_by_word(void **state)
{
    run(0, "help");
    says(out, "item import FILE.csv");
    run(0, "help item add");
    says(out, "usage: fgctl item add ITEM");
    run(0, "help item");
    says(out, "usage: fgctl item COMMAND");
    says(out, "item import FILE.csv");
    assert_null(strstr(out, "stock add"));
    run(0, "item --help");
    assert_null(strstr(out, "stock add"));
    fails(2, "help itme", "unknown command \"itme\"; did you mean \"item\"?");
}

static void suggests_what_was_meant(void **state)
{
    fails(2, "itme list", "unknown command \"itme\"; did you mean \"item\"?");
    fails(2, "item lst", "unknown command \"item lst\"; did you mean \"item list\"?");
    fails(2, "item add 5 --totl 3", "unknown option --totl; did you mean \"--total\"?");
    fails(2, "frobnicate", "unknown command \"frobnicate\"; see");
    fails(2, "xy", "unknown command \"xy\"; see"); /* any word of two letters is near it */
}

/* With --json, whatever went wrong is one JSON object with a message. */
static void error_is(int code, const char *words, const char *message)
{
    json_t *json;
    const char *text;

    run(code, words);
    json = json_loads(out, 0, NULL);
    if (!json)
        fail_msg("fgctl %s: no JSON: %s", words, out);
    text = json_string_value(json_object_get(json_object_get(json, "error"), "message"));
    if (!text || !strstr(text, message))
        fail_msg("fgctl %s: \"%s\" is not in %s", words, message, out);
    json_decref(json);
}

static void errors_are_json(void **state)
{
    char words[512];
    json_t *json;

    error_is(1, "open 3 --json", "no item 3");
    error_is(2, "item frob --json", "unknown command \"item frob\"");
    error_is(2, "--json item add 5 --total x", "--total: \"x\" is not");
    error_is(2, "block add --json", "no prefix given");
    error_is(3, "status --json --socket /nonexistent/x.sock", "cannot connect to /nonexistent");
    error_is(6, "item import /nonexistent.csv --json", "/nonexistent.csv: No such file");
    error_is(6, "user deny --file /nonexistent --json", "/nonexistent: No such file");
    write_file("items.csv", "item,total\n1,x\n");
    words_with_file(words, "item import %s --json", "items.csv");
    error_is(6, words, "items.csv:2: column total: \"x\" is not");
    run(3, "status --json --socket /nonexistent/x.sock");
    json = json_loads(out, 0, NULL);
    assert_int_equal(number(json_object_get(json, "error"), "exit"), 3);
    json_decref(json);
    fx.daemon.unhealthy = true;
    run(5, "health --json");
    json = json_loads(out, 0, NULL); /* one object: the answer says it */
    assert_non_null(json);
    json_decref(json);
}

static void an_import_warns_of_the_past(void **state)
{
    char words[512];

    write_file("items.csv", "item,opens,closes\n1,2020-01-01T00:00:00Z,\n"
                            "2,2020-01-01T00:00:00Z,2020-01-02T00:00:00+02:00\n3,now,\n4,+1h,\n");
    words_with_file(words, "item import %s --dry-run", "items.csv");
    run(0, words);
    says(err,
         "items.csv:2: column opens: warning: 2020-01-01T00:00:00Z has passed: item 1 opens at "
         "once\n");
    says(err, "items.csv:3: column closes: warning: 2020-01-01T22:00:00Z has passed: item 2 is "
              "closed, and sells nothing\n");
    assert_null(strstr(err, "item 3"));
    assert_null(strstr(err, "item 4"));
}

/* The longest text of an alarm arrives whole. */
static void alarms_are_not_cut(void **state)
{
    char text[FG_HEALTH_TEXT];

    memset(text, 'x', sizeof(text) - 5);
    strcpy(text + sizeof(text) - 5, "end!");
    for (unsigned i = 0; i < fg_health_conditions_count; i++)
        if (strcmp(fg_health_conditions[i].name, "orders") == 0)
            strcpy(fx.daemon.health.list[i].text, text);
    run(0, "status");
    says(out, "xxxend!\n");
}

/* ---- the live view on a terminal ------------------------------------------------------------- */

#define ROWS    20
#define COLUMNS 50

/* What the terminal sent, until `wanted` came or fgctl ended. */
static size_t read_terminal(int fd, char *text, size_t size, const char *wanted)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    size_t used = 0;
    ssize_t n;

    text[0] = 0;
    while (used < size - 1 && poll(&ready, 1, 20000) == 1 &&
           (n = read(fd, text + used, size - 1 - used)) > 0) {
        used += (size_t)n;
        text[used] = 0;
        if (wanted && strstr(text, wanted))
            break;
    }
    return used;
}

/* Columns of the widest row of a view; text and control sequences are ASCII. */
static unsigned widest(const char *view, unsigned *rows)
{
    unsigned most = 0, column = 0;

    *rows = 1;
    for (const char *p = view; *p; p++) {
        if (*p == '\033') {
            p += strcspn(p, "HKJhl");
        } else if (*p == '\n') {
            (*rows)++;
            column = 0;
        } else if (*p != '\r') {
            column++;
            most = column > most ? column : most;
        }
    }
    return most;
}

static void top_keeps_to_its_terminal(void **state)
{
    struct winsize size = {.ws_row = ROWS, .ws_col = COLUMNS};
    static char text[1 << 16];
    char *view, *end;
    int fd, status;
    unsigned rows;
    pid_t pid;

    for (int i = 1; i <= 40; i++) {
        char words[64];

        snprintf(words, sizeof(words), "item add %d --name with-a-long-name-of-30-letters", i);
        run(0, words);
    }
    pid = forkpty(&fd, NULL, NULL, &size);
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("FLOODGATE_SOCKET", fx.socket, 1);
        execl(program(), "fgctl", "top", "--interval", "1h", NULL);
        _exit(127);
    }
    read_terminal(fd, text, sizeof(text), "\033[J");
    view = strstr(text, "\033[H");
    end = strstr(text, "\033[J");
    assert_non_null(view);
    assert_non_null(end);
    *end = 0;
    assert_in_range(widest(view, &rows), COLUMNS - 10, COLUMNS);
    assert_int_equal(rows, ROWS);
    if (!strstr(view, "ALARM") || !strstr(view, "frames in") || !strstr(view, "with-a-long"))
        fail_msg("the view lacks a part: %s", view);
    assert_int_equal(write(fd, "xq", 2), 2);
    read_terminal(fd, text, sizeof(text), NULL); /* to its end, or until it was waited for enough */
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    says(text, "\033[?25h"); /* the cursor is back */
    close(fd);
}

/* On a terminal, 0.0.0.0/0 is a question. */
static void everybody_is_asked_about(const char *answer, int expected)
{
    static char text[1 << 12];
    int fd, status;
    pid_t pid = forkpty(&fd, NULL, NULL, NULL);

    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("FLOODGATE_SOCKET", fx.socket, 1);
        execl(program(), "fgctl", "block", "add", "0.0.0.0/0", NULL);
        _exit(127);
    }
    read_terminal(fd, text, sizeof(text), "every source? [y/N] ");
    says(text, "block 0.0.0.0/0, every source?");
    assert_int_equal(write(fd, answer, strlen(answer)), strlen(answer));
    read_terminal(fd, text, sizeof(text), NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
    close(fd);
}

static void a_terminal_is_asked(void **state)
{
    everybody_is_asked_about("n\n", 2);
    everybody_is_asked_about("\n", 2);
    everybody_is_asked_about("y\n", 4); /* the filter is off here: it was sent */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(helps_by_word),       T(suggests_what_was_meant),
        T(errors_are_json),     T(an_import_warns_of_the_past),
        T(alarms_are_not_cut),  T(top_keeps_to_its_terminal),
        T(a_terminal_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
