/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "fabric/tcp_node_test.h"

static int parse(const char *text, struct nxi_tcp_place *p)
{
    return nxi_tcp_place_parse(text, strlen(text), p);
}

static void test_places_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *device, *addr;
        uint16_t    min, max;
    } good[] = {
        { "eth0", "eth0", NULL, 0, 0 },
        { "eth0:7000", "eth0", NULL, 7000, 7000 },
        { "br-lan.7:7000-7100", "br-lan.7", NULL, 7000, 7100 },
        { "192.0.2.7", "", "192.0.2.7:0", 0, 0 },
        { "192.0.2.7:1-65535", "", "192.0.2.7:0", 1, 65535 },
        { "0.0.0.0:7000", "", "0.0.0.0:0", 7000, 7000 },
        { "[fd00::2]:7000", "", "[fd00::2]:0", 7000, 7000 },
        { "[::]", "", "[::]:0", 0, 0 },
        { "fd00::2", "", "[fd00::2]:0", 0, 0 },
        { "::1", "", "[::1]:0", 0, 0 },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct nxi_tcp_place p;
        char text[NXI_TCP_ADDR_TEXT];
        assert_int_equal(parse(good[i].text, &p), 0);
        assert_string_equal(p.device, good[i].device);
        if (good[i].addr)
            assert_string_equal(nxi_tcp_addr_text(&p.addr, text), good[i].addr);
        assert_int_equal(p.port_min, good[i].min);
        assert_int_equal(p.port_max, good[i].max);
    }
}

static void test_bad_places_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", ":", ":7000", "eth0:", "eth0:0", "eth0:65536", "eth0:7000-", "eth0:-7000", "eth0:7100-7000",
        "eth0:7000-7100-7200", "eth0:+7", "eth0: 7", "eth 0", "[fd00::2", "[fd00::2]7000", "[fd00::2]:", "[eth0]:7000",
        "[192.0.2.7]", "[]", "a/b", "a-name-longer-than-15", "fd00::zz", "1:2:3",
        "a-name-that-is-longer-than-any-address-could-ever-be:7000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nxi_tcp_place p;
        assert_int_equal(parse(bad[i], &p), NXC_EINVAL);
        if (strlen(bad[i]) < 60)
            assert_non_null(strstr(nxc_err_detail(), bad[i]));
    }
}

/* Opens a fabric that must fail. */
static int open_at(const char *listen)
{
    struct nxi_timers timers = { 0 };
    struct nxi_fabric_env env = { .epfd = epoll_create1(EPOLL_CLOEXEC), .timers = &timers, .listen = listen };
    struct nxi_fabric *f = NULL;
    int r = nxi_tcp_open(&env, &f);
    if (f)
        f->ops->free(f);
    assert_int_equal(timers.reserved, 0);
    nxi_timers_free(&timers);
    close(env.epfd);
    return r;
}

static void test_what_cannot_be_listened_at_is_named(void **state)
{
    (void)state;
    assert_int_equal(open_at("127.0.0.1,"), NXC_EINVAL);
    assert_int_equal(open_at("127.0.0.1,nosuch0:7000"), NXC_EINVAL);
    assert_non_null(strstr(nxc_err_detail(), "nosuch0"));
    assert_int_equal(open_at("192.0.2.7"), NXC_ESYSTEM); /* of the documentation, nobody's */
    assert_non_null(strstr(nxc_err_detail(), "192.0.2.7"));
    char many[NXI_ENTRY_ADDRS * 10 + 1] = "";
    for (int i = 0; i < NXI_TCP_LISTENERS; i++)
        strcat(many, "127.0.0.1,");
    assert_int_equal(open_at(strcat(many, "lo")), NXC_EINVAL);
}

static void test_a_range_of_ports_is_used_and_its_end_is_told(void **state)
{
    (void)state;
    struct node first, second;
    char text[64];
    node_open(&first, 'a');
    uint16_t port = ntohs(nxi_tcp_of(first.fabric, struct nxi_tcp, fabric)->listeners[0].addr.in4.sin_port);
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    assert_int_equal(open_at(text), NXC_ESYSTEM);
    snprintf(text, sizeof text, "127.0.0.1:%u-%u", port - 1, port); /* the first is free, most likely */
    if (open_at(text) == NXC_ESYSTEM)
        assert_non_null(strstr(nxc_err_detail(), text));
    snprintf(text, sizeof text, "lo:%u-65535", port);
    node_open_at(&second, text, 'b');
    uint16_t other = ntohs(nxi_tcp_of(second.fabric, struct nxi_tcp, fabric)->listeners[0].addr.in4.sin_port);
    assert_true(other > port);
    node_free(&second);
    node_free(&first);
}

static void test_by_default_no_address_is_a_loopback_unless_there_is_no_other(void **state)
{
    (void)state;
    struct node n, other;
    node_open_at(&n, NULL, 'a');
    node_open(&other, 'b');
    assert_in_range(n.entry.n, 1, NXI_TCP_LISTENERS);
    unsigned loopbacks = 0;
    for (size_t i = 0; i < n.entry.n; i++) {
        const struct nxi_addr *a = &n.entry.addrs[i];
        assert_int_equal(a->len, a->tag == NXI_ADDR_TCP4 ? 6 : 18);
        assert_false(a->tag == NXI_ADDR_TCP6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
        loopbacks += a->tag == NXI_ADDR_TCP4 && a->bytes[0] == 127;
    }
    assert_true(loopbacks == 0 || loopbacks == 1);
    struct nxi_link *l, *m;
    nodes_link(&other, &n, &l, &m);
    assert_string_equal(l->name, m->name); /* one host, one address: the same device */
    assert_memory_equal(l->name, "tcp/", 4);
    node_free(&other);
    node_free(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_read),
        cmocka_unit_test(test_bad_places_are_refused_by_name),
        cmocka_unit_test(test_what_cannot_be_listened_at_is_named),
        cmocka_unit_test(test_a_range_of_ports_is_used_and_its_end_is_told),
        cmocka_unit_test(test_by_default_no_address_is_a_loopback_unless_there_is_no_other),
    };
    return cmocka_run_group_tests_name("tcp_listen", tests, NULL, NULL);
}
