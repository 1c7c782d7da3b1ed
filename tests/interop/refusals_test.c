/* SPDX-License-Identifier: Apache-2.0 */
/* What each side makes of a ticket of the other that it can't use as it is asked to. */
#include "tests/interop/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const size_t page[] = { 4096 }, pages[] = { 4096, 4096 }, other[] = { 4095 };

/* Their begin with our ticket raises this error. */
static void they_refuse(const char *error, const char *kind, const char *sizes, const char *ticket)
{
    char *quoted = json_string(ticket, strlen(ticket));
    python_refuses(theirs, error, "{\"do\":\"begin\",\"op\":\"x\",\"kind\":\"%s\",\"sizes\":%s,\"ticket\":%s}", kind,
                   sizes, quoted);
    free(quoted);
}

/* Refused so, our operation is as before: the ticket still works. */
static void refused_and_then_used(enum pairing pairing, const char *error, const char *kind, const char *sizes)
{
    struct deal d;
    deal_make(&d, pairing, ours, theirs, page, 1);
    char *ticket = deal_offer(&d, NXC_B64, NULL);
    they_refuse(error, kind, sizes, ticket);
    assert_int_equal(nxc_op_status(d.op), NXC_INITIALIZED);
    deal_use(&d, ticket);
    deal_end(&d);
    free(ticket);
}

static void they_refuse_the_wrong_pairing(void **state)
{
    (void)state;
    refused_and_then_used(OUR_READABLE, "RuntimeError", "write", "[4096]");
    refused_and_then_used(OUR_WRITABLE, "RuntimeError", "read", "[4096]");
}

static void they_refuse_other_sizes(void **state)
{
    (void)state;
    refused_and_then_used(OUR_READABLE, "ValueError", "read", "[4095]");
    refused_and_then_used(OUR_WRITABLE, "ValueError", "write", "[4096,4096]");
}

/* Our begin with their ticket, whether it is refused at once or ends so. */
static void we_refuse(int error, enum nxc_kind kind, const char *ticket, const size_t *sizes, size_t n)
{
    struct blocks b;
    nxc_op       *op = NULL;
    blocks_make(&b, sizes, n);
    int r = deal_try(ours, kind, ticket, &b, &op);
    if (r >= 0)
        r = nxc_op_wait(op, DEAL_LIMIT_S * 1000);
    assert_int_equal(r, error);
    assert_true(blocks_poisoned(&b));
    nxc_op_free(op);
    blocks_free(&b);
}

static void we_refuse_the_wrong_pairing_and_other_sizes(void **state)
{
    (void)state;
    for (enum pairing pairing = THEIR_READABLE; pairing <= THEIR_WRITABLE; pairing++) {
        enum nxc_kind right = pairing == THEIR_READABLE ? NXC_READ : NXC_WRITE;
        struct deal   d;
        deal_make(&d, pairing, ours, theirs, page, 1);
        char *ticket = deal_offer(&d, NXC_B64, NULL);
        we_refuse(NXC_EKIND, NXC_READ + NXC_WRITE - right, ticket, page, 1);
        we_refuse(NXC_ESIZE, right, ticket, other, 1);
        we_refuse(NXC_ESIZE, right, ticket, pages, 2);
        deal_use(&d, ticket);
        deal_end(&d);
        free(ticket);
    }
}

/* One-sided access can't be refused by the owner; what we promise is that our
 * operation stays what it was, and that both go on. */
static void a_cancelled_operation_of_ours_stays_cancelled_when_they_use_its_ticket(void **state)
{
    (void)state;
    struct deal d;
    deal_make(&d, OUR_READABLE, ours, theirs, page, 1);
    char *ticket = deal_offer(&d, NXC_B64, NULL), *quoted = json_string(ticket, strlen(ticket));
    assert_int_equal(nxc_op_cancel(d.op), 0);
    assert_int_equal(nxc_op_wait(d.op, DEAL_LIMIT_S * 1000), NXC_ECANCELLED);
    python_order(theirs, "{\"do\":\"begin\",\"op\":\"cancelled\",\"kind\":\"read\",\"sizes\":[4096],\"ticket\":%s}",
                 quoted);
    python_answer(theirs);
    deal_each(ours, theirs);
    assert_int_equal(nxc_op_status(d.op), NXC_CANCELLED);
    nxc_op_free(d.op);
    blocks_free(&d.blocks);
    free(quoted);
    free(ticket);
}

/* They tell nobody that an operation is disposed of: ours ends, either way. */
static void our_use_of_an_operation_that_they_disposed_of_ends(void **state)
{
    (void)state;
    for (enum pairing pairing = THEIR_READABLE; pairing <= THEIR_WRITABLE; pairing++) {
        struct deal d;
        deal_make(&d, pairing, ours, theirs, page, 1);
        char *ticket = deal_offer(&d, NXC_B64, NULL);
        python_ask(theirs, "{\"do\":\"drop\",\"op\":\"%u\",\"keep\":true}", d.number);
        deal_use(&d, ticket);
        assert_int_not_equal(nxc_op_wait(d.op, DEAL_LIMIT_S * 1000), NXC_EAGAIN);
        nxc_op_free(d.op);
        blocks_free(&d.blocks);
        free(ticket);
        deal_each(ours, theirs);
    }
}

/* They stand still, so that our transfer can't be over before it is cancelled. */
static void our_cancel_in_the_middle_ends_ours_and_not_theirs(void **state)
{
    (void)state;
    const size_t sizes[] = { 64 * 1024 * 1024 };
    struct deal  d;
    deal_make(&d, THEIR_WRITABLE, ours, theirs, sizes, 1);
    char *ticket = deal_offer(&d, NXC_B64, NULL);
    python_freeze(theirs);
    deal_use(&d, ticket);
    assert_int_equal(nxc_op_cancel(d.op), 0);
    python_thaw(theirs);
    assert_int_equal(nxc_op_wait(d.op, DEAL_LIMIT_S * 1000), NXC_ECANCELLED);
    assert_int_equal(nxc_op_status(d.op), NXC_CANCELLED);
    yajl_val answer = python_ask(theirs, "{\"do\":\"wait\",\"ops\":[\"%u\"],\"seconds\":1}", d.number);
    assert_int_not_equal(answer_status(answer, 0), NXC_COMPLETE);
    nxc_op_free(d.op);
    deal_drop(&d);
    free(ticket);
    deal_each(ours, theirs);
}

/* Their cancel tells nobody; our operation waits for its own end. */
static void their_cancel_leaves_our_operation_to_its_deadline(void **state)
{
    (void)state;
    const size_t       sizes[] = { 64 * 1024 * 1024 };
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    struct deal        d;
    opts.timeout_ms = 3000;
    deal_make(&d, OUR_WRITABLE, ours, theirs, sizes, 1);
    char *ticket = deal_offer(&d, NXC_B64, &opts);
    deal_use(&d, ticket);
    python_ask(theirs, "{\"do\":\"cancel\",\"op\":\"%u\"}", d.number);
    int r = nxc_op_wait(d.op, DEAL_LIMIT_S * 1000);
    assert_true(r == NXC_ETIMEDOUT || r == 0);
    nxc_op_free(d.op);
    deal_drop(&d);
    free(ticket);
    deal_each(ours, theirs);
}

static void a_ticket_for_native_peers_is_refused_and_the_name_is_not_burnt(void **state)
{
    (void)state;
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    struct blocks             b;
    nxc_connector            *native, *any;
    nxc_op                   *op;
    const char               *ticket;
    size_t                    len;
    opts.worker_id = "both ways";
    assert_int_equal(nxc_connector_new(&opts, &native), 0);
    blocks_make(&b, page, 1);
    assert_int_equal(nxc_op_create_readable(native, b.descs, 1, NULL, &op), 0);
    assert_int_equal(nxc_op_ticket(op, NXC_B64, &ticket, &len), 0);
    they_refuse("nixlBackendError", "read", "[4096]", ticket);
    assert_int_equal(nxc_op_status(op), NXC_INITIALIZED);
    any = session_connector("both ways");
    deal_each(any, theirs);
    /* Nor is the refusal a matter of the first time. */
    they_refuse("nixlBackendError", "read", "[4096]", ticket);
    deal_each(any, theirs);
    nxc_op_free(op);
    nxc_connector_free(any);
    nxc_connector_free(native);
    blocks_free(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_refuse_the_wrong_pairing),
        cmocka_unit_test(they_refuse_other_sizes),
        cmocka_unit_test(we_refuse_the_wrong_pairing_and_other_sizes),
        cmocka_unit_test(a_cancelled_operation_of_ours_stays_cancelled_when_they_use_its_ticket),
        cmocka_unit_test(our_use_of_an_operation_that_they_disposed_of_ends),
        cmocka_unit_test(our_cancel_in_the_middle_ends_ours_and_not_theirs),
        cmocka_unit_test(their_cancel_leaves_our_operation_to_its_deadline),
        cmocka_unit_test(a_ticket_for_native_peers_is_refused_and_the_name_is_not_burnt),
    };
    session_arguments(argc, argv);
    return cmocka_run_group_tests(tests, session_open, session_close);
}
