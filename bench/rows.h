/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_BENCH_ROWS_H
#define NXC_BENCH_ROWS_H
/* What is measured, and what is asked of it. */
#include "bench.h"
#include "report.h"

enum bench_against { BENCH_NOBODY, BENCH_BEST_UCX, BENCH_BEST_FLOOR };

struct bench_goal {
    enum bench_against against;
    enum bench_sense sense; /* AT_MOST of time, AT_LEAST of speed; against nobody: of the value */
    double limit, aim;
};

struct bench_row {
    const char *name;
    struct bench_case c;
    struct bench_goal goals[2];
    double scale;     /* against nobody: from the measured unit to the shown one */
    const char *unit;
    int fresh;        /* needs processes that have done nothing yet */
    int slow;         /* left out by --quick */
};

extern const struct bench_row bench_rows[];
extern const size_t bench_row_count;

struct bench_plan {
    const char *only; /* rows whose name begins with this, or NULL */
    size_t rounds;
    int quick, pin;
    int ways; /* show every contender */
};

/* One table row, all contenders interleaved. *p is started when needed. */
void bench_run_row(const struct bench_row *chosen, const struct bench_plan *plan,
                   struct bench_pair *p, struct bench_report *r);

/* A million small operations: what grows, and what slows down. */
void bench_run_steady(const struct bench_plan *plan, struct bench_report *r);
/* System calls for each small operation, counted by strace. */
void bench_run_syscalls(const struct bench_plan *plan, struct bench_report *r);
/* What strace runs: a link is opened, then ops small operations are made. */
int bench_churn(size_t ops, int pin);

#endif
