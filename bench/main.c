/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char usage[] =
    "usage: nxc-bench [--quick] [--json] [--only ROW] [--rounds N] [--ways] [--no-pin]\n"
    "Measures nxconnect beside raw UCX and the floors of this machine.\n"
    "  --quick    half a minute: no 1 GiB, a shorter steady run\n"
    "  --json     for programs\n"
    "  --only ROW rows whose name begins with ROW, such as shm-64k, tcp, waiting\n"
    "  --rounds N rounds of each row; default 5\n"
    "  --ways     every contender's time, not only the best of UCX\n"
    "  --no-pin   let the scheduler place the two processes\n";

static int is_chosen(const struct bench_plan *plan, const char *name)
{
    return !plan->only || strncmp(name, plan->only, strlen(plan->only)) == 0;
}

/* "AMD EPYC, 2 processors, load 0.1, Linux 6.1, UCX 1.13.1, 5 rounds, pinned". With
 * more load than a few tenths the figures tell of the load. */
static void state_facts(const struct bench_plan *plan, char *buf, size_t cap)
{
    char line[256], model[128] = "unknown processor";
    struct utsname u = { 0 };
    double load = 0;
    const char *ucx = bench_ucx_version();
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "model name : %127[^\n]", model) == 1)
            break;
    if (f)
        fclose(f);
    uname(&u);
    getloadavg(&load, 1);
    snprintf(buf, cap, "%s, %ld processors, load %.1f, Linux %s, UCX %s, %zu rounds%s%s", model,
             sysconf(_SC_NPROCESSORS_ONLN), load, u.release, ucx ? ucx : "not here", plan->rounds,
             plan->pin ? ", pinned" : "", plan->quick ? ", quick" : "");
}

static void run_all(const struct bench_plan *plan, struct bench_report *r)
{
    struct bench_pair pair = { 0 };
    for (size_t i = 0; i < bench_row_count; i++) {
        const struct bench_row *row = &bench_rows[i];
        if (is_chosen(plan, row->name) && !(plan->quick && row->slow))
            bench_run_row(row, plan, &pair, r);
    }
    bench_pair_stop(&pair);
    if (is_chosen(plan, "steady"))
        bench_run_steady(plan, r);
    if (is_chosen(plan, "syscalls"))
        bench_run_syscalls(plan, r);
}

int main(int argc, char **argv)
{
    enum { QUICK = 1, JSON, ONLY, ROUNDS, WAYS, NO_PIN, CHURN, SPIN, HELP };
    static const struct option options[] = {
        { "quick", no_argument, NULL, QUICK },   { "json", no_argument, NULL, JSON },
        { "only", required_argument, NULL, ONLY }, { "rounds", required_argument, NULL, ROUNDS },
        { "ways", no_argument, NULL, WAYS },     { "no-pin", no_argument, NULL, NO_PIN },
        { "churn", required_argument, NULL, CHURN }, { "spin", required_argument, NULL, SPIN },
        { "help", no_argument, NULL, HELP },       { 0 },
    };
    struct bench_plan plan = { .rounds = 5, .pin = 1 };
    struct bench_report report = { 0 };
    size_t churn = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case QUICK: plan.quick = 1; break;
        case JSON: report.json = 1; break;
        case ONLY: plan.only = optarg; break;
        case ROUNDS: plan.rounds = strtoul(optarg, NULL, 10); break;
        case WAYS: plan.ways = 1; break;
        case NO_PIN: plan.pin = 0; break;
        case CHURN: churn = strtoul(optarg, NULL, 10); break;
        case SPIN: bench_ours_spin_us = (uint32_t)strtoul(optarg, NULL, 10); break;
        case HELP: fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind < argc || plan.rounds == 0) {
        fputs(usage, stderr);
        return 2;
    }
    if (churn > 0)
        return bench_churn(churn, plan.pin) < 0;
    char facts[512];
    state_facts(&plan, facts, sizeof facts);
    bench_report_begin(&report, facts);
    run_all(&plan, &report);
    bench_report_end(&report);
    return 0;
}
