/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Letters in upper case have no short form. */
static const struct opt {
    char        letter;
    const char *name, *value, *about;
} table[] = {
    { 'o', "output", "FILE", "where the data goes; it must not exist yet" },
    { 'f', "force", NULL, "replace the output file when it exists" },
    { 'S', "size", "N", "bytes, with K, M or G for powers of 1024" },
    { 'N', "rounds", "N", "how often to measure each size" },
    { 't', "timeout", "SECONDS", "give up after so long, fractions are fine" },
    { 'L', "listen", "ADDRESSES", "where tcp listens: eth0,192.0.2.7:7000-7100" },
    { 'T', "transports", "LIST", "use only these of shm,tcp,ucx" },
    { 'R', "require", "TRANSPORT", "fail rather than do without this one" },
    { 'I', "nixl", NULL, "let workers that speak NIXL use the ticket, on trusted networks only" },
    { 'X', "hex", NULL, "write the ticket's binary part in hex, not base64" },
    { 'J', "json", NULL, "print the result as JSON on standard output" },
    { 'q', "quiet", NULL, "say nothing but errors" },
    { 'h', "help", NULL, "explain this command" },
};
enum { OPTS = sizeof table / sizeof table[0] };

static bool parse_size(const char *text, uint64_t *ret_size)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || errno)
        return false;
    static const char suffixes[] = "KMGT";
    unsigned shift = 0;
    const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        end++;
    }
    /* No file is larger than off_t can say. */
    if (*end || value > (uint64_t)INT64_MAX >> shift)
        return false;
    *ret_size = value << shift;
    return true;
}

/* Rounds up, so that a tiny limit does not become none. */
static bool parse_seconds(const char *text, uint64_t *ret_ms)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value > 0 && value < 1e9))
        return false;
    uint64_t ms = (uint64_t)(value * 1000);
    *ret_ms = (double)ms < value * 1000 ? ms + 1 : ms;
    return true;
}

static bool parse_rounds(const char *text, unsigned *ret_rounds)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || value == 0 || value > 1000000)
        return false;
    *ret_rounds = (unsigned)value;
    return true;
}

static bool take(struct args *a, int letter, const char *value)
{
    switch (letter) {
    case 'o': a->output = value; return *value != '\0';
    case 'f': a->force = true; return true;
    case 'S': a->has_size = true; return parse_size(value, &a->size);
    case 'N': return parse_rounds(value, &a->rounds);
    case 't': return parse_seconds(value, &a->timeout_ms);
    case 'L': a->listen = value; return true;
    case 'T': a->transports = value; return true;
    case 'R': a->require = value; return true;
    case 'I': a->nixl = true; return true;
    case 'X': a->hex = true; return true;
    case 'J': a->json = true; return true;
    case 'q': a->quiet = true; return true;
    case 'h': a->help = true; return true;
    default: return false;
    }
}

static const struct opt *find(int letter)
{
    for (size_t i = 0; i < OPTS; i++)
        if (table[i].letter == letter)
            return &table[i];
    return NULL;
}

/* Makes getopt's two lists of what the command takes. */
static void make_lists(const struct command *cmd, struct option longs[OPTS + 1], char shorts[2 * OPTS + 1])
{
    for (size_t i = 0; i < OPTS; i++) {
        const struct opt *o = &table[i];
        if (!strchr(cmd->options, o->letter))
            continue;
        *longs++ = (struct option){ o->name, o->value ? required_argument : no_argument, NULL, o->letter };
        if (isupper((unsigned char)o->letter))
            continue;
        *shorts++ = o->letter;
        if (o->value)
            *shorts++ = ':';
    }
    *longs = (struct option){ 0 };
    *shorts = '\0';
}

static bool check_needs(const struct command *cmd, const char *given)
{
    for (const char *need = cmd->needs; *need; need++) {
        if (strchr(given, *need))
            continue;
        const struct opt *o = find(*need);
        say("%s needs --%s %s", cmd->name, o->name, o->value);
        return false;
    }
    return true;
}

static bool take_words(const struct command *cmd, char **words, int n, struct args *a)
{
    if (n != (int)cmd->n_words) {
        if (cmd->n_words)
            say("%s takes %s, got %d argument%s", cmd->name, cmd->words, n, n == 1 ? "" : "s");
        else
            say("%s takes no arguments", cmd->name);
        return false;
    }
    for (int i = 0; i < n; i++)
        a->words[i] = words[i];
    return true;
}

bool args_parse(const struct command *cmd, int argc, char **argv, struct args *ret_a)
{
    struct args a = { 0 };
    struct option longs[OPTS + 1];
    char shorts[2 * OPTS + 1], given[OPTS + 1] = "";
    make_lists(cmd, longs, shorts);
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (c == '?')
            return false; /* getopt has said why */
        const struct opt *o = find(c);
        if (!take(&a, c, optarg)) {
            say("--%s wants %s, got '%s'", o->name, o->value, optarg);
            return false;
        }
        if (!strchr(given, c))
            strncat(given, &o->letter, 1);
    }
    if (!a.help && !(take_words(cmd, argv + optind, argc - optind, &a) && check_needs(cmd, given)))
        return false;
    *ret_a = a;
    return true;
}

static void help_option(FILE *out, const struct opt *o)
{
    char head[64], letter[5] = "    ";
    if (!isupper((unsigned char)o->letter))
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(head, sizeof head, "%s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(out, "  %-26s %s\n", head, o->about);
}

void args_help(FILE *out, const struct command *cmd)
{
    fprintf(out, "usage: nxconnect %s", cmd->name);
    if (cmd->n_words)
        fprintf(out, " %s", cmd->words);
    for (const char *need = cmd->needs; *need; need++)
        fprintf(out, " --%s %s", find(*need)->name, find(*need)->value);
    fprintf(out, " [OPTIONS]\n%s\n\n", cmd->about);
    for (size_t i = 0; i < OPTS; i++)
        if (strchr(cmd->options, table[i].letter))
            help_option(out, &table[i]);
}
