/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <stdio.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define MAX_WAYS 48
#define MAX_ROUNDS 64

/* A way that was always so much slower than the best of its family can't be the
 * reference, and is not run after these rounds. */
#define HOPELESS 1.5
#define TRIAL_ROUNDS 2

#define AS_FAST_AS_UCX { BENCH_BEST_UCX, BENCH_AT_LEAST, 0.95, 0 }
#define FASTER_THAN_UCX(aim) { BENCH_BEST_UCX, BENCH_AT_LEAST, 0.95, aim }
#define BEAT_UCX { BENCH_BEST_UCX, BENCH_AT_LEAST, 1.0, 0 }
#define NEAR_SOCKET { BENCH_BEST_FLOOR, BENCH_AT_LEAST, 0.90, 0 }

const struct bench_row bench_rows[] = {
    { .name = "shm-8-write", .c = { BENCH_WRITE, BENCH_SHM, 8, 63, 64 },
      .goals = { { BENCH_BEST_UCX, BENCH_AT_MOST, 1.2, 1.0 } } },
    { .name = "shm-64k-write", .c = { BENCH_WRITE, BENCH_SHM, 64 * KIB, 31, 40 }, .goals = { AS_FAST_AS_UCX } },
    { .name = "shm-64k-read", .c = { BENCH_READ, BENCH_SHM, 64 * KIB, 31, 40 }, .goals = { AS_FAST_AS_UCX } },
    { .name = "shm-1m-write", .c = { BENCH_WRITE, BENCH_SHM, MIB, 31, 4 }, .goals = { AS_FAST_AS_UCX } },
    { .name = "shm-1m-read", .c = { BENCH_READ, BENCH_SHM, MIB, 31, 4 }, .goals = { AS_FAST_AS_UCX } },
    { .name = "shm-64m-write", .c = { BENCH_WRITE, BENCH_SHM, 64 * MIB, 5, 1 }, .goals = { FASTER_THAN_UCX(1.15) } },
    { .name = "shm-64m-read", .c = { BENCH_READ, BENCH_SHM, 64 * MIB, 5, 1 }, .goals = { FASTER_THAN_UCX(1.15) } },
    { .name = "shm-1g-write", .c = { BENCH_WRITE, BENCH_SHM, GIB, 3, 1 },
      .goals = { FASTER_THAN_UCX(1.10) }, .slow = 1 },
    { .name = "shm-1g-read", .c = { BENCH_READ, BENCH_SHM, GIB, 3, 1 },
      .goals = { FASTER_THAN_UCX(1.10) }, .slow = 1 },
    { .name = "tcp-8-write", .c = { BENCH_WRITE, BENCH_TCP, 8, 21, 200 }, .goals = { NEAR_SOCKET, BEAT_UCX } },
    { .name = "tcp-1m-write", .c = { BENCH_WRITE, BENCH_TCP, MIB, 31, 4 }, .goals = { NEAR_SOCKET, BEAT_UCX } },
    { .name = "tcp-1m-read", .c = { BENCH_READ, BENCH_TCP, MIB, 31, 4 }, .goals = { NEAR_SOCKET, BEAT_UCX } },
    { .name = "tcp-64m-write", .c = { BENCH_WRITE, BENCH_TCP, 64 * MIB, 5, 1 }, .goals = { NEAR_SOCKET, BEAT_UCX } },
    { .name = "tcp-64m-read", .c = { BENCH_READ, BENCH_TCP, 64 * MIB, 5, 1 }, .goals = { NEAR_SOCKET, BEAT_UCX } },
    { .name = "whole-small-op", .c = { BENCH_WHOLE, BENCH_SHM, 8, 1, 1000 },
      .goals = { { BENCH_NOBODY, BENCH_AT_MOST, 15, 0 } }, .scale = 1e6, .unit = " us" },
    { .name = "open", .c = { BENCH_OPEN, BENCH_SHM, 8, 1, 20 },
      .goals = { { BENCH_NOBODY, BENCH_AT_MOST, 5, 0 } }, .scale = 1e3, .unit = " ms" },
    { .name = "waiting-cpu", .c = { BENCH_IDLE_CPU, BENCH_SHM, 8, 1, 1 },
      .goals = { { BENCH_NOBODY, BENCH_AT_MOST, 1, 0 } }, .scale = 1, .unit = " % of a core", .fresh = 1 },
    { .name = "waiting-memory", .c = { BENCH_IDLE_MEMORY, BENCH_SHM, 8, 1, 1 },
      .goals = { { BENCH_NOBODY, BENCH_AT_MOST, 2048, 0 } }, .scale = 1, .unit = " bytes each", .fresh = 1 },
};
const size_t bench_row_count = sizeof bench_rows / sizeof bench_rows[0];

/* The contenders of a row, with their times by round. */
struct field {
    size_t n;
    size_t way[MAX_WAYS];
    double seconds[MAX_WAYS][MAX_ROUNDS];
    enum { RUNS, BEHIND, BROKEN } state[MAX_WAYS]; /* only RUNS is run on */
    char note[MAX_WAYS][160];
};

static const struct bench_way *way_of(const struct field *f, size_t i)
{
    return &bench_ways[f->way[i]];
}

static double median_of(const struct field *f, size_t i, size_t rounds)
{
    double copy[MAX_ROUNDS];
    memcpy(copy, f->seconds[i], rounds * sizeof copy[0]);
    return bench_median(copy, rounds);
}

/* The index of the fastest contender of a family, or -1. */
static int best_of(const struct field *f, enum bench_family family, size_t rounds)
{
    int best = -1;
    for (size_t i = 0; i < f->n; i++)
        if (way_of(f, i)->family == family && f->state[i] == RUNS &&
            (best < 0 || median_of(f, i, rounds) < median_of(f, (size_t)best, rounds)))
            best = (int)i;
    return best;
}

/* In the rounds that every way has run. */
static double quickest_of(const struct field *f, size_t i)
{
    double quickest = f->seconds[i][0];
    for (size_t round = 1; round < TRIAL_ROUNDS; round++)
        if (f->seconds[i][round] < quickest)
            quickest = f->seconds[i][round];
    return quickest;
}

static void drop_hopeless(struct field *f)
{
    for (enum bench_family family = BENCH_OURS; family <= BENCH_FLOOR; family++) {
        int best = best_of(f, family, TRIAL_ROUNDS);
        for (size_t i = 0; i < f->n; i++)
            if (best >= 0 && way_of(f, i)->family == family && f->state[i] == RUNS &&
                quickest_of(f, i) > HOPELESS * quickest_of(f, (size_t)best))
                f->state[i] = BEHIND;
    }
}

static int measure(struct field *f, size_t i, size_t round, const struct bench_row *row,
                   const struct bench_plan *plan, struct bench_pair *p, struct bench_report *r)
{
    struct bench_answer answers[2];
    if (row->fresh)
        bench_pair_stop(p);
    if (!p->pid[0] && bench_pair_start(p, plan->pin) < 0) {
        bench_report_gap(r, row->name, "no processes to measure with", 1);
        return -1;
    }
    if (bench_pair_order(p, f->way[i], &row->c, answers) < 0) {
        char why[256];
        snprintf(why, sizeof why, "%s: %s", way_of(f, i)->name, answers[0].text);
        bench_report_gap(r, row->name, why, 1);
        return -1;
    }
    f->seconds[i][round] = answers[0].value;
    snprintf(f->note[i], sizeof f->note[i], "%s", answers[0].text);
    return 0;
}

/* Every other round runs backwards, so that nobody always comes after the same one, and from the
 * middle: else who is at an end would be measured twice in a row, and what disturbs the
 * machine for a second would spoil two rounds of that one and none of the others. */
static void run_round(struct field *f, size_t round, const struct bench_row *row,
                      const struct bench_plan *plan, struct bench_pair *p, struct bench_report *r)
{
    for (size_t k = 0; k < f->n; k++) {
        size_t i = round % 2 ? (f->n + f->n / 2 - k) % f->n : k;
        if (f->state[i] == RUNS && measure(f, i, round, row, plan, p, r) < 0)
            f->state[i] = BROKEN;
    }
}

/* A ratio for each round, and of these the median: what disturbs the machine
 * for longer than a round falls out. */
static void compare(struct bench_line *line, const double *ours, const double *other,
                    enum bench_sense sense, size_t rounds)
{
    double ratios[MAX_ROUNDS];
    for (size_t i = 0; i < rounds; i++)
        ratios[i] = sense == BENCH_AT_MOST ? ours[i] / other[i] : other[i] / ours[i];
    line->value = bench_median(ratios, rounds);
    line->low = ratios[0];
    line->high = ratios[rounds - 1];
    line->unit = sense == BENCH_AT_MOST ? "x time" : "x speed";
}

static void report_pair(const struct field *f, int mine, int other, const struct bench_row *row,
                        const struct bench_goal *goal, size_t rounds, struct bench_report *r)
{
    struct bench_line line = { .row = row->name, .sense = goal->sense, .limit = goal->limit,
                               .aim = goal->aim, .rounds = rounds };
    char figure[32];
    bench_format_move(median_of(f, (size_t)mine, rounds), row->c.size, line.ours, sizeof line.ours);
    bench_format_move(median_of(f, (size_t)other, rounds), row->c.size, figure, sizeof figure);
    snprintf(line.reference, sizeof line.reference, "%s: %s", way_of(f, (size_t)other)->name, figure);
    compare(&line, f->seconds[mine], f->seconds[other],
            goal->sense == BENCH_SHOWN ? BENCH_AT_LEAST : goal->sense, rounds);
    bench_report_line(r, &line);
}

static void report_value(const struct field *f, int mine, const struct bench_row *row,
                         size_t rounds, struct bench_report *r)
{
    const struct bench_goal *goal = &row->goals[0];
    struct bench_line line = { .row = row->name, .sense = goal->sense, .limit = goal->limit,
                               .aim = goal->aim, .rounds = rounds, .unit = row->unit };
    double values[MAX_ROUNDS];
    for (size_t i = 0; i < rounds; i++)
        values[i] = f->seconds[mine][i] * row->scale;
    line.value = bench_median(values, rounds);
    line.low = values[0];
    line.high = values[rounds - 1];
    snprintf(line.ours, sizeof line.ours, "%.3g%s", line.value, row->unit);
    bench_report_line(r, &line);
}

static void report_ways(const struct field *f, const struct bench_row *row, size_t rounds,
                        struct bench_report *r)
{
    for (size_t i = 0; i < f->n; i++) {
        char figure[32];
        if (f->state[i] == BROKEN)
            continue; /* said when it failed */
        double seconds = f->state[i] == RUNS ? median_of(f, i, rounds) : quickest_of(f, i);
        bench_format_move(seconds, row->c.size, figure, sizeof figure);
        bench_report_way(r, row->name, way_of(f, i)->name, seconds, figure,
                         f->state[i] == RUNS ? f->note[i] : "dropped, far behind");
    }
}

static void report_row(const struct field *f, const struct bench_row *row, size_t rounds,
                       struct bench_report *r)
{
    static const struct bench_goal shown = { BENCH_BEST_FLOOR, BENCH_SHOWN, 0, 0 };
    static const enum bench_family family_of[] = {
        [BENCH_BEST_UCX] = BENCH_UCX, [BENCH_BEST_FLOOR] = BENCH_FLOOR,
    };
    int mine = best_of(f, BENCH_OURS, rounds);
    int floor = best_of(f, BENCH_FLOOR, rounds), has_floor_goal = 0;
    if (mine < 0)
        return; /* said when it failed */
    for (size_t g = 0; g < 2 && row->goals[g].sense != BENCH_SHOWN; g++) {
        const struct bench_goal *goal = &row->goals[g];
        has_floor_goal |= goal->against == BENCH_BEST_FLOOR;
        if (goal->against == BENCH_NOBODY) {
            report_value(f, mine, row, rounds, r);
            return;
        }
        int other = best_of(f, family_of[goal->against], rounds);
        if (other >= 0)
            report_pair(f, mine, other, row, goal, rounds, r);
        else
            bench_report_gap(r, row->name, bench_ucx_version() ? "no way of UCX worked" : "UCX not here", 0);
    }
    if (floor >= 0 && !has_floor_goal)
        report_pair(f, mine, floor, row, &shown, rounds, r);
}

void bench_run_row(const struct bench_row *chosen, const struct bench_plan *plan,
                   struct bench_pair *p, struct bench_report *r)
{
    static struct field f;
    struct bench_row row = *chosen;
    size_t rounds = plan->rounds < MAX_ROUNDS ? plan->rounds : MAX_ROUNDS;
    if (plan->quick) {
        row.c.batches = (row.c.batches + 2) / 3;
        rounds = row.fresh ? 1 : rounds;
    }
    memset(&f, 0, sizeof f);
    for (size_t i = 0; i < bench_way_count && f.n < MAX_WAYS; i++)
        if (bench_way_fits(&bench_ways[i], &row.c))
            f.way[f.n++] = i;
    for (size_t round = 0; round < rounds; round++) {
        run_round(&f, round, &row, plan, p, r);
        if (round + 1 == TRIAL_ROUNDS)
            drop_hopeless(&f);
    }
    if (plan->ways)
        report_ways(&f, &row, rounds, r);
    report_row(&f, &row, rounds, r);
}
