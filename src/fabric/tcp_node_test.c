/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "fabric/tcp_node_test.h"

uint64_t test_later;

uint64_t test_now(void)
{
    return nxi_now() + test_later;
}

/* ---- events -------------------------------------------------------------- */

static void on_up(void *arg, struct nxi_link *l, uint64_t now)
{
    struct node *n = arg;
    (void)now;
    n->link = l;
    n->ups++;
    if (n->close_at_up)
        l->fabric->ops->close(l);
}

static int on_header(void *arg, struct nxi_link *l, const uint8_t *header, size_t header_len, uint64_t payload_len,
                     uint64_t now)
{
    struct node *n = arg;
    static char bytes[NXI_TCP_EAGER_MAX];
    if (n->frames < TEST_LOG) {
        memcpy(n->headers[n->frames], header, header_len);
        n->header_lens[n->frames] = header_len;
        n->payload_lens[n->frames] = payload_len;
    }
    n->frames++;
    assert_null(l->sink.descs);
    if (n->answer < 0)
        return nxi_fail(n->answer, "refused by the test");
    if (payload_len && n->sink[0].len)
        l->sink = nxi_cursor_at(n->sink, 2);
    if (n->reply) {
        struct nxc_desc d = nxc_desc_host(bytes, n->reply);
        struct nxi_cursor c = nxi_cursor_at(&d, 1);
        struct nxi_frame f = { "reply", 5, &c, n->reply, NULL };
        int r = l->fabric->ops->send(l, &f, NXI_SEND_REPLY, now);
        assert_true(r == 0 || r == NXC_EPEER);
    }
    return 0;
}

static int on_payload(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)l, (void)now;
    ((struct node *)arg)->payloads++;
    return 0;
}

static void on_sent(void *arg, struct nxi_link *l, void *token, uint64_t now)
{
    struct node *n = arg;
    (void)l, (void)now;
    n->sents++;
    n->sent_token = token;
}

static void on_writable(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)l, (void)now;
    ((struct node *)arg)->writables++;
}

static void on_down(void *arg, struct nxi_link *l, int code, const char *text, uint64_t now)
{
    struct node *n = arg;
    (void)now;
    if (n->link == l)
        n->link = NULL;
    n->downs++;
    n->down_code = code;
    snprintf(n->down_text, sizeof n->down_text, "%s", text);
}

static const struct nxi_fabric_events events = {
    .up = on_up,
    .header = on_header,
    .payload = on_payload,
    .sent = on_sent,
    .writable = on_writable,
    .down = on_down,
};

/* ---- nodes --------------------------------------------------------------- */

void node_open_at(struct node *n, const char *listen, char name)
{
    memset(n, 0, sizeof *n);
    n->env.epfd = epoll_create1(EPOLL_CLOEXEC);
    n->env.timers = &n->timers;
    memset(n->env.instance, name, sizeof n->env.instance);
    memset(n->env.link_key, name + 1, sizeof n->env.link_key);
    n->env.keepalive_ms = name == 'a' ? 4000 : 3000;
    n->env.connect_ms = 5000;
    n->env.listen = listen;
    assert_int_equal(nxi_tcp_open(&n->env, &n->fabric), 0);
    n->fabric->events = &events;
    n->fabric->arg = n;
    memcpy(n->entry.instance, n->env.instance, NXI_INSTANCE_LEN);
    memcpy(n->entry.link_key, n->env.link_key, NXI_LINK_KEY_LEN);
    assert_int_equal(n->fabric->ops->addrs(n->fabric, &n->entry), 0);
}

void node_open(struct node *n, char name)
{
    node_open_at(n, "127.0.0.1", name);
}

void node_free(struct node *n)
{
    n->fabric->ops->free(n->fabric);
    assert_int_equal(n->timers.reserved, 0);
    assert_int_equal(n->timers.n, 0);
    nxi_timers_free(&n->timers);
    close(n->env.epfd);
}

void node_step(struct node *n)
{
    struct epoll_event e[16];
    int r = epoll_wait(n->env.epfd, e, 16, 0);
    for (int i = 0; i < r; i++) {
        struct nxi_watch *w = e[i].data.ptr;
        w->fn(w, e[i].events, test_now());
    }
    nxi_timers_run(&n->timers, test_now());
    n->fabric->ops->poll(n->fabric, test_now());
}

void nodes_link(struct node *a, struct node *b, struct nxi_link **ret_a, struct nxi_link **ret_b)
{
    struct nxi_link *l;
    unsigned ups_a = a->ups, ups_b = b->ups;
    assert_int_equal(a->fabric->ops->connect(a->fabric, &b->entry, a, test_now(), &l), 0);
    STEP_UNTIL(a->ups > ups_a && b->ups > ups_b, a, b);
    assert_ptr_equal(a->link, l);
    assert_ptr_equal(l->owner, a);
    *ret_a = l;
    *ret_b = b->link;
}

int node_send(struct nxi_link *l, const char *header, void *payload, size_t len, enum nxi_send_mode mode)
{
    struct nxc_desc d = nxc_desc_host(payload, len);
    /* Whoever lends keeps the descriptors too; one lent frame at a time. */
    static struct nxc_desc lent;
    if (mode == NXI_SEND_LEND)
        lent = d;
    struct nxi_cursor c = nxi_cursor_at(mode == NXI_SEND_LEND ? &lent : &d, 1);
    struct nxi_frame f = { header, strlen(header), len ? &c : NULL, len, payload };
    return l->fabric->ops->send(l, &f, mode, test_now());
}

void shrink(struct nxi_link *l)
{
    int fd = nxi_tcp_of(l, struct nxi_tcp_link, link)->fd, size = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* ---- plain sockets ------------------------------------------------------- */

int plain_socket(const struct node *n)
{
    const union nxi_tcp_addr *a = &nxi_tcp_of(n->fabric, struct nxi_tcp, fabric)->listeners[0].addr;
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &a->any, nxi_tcp_addr_len(a)), 0);
    return fd;
}

size_t plain_read(struct node *n, int fd, void *buf, size_t len)
{
    size_t at = 0;
    for (uint64_t end = nxi_now() + 10 * NXI_SEC; at < len && nxi_now() < end;) {
        node_step(n);
        ssize_t r = recv(fd, (char *)buf + at, len - at, MSG_DONTWAIT);
        if (r > 0)
            at += (size_t)r;
        else if (r == 0 || errno != EAGAIN)
            break;
    }
    return at;
}

int plain_link(struct node *n)
{
    struct nxi_greet g;
    uint8_t buf[NXI_GREET_OUT];
    size_t used;
    unsigned ups = n->ups;
    int fd = plain_socket(n);
    nxi_greet_start(&g, true, n->env.instance, n->env.link_key, 5000, NULL);
    assert_int_equal(send(fd, buf, nxi_greet_output(&g, buf), 0), NXI_HELLO_LEN);
    assert_int_equal(plain_read(n, fd, buf, sizeof buf), sizeof buf);
    assert_int_equal(nxi_greet_input(&g, buf, sizeof buf, &used), 1);
    assert_int_equal(send(fd, buf, nxi_greet_output(&g, buf), 0), NXI_MAC_LEN);
    STEP_UNTIL(n->ups > ups, n);
    return fd;
}
