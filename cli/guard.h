/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUARD_H
#define GUARD_H
/* A mapped file can lose its end under us: another process truncates it, a disk
 * fails. Touching what is gone raises SIGBUS, in whichever thread did. The guard
 * puts zeros there instead, so that the transfer can be ended in good order. */
#include <stdbool.h>
#include <stddef.h>

/* Guards one mapping, the only one of this program. false with errno. */
bool guard_begin(void *addr, size_t len);
/* Readable from the first fault on. */
int guard_fd(void);
bool guard_hit(void);

#endif
