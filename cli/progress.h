/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROGRESS_H
#define PROGRESS_H
/* What a person sees of a transfer, on stderr: a bar on a terminal, else a line
 * at the start and one at the end. */
#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *name;  /* of the file */
    bool        quiet, bar;
    uint64_t    began; /* ns; when the first byte was seen to move, 0 before */
    uint64_t    first; /* bytes that had moved then */
};

uint64_t now_ns(void); /* of the monotonic clock */

/* verb is what is done to the file: "offering". */
void progress_begin(struct progress *p, const char *verb, const char *name, uint64_t total, bool quiet);
/* transport may be NULL. Does nothing without a bar. */
void progress_draw(struct progress *p, uint64_t done, uint64_t total, const char *transport);
/* Takes the bar away. */
void progress_clear(const struct progress *p);
/* The line at the end of a transfer that succeeded. ns is how long it took, 0
 * when that is not known. */
void progress_end(const struct progress *p, uint64_t total, uint64_t ns, const char *transport);

#endif
