/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/interop/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

nxc_connector *ours;
struct python *theirs;
const char    *their_script = PYTHON_WORKER, *their_setting;

static int open_any(const char *worker_id, nxc_connector **ret_c)
{
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    opts.worker_id = worker_id;
    opts.peers = NXC_PEERS_ANY;
    return nxc_connector_new(&opts, ret_c);
}

nxc_connector *session_connector(const char *worker_id)
{
    nxc_connector *c;
    int            r = open_any(worker_id, &c);
    if (r < 0)
        fail_msg("%s: %s", nxc_err_name(r), nxc_err_detail());
    return c;
}

void session_arguments(int argc, char **argv)
{
    nxc_connector *c;
    if (argc > 1)
        their_script = argv[1];
    if (argc > 2)
        their_setting = argv[2];
    int r = open_any(NULL, &c);
    if (r == NXC_ENOTSUP) {
        fprintf(stderr, "skipped: %s\n", nxc_err_detail());
        exit(77);
    }
    if (r >= 0)
        nxc_connector_free(c);
}

int session_open(void **state)
{
    (void)state;
    theirs = python_start(their_script, "theirs", their_setting);
    ours = session_connector(NULL);
    return 0;
}

int session_close(void **state)
{
    (void)state;
    python_stop(theirs);
    nxc_connector_free(ours);
    return 0;
}
