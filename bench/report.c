/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>

void bench_format_move(double seconds, size_t size, char *buf, size_t cap)
{
    int n = seconds < 0.01 ? snprintf(buf, cap, "%.3g us", seconds * 1e6)
                           : snprintf(buf, cap, "%.3g ms", seconds * 1e3);
    if (size >= 4096 && (size_t)n < cap)
        snprintf(buf + n, cap - (size_t)n, " %.3g GB/s", (double)size / seconds * 1e-9);
}

/* Text from elsewhere, as a JSON string. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < 32 ? ' ' : *text);
    }
    putchar('"');
}

void bench_report_begin(struct bench_report *r, const char *facts)
{
    if (r->json) {
        printf("{ \"facts\": ");
        print_quoted(facts);
        printf(", \"rows\": [");
        return;
    }
    printf("%s\n", facts);
    printf("%-16s %-21s %-40s %-24s %-22s %s\n", "row", "nxconnect", "beside", "ratio (range)", "goal", "verdict");
}

/* How far the value is on the wrong side of a bound, in percent of the bound. */
static double shortfall(const struct bench_line *l, double bound)
{
    double gap = l->sense == BENCH_AT_MOST ? l->value - bound : bound - l->value;
    return bound > 0 ? gap / bound * 100 : gap > 0 ? 100 : 0;
}

static int is_met(const struct bench_line *l)
{
    return l->sense == BENCH_SHOWN || shortfall(l, l->limit) <= 0;
}

static void print_verdict(const struct bench_line *l)
{
    if (l->sense == BENCH_SHOWN)
        return;
    if (!is_met(l))
        printf("NOT MET by %.3g %%", shortfall(l, l->limit));
    else if (l->aim > 0 && shortfall(l, l->aim) > 0)
        printf("met; aim missed by %.3g %%", shortfall(l, l->aim));
    else
        printf("met");
}

static void print_text(const struct bench_line *l)
{
    char value[64], goal[64] = "";
    if (l->rounds > 1)
        snprintf(value, sizeof value, "%.3g%s (%.3g-%.3g)", l->value, l->unit, l->low, l->high);
    else
        snprintf(value, sizeof value, "%.3g%s", l->value, l->unit);
    if (l->sense != BENCH_SHOWN && l->aim > 0)
        snprintf(goal, sizeof goal, "%s %g, aim %g", l->sense == BENCH_AT_MOST ? "<=" : ">=", l->limit, l->aim);
    else if (l->sense != BENCH_SHOWN)
        snprintf(goal, sizeof goal, "%s %g", l->sense == BENCH_AT_MOST ? "<=" : ">=", l->limit);
    printf("%-16s %-21s %-40s %-24s %-22s ", l->row, l->ours, l->reference, value, goal);
    print_verdict(l);
    printf("\n");
}

static void print_json(const struct bench_line *l, int first)
{
    static const char *const senses[] = { "shown", "at most", "at least" };
    printf("%s\n  { \"row\": \"%s\", \"nxconnect\": \"%s\", \"beside\": \"%s\", \"value\": %.6g, "
           "\"low\": %.6g, \"high\": %.6g, \"unit\": \"%s\", \"rounds\": %zu, \"goal\": \"%s\"",
           first ? "" : ",", l->row, l->ours, l->reference, l->value, l->low, l->high, l->unit,
           l->rounds, senses[l->sense]);
    if (l->sense != BENCH_SHOWN)
        printf(", \"limit\": %g, \"aim\": %g, \"met\": %s", l->limit, l->aim, is_met(l) ? "true" : "false");
    printf(" }");
}

void bench_report_line(struct bench_report *r, const struct bench_line *line)
{
    if (r->json)
        print_json(line, r->lines == 0);
    else
        print_text(line);
    fflush(stdout);
    r->lines++;
    r->missed += !is_met(line);
}

void bench_report_way(struct bench_report *r, const char *row, const char *way,
                      double seconds, const char *figure, const char *note)
{
    if (r->json)
        printf("%s\n  { \"row\": \"%s\", \"way\": \"%s\", \"seconds\": %.6g, \"note\": \"%s\" }",
               r->lines ? "," : "", row, way, seconds, note);
    else
        printf("  %-20s %-24s %s\n", way, figure, note);
    r->lines++;
}

void bench_report_gap(struct bench_report *r, const char *row, const char *why, int broken)
{
    if (r->json) {
        printf("%s\n  { \"row\": \"%s\", \"gap\": ", r->lines ? "," : "", row);
        print_quoted(why);
        printf(" }");
    } else {
        printf("%-16s %s\n", row, why);
    }
    fflush(stdout);
    r->lines++;
    r->missed += broken != 0;
}

void bench_report_end(struct bench_report *r)
{
    if (r->json)
        printf("\n], \"missed\": %zu }\n", r->missed);
    else
        printf("%zu lines, %zu goals missed\n", r->lines, r->missed);
}
