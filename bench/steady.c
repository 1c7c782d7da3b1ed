/* SPDX-License-Identifier: Apache-2.0 */
/* Does it stay as it was? A million small operations by one pair of connectors,
 * the last of them in turns with a fresh pair; and how often the kernel is asked. */
#include "rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DUELS 15

/* What is ordered at once; a turn is one operation of each side. */
#define ORDER_BATCHES 50
#define ORDER_TURNS 100
#define ORDER_OPS ((size_t)ORDER_BATCHES * ORDER_TURNS * 2)

static int order_churn(struct bench_pair *p, struct bench_answer ret_answers[2])
{
    static const struct bench_case churn = { BENCH_CHURN, BENCH_SHM, 8, ORDER_BATCHES, ORDER_TURNS };
    for (size_t i = 0; i < bench_way_count; i++)
        if (bench_way_fits(&bench_ways[i], &churn))
            return bench_pair_order(p, i, &churn, ret_answers);
    return -1;
}

/* ---- growth and speed --------------------------------------------------- */
struct duel {
    double old[DUELS], fresh[DUELS];
};

static int fight(struct bench_pair *old, struct bench_pair *fresh, struct duel *d,
                 struct bench_answer ret_answers[2])
{
    struct bench_answer other[2];
    if (order_churn(fresh, other) < 0)
        goto fail;
    for (size_t i = 0; i < DUELS; i++) {
        /* Who begins changes, so that neither always comes after the other. */
        if (i % 2 == 1 && order_churn(fresh, other) < 0)
            goto fail;
        if (order_churn(old, ret_answers) < 0)
            return -1;
        if (i % 2 == 0 && order_churn(fresh, other) < 0)
            goto fail;
        d->old[i] = ret_answers[0].value;
        d->fresh[i] = other[0].value;
    }
    return 0;
fail:
    ret_answers[0] = other[0];
    return -1;
}

static void report_growth(const struct bench_answer before[2], const struct bench_answer after[2],
                          size_t ops, struct bench_report *r)
{
    struct bench_line memory = { .row = "steady-memory", .unit = " KiB", .rounds = 1,
                                 .sense = BENCH_AT_MOST, .limit = 1024 };
    struct bench_line fds = { .row = "steady-fds", .unit = " more", .rounds = 1, .sense = BENCH_AT_MOST };
    for (int i = 0; i < 2; i++) {
        double grown = ((double)after[i].rss - (double)before[i].rss) / 1024;
        double more = (double)after[i].fds - (double)before[i].fds;
        memory.value = grown > memory.value ? grown : memory.value;
        fds.value = more > fds.value ? more : fds.value;
    }
    snprintf(memory.ours, sizeof memory.ours, "%zu operations", ops);
    snprintf(fds.ours, sizeof fds.ours, "%zu operations", ops);
    snprintf(memory.reference, sizeof memory.reference, "itself after %zu", ORDER_OPS);
    snprintf(fds.reference, sizeof fds.reference, "itself after %zu", ORDER_OPS);
    bench_report_line(r, &memory);
    bench_report_line(r, &fds);
}

static void report_duel(struct duel *d, struct bench_report *r)
{
    struct bench_line line = { .row = "steady-speed", .unit = "x speed", .rounds = DUELS,
                               .sense = BENCH_AT_LEAST, .limit = 0.95 };
    double ratios[DUELS];
    for (size_t i = 0; i < DUELS; i++)
        ratios[i] = d->fresh[i] / d->old[i];
    line.value = bench_median(ratios, DUELS);
    line.low = ratios[0];
    line.high = ratios[DUELS - 1];
    bench_format_move(bench_median(d->old, DUELS), 0, line.ours, sizeof line.ours);
    snprintf(line.reference, sizeof line.reference, "a fresh pair: %.3g us",
             bench_median(d->fresh, DUELS) * 1e6);
    bench_report_line(r, &line);
}

void bench_run_steady(const struct bench_plan *plan, struct bench_report *r)
{
    size_t ops = ORDER_OPS, goal = plan->quick ? 400000 : 1000000;
    struct bench_pair old = { 0 }, fresh = { 0 };
    struct bench_answer before[2], after[2] = { { 0 } };
    struct duel duel;
    if (bench_pair_start(&old, plan->pin) < 0 || order_churn(&old, before) < 0)
        goto fail;
    for (; ops + DUELS * ORDER_OPS < goal; ops += ORDER_OPS)
        if (order_churn(&old, after) < 0)
            goto fail;
    if (bench_pair_start(&fresh, plan->pin) < 0 || fight(&old, &fresh, &duel, after) < 0)
        goto fail;
    ops += DUELS * ORDER_OPS;
    report_growth(before, after, ops, r);
    report_duel(&duel, r);
    goto out;
fail:
    bench_report_gap(r, "steady", after[0].failed ? after[0].text : "the processes failed", 1);
out:
    bench_pair_stop(&fresh);
    bench_pair_stop(&old);
}

/* ---- system calls ------------------------------------------------------- */
int bench_churn(size_t ops, int pin)
{
    struct bench_pair p;
    struct bench_answer answers[2];
    int r = bench_pair_start(&p, pin);
    for (size_t done = 0; r == 0 && done < ops; done += ORDER_OPS)
        r = order_churn(&p, answers);
    if (r == 0)
        bench_pair_stop(&p);
    return r;
}

/* Who counts system calls. The kernel's own counter disturbs nobody. strace stops a thread
 * at each of its calls, for longer than a peer spins by default: the peer would fall asleep and have
 * to be rung, which makes more calls. So there the connectors spin for longer than that stop. */
static const struct counter {
    const char *row, *tool, *spin_us;
    const char *argv[8];
    const char *mark, *format; /* the line with the sum has mark in it */
} counters[] = {
    { "syscalls", "perf", "0", { "perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o" }, "sys_enter", "%lf" },
    { "syscalls-strace", "strace", "5000", { "strace", "-f", "-qq", "-c", "-o" }, " total", "%*f %*f %*f %lf" },
};

static void become_counter(const struct counter *c, char *path, size_t ops, int pin)
{
    char self[512], count[24], *argv[16] = { 0 };
    size_t n = 0;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0)
        _exit(126);
    self[len] = 0;
    snprintf(count, sizeof count, "%zu", ops);
    for (; c->argv[n]; n++)
        argv[n] = (char *)c->argv[n];
    argv[n++] = path;
    argv[n++] = self;
    argv[n++] = "--churn";
    argv[n++] = count;
    argv[n++] = "--spin";
    argv[n++] = (char *)c->spin_us;
    argv[n++] = pin ? NULL : "--no-pin";
    freopen("/dev/null", "w", stderr);
    execvp(argv[0], argv);
    _exit(127);
}

/* Runs ops operations under the counter and takes the sum from what it wrote. */
static int count_calls(const struct counter *c, size_t ops, int pin, double *ret_calls)
{
    char path[] = "/tmp/nxc-bench-XXXXXX", line[256];
    int fd = mkstemp(path), found = 0, status;
    if (fd < 0)
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become_counter(c, path, ops, pin);
    int ran = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    FILE *f = fopen(path, "re"); /* anew: perf writes a file of its own */
    while (ran && f && !found && fgets(line, sizeof line, f))
        found = strstr(line, c->mark) && sscanf(line, c->format, ret_calls) == 1;
    if (f)
        fclose(f);
    close(fd);
    unlink(path);
    return found ? 0 : -1;
}

void bench_run_syscalls(const struct bench_plan *plan, struct bench_report *r)
{
    size_t ops = plan->quick ? 20000 : 100000;
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        const struct counter *c = &counters[i];
        struct bench_line line = { .row = c->row, .unit = " per op", .rounds = 1,
                                   .sense = BENCH_AT_MOST, .limit = 0.1 };
        char why[96];
        double once, twice;
        if (count_calls(c, ops, plan->pin, &once) < 0 || count_calls(c, 2 * ops, plan->pin, &twice) < 0) {
            snprintf(why, sizeof why, "could not be counted: %s is missing or not allowed here", c->tool);
            bench_report_gap(r, line.row, why, 0);
            continue;
        }
        line.value = (twice - once) / (double)ops;
        snprintf(line.ours, sizeof line.ours, "%.0f calls", twice - once);
        snprintf(line.reference, sizeof line.reference, "%zu operations", ops);
        bench_report_line(r, &line);
    }
}
