/* SPDX-License-Identifier: Apache-2.0 */
/* What each function says to arguments that it can't use. One process, one table
 * per function; what is returned through pointers stays untouched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nxconnect/nxconnect.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static nxc_connector *c;
static uint8_t        memory[2][4096];

/* r is this error, its detail has part in it. */
static void refused(int r, int error, const char *part, const char *what)
{
    if (r != error || !strstr(nxc_err_detail(), part))
        fail_msg("%s: %s, \"%s\"; expected %s, \"%s\"", what, nxc_err_name(r), nxc_err_detail(), nxc_err_name(error),
                 part);
}
#define REFUSED(call, error, part) refused(call, error, part, #call)

static int new_tcp(nxc_connector **ret_c, unsigned max_ops)
{
    struct nxc_connector_opts o = NXC_CONNECTOR_OPTS_INIT;
    o.transports = "tcp";
    o.listen = "127.0.0.1";
    o.max_ops = max_ops;
    return nxc_connector_new(&o, ret_c);
}

static int open_connector(void **state)
{
    (void)state;
    alarm(60);
    return new_tcp(&c, 0);
}

static int close_connector(void **state)
{
    (void)state;
    nxc_connector_free(c);
    c = NULL;
    return 0;
}

/* ---- connectors ----------------------------------------------------------------- */

struct connector_row {
    struct nxc_connector_opts opts;
    int                       error;
    const char               *part;
};
#define OPTS(...) { .size = sizeof(struct nxc_connector_opts), __VA_ARGS__ }

static void test_connector_options_are_refused_by_name(void **state)
{
    static char long_id[1000];
    memset(long_id, 'x', sizeof long_id - 1);
    const struct connector_row rows[] = {
        { { .size = 0 }, NXC_EINVAL, "size" },
        { { .size = sizeof(struct nxc_connector_opts) - 8 }, NXC_EINVAL, "size" },
        { { .size = sizeof(struct nxc_connector_opts) + 1 }, NXC_EINVAL, "size" },
        { { .size = SIZE_MAX & ~(size_t)7 }, NXC_EINVAL, "size" },
        { OPTS(.worker_id = ""), NXC_EINVAL, "worker_id" },
        { OPTS(.worker_id = "a\nb"), NXC_EINVAL, "worker_id" },
        { OPTS(.worker_id = long_id), NXC_EINVAL, "worker_id" },
        { OPTS(.worker_id = "\xff"), NXC_EINVAL, "worker_id" },
        { OPTS(.transports = ""), NXC_EINVAL, "transports" },
        { OPTS(.transports = "shm,"), NXC_EINVAL, "transports" },
        { OPTS(.transports = "shm,rdma"), NXC_EINVAL, "transports: \"rdma\"" },
        { OPTS(.transports = "shm,ucx"), NXC_ENOTSUP, "transports: ucx" },
        { OPTS(.require = "shm,tcp"), NXC_EINVAL, "require" },
        { OPTS(.require = "smh"), NXC_EINVAL, "require: \"smh\"" },
        { OPTS(.require = "ucx"), NXC_ENOTSUP, "require: ucx" },
        { OPTS(.transports = "tcp", .require = "shm", .listen = "127.0.0.1"), NXC_EINVAL, "require: shm" },
        { OPTS(.listen = "no such place"), NXC_EINVAL, "listen" },
        { OPTS(.listen = "127.0.0.1:70000"), NXC_EINVAL, "listen" },
        { OPTS(.listen = "127.0.0.1:9-8"), NXC_EINVAL, "listen" },
        { OPTS(.listen = "127.0.0.1,"), NXC_EINVAL, "listen" },
        { OPTS(.peers = NXC_PEERS_ANY, .transports = "shm,tcp"), NXC_EINVAL, "transports: ucx is missing" },
        { OPTS(.peers = 2), NXC_EINVAL, "peers" },
        { OPTS(.connect_ms = NXC_OFF), NXC_EINVAL, "connect_ms" },
        { OPTS(.keepalive_ms = NXC_OFF), NXC_EINVAL, "keepalive_ms" },
        { OPTS(.turn_kb = NXC_OFF), NXC_EINVAL, "turn_kb" },
    };
    (void)state;
    REFUSED(nxc_connector_new(NULL, NULL), NXC_EINVAL, "ret_c is NULL");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nxc_connector *untouched = (nxc_connector *)memory;
        int            r = nxc_connector_new(&rows[i].opts, &untouched);
        if (r != rows[i].error || !strstr(nxc_err_detail(), rows[i].part))
            fail_msg("row %zu: %s, \"%s\"; expected %s, \"%s\"", i, nxc_err_name(r), nxc_err_detail(),
                     nxc_err_name(rows[i].error), rows[i].part);
        assert_ptr_equal(untouched, memory);
    }
}

static void test_options_of_a_newer_version_are_taken_while_they_are_zero(void **state)
{
    struct {
        struct nxc_connector_opts now;
        uint64_t                  later;
    } grown = { .now = { .size = sizeof grown, .transports = "tcp", .listen = "127.0.0.1" } };
    struct {
        struct nxc_op_opts now;
        uint64_t           later;
    } op_grown = { .now = { .size = sizeof op_grown } };
    struct nxc_desc d = nxc_desc_host(memory, 8);
    nxc_connector  *other = NULL;
    nxc_op         *op = NULL;
    (void)state;
    assert_int_equal(nxc_connector_new(&grown.now, &other), 0);
    assert_int_equal(nxc_op_create_readable(other, &d, 1, &op_grown.now, &op), 0);
    nxc_op_free(op);
    op_grown.later = 1;
    REFUSED(nxc_op_create_readable(other, &d, 1, &op_grown.now, &op), NXC_ENOTSUP, "newer option");
    nxc_connector_free(other);
    grown.later = 1ull << 63;
    REFUSED(nxc_connector_new(&grown.now, &other), NXC_ENOTSUP, "newer option");
}

static void test_functions_of_a_connector_name_what_is_null(void **state)
{
    struct nxc_event event;
    struct nxc_stats stats = { .size = sizeof stats };
    (void)state;
    REFUSED(nxc_connector_fd(NULL), NXC_EINVAL, "c is NULL");
    REFUSED(nxc_connector_next(NULL, &event, 1), NXC_EINVAL, "c is NULL");
    REFUSED(nxc_connector_next(c, NULL, 1), NXC_EINVAL, "ret_events is NULL");
    REFUSED(nxc_connector_stats(NULL, &stats), NXC_EINVAL, "c is NULL");
    REFUSED(nxc_connector_stats(c, NULL), NXC_EINVAL, "stats is NULL");
    stats.size = 4;
    REFUSED(nxc_connector_stats(c, &stats), NXC_EINVAL, "stats->size");
    assert_int_equal(nxc_connector_next(c, &event, 0), 0);
    nxc_connector_free(NULL);
    nxc_ticket_free(NULL);
    nxc_region_free(NULL);
    nxc_op_free(NULL);
}

/* ---- memory --------------------------------------------------------------------------- */

static const struct {
    struct nxc_desc descs[2];
    int             error;
    const char     *part;
} bad_memory[] = {
    { { { 0, 8, NXC_HOST, 0 }, { 1, 1, NXC_HOST, 0 } }, NXC_EINVAL, "descs[0].addr is null" },
    { { { 64, 8, NXC_HOST, 0 }, { 0, 0, NXC_HOST, 0 } }, NXC_EINVAL, "descs[1].addr is null" },
    { { { 64, 8, NXC_HOST, 0 }, { UINT64_MAX, 2, NXC_HOST, 0 } }, NXC_EINVAL, "descs[1] wraps" },
    { { { 2, UINT64_MAX - 1, NXC_HOST, 0 }, { 1, 1, NXC_HOST, 0 } }, NXC_EINVAL, "descs[0] wraps" },
    { { { 1, UINT64_MAX - 8, NXC_HOST, 0 }, { 1, 16, NXC_HOST, 0 } }, NXC_EINVAL, "descs[1]" },
    { { { 64, 8, 0, 0 }, { 64, 8, NXC_HOST, 0 } }, NXC_EDEVICE, "descs[0]: unknown device 0" },
    { { { 64, 8, NXC_HOST, 0 }, { 64, 8, 9, 0 } }, NXC_EDEVICE, "descs[1]: unknown device 9" },
    { { { 64, 8, NXC_HOST, 3 }, { 64, 8, NXC_HOST, 0 } }, NXC_EDEVICE, "descs[0]" },
    { { { 64, 8, NXC_CUDA, 0 }, { 64, 8, NXC_HOST, 0 } }, NXC_ENOTSUP, "CUDA" },
    { { { 64, 8, NXC_HOST, 0 }, { 64, 8, NXC_XPU, 1 } }, NXC_ENOTSUP, "XPU" },
};

static void test_memory_that_can_not_be_lent_is_named_by_its_index(void **state)
{
    nxc_op     *op = (nxc_op *)memory;
    nxc_region *region = (nxc_region *)memory;
    (void)state;
    for (size_t i = 0; i < sizeof bad_memory / sizeof *bad_memory; i++) {
        const struct nxc_desc *d = bad_memory[i].descs;
        REFUSED(nxc_op_create_readable(c, d, 2, NULL, &op), bad_memory[i].error, bad_memory[i].part);
        REFUSED(nxc_op_create_writable(c, d, 2, NULL, &op), bad_memory[i].error, bad_memory[i].part);
        if (strstr(bad_memory[i].part, "descs[0]"))
            REFUSED(nxc_region_new(c, d, &region), bad_memory[i].error, "");
        assert_ptr_equal(op, memory);
        assert_ptr_equal(region, memory);
    }
    struct nxc_desc fine = nxc_desc_host(memory, 8);
    REFUSED(nxc_region_new(NULL, &fine, &region), NXC_EINVAL, "c is NULL");
    REFUSED(nxc_region_new(c, NULL, &region), NXC_EINVAL, "desc is NULL");
    REFUSED(nxc_region_new(c, &fine, NULL), NXC_EINVAL, "ret_r is NULL");
}

/* ---- operations --------------------------------------------------------------------------- */

typedef int create_fn(nxc_connector *, const struct nxc_desc *, size_t, const struct nxc_op_opts *, nxc_op **);
typedef int begin_fn(nxc_connector *, const nxc_ticket *, const struct nxc_desc *, size_t, const struct nxc_op_opts *,
                     nxc_op **);

static void test_create_names_what_it_can_not_use(void **state)
{
    create_fn               *const create[] = { nxc_op_create_readable, nxc_op_create_writable };
    const struct nxc_desc    d = nxc_desc_host(memory, 8);
    const struct nxc_op_opts small = { .size = sizeof small - 8 };
    const struct nxc_op_opts reserved = { .size = sizeof reserved, .reserved = 1 };
    (void)state;
    for (int i = 0; i < 2; i++) {
        nxc_op *op = (nxc_op *)memory;
        REFUSED(create[i](NULL, &d, 1, NULL, &op), NXC_EINVAL, "c is NULL");
        REFUSED(create[i](c, NULL, 1, NULL, &op), NXC_EINVAL, "descs is NULL");
        REFUSED(create[i](c, &d, 0, NULL, &op), NXC_EINVAL, "n is 0");
        REFUSED(create[i](c, &d, SIZE_MAX, NULL, &op), NXC_ELIMIT, "n is");
        REFUSED(create[i](c, &d, 1, &small, &op), NXC_EINVAL, "opts->size");
        REFUSED(create[i](c, &d, 1, &reserved, &op), NXC_EINVAL, "opts->reserved");
        REFUSED(create[i](c, &d, 1, NULL, NULL), NXC_EINVAL, "ret_op is NULL");
        assert_ptr_equal(op, memory);
    }
}

static nxc_ticket *ticket_of(nxc_op *op)
{
    const char *json;
    size_t      len;
    nxc_ticket *t;
    assert_int_equal(nxc_op_ticket(op, NXC_B64, &json, &len), 0);
    assert_int_equal(strlen(json), len);
    assert_int_equal(nxc_ticket_parse(json, len, &t), 0);
    return t;
}

static void test_begin_names_what_it_can_not_use(void **state)
{
    const struct nxc_desc    d[2] = { nxc_desc_host(memory[0], 8), nxc_desc_host(memory[1], 9) };
    const struct nxc_desc    more[2] = { d[0], nxc_desc_host(memory[1], 10) };
    const struct nxc_op_opts reserved = { .size = sizeof reserved, .reserved = 1 };
    nxc_op                  *offers[2];
    (void)state;
    assert_int_equal(nxc_op_create_readable(c, d, 2, NULL, &offers[0]), 0);
    assert_int_equal(nxc_op_create_writable(c, d, 2, NULL, &offers[1]), 0);
    for (int i = 0; i < 2; i++) {
        begin_fn   *begin = i ? nxc_op_begin_write : nxc_op_begin_read;
        begin_fn   *other = i ? nxc_op_begin_read : nxc_op_begin_write;
        nxc_op     *op = (nxc_op *)memory;
        nxc_ticket *t = ticket_of(offers[i]);
        REFUSED(begin(NULL, t, d, 2, NULL, &op), NXC_EINVAL, "c is NULL");
        REFUSED(begin(c, NULL, d, 2, NULL, &op), NXC_EINVAL, "t is NULL");
        REFUSED(begin(c, t, NULL, 2, NULL, &op), NXC_EINVAL, "descs is NULL");
        REFUSED(begin(c, t, d, 0, NULL, &op), NXC_EINVAL, "n is 0");
        REFUSED(begin(c, t, d, 2, &reserved, &op), NXC_EINVAL, "opts->reserved");
        REFUSED(begin(c, t, d, 2, NULL, NULL), NXC_EINVAL, "ret_op is NULL");
        REFUSED(begin(c, t, bad_memory[2].descs, 2, NULL, &op), NXC_EINVAL, "descs[1] wraps");
        REFUSED(begin(c, t, bad_memory[8].descs, 2, NULL, &op), NXC_ENOTSUP, "CUDA");
        REFUSED(other(c, t, d, 2, NULL, &op), NXC_EKIND, i ? "to write, used to read" : "to read, used to write");
        REFUSED(begin(c, t, d, 1, NULL, &op), NXC_ESIZE, "1 descriptors here, 2 in the ticket");
        REFUSED(begin(c, t, more, 2, NULL, &op), NXC_ESIZE, "descs[1]: 10 bytes here, 9 in the ticket");
        assert_ptr_equal(op, memory);
        assert_int_equal(nxc_op_status(offers[i]), NXC_INITIALIZED);
        nxc_ticket_free(t);
        nxc_op_free(offers[i]);
    }
}

static void test_questions_about_an_operation_name_what_is_null(void **state)
{
    const struct nxc_desc d = nxc_desc_host(memory[0], 8), e = nxc_desc_host(memory[1], 8);
    nxc_op               *passive, *active;
    const char           *json = (const char *)memory;
    size_t                len = 7;
    (void)state;
    assert_int_equal(nxc_op_create_readable(c, &d, 1, NULL, &passive), 0);
    nxc_ticket *t = ticket_of(passive);
    assert_int_equal(nxc_op_begin_read(c, t, &e, 1, NULL, &active), 0);
    nxc_ticket_free(t);
    REFUSED(nxc_op_ticket(NULL, NXC_B64, &json, &len), NXC_EINVAL, "op is NULL");
    REFUSED(nxc_op_ticket(passive, NXC_B64, NULL, &len), NXC_EINVAL, "ret_json is NULL");
    REFUSED(nxc_op_ticket(passive, (enum nxc_encoding)2, &json, &len), NXC_EINVAL, "enc");
    REFUSED(nxc_op_ticket(active, NXC_B64, &json, &len), NXC_ESTATE, "created");
    assert_ptr_equal(json, memory);
    assert_int_equal(len, 7);
    REFUSED(nxc_op_error(NULL, NULL), NXC_EINVAL, "op is NULL");
    REFUSED(nxc_op_progress(NULL, NULL, NULL), NXC_EINVAL, "op is NULL");
    REFUSED(nxc_op_cancel(NULL), NXC_EINVAL, "op is NULL");
    REFUSED(nxc_op_wait(NULL, 0), NXC_EINVAL, "op is NULL");
    assert_int_equal(nxc_op_progress(active, NULL, NULL), 0);
    assert_int_equal(nxc_op_wait(active, -1), 0);
    assert_int_equal(nxc_op_error(active, NULL), 0);
    nxc_op_free(active);
    nxc_op_free(passive);
}

static void test_a_ticket_that_is_none_is_refused(void **state)
{
    nxc_ticket *t = (nxc_ticket *)memory;
    (void)state;
    REFUSED(nxc_ticket_parse(NULL, 1, &t), NXC_EINVAL, "json is NULL");
    REFUSED(nxc_ticket_parse("{}", 2, NULL), NXC_EINVAL, "ret_t is NULL");
    REFUSED(nxc_ticket_parse("", 0, &t), NXC_EFORMAT, "");
    REFUSED(nxc_ticket_parse("{}", 2, &t), NXC_EFORMAT, "descriptors");
    REFUSED(nxc_ticket_explain(NULL, NULL, NULL), NXC_EINVAL, "NULL");
    REFUSED(nxc_host_check(NULL, NULL), NXC_EINVAL, "NULL");
    assert_ptr_equal(t, memory);
}

static void test_max_ops_counts_those_that_have_not_ended(void **state)
{
    const struct nxc_desc d = nxc_desc_host(memory, 8);
    nxc_connector        *few;
    nxc_op               *ops[4];
    (void)state;
    assert_int_equal(new_tcp(&few, 2), 0);
    assert_int_equal(nxc_op_create_readable(few, &d, 1, NULL, &ops[0]), 0);
    assert_int_equal(nxc_op_create_writable(few, &d, 1, NULL, &ops[1]), 0);
    REFUSED(nxc_op_create_readable(few, &d, 1, NULL, &ops[2]), NXC_ELIMIT, "max_ops: 2");
    nxc_op_cancel(ops[0]);
    assert_int_equal(nxc_op_wait(ops[0], -1), NXC_ECANCELLED);
    assert_int_equal(nxc_op_create_readable(few, &d, 1, NULL, &ops[2]), 0); /* ended, though not freed */
    REFUSED(nxc_op_create_readable(few, &d, 1, NULL, &ops[3]), NXC_ELIMIT, "max_ops: 2");
    for (int i = 0; i < 3; i++)
        nxc_op_free(ops[i]);
    assert_int_equal(nxc_op_create_readable(few, &d, 1, NULL, &ops[3]), 0);
    nxc_connector_free(few);
    nxc_op_free(ops[3]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_connector, close_connector)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connector_options_are_refused_by_name),
        TEST(test_options_of_a_newer_version_are_taken_while_they_are_zero),
        TEST(test_functions_of_a_connector_name_what_is_null),
        TEST(test_memory_that_can_not_be_lent_is_named_by_its_index),
        TEST(test_create_names_what_it_can_not_use),
        TEST(test_begin_names_what_it_can_not_use),
        TEST(test_questions_about_an_operation_name_what_is_null),
        TEST(test_a_ticket_that_is_none_is_refused),
        TEST(test_max_ops_counts_those_that_have_not_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
