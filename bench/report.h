/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_BENCH_REPORT_H
#define NXC_BENCH_REPORT_H
#include <stddef.h>

enum bench_sense {
    BENCH_SHOWN,    /* no goal: shown for comparison */
    BENCH_AT_MOST,
    BENCH_AT_LEAST,
};

/* One line of the result: a value, and what was asked of it. */
struct bench_line {
    const char *row;
    char ours[32];      /* nxconnect's own figure */
    char reference[64]; /* what it is compared with, and its figure */
    double value, low, high;
    const char *unit; /* "x time", "x speed", "us"... */
    enum bench_sense sense;
    double limit, aim; /* aim 0: none beyond the limit */
    size_t rounds;
};

struct bench_report {
    int json;
    size_t lines, missed;
};

/* facts: what was run, where, ready to print. */
void bench_report_begin(struct bench_report *r, const char *facts);
void bench_report_line(struct bench_report *r, const struct bench_line *line);
/* One contender's figure, for those who want to see more than the best. */
void bench_report_way(struct bench_report *r, const char *row, const char *way,
                      double seconds, const char *figure, const char *note);
/* A row that could not be measured, and why. It counts as missed only if broken. */
void bench_report_gap(struct bench_report *r, const char *row, const char *why, int broken);
void bench_report_end(struct bench_report *r);

/* "0.21 us", "64.3 us 16.3 GB/s": how long size bytes took. */
void bench_format_move(double seconds, size_t size, char *buf, size_t cap);

#endif
