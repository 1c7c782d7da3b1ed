/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SESSION_H
#define SESSION_H
/* A connector with one operation, from its birth to its end. */
#include "args.h"
#include "progress.h"

#include <nxconnect/nxconnect.h>

struct session {
    nxc_connector *c;
    nxc_op        *op;     /* whoever opens the session sets it */
    int            signals;
    bool           interrupted;
};
#define SESSION_INIT { .signals = -1 }

/* From here on Ctrl-C ends the operation, not the program. nixl: with workers that speak
 * NIXL too. Returns an exit code; has said why it is not CLI_DONE. */
int session_open(const struct args *a, bool nixl, struct session *ret_s);
/* The options for the operation: its end is queued. */
struct nxc_op_opts session_op_opts(const struct args *a);
/* Blocks until the operation has ended; cancels it on a signal and on a fault in
 * the mapped file. Returns 0 or the NXC_E code that it ended with. */
int session_wait(struct session *s, struct progress *p);
void session_close(struct session *s);

#endif
