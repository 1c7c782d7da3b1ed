/* SPDX-License-Identifier: Apache-2.0 */
/* Who may use a ticket, and what one gets who may not. The owner's operation and
 * memory are as before each time. */
#include "tests/craft.h"
#include "tests/pair.h"

#include <stdio.h>
#include <stdlib.h>

static const struct shape small = { 1, 4000, 0 }, large = LONG_SHAPE;

static struct answer begin(struct peer *p, int slot, enum nxc_kind kind, struct shape shape, const char *ticket)
{
    return DO(p, do_begin, .slot = slot, .kind = kind, .shape = shape, .seed = 2, .text = ticket);
}

/* p's use of the ticket is refused at once, at begin or by the peer; p may not write there any byte. */
static void refused(struct peer *p, enum nxc_kind kind, struct shape shape, const char *ticket, int error)
{
    uint64_t      since = now_ns();
    struct answer a = begin(p, 3, kind, shape, ticket);
    if (a.code == 0)
        a = DO(p, do_wait, .slot = 3, .ms = -1);
    if (a.code != error || now_ns() - since >= AT_ONCE_MS * MS)
        fail_msg("%s after %llu ms, not %s: %s", nxc_err_name(a.code), (unsigned long long)((now_ns() - since) / MS),
                 nxc_err_name(error), a.detail);
    if (a.error)
        assert_int_equal(a.status, NXC_ERRORED);
    assert_memory(p, 3, 2);
    DO(p, do_free, .slot = 3);
}

/* ---- who -------------------------------------------------------------------------- */

static void test_a_connector_can_use_its_own_ticket(void **state)
{
    (void)state;
    const struct shape shapes[] = { small, { .n = 1 }, { 3, 300 * KIB, 0 }, { 1, 32 * MIB, 0 } };
    struct peer       *a = peer_start(NULL);
    for (int i = 0; i < 8; i++) {
        enum nxc_kind kind = i & 1 ? NXC_WRITE : NXC_READ;
        struct answer t = DO(a, do_create, .slot = 0, .kind = kind, .shape = shapes[i / 2], .seed = 1);
        assert_int_equal(begin(a, 1, kind, shapes[i / 2], t.text).code, 0);
        assert_end(DO(a, do_wait, .slot = 1, .ms = -1), NXC_COMPLETE, 0);
        assert_end(DO(a, do_wait, .slot = 0, .ms = -1), NXC_COMPLETE, 0);
        assert_memory(a, kind == NXC_READ ? 1 : 0, kind == NXC_READ ? 1 : 2);
    }
    peer_stop(a);
}

/* number: how many of four operations between two connectors of one process have completed. */
static void do_talk_to_another(struct worker *w, const struct order *o, struct answer *a)
{
    struct nxc_connector_opts opts = plain_opts();
    nxc_connector            *c[2] = { w->c, NULL };
    int                       r = nxc_connector_new(&opts, &c[1]);
    for (int i = 0; i < 4 && r == 0; i++) {
        static uint8_t  bytes[2][100000];
        struct nxc_desc d[2] = { nxc_desc_host(bytes[0], sizeof *bytes), nxc_desc_host(bytes[1], sizeof *bytes) };
        nxc_ticket     *t = NULL;
        nxc_op         *ops[2] = { NULL, NULL };
        const char     *json;
        size_t          len;
        memset(bytes, i, sizeof bytes);
        bytes[0][7] = 99;
        r = nxc_op_create_readable(c[i & 1], &d[0], 1, NULL, &ops[0]);
        if (r == 0 && (r = nxc_op_ticket(ops[0], NXC_HEX, &json, &len)) == 0 &&
            (r = nxc_ticket_parse(json, len, &t)) == 0 &&
            (r = nxc_op_begin_read(c[!(i & 1)], t, &d[1], 1, NULL, &ops[1])) == 0 &&
            (r = nxc_op_wait(ops[1], -1)) == 0 && (r = nxc_op_wait(ops[0], -1)) == 0)
            a->number += memcmp(bytes[0], bytes[1], sizeof *bytes) == 0;
        nxc_ticket_free(t);
        nxc_op_free(ops[0]);
        nxc_op_free(ops[1]);
    }
    nxc_connector_free(c[1]);
    answer(w, o, a, r);
}

static void test_two_connectors_of_one_process_can_talk(void **state)
{
    (void)state;
    struct peer  *a = peer_start(NULL);
    struct answer r = DO(a, do_talk_to_another);
    assert_int_equal(r.code, 0);
    assert_int_equal(r.number, 4);
    peer_stop(a);
}

static void test_the_second_user_of_a_ticket_is_refused_and_the_first_undisturbed(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL), *c = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        struct answer t = DO(a, do_create, .kind = kind, .shape = large, .seed = 1);
        assert_int_equal(begin(b, 0, kind, large, t.text).code, 0);
        peer_freeze(b, 0, MIB); /* so that it is in use for as long as we like */
        refused(c, kind, large, t.text, NXC_EACCESS);
        assert_int_equal(DO(a, do_status).status, NXC_IN_PROGRESS);
        peer_thaw(b);
        assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
        assert_end(DO(a, do_wait, .ms = -1), NXC_COMPLETE, 0);
        assert_memory(kind == NXC_READ ? b : a, 0, kind == NXC_READ ? 1 : 2);
        refused(c, kind, large, t.text, NXC_EACCESS); /* used already */
        refused(b, kind, large, t.text, NXC_EACCESS);
        assert_memory(a, 0, kind == NXC_READ ? 1 : 2);
    }
    peer_stop(a);
    peer_stop(b);
    peer_stop(c);
}

/* ---- forged and stale tickets --------------------------------------------------------- */

static void test_a_forged_ticket_is_refused_and_the_operation_is_as_before(void **state)
{
    (void)state;
    static const struct {
        craft_fn *fn;
        int       error;
    } forgeries[] = { { forge_secret, NXC_EACCESS }, { forge_op, NXC_EACCESS }, { forge_link_key, NXC_EACCESS } };
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        struct answer t = DO(a, do_create, .kind = kind, .shape = small, .seed = 1);
        for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
            char *forged = craft(t.text, forgeries[i].fn);
            refused(b, kind, small, forged, forgeries[i].error);
            free(forged);
            assert_int_equal(DO(a, do_status).status, NXC_INITIALIZED);
            assert_memory(a, 0, 1);
        }
        assert_int_equal(begin(b, 0, kind, small, t.text).code, 0);
        assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
        assert_end(DO(a, do_wait, .ms = -1), NXC_COMPLETE, 0);
        assert_memory(kind == NXC_READ ? b : a, 0, kind == NXC_READ ? 1 : 2);
    }
    peer_stop(a);
    peer_stop(b);
}

/* The secret is right: whoever has it may know more than "no". */
static void test_a_true_ticket_of_the_wrong_kind_or_size_is_refused_by_its_owner(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        enum nxc_kind other = kind == NXC_READ ? NXC_WRITE : NXC_READ;
        struct answer t = DO(a, do_create, .kind = kind, .shape = small, .seed = 1);
        char         *forged = craft(t.text, forge_kind);
        refused(b, other, small, forged, NXC_EKIND);
        free(forged);
        forged = craft(t.text, forge_size);
        refused(b, kind, (struct shape){ 1, small.bytes + 1, 0 }, forged, NXC_ESIZE);
        free(forged);
        assert_int_equal(DO(a, do_status).status, NXC_INITIALIZED);
        assert_memory(a, 0, 1);
        assert_int_equal(begin(b, 0, kind, small, t.text).code, 0);
        assert_end(DO(a, do_wait, .ms = -1), NXC_COMPLETE, 0);
    }
    peer_stop(a);
    peer_stop(b);
}

static void test_the_ticket_of_an_operation_that_is_over_is_refused(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int i = 0; i < 6; i++) {
        enum nxc_kind kind = i & 1 ? NXC_WRITE : NXC_READ;
        struct answer t = DO(a, do_create, .kind = kind, .shape = small, .seed = 1, .ms = i / 2 == 0);
        if (i / 2 == 0)
            assert_end(DO(a, do_wait, .ms = -1), NXC_ERRORED, NXC_ETIMEDOUT);
        else
            DO(a, i / 2 == 1 ? do_cancel : do_free);
        refused(b, kind, small, t.text, NXC_EACCESS);
        assert_memory(a, 0, 1);
    }
    prove_link(a, b, NXC_WRITE);
    peer_stop(a);
    peer_stop(b);
}

/* ---- what begin itself refuses ---------------------------------------------------------- */

static void test_a_ticket_is_checked_before_anybody_is_asked(void **state)
{
    (void)state;
    struct peer  *a = peer_start(NULL), *b = peer_start(NULL);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1);
    peer_freeze(a, 0, 0); /* nobody to ask */
    struct answer r = begin(b, 0, NXC_WRITE, small, t.text);
    assert_int_equal(r.code, NXC_EKIND);
    assert_text(r, "to read, used to write");
    r = begin(b, 0, NXC_READ, (struct shape){ 2, small.bytes, 0 }, t.text);
    assert_int_equal(r.code, NXC_ESIZE);
    assert_text(r, "2 descriptors here, 1 in the ticket");
    r = begin(b, 0, NXC_READ, (struct shape){ 1, 4001, 0 }, t.text);
    assert_int_equal(r.code, NXC_ESIZE);
    assert_text(r, "descs[0]: 4001 bytes here, 4000 in the ticket");
    char *forged = craft(t.text, forge_version);
    r = begin(b, 0, NXC_READ, small, forged);
    free(forged);
    assert_int_equal(r.code, NXC_EVERSION);
    assert_text(r, "7 to 9");
    assert_text(r, "this library 1");
    peer_thaw(a);
    assert_int_equal(DO(a, do_status).status, NXC_INITIALIZED);
    peer_stop(a);
    peer_stop(b);
}

static void test_a_nixl_ticket_is_refused_naming_the_option_that_admits_it(void **state)
{
    (void)state;
    const char *dir = getenv("NXC_VECTORS");
    char        path[4096], json[4096];
    if (!dir)
        skip();
    snprintf(path, sizeof path, "%s/rdma-readable-1.json", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    json[fread(json, 1, sizeof json - 1, f)] = 0;
    fclose(f);
    struct peer  *a = peer_start(NULL);
    struct answer r = begin(a, 0, NXC_READ, small, json);
    assert_int_equal(r.code, NXC_ENOTSUP);
    assert_text(r, "NXC_PEERS_ANY");
    peer_stop(a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_connector_can_use_its_own_ticket),
        PAIR_TEST(test_two_connectors_of_one_process_can_talk),
        PAIR_TEST(test_the_second_user_of_a_ticket_is_refused_and_the_first_undisturbed),
        PAIR_TEST(test_a_forged_ticket_is_refused_and_the_operation_is_as_before),
        PAIR_TEST(test_a_true_ticket_of_the_wrong_kind_or_size_is_refused_by_its_owner),
        PAIR_TEST(test_the_ticket_of_an_operation_that_is_over_is_refused),
        PAIR_TEST(test_a_ticket_is_checked_before_anybody_is_asked),
        PAIR_TEST(test_a_nixl_ticket_is_refused_naming_the_option_that_admits_it),
    };
    take_transport(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
