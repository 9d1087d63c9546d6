/* SPDX-License-Identifier: BSD-3-Clause */
/* A view that is drawn again and again, and keeps to the size of the terminal. */
#include "fgctl.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool keys; /* standard input is a terminal, whose keys come at once */

void fg_screen_begin(void)
{
    struct termios raw;

    keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (keys) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    printf("\033[?25l\033[2J"); /* no cursor */
}

void fg_screen_end(void)
{
    printf("\033[?25h\n");
    fflush(stdout);
    if (keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

void fg_screen_size(unsigned *rows, unsigned *columns)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

    *rows = known && size.ws_row > 0 ? size.ws_row : 24;
    *columns = known && size.ws_col > 0 ? size.ws_col : 80;
}

/* As much of a line as one row holds; returns where the rest begins. */
static const char *put_row(const char *line, unsigned columns)
{
    size_t used = 0, bytes;

    for (; *line && *line != '\n'; line += bytes) {
        size_t width = fg_char_columns(line, &bytes);

        if (used + width > columns)
            break;
        fwrite(line, 1, bytes, stdout);
        used += width;
    }
    printf("\033[K");
    return line;
}

/* Lines of text into the rows that are left: longer ones are continued in the next row, or cut. */
static void put_lines(const char *text, bool continued, unsigned rows, unsigned columns,
                      unsigned *row)
{
    while (*text && *row < rows) {
        if ((*row)++)
            printf("\r\n");
        text = put_row(text, columns);
        if (!continued)
            text += strcspn(text, "\n");
        text += *text == '\n';
    }
}

void fg_screen_show(const char *head, const char *body)
{
    unsigned rows, columns, row = 0;

    fg_screen_size(&rows, &columns);
    printf("\033[H");
    put_lines(head, true, rows, columns, &row);
    put_lines(body, false, rows, columns, &row);
    printf("\033[J");
    fflush(stdout);
}

bool fg_screen_wait(uint64_t ms)
{
    uint64_t end = fg_mono_ms() + ms;
    struct pollfd key = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};

    for (uint64_t now = fg_mono_ms(); now < end; now = fg_mono_ms()) {
        char c;

        if (poll(&key, 1, (int)(end - now)) < 0)
            return false; /* a signal: to end, or another size */
        if (!(key.revents & POLLIN))
            continue;
        if (read(STDIN_FILENO, &c, 1) != 1)
            key.fd = -1;
        else if (c == 'q' || c == 'Q')
            return true;
    }
    return false;
}
