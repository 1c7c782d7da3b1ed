/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/interop/session.h"

#include "tests/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

nxc_connector *ours;
struct python *theirs;
const char    *their_script = PYTHON_WORKER, *their_setting;

nxc_connector *session_connector(const char *worker_id)
{
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    nxc_connector            *c;
    opts.worker_id = worker_id;
    opts.peers = NXC_PEERS_ANY;
    int r = nxc_connector_new(&opts, &c);
    if (r < 0)
        fail_msg("%s: %s", nxc_err_name(r), nxc_err_detail());
    return c;
}

void session_arguments(int argc, char **argv)
{
    if (argc > 1)
        their_script = argv[1];
    if (argc > 2)
        their_setting = argv[2];
}

int session_open(void **state)
{
    (void)state;
    theirs = python_start(their_script, "theirs", their_setting);
    ours = session_connector(NULL);
    /* env.sh says where the UCX lies that we should have got. */
    const char *ucx = getenv("NXC_INTEROP_UCX");
    if (ucx && !proc_maps(ucx))
        fail_msg("our side does not use the UCX in %s", ucx);
    return 0;
}

int session_close(void **state)
{
    (void)state;
    python_stop(theirs);
    nxc_connector_free(ours);
    return 0;
}
