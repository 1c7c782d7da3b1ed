/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_WORKER_H
#define NXC_TESTS_WORKER_H
/* What goes between a test and its workers. Both are one program, forked, so that
 * addresses of functions mean the same in both. */
#include "tests/pair.h"

struct letter {
    order_fn    *fn;
    struct order order;
    size_t       text_len; /* follows, with its NUL */
};

struct reply {
    struct answer answer;
    size_t        text_len;
};

int send_all(int fd, const void *data, size_t len);  /* 0, or -1: the other side is gone */
int receive_all(int fd, void *data, size_t len);

/* Obeys until the test hangs up. */
_Noreturn void worker_main(int fd, const struct nxc_connector_opts *opts, pid_t parent);

#endif
