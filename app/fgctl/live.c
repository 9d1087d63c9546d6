/* SPDX-License-Identifier: BSD-3-Clause */
/* A view that is fetched and printed again and again: `fgctl top`, `fgctl fleet top`. */
#include "fgctl.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { OPT_INTERVAL, OPT_COUNT }; /* as in commands.c */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

/* Only so that a wait ends, and the next view has the new size. */
static void on_resize(int number)
{
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_resize;
    sigaction(SIGWINCH, &action, NULL);
}

int fg_live(const struct fg_cli *cli, const struct fg_args *args,
            int (*view)(void *ctx, bool terminal), void *ctx)
{
    bool terminal = !cli->json && isatty(STDOUT_FILENO);
    uint64_t interval_ms = 1000, count = 0;
    const char *text = args->options[OPT_INTERVAL];
    int code = FG_EXIT_OK;

    if (text && (!fg_text_duration_read(text, &interval_ms, NULL) || interval_ms < 100 ||
                 interval_ms > 3600000))
        return fg_usage_error("--interval: \"%s\" is not a duration from 100ms to 1h", text);
    text = args->options[OPT_COUNT];
    if (text && (!fg_text_number(text, &count) || count < 1))
        return fg_usage_error("--count: \"%s\" is not a whole number from 1 on", text);
    catch_signals();
    if (terminal)
        fg_screen_begin();
    fg_now_ms(); /* asks for the daemon's time now, and not between two samples */
    for (uint64_t n = 0; (count == 0 || n < count) && !interrupted && code == FG_EXIT_OK; n++) {
        if ((n && fg_screen_wait(interval_ms)) || interrupted)
            break;
        code = view(ctx, terminal);
    }
    if (terminal)
        fg_screen_end();
    return code;
}

void fg_live_print_json(json_t *view)
{
    json_dumpf(view, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    printf("\n");
    fflush(stdout);
    json_decref(view);
}

static char *text_of(void (*print)(FILE *out, const void *ctx), const void *ctx)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    print(out, ctx);
    fclose(out);
    return text;
}

void fg_live_print(bool terminal, void (*head)(FILE *out, const void *ctx),
                   void (*body)(FILE *out, const void *ctx), const void *ctx)
{
    char *above = text_of(head, ctx), *below = text_of(body, ctx);

    if (terminal)
        fg_screen_show(above, below);
    else
        printf("%s%s\n", above, below);
    fflush(stdout);
    free(above);
    free(below);
}
