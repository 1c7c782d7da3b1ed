/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_H
#define CLI_H
/* What the commands of nxconnect(1) share. They use the public header only. */
#include "args.h"

/* Exit codes, as the man page has them. */
enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_REFUSED = 3,  /* the ticket, before a byte moved */
    CLI_DEADLINE = 4,
    CLI_LOST = 5,     /* the peer, or it was never reached */
};

/* The exit code for an NXC_E code. */
int cli_exit_code(int err);
/* Says what failed and why, and returns the exit code. detail may be NULL. */
int cli_fail(int err, const char *detail);

/* Each runs one command and returns its exit code. */
int offer_run(const struct args *a);
int fetch_run(const struct args *a);
int accept_run(const struct args *a);
int send_run(const struct args *a);
int show_run(const struct args *a);
int check_run(const struct args *a);
int bench_run(const struct args *a);

#endif
