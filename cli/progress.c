/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

void progress_begin(struct progress *p, const char *verb, const char *name, uint64_t total, bool quiet)
{
    const char *slash = strrchr(name, '/');
    *p = (struct progress){ .name = slash ? slash + 1 : name, .quiet = quiet };
    p->bar = !quiet && isatty(STDERR_FILENO);
    if (!quiet && !p->bar) {
        char human[TEXT_SIZE];
        say("%s %s, %s", verb, name, text_size(total, human));
    }
}

/* " 41% 106 MiB 7.90 GB/s 0:03 shm": what stands right of the bar. */
static void describe(struct progress *p, uint64_t done, uint64_t total, const char *transport, char *buf, size_t cap)
{
    char human[TEXT_SIZE], speed[TEXT_SIZE];
    uint64_t now = now_ns();
    if (done == 0) {
        snprintf(buf, cap, "waiting");
        return;
    }
    if (!p->began) {
        p->began = now;
        p->first = done;
    }
    unsigned percent = total ? (unsigned)((double)done / (double)total * 100) : 100;
    int n = snprintf(buf, cap, "%3u%% %s ", percent, text_size(done, human));
    double rate = now > p->began ? (double)(done - p->first) * 1e9 / (double)(now - p->began) : 0;
    if (rate > 0) {
        double left = (double)(total - done) / rate;
        unsigned eta = left < 359999 ? (unsigned)left : 359999;
        n += snprintf(buf + n, cap - (size_t)n, "%s %u:%02u ", text_rate(rate, speed), eta / 60, eta % 60);
    }
    snprintf(buf + n, cap - (size_t)n, "%s", transport ? transport : "");
}

void progress_draw(struct progress *p, uint64_t done, uint64_t total, const char *transport)
{
    if (!p->bar)
        return;
    char right[160], name[33], bar[257];
    describe(p, done, total, transport, right, sizeof right);
    snprintf(name, sizeof name, "%s", p->name);
    text_clean(name); /* also what was cut through the middle of a character */

    size_t width = columns(), used = strlen(name) + strlen(right) + 5;
    size_t cells = width > used + 4 ? width - used : 4;
    if (cells > sizeof bar - 1)
        cells = sizeof bar - 1;
    size_t full = total ? (size_t)((double)done / (double)total * (double)cells) : cells;
    memset(bar, '#', full);
    memset(bar + full, '.', cells - full);
    bar[cells] = '\0';
    fprintf(stderr, "\r%s [%s] %s\033[K", name, bar, right);
}

void progress_clear(const struct progress *p)
{
    if (p->bar)
        fputs("\r\033[K", stderr);
}

void progress_end(const struct progress *p, uint64_t total, uint64_t ns, const char *transport)
{
    if (p->quiet)
        return;
    const char *over = transport ? transport : "no transport"; /* an op can have moved nothing */
    char speed[TEXT_SIZE];
    if (ns == 0)
        say("%s: %llu bytes over %s", p->name, (unsigned long long)total, over);
    else
        say("%s: %llu bytes in %.3f s, %s over %s", p->name, (unsigned long long)total, (double)ns / 1e9,
            text_rate((double)total * 1e9 / (double)ns, speed), over);
}
