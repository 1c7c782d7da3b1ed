/* SPDX-License-Identifier: Apache-2.0 */
/* Operations in NIXL's dialect over UCX, between two workers of ours that could speak
 * the native one but are told not to: what is promised to any NIXL worker. With real
 * ones: tests/interop. */
#include "tests/craft.h"
#include "tests/pair.h"
#include "tests/proc.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct shape small = { 1, 4000, 0 }, large = LONG_SHAPE;

static struct answer begin(struct peer *p, int slot, enum nxc_kind kind, struct shape shape, const char *ticket)
{
    return DO(p, do_begin, .slot = slot, .kind = kind, .shape = shape, .seed = 2, .text = ticket);
}

static void both_complete(struct peer *passive, struct peer *active, int slot, enum nxc_kind kind)
{
    struct answer a = DO(active, do_wait, .slot = slot, .ms = -1);
    assert_end(a, NXC_COMPLETE, 0);
    assert_string_equal(a.transport, "ucx");
    a = DO(passive, do_wait, .slot = slot, .ms = -1);
    assert_end(a, NXC_COMPLETE, 0);
    assert_string_equal(a.transport, "ucx");
    assert_memory(kind == NXC_READ ? active : passive, slot, kind == NXC_READ ? 1 : 2);
}

static struct nxc_connector_opts impatient(void)
{
    struct nxc_connector_opts o = plain_opts();
    o.connect_ms = 1000;
    o.keepalive_ms = 600;
    return o;
}

/* ---- completion -------------------------------------------------------------------- */

static void test_every_operation_completes_with_every_byte(void **state)
{
    (void)state;
    const struct shape shapes[] = { { 1, 1, 0 }, { .n = 1 }, { 1, 4096, 0 }, { 2, 5000, 0 }, { 1, MIB + 1, 0 },
                                    { 100, 3 * MIB, 0 }, { 1000, 70000, 0 }, { 1, 64 * MIB, 0 } };
    struct peer       *p[2] = { peer_start(NULL), peer_start(NULL) };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int way = 0; way < 4; way++) {
            enum nxc_kind kind = way & 1 ? NXC_WRITE : NXC_READ;
            start_op(p[way / 2], p[!(way / 2)], 0, kind, shapes[i]);
            both_complete(p[way / 2], p[!(way / 2)], 0, kind);
        }
    peer_stop(p[0]);
    peer_stop(p[1]);
}

static void test_a_connector_can_use_its_own_ticket(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        struct answer t = DO(a, do_create, .slot = 0, .kind = kind, .shape = small, .seed = 1);
        assert_int_equal(begin(a, 1, kind, small, t.text).code, 0);
        assert_end(DO(a, do_wait, .slot = 1, .ms = -1), NXC_COMPLETE, 0);
        assert_end(DO(a, do_wait, .slot = 0, .ms = -1), NXC_COMPLETE, 0);
        assert_memory(a, kind == NXC_READ ? 1 : 0, kind == NXC_READ ? 1 : 2);
    }
    peer_stop(a);
}

static void test_many_at_once_complete_in_any_order(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int slot = 0; slot < SLOTS; slot++)
        start_op(slot & 1 ? a : b, slot & 1 ? b : a, slot, slot & 2 ? NXC_READ : NXC_WRITE,
                 (struct shape){ 1, slot & 4 ? 100 : 5 * MIB, 0 });
    for (int slot = SLOTS - 1; slot >= 0; slot--)
        both_complete(slot & 1 ? a : b, slot & 1 ? b : a, slot, slot & 2 ? NXC_READ : NXC_WRITE);
    peer_stop(a);
    peer_stop(b);
}

/* The waiting side sleeps: nobody asks it for anything. */
static void test_the_passive_side_hears_of_the_end_by_its_descriptor(void **state)
{
    (void)state;
    struct peer  *a = peer_start(NULL), *b = peer_start(NULL);
    struct answer t = DO(a, do_create, .slot = 3, .kind = NXC_WRITE, .shape = small, .seed = 1, .queued = true);
    char         *ticket = strdup(t.text);
    TELL(a, do_poll, .ms = 10000);
    assert_true(peer_silent(a, 20));
    assert_int_equal(begin(b, 3, NXC_WRITE, small, ticket).code, 0);
    struct answer end = peer_hear(a);
    assert_int_equal(end.code, 1);
    assert_int_equal(end.number, 3);
    assert_int_equal(end.status, NXC_COMPLETE);
    free(ticket);
    peer_stop(a);
    peer_stop(b);
}

/* ---- which dialect ------------------------------------------------------------------- */

static void test_one_ticket_serves_native_and_nixl_workers(void **state)
{
    (void)state;
    struct nxc_connector_opts native = NXC_CONNECTOR_OPTS_INIT, any = plain_opts();
    native.listen = "127.0.0.1";
    any.require = NULL;
    struct peer  *a = peer_start(&any), *b = peer_start(&any), *c = peer_start(&native);
    struct answer end;
    start_op(a, b, 0, NXC_READ, small); /* both could: native is better */
    end = DO(b, do_wait, .ms = -1);
    assert_end(end, NXC_COMPLETE, 0);
    assert_string_equal(end.transport, "shm");
    start_op(a, c, 0, NXC_WRITE, small);
    end = DO(c, do_wait, .ms = -1);
    assert_end(end, NXC_COMPLETE, 0);
    assert_string_equal(end.transport, "shm");
    start_op(c, a, 0, NXC_WRITE, small);
    assert_end(DO(a, do_wait, .ms = -1), NXC_COMPLETE, 0);
    peer_stop(a);
    peer_stop(b);
    peer_stop(c);
}

static void test_a_ticket_without_native_addresses_names_the_option_to_a_native_worker(void **state)
{
    (void)state;
    struct nxc_connector_opts native = NXC_CONNECTOR_OPTS_INIT, only = plain_opts();
    native.listen = "127.0.0.1";
    only.transports = "ucx";
    struct peer  *a = peer_start(&only), *b = peer_start(&native), *c = peer_start(NULL);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1), r;
    char         *ticket = strdup(t.text);
    r = begin(b, 0, NXC_READ, small, ticket);
    assert_int_equal(r.code, NXC_ENOTSUP);
    assert_text(r, "NXC_PEERS_ANY");
    assert_int_equal(begin(c, 0, NXC_READ, small, ticket).code, 0);
    both_complete(a, c, 0, NXC_READ);
    t = DO(b, do_create, .slot = 1, .kind = NXC_READ, .shape = small, .seed = 1);
    r = begin(a, 1, NXC_READ, small, t.text);
    assert_int_equal(r.code, NXC_EUNREACH);
    assert_text(r, "transports");
    free(ticket);
    peer_stop(a);
    peer_stop(b);
    peer_stop(c);
}

/* ---- other ends ----------------------------------------------------------------------- */

static void test_cancel_in_the_middle_leaves_the_memory_to_its_owner(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        start_op(a, b, 0, kind, large);
        struct answer end = DO(b, do_cancel, .number = 2 * MIB, .seed = 7); /* ends, and fills at once */
        assert_end(end, NXC_CANCELLED, NXC_ECANCELLED);
        assert_int_equal(DO(a, do_status).status, NXC_INITIALIZED); /* nobody tells it, as the docs say */
        assert_memory(b, 0, 7);
        end = DO(a, do_cancel, .number = 0);
        assert_end(end, NXC_CANCELLED, NXC_ECANCELLED);
        assert_text(end, "may still reach the memory");
    }
    start_op(a, b, 0, NXC_WRITE, small);
    both_complete(a, b, 0, NXC_WRITE);
    peer_stop(a);
    peer_stop(b);
}

static void test_deadlines_end_either_side(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    struct answer t = DO(a, do_create, .kind = NXC_WRITE, .shape = large, .seed = 1, .ms = 300), end;
    assert_int_equal(DO(b, do_begin, .kind = NXC_WRITE, .shape = large, .text = t.text, .ms = 20).code, 0);
    end = DO(b, do_wait, .ms = -1);
    assert_end(end, NXC_ERRORED, NXC_ETIMEDOUT);
    end = DO(a, do_wait, .ms = -1);
    assert_end(end, NXC_ERRORED, NXC_ETIMEDOUT);
    assert_text(end, "may still reach the memory");
    peer_stop(a);
    peer_stop(b);
}

static void test_a_peer_killed_in_the_middle_ends_ours_and_the_next_one_works(void **state)
{
    (void)state;
    struct peer *b = peer_start(NULL);
    for (int i = 0; i < 4; i++) {
        enum nxc_kind kind = i & 1 ? NXC_WRITE : NXC_READ;
        struct peer  *a = peer_start(NULL);
        start_op(a, b, 0, kind, large);
        DO(b, do_reach, .number = 2 * MIB);
        peer_kill(a);
        assert_end(DO(b, do_wait, .ms = -1), NXC_ERRORED, NXC_EPEER);
        a = peer_start(NULL);
        prove_link(a, b, kind);
        prove_link(b, a, kind);
        peer_stop(a);
    }
    peer_stop(b);
}

static void test_a_frozen_peer_is_given_up_and_our_memory_is_ours(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = impatient();
    struct peer                    *b = peer_start(&opts);
    for (int kind = NXC_READ; kind <= NXC_WRITE; kind++) {
        struct peer *a = peer_start(NULL);
        start_op(a, b, 0, kind, large);
        DO(b, do_reach, .number = 2 * MIB);
        peer_freeze(a, 1, 0);
        struct answer end = DO(b, do_end, .seed = 9);
        assert_end(end, NXC_ERRORED, NXC_EPEER);
        assert_in_range(end.ns / MS, 0, opts.keepalive_ms * 2 + AT_ONCE_MS);
        peer_thaw(a);
        assert_memory(b, 0, 9); /* read, it would be overwritten by what still comes */
        peer_stop(a);
    }
    peer_stop(b);
}

/* Nothing that the worker writes to its standard streams gets through from here on ... */
static void do_hush(struct worker *w, const struct order *o, struct answer *a)
{
    int said = memfd_create("said", 0);
    if (said < 0 || dup2(said, STDOUT_FILENO) < 0 || dup2(said, STDERR_FILENO) < 0)
        abort();
    close(said);
    answer(w, o, a, 0);
}

/* ... and number is how many bytes that were. */
static void do_tell_said(struct worker *w, const struct order *o, struct answer *a)
{
    fflush(NULL);
    answer(w, o, a, 0);
    a->number = (uint64_t)lseek(STDOUT_FILENO, 0, SEEK_END);
}

static void test_a_peer_that_is_not_there_is_not_reached_within_connect_ms(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = impatient();
    struct peer  *a = peer_start(NULL), *b = peer_start(&opts);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1);
    char         *ticket = strdup(t.text);
    peer_kill(a);
    DO(b, do_hush);
    struct answer r = begin(b, 0, NXC_READ, small, ticket);
    if (r.code == 0)
        r = DO(b, do_wait, .ms = -1);
    assert_int_equal(r.code, NXC_EUNREACH);
    assert_int_equal(DO(b, do_tell_said).number, 0); /* UCX would have something to say */
    assert_in_range(r.ns / MS, 0, opts.connect_ms * 2 + AT_ONCE_MS);
    free(ticket);
    peer_stop(b);
}

/* One that has a key of the memory but not of the operation can reach the one, not end the other. */
static void test_a_forged_key_ends_nothing(void **state)
{
    (void)state;
    struct peer  *a = peer_start(NULL), *b = peer_start(NULL);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1);
    char         *ticket = strdup(t.text), *forged = craft(ticket, forge_secret);
    assert_int_equal(begin(b, 0, NXC_READ, small, forged).code, 0);
    assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
    assert_int_equal(DO(a, do_status).status, NXC_INITIALIZED);
    free(forged);
    forged = craft(ticket, forge_size);
    struct answer r = begin(b, 0, NXC_READ, (struct shape){ 1, 4001, 0 }, forged);
    assert_int_equal(r.code, NXC_EFORMAT);
    assert_text(r, "descs[0] of the ticket: its blob has no key");
    assert_int_equal(begin(b, 0, NXC_READ, small, ticket).code, 0);
    both_complete(a, b, 0, NXC_READ);
    free(forged);
    free(ticket);
    peer_stop(a);
    peer_stop(b);
}

/* ---- a guest in somebody's process ------------------------------------------------------ */

/* number: how many signals are handled otherwise than before; code: of the connector. */
static void do_open_watched(struct worker *w, const struct order *o, struct answer *a)
{
    struct sigaction before[NSIG], after;
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, NULL, &before[sig]);
    do_open(w, o, a);
    for (int sig = 1; sig < NSIG; sig++)
        a->number += sigaction(sig, NULL, &after) == 0 && after.sa_handler != before[sig].sa_handler;
}

static void do_find_mapping(struct worker *w, const struct order *o, struct answer *a)
{
    answer(w, o, a, proc_maps(o->text));
}

static void test_ucx_is_loaded_for_those_who_want_it_and_changes_nothing_else(void **state)
{
    (void)state;
    struct nxc_connector_opts native = NXC_CONNECTOR_OPTS_INIT, any = plain_opts();
    native.listen = "127.0.0.1";
    any.require = NULL;
    struct peer  *a = peer_start(&native), *b = peer_fork(&any);
    struct answer opened = DO(b, do_open_watched);
    assert_int_equal(opened.code, 0);
    assert_int_equal(opened.number, 0);
    assert_true(DO(b, do_find_mapping, .text = "libucp").code);
    prove_link(a, b, NXC_READ);
    assert_false(DO(a, do_find_mapping, .text = "libucp").code);
    assert_false(DO(a, do_find_mapping, .text = "nxconnect-ucx").code);
    peer_stop(a);
    peer_stop(b);
}

static void assert_nothing_stayed(const char *before, const char *after)
{
    int fds[2], threads[2];
    assert_int_equal(sscanf(before, "%d %d", &fds[0], &threads[0]), 2);
    assert_int_equal(sscanf(after, "%d %d", &fds[1], &threads[1]), 2);
    assert_int_equal(fds[1], fds[0]);
    assert_int_equal(threads[1], threads[0]);
}

static void test_nothing_stays_after_the_connector_is_freed(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_fork(NULL);
    char         before[64];
    assert_int_equal(DO(b, do_open).code, 0); /* the first one loads UCX, which stays */
    DO(b, do_close);
    snprintf(before, sizeof before, "%s", DO(b, do_measure).text);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(DO(b, do_open).code, 0);
        prove_link(a, b, NXC_READ);
        prove_link(b, a, NXC_WRITE);
        start_op(a, b, 0, NXC_READ, large);
        DO(b, do_reach, .number = MIB);
        DO(b, do_close);
        assert_nothing_stayed(before, DO(b, do_measure).text);
        DO(b, do_free);
        DO(a, do_free);
    }
    peer_stop(a);
    peer_stop(b);
}

/* UCX wants to hear from it once more before it lets go of it. */
static void test_a_frozen_peer_that_nobody_needs_does_not_hold_the_connector(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_fork(NULL);
    char         before[64];
    assert_int_equal(DO(b, do_open).code, 0);
    DO(b, do_close);
    snprintf(before, sizeof before, "%s", DO(b, do_measure).text);
    assert_int_equal(DO(b, do_open).code, 0);
    prove_link(a, b, NXC_WRITE);
    peer_freeze(a, 1, 0);
    assert_in_range(DO(b, do_close).ns / MS, 0, AT_ONCE_MS);
    assert_nothing_stayed(before, DO(b, do_measure).text);
    peer_thaw(a);
    peer_stop(a);
    peer_stop(b);
}

/* ---- memory ---------------------------------------------------------------------------- */

/* In its own process, a worker that registers ahead: number 1 when all was as it should be. */
static void do_regions(struct worker *w, const struct order *o, struct answer *a)
{
    static uint8_t   bytes[100000];
    struct nxc_desc  all = nxc_desc_host(bytes, sizeof bytes), part = nxc_desc_host(bytes + 5000, 6000);
    struct nxc_desc  over = nxc_desc_host(bytes + 99000, 1000);
    struct nxc_stats s = { .size = sizeof s };
    nxc_region      *r[3];
    nxc_op          *in = NULL, *out = NULL;
    int              code = nxc_region_new(w->c, &all, &r[0]);
    bool             good = code == 0;
    good = good && nxc_region_new(w->c, &part, &r[1]) == 0 && nxc_region_new(w->c, &over, &r[2]) == 0;
    nxc_region_free(r[2]);
    good = good && nxc_op_create_readable(w->c, &part, 1, NULL, &in) == 0;
    nxc_region_free(r[0]); /* an operation may hold it still */
    struct nxc_desc whole[2] = { over, part };
    good = good && nxc_op_create_writable(w->c, whole, 2, NULL, &out) == 0;
    good = good && nxc_connector_stats(w->c, &s) == 0 && s.region_hits == 2 && s.region_misses == 1 &&
           s.region_bytes == part.len;
    nxc_op_free(in);
    nxc_op_free(out);
    nxc_connector_free(w->c);
    w->c = NULL;
    nxc_region_free(r[1]); /* after its connector */
    answer(w, o, a, code);
    a->number = good;
}

static void test_regions_serve_operations_inside_them_and_are_freed_in_any_order(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL);
    assert_int_equal(DO(a, do_regions).number, 1);
    peer_stop(a);
}

static void test_a_ticket_carries_its_own_memory_only_and_stays_small(void **state)
{
    (void)state;
    struct peer *a = peer_start(NULL), *b = peer_start(NULL);
    size_t       first = strlen(DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1).text);
    assert_in_range(first, 1, 800);
    for (int slot = 1; slot < SLOTS; slot++)
        DO(a, do_create, .slot = slot, .kind = NXC_READ, .shape = { 100, 50000, 0 }, .seed = 1);
    size_t last = strlen(DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1).text);
    assert_in_range(last, first - 10, first + 10); /* numbers may be longer, and deflate differently */
    struct answer t = DO(a, do_create, .slot = 1, .kind = NXC_READ, .shape = { 1000, 900000, 0 }, .seed = 1);
    assert_in_range(strlen(t.text), 1, 128 * KIB);
    assert_int_equal(begin(b, 1, NXC_READ, (struct shape){ 1000, 900000, 0 }, t.text).code, 0);
    both_complete(a, b, 1, NXC_READ);
    peer_stop(a);
    peer_stop(b);
}

/* UCX has taken the setting: in its address the loopback device would be named by the number
 * of the network's name space, while others are by their IP addresses. */
static void test_the_loopback_device_is_left_out(void **state)
{
    (void)state;
    if (proc_only_loopback())
        skip();
    struct stat        st;
    struct peer       *a = peer_start(NULL);
    struct answer      t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1);
    struct nxc_ticket *ticket;
    assert_int_equal(stat("/proc/self/ns/net", &st), 0);
    uint32_t space = (uint32_t)st.st_ino;
    assert_int_equal(nxi_ticket_decode(t.text, strlen(t.text), nxi_agent_from_text, &ticket), 0);
    const struct nxi_agent_conn *conn = nxi_agent_conn_find(ticket->agent, "UCX");
    assert_null(memmem(conn->info.ptr, conn->info.len, &space, sizeof space));
    nxi_ticket_free(ticket);
    peer_stop(a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_every_operation_completes_with_every_byte),
        PAIR_TEST(test_a_connector_can_use_its_own_ticket),
        PAIR_TEST(test_many_at_once_complete_in_any_order),
        PAIR_TEST(test_the_passive_side_hears_of_the_end_by_its_descriptor),
        PAIR_TEST(test_one_ticket_serves_native_and_nixl_workers),
        PAIR_TEST(test_a_ticket_without_native_addresses_names_the_option_to_a_native_worker),
        PAIR_TEST(test_cancel_in_the_middle_leaves_the_memory_to_its_owner),
        PAIR_TEST(test_deadlines_end_either_side),
        PAIR_TEST(test_a_peer_killed_in_the_middle_ends_ours_and_the_next_one_works),
        PAIR_TEST(test_a_frozen_peer_is_given_up_and_our_memory_is_ours),
        PAIR_TEST(test_a_peer_that_is_not_there_is_not_reached_within_connect_ms),
        PAIR_TEST(test_a_forged_key_ends_nothing),
        PAIR_TEST(test_ucx_is_loaded_for_those_who_want_it_and_changes_nothing_else),
        PAIR_TEST(test_nothing_stays_after_the_connector_is_freed),
        PAIR_TEST(test_a_frozen_peer_that_nobody_needs_does_not_hold_the_connector),
        PAIR_TEST(test_regions_serve_operations_inside_them_and_are_freed_in_any_order),
        PAIR_TEST(test_a_ticket_carries_its_own_memory_only_and_stays_small),
        PAIR_TEST(test_the_loopback_device_is_left_out),
    };
    take_transport(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
