/* SPDX-License-Identifier: Apache-2.0 */
/* Python workers that restart or die, and what that does to our operations. */
#include "tests/interop/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const size_t large[] = { 64 * 1024 * 1024 };

static void restart(void)
{
    theirs = python_start(their_script, "theirs", their_setting);
}

static void a_worker_that_restarts_under_its_name_is_served_again(void **state)
{
    (void)state;
    deal_each(ours, theirs);
    python_stop(theirs);
    restart();
    deal_each(ours, theirs);
    python_kill(theirs);
    restart();
    deal_each(ours, theirs);
}

/* It stands still when the transfer begins, so that this can't be over before it dies. */
static void killed_in_the_middle(enum pairing pairing)
{
    struct deal d;
    deal_each(ours, theirs);
    deal_make(&d, pairing, ours, theirs, large, 1);
    char *ticket = deal_offer(&d, NXC_B64, NULL);
    python_freeze(theirs);
    deal_use(&d, ticket);
    free(ticket);
    python_kill(theirs);
    assert_int_equal(nxc_op_wait(d.op, DEAL_LIMIT_S * 1000), NXC_EPEER);
    assert_int_equal(nxc_op_status(d.op), NXC_ERRORED);
    nxc_op_free(d.op);
    blocks_free(&d.blocks);
    restart();
    deal_each(ours, theirs);
}

static void a_worker_killed_while_we_read_ends_our_operation(void **state)
{
    (void)state;
    killed_in_the_middle(THEIR_READABLE);
}

static void a_worker_killed_while_we_write_ends_our_operation(void **state)
{
    (void)state;
    killed_in_the_middle(THEIR_WRITABLE);
}

/* The ticket is with a worker that dies without having used it up. */
static void ends_by_deadline(enum pairing pairing)
{
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    struct deal        d;
    opts.timeout_ms = 300;
    deal_each(ours, theirs);
    deal_make(&d, pairing, ours, theirs, large, 1);
    char *ticket = deal_offer(&d, NXC_B64, &opts);
    python_kill(theirs);
    assert_int_equal(nxc_op_wait(d.op, DEAL_LIMIT_S * 1000), NXC_ETIMEDOUT);
    assert_int_equal(nxc_op_status(d.op), NXC_ERRORED);
    nxc_op_free(d.op);
    blocks_free(&d.blocks);
    free(ticket);
    restart();
    deal_each(ours, theirs);
}

static void our_readable_ends_by_its_deadline_when_the_worker_is_dead(void **state)
{
    (void)state;
    ends_by_deadline(OUR_READABLE);
}

static void our_writable_ends_by_its_deadline_when_the_worker_is_dead(void **state)
{
    (void)state;
    ends_by_deadline(OUR_WRITABLE);
}

/* It dies with its own transfer under way, which we can't see: the deadline ends ours. */
static void a_worker_killed_while_it_writes_leaves_us_the_deadline(void **state)
{
    (void)state;
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    struct deal        d;
    opts.timeout_ms = 2000;
    deal_each(ours, theirs);
    deal_make(&d, OUR_WRITABLE, ours, theirs, large, 1);
    char *ticket = deal_offer(&d, NXC_B64, &opts), *quoted = json_string(ticket, strlen(ticket));
    python_order(theirs, "{\"do\":\"begin\",\"op\":\"1\",\"kind\":\"write\",\"sizes\":[%zu],\"fill\":1,\"ticket\":%s}",
                 large[0], quoted);
    /* The first bytes are here, or it is over already: both may be. */
    while (nxc_op_wait(d.op, 1) == NXC_EAGAIN && blocks_poisoned(&d.blocks))
        continue;
    python_kill(theirs);
    int r = nxc_op_wait(d.op, DEAL_LIMIT_S * 1000);
    assert_true(r == 0 || r == NXC_ETIMEDOUT);
    nxc_op_free(d.op);
    blocks_free(&d.blocks);
    free(quoted);
    free(ticket);
    restart();
    deal_each(ours, theirs);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_restarts_under_its_name_is_served_again),
        cmocka_unit_test(a_worker_killed_while_we_read_ends_our_operation),
        cmocka_unit_test(a_worker_killed_while_we_write_ends_our_operation),
        cmocka_unit_test(our_readable_ends_by_its_deadline_when_the_worker_is_dead),
        cmocka_unit_test(our_writable_ends_by_its_deadline_when_the_worker_is_dead),
        cmocka_unit_test(a_worker_killed_while_it_writes_leaves_us_the_deadline),
    };
    session_arguments(argc, argv);
    return cmocka_run_group_tests(tests, session_open, session_close);
}
