/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void bench_fail(struct bench_side *s, const char *format, ...)
{
    struct bench_answer answer = { .failed = 1 };
    va_list args;
    va_start(args, format);
    vsnprintf(answer.text, sizeof answer.text, format, args);
    va_end(args);
    (void)!send(s->order_fd, &answer, sizeof answer, MSG_NOSIGNAL);
    _exit(1);
}

void bench_meet(struct bench_side *s, void (*idle)(void *arg), void *arg)
{
    uint64_t mine = ++s->meetings;
    atomic_store_explicit(&s->page->of[s->me].meetings, mine, memory_order_release);
    while (atomic_load_explicit(&s->page->of[!s->me].meetings, memory_order_acquire) < mine) {
        if (idle)
            idle(arg);
        else
            nxi_relax();
    }
}

void bench_post(struct bench_side *s, const void *data, size_t len)
{
    struct bench_box *box = &s->page->box[!s->me];
    if (len == 0 || len > sizeof box->data)
        bench_fail(s, "a message of %zu bytes does not fit the box", len);
    while (atomic_load_explicit(&box->len, memory_order_acquire) != 0)
        nxi_relax();
    memcpy(box->data, data, len);
    atomic_store_explicit(&box->len, (uint32_t)len, memory_order_release);
}

size_t bench_collect(struct bench_side *s, void *buf, size_t cap)
{
    struct bench_box *box = &s->page->box[s->me];
    uint32_t len;
    while ((len = atomic_load_explicit(&box->len, memory_order_acquire)) == 0)
        nxi_relax();
    if (len > cap)
        bench_fail(s, "a message of %u bytes is longer than the %zu expected", len, cap);
    memcpy(buf, box->data, len);
    atomic_store_explicit(&box->len, 0, memory_order_release);
    return len;
}
