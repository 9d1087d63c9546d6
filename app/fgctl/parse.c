/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line against the table of commands, and the help that comes from it. */
#include "fgctl.h"

#include <stdarg.h>
#include <string.h>

int fg_usage_error(const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fg_complain("%s", text);
    return FG_EXIT_USAGE;
}

void fg_command_name(const struct fg_command *command, char name[64])
{
    snprintf(name, 64, "%s%s%s", command->noun, command->verb ? " " : "",
             command->verb ? command->verb : "");
}

static void help_options(FILE *out, const struct fg_option *options, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[64];

        snprintf(text, sizeof(text), "--%s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        fprintf(out, "  %-24s %s\n", text, options[i].help);
    }
}

static void help_command(FILE *out, const struct fg_command *command)
{
    char name[64];

    fg_command_name(command, name);
    fprintf(out, "usage: fgctl %s%s%s%s\n\n%s\n", name, *command->args ? " " : "", command->args,
            command->options_count ? " [OPTION...]" : "", command->help);
    if (command->more)
        fprintf(out, "\n%s", command->more);
    if (command->options_count) {
        fprintf(out, "\noptions:\n");
        help_options(out, command->options, command->options_count);
    }
}

/* All commands, or (noun not NULL) those of one noun. */
static void help_all(FILE *out, const char *noun)
{
    fprintf(out,
            "usage: fgctl %s%sCOMMAND [ARGUMENT...] [OPTION...]\n\n"
            "Controls a Floodgate appliance over its control socket.\n\ncommands:\n",
            noun ? noun : "", noun ? " " : "");
    for (unsigned i = 0; i < fg_commands_count; i++) {
        char name[64], text[160];

        if (noun && strcmp(fg_commands[i].noun, noun))
            continue;
        fg_command_name(&fg_commands[i], name);
        snprintf(text, sizeof(text), "%s %s", name, fg_commands[i].args);
        fprintf(out, "  %-32s %s\n", text, fg_commands[i].help);
    }
    fprintf(out, "\n`fgctl COMMAND --help` tells more about one command.\n");
}

static void help(FILE *out, const struct fg_command *command, const char *noun)
{
    if (command)
        help_command(out, command);
    else
        help_all(out, noun);
    fprintf(out, "\noptions of every command:\n");
    help_options(out, fg_global_options, fg_global_options_count);
    fprintf(out, "\nexit codes:\n");
#define X(name, number, text) fprintf(out, "  %d  %s\n", number, text);
    FG_EXIT_LIST(X)
#undef X
}

void fg_help(FILE *out, const struct fg_command *command)
{
    help(out, command, NULL);
}

static int find_option(const struct fg_option *options, unsigned count, const char *name,
                       size_t len)
{
    for (unsigned i = 0; i < count; i++)
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return (int)i;
    return -1;
}

/* The state of a parse: what was seen so far. */
struct parse {
    struct fg_cli *cli;
    struct fg_args *args;
    int argc, at;
    char **argv;
    const char *noun;
    bool help, plain; /**< plain: behind "--" */
};

/* The value of the option at hand: behind '=', or the next word. */
static const char *option_value(struct parse *parse, const struct fg_option *option,
                                const char *equals)
{
    if (equals)
        return equals + 1;
    if (parse->at + 1 < parse->argc)
        return parse->argv[++parse->at];
    fg_usage_error("--%s: a value is missing (%s)", option->name, option->value);
    return NULL;
}

static bool set_global(struct parse *parse, const char *name, const char *value)
{
    if (strcmp(name, "json") == 0)
        parse->cli->json = true;
    else if (strcmp(name, "help") == 0)
        parse->help = true;
    else if (strcmp(name, "socket") == 0)
        parse->cli->socket = value;
    else
        return false;
    return true;
}

static int unknown_option(const struct fg_command *command, const char *word, size_t len)
{
    struct fg_suggestion near = {0};
    char name[64], text[96];

    snprintf(name, sizeof(name), "%.*s", (int)(len < 63 ? len : 63), word + 2);
    for (unsigned i = 0; command && i < command->options_count; i++)
        fg_suggest(&near, name, command->options[i].name);
    for (unsigned i = 0; i < fg_global_options_count; i++)
        fg_suggest(&near, name, fg_global_options[i].name);
    return fg_usage_error("unknown option %s%s%s; see --help", word,
                          command ? "" : " (options of a command stand behind it)",
                          fg_suggestion_text(&near, "--", text));
}

/* -1: continue; else the exit code. */
static int take_option(struct parse *parse, const char *word)
{
    const struct fg_command *command = parse->args->command;
    const char *name = word + 2, *equals = strchr(name, '='), *value = "";
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    int own = command ? find_option(command->options, command->options_count, name, len) : -1;
    int global = find_option(fg_global_options, fg_global_options_count, name, len);
    const struct fg_option *option = own >= 0      ? &command->options[own]
                                     : global >= 0 ? &fg_global_options[global]
                                                   : NULL;

    if (!option)
        return unknown_option(command, word, len);
    if (!option->value && equals)
        return fg_usage_error("--%s takes no value", option->name);
    if (option->value && !(value = option_value(parse, option, equals)))
        return FG_EXIT_USAGE;
    if (own >= 0) {
        if (parse->args->options[own])
            return fg_usage_error("--%s is given twice", option->name);
        parse->args->options[own] = value;
    } else if (!set_global(parse, option->name, value)) {
        printf("fgctl %s\n", FG_VERSION);
        return FG_EXIT_OK;
    }
    return -1;
}

static const struct fg_command *find_command(const char *noun, const char *verb, bool *noun_known)
{
    *noun_known = false;
    for (unsigned i = 0; i < fg_commands_count; i++) {
        const struct fg_command *command = &fg_commands[i];

        if (strcmp(command->noun, noun) != 0)
            continue;
        *noun_known = true;
        if (!command->verb || (verb && strcmp(command->verb, verb) == 0))
            return command;
    }
    return NULL;
}

/* noun NULL: the word was to be one. */
static int unknown_command(const char *noun, const char *word)
{
    struct fg_suggestion near = {0};
    char text[96], before[64] = "";

    for (unsigned i = 0; i < fg_commands_count; i++) {
        const struct fg_command *command = &fg_commands[i];

        if (!noun)
            fg_suggest(&near, word, command->noun);
        else if (strcmp(command->noun, noun) == 0 && command->verb)
            fg_suggest(&near, word, command->verb);
    }
    if (noun)
        snprintf(before, sizeof(before), "%.60s ", noun);
    return fg_usage_error("unknown command \"%s%s\"%s; see fgctl --help", before, word,
                          fg_suggestion_text(&near, before, text));
}

static int take_word(struct parse *parse, const char *word)
{
    struct fg_args *args = parse->args;
    bool known;

    if (args->command) {
        if (args->count == args->command->args_max || args->count == FG_POSITIONS_MAX)
            return fg_usage_error("too many arguments: \"%s\"; %s takes %s", word,
                                  args->command->noun,
                                  *args->command->args ? args->command->args : "none");
        args->positions[args->count++] = word;
        return -1;
    }
    args->command =
        find_command(parse->noun ? parse->noun : word, parse->noun ? word : NULL, &known);
    if (!args->command && (!known || parse->noun))
        return unknown_command(known ? parse->noun : NULL, word);
    parse->noun = word;
    return -1;
}

static int finish(const struct parse *parse)
{
    const struct fg_args *args = parse->args;

    if (parse->help) {
        help(stdout, args->command, parse->noun);
        return FG_EXIT_OK;
    }
    if (!args->command && parse->noun)
        return fg_usage_error("\"%s\" alone is not a command; see fgctl --help", parse->noun);
    if (!args->command) {
        fg_help(stderr, NULL);
        return FG_EXIT_USAGE;
    }
    if (args->count < args->command->args_min)
        return fg_usage_error("too few arguments; usage: fgctl %s%s%s %s", args->command->noun,
                              args->command->verb ? " " : "",
                              args->command->verb ? args->command->verb : "", args->command->args);
    return -1;
}

int fg_parse(struct fg_cli *cli, int argc, char **argv, struct fg_args *args)
{
    struct parse parse = {.cli = cli, .args = args, .argc = argc, .argv = argv, .at = 1};

    for (; parse.at < argc; parse.at++) {
        const char *word = argv[parse.at];
        int code = -1;

        if (!parse.plain && strcmp(word, "--") == 0)
            parse.plain = true;
        else if (!parse.plain && strcmp(word, "-h") == 0)
            parse.help = true;
        else if (!parse.plain && strncmp(word, "--", 2) == 0)
            code = take_option(&parse, word);
        else if (!parse.plain && word[0] == '-' && word[1])
            return fg_usage_error("unknown option %s; see --help", word);
        else
            code = take_word(&parse, word);
        if (code >= 0)
            return code;
    }
    return finish(&parse);
}

int fg_cmd_help(struct fg_cli *cli, const struct fg_args *args)
{
    const char *noun = args->count ? args->positions[0] : NULL,
               *verb = args->count > 1 ? args->positions[1] : NULL;
    const struct fg_command *command;
    bool known;

    if (!noun) {
        help(stdout, NULL, NULL);
        return FG_EXIT_OK;
    }
    command = find_command(noun, verb, &known);
    if (!known || (verb && (!command || !command->verb)))
        return unknown_command(known ? noun : NULL, known ? verb : noun);
    help(stdout, command, noun);
    return FG_EXIT_OK;
}
