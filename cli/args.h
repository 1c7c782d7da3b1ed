/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARGS_H
#define ARGS_H
/* The command line. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct args {
    const char *words[2];     /* what is no option, in the command's order */
    const char *output;       /* -o, NULL when not given */
    const char *listen, *transports, *require;
    uint64_t    size;         /* --size, has_size says whether it was given */
    uint64_t    timeout_ms;   /* 0: none */
    unsigned    rounds;       /* 0: not given */
    bool        has_size, force, nixl, hex, json, quiet, help;
};

struct command {
    const char *name, *words; /* words as the synopsis has them: "FILE TICKET" */
    unsigned    n_words;
    const char *options;      /* the letters of args.c's table that it takes */
    const char *needs;        /* those that must be given */
    const char *about;        /* what it does, for help */
    int (*run)(const struct args *a);
};

/* Reads argv[1..]; argv[0] is the name for messages. false when something is wrong,
 * which has been said then. */
bool args_parse(const struct command *cmd, int argc, char **argv, struct args *ret_a);
/* Explains a command and the options that it takes. */
void args_help(FILE *out, const struct command *cmd);

#endif
