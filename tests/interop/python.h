/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_INTEROP_PYTHON_H
#define NXC_TESTS_INTEROP_PYTHON_H
/* A Python worker: a process that obeys orders (serve.py says which). Whatever goes
 * wrong with it, or takes longer than a minute, fails the test that runs. */
#include <yajl/yajl_tree.h>

#define PYTHON_WORKER "worker.py"     /* dynamo.nixl_connect */
#define PYTHON_AGENT  "nixl_agent.py" /* an older release, its agents' own calls */

struct python;

/* setting is for its environment, "UCX_TLS=tcp", or NULL. */
struct python *python_start(const char *script, const char *worker_id, const char *setting);
/* Its last words count, not how it exits: nixl 1.5.1 may crash after them. */
void           python_stop(struct python *p);
void           python_kill(struct python *p);
void           python_freeze(struct python *p); /* returns when it stands still */
void           python_thaw(struct python *p);

/* Says an order, without waiting for the answer. The format is printf's. */
__attribute__((format(printf, 2, 3))) void        python_order(struct python *p, const char *format, ...);
/* Its answer, valid until the next one. */
yajl_val                                          python_answer(struct python *p);
/* Both; and the answer is a good one. */
__attribute__((format(printf, 2, 3))) yajl_val    python_ask(struct python *p, const char *format, ...);
/* Both; and it refuses, with this exception. Returns what it says. */
__attribute__((format(printf, 3, 4))) const char *python_refuses(struct python *p, const char *error,
                                                                 const char *format, ...);

/* The parts of an answer; a missing one fails the test. */
const char *answer_text(yajl_val answer, const char *name);
long long   answer_number(yajl_val answer, const char *name);
/* The statuses of a wait, or of a begin. */
int         answer_status(yajl_val answer, size_t i);

/* A text as JSON's string, with its quotes; the caller frees it. */
char *json_string(const char *text, size_t len);

#endif
