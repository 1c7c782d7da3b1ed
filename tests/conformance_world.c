/* SPDX-License-Identifier: Apache-2.0 */
/* The sides of a conformance test: what their fabrics tell is written down, and
 * they are driven as progress.c drives them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/conformance.h"

#include <string.h>
#include <unistd.h>

static const struct conformance_kind *kind;

/* ---- events -------------------------------------------------------------- */

static void on_up(void *arg, struct nxi_link *l, uint64_t now)
{
    struct side *s = arg;
    (void)now;
    assert_true(s->ups < MAX_LINKS);
    s->links[s->ups++] = l;
    if (s->close_on_up)
        l->fabric->ops->close(l);
}

static int on_header(void *arg, struct nxi_link *l, const uint8_t *header, size_t header_len, uint64_t payload_len,
                     uint64_t now)
{
    struct side *s = arg;
    (void)now;
    assert_null(l->sink.descs);
    assert_in_range(header_len, 1, NXI_HEADER_MAX);
    if (s->refuse_header)
        return s->refuse_header;
    if (s->n_frames == s->cap_frames) {
        s->cap_frames = s->cap_frames * 2 + 16;
        s->frames = realloc(s->frames, s->cap_frames * sizeof *s->frames);
        assert_non_null(s->frames);
    }
    struct frame_in *f = &s->frames[s->n_frames++];
    *f = (struct frame_in){ .header_len = header_len, .payload_len = payload_len, .whole = payload_len == 0 };
    memcpy(f->header, header, header_len);
    if (payload_len && s->sink.descs) {
        l->sink = s->sink;
    } else if (payload_len && !s->scrap) {
        /* A descriptor that the cursor can point to lies before its buffer. */
        struct nxc_desc *d = malloc(sizeof *d + payload_len);
        assert_non_null(d);
        f->payload = (uint8_t *)(d + 1);
        *d = nxc_desc_host(f->payload, payload_len);
        l->sink = nxi_cursor_at(d, 1);
    }
    if (s->close_on_header)
        l->fabric->ops->close(l);
    return 0;
}

static int on_payload(void *arg, struct nxi_link *l, uint64_t now)
{
    struct side *s = arg;
    (void)l;
    (void)now;
    assert_true(s->n_frames > 0);
    assert_false(s->frames[s->n_frames - 1].whole);
    s->frames[s->n_frames - 1].whole = true;
    return s->refuse_payload;
}

static void on_sent(void *arg, struct nxi_link *l, void *token, uint64_t now)
{
    struct side *s = arg;
    (void)l;
    (void)now;
    s->sents++;
    s->sent_token = token;
}

static void on_writable(void *arg, struct nxi_link *l, uint64_t now)
{
    struct side *s = arg;
    (void)l;
    (void)now;
    s->writables++;
}

static void on_down(void *arg, struct nxi_link *l, int code, const char *text, uint64_t now)
{
    struct side *s = arg;
    (void)now;
    assert_non_null(text);
    assert_true(code < 0);
    s->downs++;
    s->down_code = code;
    for (size_t i = 0; i < MAX_LINKS; i++)
        if (s->links[i] == l)
            s->links[i] = NULL;
}

static const struct nxi_fabric_events events = {
    .up = on_up,
    .header = on_header,
    .payload = on_payload,
    .sent = on_sent,
    .writable = on_writable,
    .down = on_down,
};

/* ---- sides --------------------------------------------------------------- */

uint64_t world_now(const struct world *w)
{
    return w->kind->now ? w->kind->now() : nxi_now();
}

static int side_open(struct side *s, unsigned number, int epfd)
{
    s->env = (struct nxi_fabric_env){ .epfd = -1, .timers = &s->timers, .keepalive_ms = 1000 + number,
                                      .connect_ms = 2000, .listen = "127.0.0.1" };
    /* Other tests run at the same time: instances are names on this host. */
    uint64_t id = nxi_now();
    memcpy(s->env.instance, &id, sizeof id);
    uint32_t more[2] = { (uint32_t)getpid(), number };
    memcpy(s->env.instance + sizeof id, more, sizeof more);
    memset(s->env.link_key, 0x40 + (int)number, NXI_LINK_KEY_LEN);
    if (!kind->now) {
        struct epoll_event e = { .events = EPOLLIN };
        s->env.epfd = epoll_create1(EPOLL_CLOEXEC);
        assert_true(s->env.epfd >= 0);
        assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, s->env.epfd, &e), 0);
    }
    return kind->open(s, number);
}

struct side *world_add(struct world *w)
{
    struct side *s = &w->sides[w->n];
    assert_int_equal(side_open(s, w->n++, w->epfd), 0);
    s->fabric->events = &events;
    s->fabric->arg = s;
    s->entry = (struct nxi_entry){ .version = NXI_PROTOCOL, .version_min = NXI_PROTOCOL_MIN };
    memcpy(s->entry.instance, s->env.instance, NXI_INSTANCE_LEN);
    memcpy(s->entry.link_key, s->env.link_key, NXI_LINK_KEY_LEN);
    assert_true(s->fabric->ops->addrs(s->fabric, &s->entry) >= 0);
    assert_true(s->entry.n >= 1);
    return s;
}

void side_free(struct side *s)
{
    if (s->fabric) {
        s->fabric->ops->free(s->fabric);
        assert_int_equal(s->timers.n, 0);
        assert_int_equal(s->timers.reserved, 0);
    }
    s->fabric = NULL;
    nxi_timers_free(&s->timers);
    if (s->env.epfd >= 0)
        close(s->env.epfd);
    s->env.epfd = -1;
    for (size_t i = 0; i < s->n_frames; i++)
        if (s->frames[i].payload)
            free(s->frames[i].payload - sizeof(struct nxc_desc));
    free(s->frames);
    s->frames = NULL;
    s->n_frames = s->cap_frames = 0;
}

struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->kind = kind;
    w->epfd = kind->now ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (kind->begin)
        kind->begin();
    world_add(w);
    world_add(w);
    return w;
}

void world_free(struct world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        side_free(&w->sides[i]);
    if (w->epfd >= 0)
        close(w->epfd);
    if (kind->end)
        kind->end();
    free(w);
}

/* ---- driving ------------------------------------------------------------- */

static int dispatch(struct side *s, uint64_t now)
{
    struct epoll_event batch[16];
    int                n = s->env.epfd < 0 ? 0 : epoll_wait(s->env.epfd, batch, 16, 0);
    for (int i = 0; i < n; i++) {
        struct nxi_watch *watch = batch[i].data.ptr;
        watch->fn(watch, batch[i].events, now);
    }
    return n > 0 ? n : 0;
}

static int drive(struct world *w)
{
    int moved = 0;
    for (unsigned i = 0; i < w->n; i++) {
        struct side *s = &w->sides[i];
        if (s->still || !s->fabric)
            continue;
        uint64_t now = world_now(w);
        moved += dispatch(s, now) > 0;
        moved += s->fabric->ops->poll(s->fabric, now);
        moved += (int)nxi_timers_run(&s->timers, now);
    }
    return moved;
}

/* Sleeps as a driver does: says so first, looks once more, waits for an event. */
static void wait_really(struct world *w, uint64_t timer)
{
    bool busy = false;
    for (unsigned i = 0; i < w->n; i++)
        if (!w->sides[i].still && w->sides[i].fabric)
            busy |= w->sides[i].fabric->ops->arm(w->sides[i].fabric);
    int      ms = 100;
    uint64_t now = world_now(w);
    if (timer != NXI_NEVER && timer < now + 100 * NXI_MS)
        ms = timer > now ? (int)((timer - now) / NXI_MS) + 1 : 0;
    struct epoll_event e;
    int                n = busy ? 1 : epoll_wait(w->epfd, &e, 1, ms);
    for (unsigned i = 0; i < w->n; i++)
        if (!w->sides[i].still && w->sides[i].fabric)
            w->sides[i].fabric->ops->wake(w->sides[i].fabric);
    /* Nothing woke us and no timer is due, so there must be nothing. */
    if (n == 0 && world_now(w) < timer && drive(w) > 0)
        fail_msg("slept over work that was to be done");
}

void world_step(struct world *w)
{
    if (drive(w) > 0)
        return;
    uint64_t timer = NXI_NEVER;
    for (unsigned i = 0; i < w->n; i++)
        if (!w->sides[i].still && nxi_timers_next(&w->sides[i].timers) < timer)
            timer = nxi_timers_next(&w->sides[i].timers);
    if (!kind->pass)
        wait_really(w, timer);
    else if (!kind->pass(timer))
        fail_msg("nothing will ever happen");
}

void world_connect(struct world *w, struct side *from, struct side *to)
{
    struct nxi_link *l;
    unsigned         ups[2] = { from->ups, to->ups };
    assert_int_equal(from->fabric->ops->connect(from->fabric, &to->entry, w, world_now(w), &l), 0);
    assert_ptr_equal(l->owner, w);
    UNTIL(w, from->ups > ups[0] && to->ups > ups[1]);
    assert_ptr_equal(from->links[ups[0]], l);
}

/* ---- sending, for tests ------------------------------------------------------ */

struct world *world_connected(void)
{
    struct world *w = world_new();
    world_connect(w, A, B);
    return w;
}

uint8_t *make_pattern(size_t len, unsigned seed)
{
    uint8_t *p = malloc(len + 1);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(seed + i * 7 + (i >> 8) * 13 + (i >> 16));
    return p;
}

int link_send(struct world *w, struct nxi_link *l, uint8_t tag, uint32_t number, const void *payload, size_t len,
              void *token)
{
    uint8_t header[8] = { tag };
    memcpy(header + 4, &number, sizeof number);
    struct nxc_desc   desc = nxc_desc_host((void *)(uintptr_t)payload, len);
    struct nxi_cursor cursor = nxi_cursor_at(&desc, 1);
    struct nxi_frame  f = { header, sizeof header, len ? &cursor : NULL, len, token };
    enum nxi_send_mode mode = tag == TAG_LENT    ? NXI_SEND_LEND
                              : tag == TAG_REPLY ? NXI_SEND_REPLY
                                                 : NXI_SEND_WHOLE;
    int r = l->fabric->ops->send(l, &f, mode, world_now(w));
    /* As a caller does that goes away without polling on. */
    if (number % 3 == 0 && l->fabric->ops->settle)
        l->fabric->ops->settle(l->fabric);
    return r;
}

void link_send_surely(struct world *w, struct side *s, struct nxi_link *l, uint8_t tag, uint32_t number,
                      const void *payload, size_t len)
{
    int      r;
    unsigned writables = s->writables;
    while ((r = link_send(w, l, tag, number, payload, len, NULL)) == NXC_EAGAIN) {
        UNTIL(w, s->writables > writables);
        writables = s->writables;
    }
    assert_true(r >= 0);
}

uint32_t frame_number(const struct frame_in *f)
{
    uint32_t n;
    memcpy(&n, f->header + 4, sizeof n);
    return n;
}

bool side_has_all(const struct side *s, size_t n)
{
    return s->n_frames >= n && s->frames[s->n_frames - 1].whole;
}

int link_try_lend(struct world *w, struct nxi_link *l, const struct nxc_desc *descs, size_t n, size_t len,
                  void *token)
{
    uint8_t           header[8] = { TAG_LENT };
    struct nxi_cursor cursor = nxi_cursor_at(descs, n);
    struct nxi_frame  f = { header, sizeof header, &cursor, len, token };
    return l->fabric->ops->send(l, &f, NXI_SEND_LEND, world_now(w));
}

int link_lend(struct world *w, struct side *s, struct nxi_link *l, const struct nxc_desc *descs, size_t n, size_t len,
              void *token)
{
    unsigned writables = s->writables;
    int      r;
    while ((r = link_try_lend(w, l, descs, n, len, token)) == NXC_EAGAIN) {
        UNTIL(w, s->writables > writables);
        writables = s->writables;
    }
    return r;
}

bool link_lend_until_under_way(struct world *w, struct nxi_link *l, const struct nxc_desc *desc, size_t *ret_n)
{
    int r;
    *ret_n = 0;
    while ((r = link_try_lend(w, l, desc, 1, desc->len, (void *)(uintptr_t)desc)) == 1) {
        ++*ret_n;
        assert_true(*ret_n * desc->len < (size_t)1 << 30);
    }
    if (l->copies)
        assert_int_equal(r, NXC_EAGAIN);
    return r == 0;
}

void link_lend_surely(struct world *w, struct side *s, struct nxi_link *l, const void *payload, size_t len)
{
    struct nxc_desc desc = nxc_desc_host((void *)(uintptr_t)payload, len);
    unsigned        sents = s->sents;
    int             r = link_lend(w, s, l, &desc, 1, len, &desc);
    assert_in_range(r, 0, 1);
    if (r == 0) {
        assert_false(l->copies);
        UNTIL(w, s->sents == sents + 1);
        assert_ptr_equal(s->sent_token, &desc);
    }
}

size_t link_piece(const struct nxi_link *l)
{
    return l->piece_max < (1 << 20) ? l->piece_max : 1 << 20;
}

void world_settle(struct world *w)
{
    size_t frames[2] = { A->n_frames, B->n_frames };
    assert_int_equal(link_send(w, A->links[0], TAG_REPLY, 0, NULL, 0, NULL), 0);
    UNTIL(w, B->n_frames > frames[1]);
    assert_int_equal(link_send(w, B->links[0], TAG_REPLY, 0, NULL, 0, NULL), 0);
    UNTIL(w, A->n_frames > frames[0]);
}

/* ---- the suite ----------------------------------------------------------- */

extern const struct CMUnitTest conformance_tests[];
extern const size_t            conformance_tests_n;

int conformance_run(const struct conformance_kind *k)
{
    kind = k;
    alarm(120); /* a test can't wait for ever */
    struct side probe = { 0 };
    int         epfd = epoll_create1(EPOLL_CLOEXEC);
    if (kind->begin)
        kind->begin();
    int r = side_open(&probe, 0, epfd);
    if (r < 0)
        print_message("%s can't be tested here: %s\n", kind->name, nxc_err_detail());
    side_free(&probe);
    if (kind->end)
        kind->end();
    close(epfd);
    if (r == NXC_ENOTSUP)
        return 77;
    return _cmocka_run_group_tests(k->name, conformance_tests, conformance_tests_n, NULL, NULL);
}
