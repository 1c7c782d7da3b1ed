/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/shm_two.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t worker_clock(const struct worker *w)
{
    return nxi_now() + w->skew;
}

static void on_up(void *arg, struct nxi_link *l, uint64_t now)
{
    struct worker *w = arg;
    assert_true(now > 0);
    w->link = l;
    w->ups++;
}

static int on_header(void *arg, struct nxi_link *l, const uint8_t *header, size_t len, uint64_t payload_len,
                     uint64_t now)
{
    struct worker *w = arg;
    w->headers++;
    memcpy(w->header, header, len);
    w->header_len = len;
    w->payload_len = payload_len;
    if (w->close_in_header) {
        w->f->ops->close(l);
        return 0;
    }
    if (w->n_sinks)
        l->sink = nxi_cursor_at(w->sinks, w->n_sinks);
    if (w->answer) {
        struct nxi_frame frame = { .header = header, .header_len = len };
        int              r = w->f->ops->send(l, &frame, NXI_SEND_REPLY, now);
        assert_true(r == 0 || r == NXC_EPEER);
    }
    return w->refuse;
}

static int on_payload(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)l, (void)now;
    ((struct worker *)arg)->payloads++;
    return 0;
}

static void on_sent(void *arg, struct nxi_link *l, void *token, uint64_t now)
{
    (void)arg, (void)l, (void)token, (void)now;
    fail_msg("nothing is lent over shm");
}

static void on_writable(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)l, (void)now;
    ((struct worker *)arg)->writables++;
}

static void on_down(void *arg, struct nxi_link *l, int code, const char *text, uint64_t now)
{
    struct worker *w = arg;
    (void)l, (void)now;
    w->downs++;
    w->down_code = code;
    snprintf(w->down_text, sizeof w->down_text, "%s", text);
    w->link = NULL;
}

void worker_open(struct worker *w, uint8_t name)
{
    memset(w, 0, sizeof *w);
    memset(w->env.instance, name, sizeof w->env.instance);
    pid_t pid = getpid(); /* the same test may run twice at a time */
    memcpy(w->env.instance, &pid, sizeof pid);
    memset(w->env.link_key, name + 1, sizeof w->env.link_key);
    w->env.epfd = epoll_create1(EPOLL_CLOEXEC);
    w->env.timers = &w->timers;
    w->env.keepalive_ms = 1000u * name;
    w->env.connect_ms = 5000;
    w->events = (struct nxi_fabric_events){ on_up, on_header, on_payload, on_sent, on_writable, on_down };
    assert_int_equal(nxi_shm_open(&w->env, &w->f), 0);
    w->f->events = &w->events;
    w->f->arg = w;
    memcpy(w->entry.instance, w->env.instance, sizeof w->entry.instance);
    memcpy(w->entry.link_key, w->env.link_key, sizeof w->entry.link_key);
    assert_int_equal(w->f->ops->addrs(w->f, &w->entry), 0);
}

void worker_close(struct worker *w)
{
    if (w->f)
        w->f->ops->free(w->f);
    assert_int_equal(w->timers.n, 0);
    assert_int_equal(w->timers.reserved, 0);
    nxi_timers_free(&w->timers);
    close(w->env.epfd);
}

void worker_drive(struct worker *w)
{
    struct epoll_event e[16];
    if (!w)
        return;
    uint64_t now = worker_clock(w);
    int      n = epoll_wait(w->env.epfd, e, 16, 0);
    for (int i = 0; i < n; i++) {
        struct nxi_watch *watch = e[i].data.ptr;
        watch->fn(watch, e[i].events, now);
    }
    nxi_timers_run(&w->timers, now);
    w->f->ops->poll(w->f, now);
}

int two_open(void **state)
{
    struct two *t = test_calloc(1, sizeof *t);
    worker_open(&t->a, 1);
    worker_open(&t->b, 2);
    t->from = test_malloc(BIG);
    t->to = test_calloc(1, BIG);
    for (size_t i = 0; i < BIG; i++)
        t->from[i] = (uint8_t)(i * 2654435761u >> 13);
    *state = t;
    return 0;
}

int two_close(void **state)
{
    struct two *t = *state;
    worker_close(&t->a);
    worker_close(&t->b);
    test_free(t->from);
    test_free(t->to);
    test_free(t);
    return 0;
}

struct nxi_link *two_link(struct two *t)
{
    struct nxi_link *l;
    assert_int_equal(t->a.f->ops->connect(t->a.f, &t->b.entry, t, worker_clock(&t->a), &l), 0);
    DRIVE_UNTIL(&t->a, &t->b, t->a.ups == 1 && t->b.ups == 1);
    assert_ptr_equal(t->a.link, l);
    return l;
}

int worker_send(struct worker *w, const char *header, struct nxi_cursor *payload, size_t len,
                enum nxi_send_mode mode)
{
    struct nxi_frame frame = { header, strlen(header) + 1, payload, len, NULL };
    return w->f->ops->send(w->link, &frame, mode, worker_clock(w));
}

bool worker_has_bell(const struct worker *w)
{
    struct epoll_event e;
    return epoll_wait(w->env.epfd, &e, 1, 0) == 1;
}
