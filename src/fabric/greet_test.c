/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "fabric/greet.h"

static const uint8_t inst_a[NXI_INSTANCE_LEN] = "instance-aaaaaa", inst_b[NXI_INSTANCE_LEN] = "instance-bbbbbb";
static const uint8_t key_a[NXI_LINK_KEY_LEN] = "key-aaaaaaaaaaa", key_b[NXI_LINK_KEY_LEN] = "key-bbbbbbbbbbb";

static struct nxi_greet opener, listener;

static void start(void)
{
    nxi_greet_start(&opener, true, inst_a, key_a, 5000, (const uint8_t *)"opener's sixteen");
    nxi_greet_start(&listener, false, inst_a, key_a, 3000, (const uint8_t *)"listener's bytes");
}

/* Moves what one side has to say to the other, step bytes at a time. */
static int move(struct nxi_greet *from, struct nxi_greet *to, size_t step)
{
    uint8_t buf[NXI_GREET_OUT];
    size_t n = nxi_greet_output(from, buf), used;
    int r = 0;
    for (size_t at = 0; at < n; at += used) {
        r = nxi_greet_input(to, buf + at, step < n - at ? step : n - at, &used);
        if (r < 0)
            return r;
        assert_true(used > 0);
    }
    return r;
}

static void greets_in_steps_of(size_t step)
{
    start();
    assert_int_equal(move(&opener, &listener, step), 0);
    assert_int_equal(move(&listener, &opener, step), 1);
    assert_int_equal(move(&opener, &listener, step), 1);
    assert_int_equal(opener.version, NXI_PROTOCOL);
    assert_int_equal(listener.version, NXI_PROTOCOL);
    assert_int_equal(opener.keepalive_ms, 3000);
    assert_int_equal(listener.keepalive_ms, 3000);
    assert_memory_equal(opener.peer_extra, "listener's bytes", NXI_GREET_EXTRA);
    assert_memory_equal(listener.peer_extra, "opener's sixteen", NXI_GREET_EXTRA);
    uint8_t buf[NXI_GREET_OUT];
    assert_int_equal(nxi_greet_output(&opener, buf), 0);
    assert_int_equal(nxi_greet_output(&listener, buf), 0);
}

static void test_both_sides_greet_however_the_bytes_are_cut(void **state)
{
    (void)state;
    for (size_t step = 1; step <= NXI_GREET_OUT; step++)
        greets_in_steps_of(step);
}

static void test_bytes_behind_the_greeting_are_not_taken(void **state)
{
    (void)state;
    start();
    move(&opener, &listener, 64);
    move(&listener, &opener, 96);
    uint8_t buf[NXI_GREET_OUT + 8] = { 0 };
    size_t n = nxi_greet_output(&opener, buf), used;
    assert_int_equal(nxi_greet_input(&listener, buf, n + 8, &used), 1);
    assert_int_equal(used, n);
    assert_int_equal(nxi_greet_input(&listener, buf, 8, &used), 1);
    assert_int_equal(used, 0);
}

static void test_a_wrong_link_key_is_found_by_the_opener(void **state)
{
    (void)state;
    start();
    nxi_greet_start(&opener, true, inst_a, key_b, 5000, NULL);
    assert_int_equal(move(&opener, &listener, 64), 0);
    assert_int_equal(move(&listener, &opener, 96), NXC_EACCESS);
    uint8_t buf[NXI_GREET_OUT];
    assert_int_equal(nxi_greet_output(&opener, buf), 0);
}

static void test_a_wrong_mac_is_refused_by_the_listener(void **state)
{
    (void)state;
    start();
    move(&opener, &listener, 64);
    uint8_t buf[NXI_GREET_OUT], mac[NXI_MAC_LEN] = { 0 };
    size_t used;
    assert_int_equal(nxi_greet_output(&listener, buf), NXI_GREET_OUT);
    /* The listener's own proof, sent back to it, proves nothing. */
    memcpy(mac, buf + NXI_HELLO_LEN, NXI_MAC_LEN);
    assert_int_equal(nxi_greet_input(&listener, mac, sizeof mac, &used), NXC_EACCESS);
    assert_int_equal(nxi_greet_output(&listener, buf), 0);
}

static void test_a_greeting_can_not_be_played_again(void **state)
{
    (void)state;
    start();
    uint8_t hello[NXI_GREET_OUT], mac[NXI_GREET_OUT], buf[NXI_GREET_OUT];
    size_t used;
    memcpy(hello, opener.ours, NXI_HELLO_LEN);
    move(&opener, &listener, 64);
    move(&listener, &opener, 96);
    assert_int_equal(nxi_greet_output(&opener, mac), NXI_MAC_LEN);
    assert_int_equal(nxi_greet_input(&listener, mac, NXI_MAC_LEN, &used), 1);

    nxi_greet_start(&listener, false, inst_a, key_a, 3000, NULL);
    assert_int_equal(nxi_greet_input(&listener, hello, NXI_HELLO_LEN, &used), 0);
    nxi_greet_output(&listener, buf);
    assert_int_equal(nxi_greet_input(&listener, mac, NXI_MAC_LEN, &used), NXC_EACCESS);
}

static void test_another_instance_is_turned_away_without_a_word(void **state)
{
    (void)state;
    start();
    nxi_greet_start(&opener, true, inst_b, key_a, 5000, NULL);
    assert_int_equal(move(&opener, &listener, 64), NXC_EACCESS);
    uint8_t buf[NXI_GREET_OUT];
    assert_int_equal(nxi_greet_output(&listener, buf), 0);
}

static void test_another_version_is_named_to_both_sides(void **state)
{
    (void)state;
    start();
    uint8_t hello[NXI_GREET_OUT];
    size_t used;
    nxi_greet_output(&opener, hello);
    nxi_put16(hello + 4, 9);
    nxi_put16(hello + 6, 8);
    /* The first 8 bytes are enough to know. */
    assert_int_equal(nxi_greet_input(&listener, hello, 8, &used), NXC_EVERSION);
    assert_non_null(strstr(nxc_err_detail(), "8 to 9"));
    uint8_t answer[NXI_GREET_OUT];
    assert_int_equal(nxi_greet_output(&listener, answer), NXI_GREET_OUT);
    assert_memory_equal(answer, listener.ours, NXI_HELLO_LEN);
    for (size_t i = 0; i < NXI_MAC_LEN; i++)
        assert_int_equal(answer[NXI_HELLO_LEN + i], 0);

    nxi_put16(answer + 4, 9);
    nxi_put16(answer + 6, 8);
    assert_int_equal(nxi_greet_input(&opener, answer, sizeof answer, &used), NXC_EVERSION);
    assert_non_null(strstr(nxc_err_detail(), "8 to 9"));
    assert_int_equal(nxi_greet_output(&opener, answer), 0);
}

static void test_a_newer_peer_that_speaks_our_version_is_greeted(void **state)
{
    (void)state;
    start();
    nxi_put16(opener.ours + 4, 7);
    nxi_put16(opener.out + 4, 7);
    assert_int_equal(move(&opener, &listener, 64), 0);
    assert_int_equal(move(&listener, &opener, 96), 1);
    assert_int_equal(move(&opener, &listener, 32), 1);
    assert_int_equal(listener.version, NXI_PROTOCOL);
}

static void test_garbage_is_no_greeting_from_its_first_byte(void **state)
{
    (void)state;
    size_t used;
    start();
    assert_int_equal(nxi_greet_input(&listener, (const uint8_t *)"G", 1, &used), NXC_EPEER);
    start();
    assert_int_equal(nxi_greet_input(&listener, (const uint8_t *)"NXC", 3, &used), 0);
    assert_int_equal(nxi_greet_input(&listener, (const uint8_t *)"X", 1, &used), NXC_EPEER);

    uint8_t hello[NXI_GREET_OUT];
    start();
    nxi_greet_output(&opener, hello);
    nxi_put32(hello + 8, 0); /* keepalive */
    assert_int_equal(nxi_greet_input(&listener, hello, NXI_HELLO_LEN, &used), NXC_EPEER);
    start();
    nxi_greet_output(&opener, hello);
    nxi_put16(hello + 6, 3); /* oldest above newest */
    assert_int_equal(nxi_greet_input(&listener, hello, NXI_HELLO_LEN, &used), NXC_EPEER);
}

static void test_any_changed_bit_of_a_hello_is_noticed(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < NXI_HELLO_LEN * 8; bit++) {
        start();
        uint8_t buf[NXI_GREET_OUT];
        size_t used;
        nxi_greet_output(&opener, buf);
        buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int r = nxi_greet_input(&listener, buf, NXI_HELLO_LEN, &used);
        if (r == 0)
            assert_int_equal(move(&listener, &opener, 96), NXC_EACCESS);
        else
            assert_true(r < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_greet_however_the_bytes_are_cut),
        cmocka_unit_test(test_bytes_behind_the_greeting_are_not_taken),
        cmocka_unit_test(test_a_wrong_link_key_is_found_by_the_opener),
        cmocka_unit_test(test_a_wrong_mac_is_refused_by_the_listener),
        cmocka_unit_test(test_a_greeting_can_not_be_played_again),
        cmocka_unit_test(test_another_instance_is_turned_away_without_a_word),
        cmocka_unit_test(test_another_version_is_named_to_both_sides),
        cmocka_unit_test(test_a_newer_peer_that_speaks_our_version_is_greeted),
        cmocka_unit_test(test_garbage_is_no_greeting_from_its_first_byte),
        cmocka_unit_test(test_any_changed_bit_of_a_hello_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
