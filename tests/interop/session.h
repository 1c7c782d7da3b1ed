/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_INTEROP_SESSION_H
#define NXC_TESTS_INTEROP_SESSION_H
/* What a test program has from its first test to its last: a Python worker takes
 * seconds to start. Arguments: SCRIPT [SETTING], as for python_start. */
#include "tests/interop/deal.h"

extern nxc_connector *ours;
extern struct python *theirs;
extern const char    *their_script, *their_setting; /* what theirs was started with */

/* A connector that admits NIXL peers; NULL is a fresh name. */
nxc_connector *session_connector(const char *worker_id);

void session_arguments(int argc, char **argv);
int  session_open(void **state);
int  session_close(void **state);

#endif
