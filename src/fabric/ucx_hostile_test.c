/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer that speaks UCX, but not NIXL, may send to a worker that admits NIXL
 * workers: messages with other ids, rendezvous, garbage. Each test's victim is a
 * process of its own. With UCX itself, to which a connector would not do this. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "codec/notif.h"
#include "codec/ticket.h"
#include "codec/ucx_address.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <ucp/api/ucp.h>
#include <unistd.h>

enum { LIMIT_S = 60, BIG = 1 << 20, MEMORY = 4096, BURST = 3000 };

/* ---- the victim --------------------------------------------------------------- */

static uint8_t memory[MEMORY];

/* Offers memory, hands its ticket over, and waits for a key. Exits with 0 if the memory is as it was, or
 * 2 where UCX can't be had. */
static _Noreturn void victim_main(int fd)
{
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    nxc_connector            *c;
    nxc_op                   *op;
    const char               *json;
    size_t                    len;
    struct nxc_desc           d = nxc_desc_host(memory, sizeof memory);
    opts.peers = NXC_PEERS_ANY;
    opts.transports = "ucx";
    alarm(LIMIT_S);
    memset(memory, 'v', sizeof memory);
    if (nxc_connector_new(&opts, &c) < 0)
        _exit(2);
    if (nxc_op_create_writable(c, &d, 1, NULL, &op) < 0 || nxc_op_ticket(op, NXC_B64, &json, &len) < 0 ||
        send(fd, json, len, 0) != (ssize_t)len || nxc_op_wait(op, LIMIT_S * 1000) != 0)
        _exit(3);
    bool intact = memory[0] == 'v' && !memcmp(memory, memory + 1, sizeof memory - 1);
    nxc_op_free(op);
    nxc_connector_free(c);
    _exit(intact ? 0 : 4);
}

static struct {
    pid_t              pid;
    int                fd;
    struct nxc_ticket *ticket;
} victim;

/* false: UCX can't be had here. */
static bool victim_start(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    fflush(NULL);
    victim.pid = fork();
    assert_true(victim.pid >= 0);
    if (victim.pid == 0)
        victim_main(fds[1]);
    close(fds[1]);
    victim.fd = fds[0];
    static char json[8192];
    ssize_t     len = recv(victim.fd, json, sizeof json, 0);
    int         status;
    if (len <= 0) {
        assert_int_equal(waitpid(victim.pid, &status, 0), victim.pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
        return false;
    }
    assert_int_equal(nxi_ticket_decode(json, (size_t)len, nxi_agent_from_text, &victim.ticket), 0);
    return true;
}

/* ---- the attacker ----------------------------------------------------------------- */

static struct {
    ucp_context_h context;
    ucp_worker_h  worker;
    ucp_ep_h      ep;
    bool          lost;
} attacker;

static void on_lost(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    (void)arg, (void)ep, (void)status;
    attacker.lost = true;
}

static void attacker_start(void)
{
    const ucp_params_t        params = { .field_mask = UCP_PARAM_FIELD_FEATURES,
                                         .features = UCP_FEATURE_AM | UCP_FEATURE_RMA };
    const ucp_worker_params_t worker = { 0 };
    ucp_config_t             *config;
    assert_int_equal(ucp_config_read(NULL, NULL, &config), UCS_OK);
    assert_int_equal(ucp_init(&params, config, &attacker.context), UCS_OK);
    ucp_config_release(config);
    assert_int_equal(ucp_worker_create(attacker.context, &worker, &attacker.worker), UCS_OK);
    const struct nxi_agent_conn *conn = nxi_agent_conn_find(victim.ticket->agent, "UCX");
    static uint8_t               address[4096 + NXI_UCX_ADDRESS_PAD];
    assert_true(conn && conn->info.len <= 4096);
    nxi_ucx_address_pad(conn->info.ptr, conn->info.len, address);
    const ucp_ep_params_t ep = {
        .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER,
        .address = (const ucp_address_t *)address,
        .err_mode = UCP_ERR_HANDLING_MODE_PEER,
        .err_handler.cb = on_lost,
    };
    attacker.lost = false;
    assert_int_equal(ucp_ep_create(attacker.worker, &ep, &attacker.ep), UCS_OK);
}

/* Sends a message and waits until UCX is done with it, however. */
static void attack(unsigned id, size_t header_len, size_t len, uint32_t flags)
{
    static uint8_t            bytes[BIG];
    const ucp_request_param_t param = { .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS, .flags = flags };
    memset(bytes, 'x', sizeof bytes);
    ucs_status_ptr_t s = ucp_am_send_nbx(attacker.ep, id, bytes, header_len, bytes, len, &param);
    if (!UCS_PTR_IS_PTR(s))
        return;
    while (ucp_request_check_status(s) == UCS_INPROGRESS && !attacker.lost)
        ucp_worker_progress(attacker.worker);
    ucp_request_free(s);
}

/* Returns how long it is. */
static size_t encode_key(const char *key, uint8_t ret_bytes[256])
{
    const struct nxi_notif n = { { (const uint8_t *)"mallory", 7 }, { (const uint8_t *)key, strlen(key) } };
    nxi_notif_encode(&n, ret_bytes);
    return nxi_notif_size(n.name.len, n.msg.len);
}

static void notify_key(const char *key)
{
    uint8_t                   bytes[256];
    size_t                    len = encode_key(key, bytes);
    const ucp_request_param_t param = { .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS, .flags = UCP_AM_SEND_FLAG_EAGER };
    ucs_status_ptr_t          s = ucp_am_send_nbx(attacker.ep, 0, NULL, 0, bytes, len, &param);
    while (UCS_PTR_IS_PTR(s) && ucp_request_check_status(s) == UCS_INPROGRESS)
        ucp_worker_progress(attacker.worker);
    if (UCS_PTR_IS_PTR(s))
        ucp_request_free(s);
}

/* It was told the true key, which ends its wait, so it has lived through all that came before. */
static void assert_ended_well(void)
{
    int status;
    while (waitpid(victim.pid, &status, WNOHANG) == 0)
        ucp_worker_progress(attacker.worker);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("the victim ended with %#x", (unsigned)status);
    nxi_ticket_free(victim.ticket);
    close(victim.fd);
    ucp_worker_destroy(attacker.worker);
    ucp_cleanup(attacker.context);
}

static void assert_alive(void)
{
    struct pollfd pfd = { .fd = victim.fd, .events = POLLIN };
    assert_false(attacker.lost);
    assert_int_equal(poll(&pfd, 1, 0), 0);
    notify_key(victim.ticket->key_text);
    assert_ended_well();
}

static int begin(void **state)
{
    (void)state;
    alarm(LIMIT_S);
    return 0;
}

/* ---- what it sends ------------------------------------------------------------------- */

static void test_messages_with_other_ids_do_no_harm(void **state)
{
    static const unsigned ids[] = { 1, 2, 5, 63, 64, 700, 65535 };
    (void)state;
    if (!victim_start())
        skip();
    attacker_start();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        attack(ids[i], 0, 8, UCP_AM_SEND_FLAG_EAGER);
        attack(ids[i], 8, 20000, UCP_AM_SEND_FLAG_EAGER);
    }
    assert_alive();
}

static void test_rendezvous_is_refused(void **state)
{
    static const unsigned ids[] = { 0, 1, 700, 65535 };
    (void)state;
    if (!victim_start())
        skip();
    attacker_start();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        attack(ids[i], 0, BIG, UCP_AM_SEND_FLAG_RNDV);
    assert_alive();
}

static void test_notifications_that_are_none_are_dropped(void **state)
{
    (void)state;
    if (!victim_start())
        skip();
    attacker_start();
    attack(0, 0, 0, UCP_AM_SEND_FLAG_EAGER);
    attack(0, 0, 100, UCP_AM_SEND_FLAG_EAGER);
    attack(0, 4, 100, UCP_AM_SEND_FLAG_EAGER);
    attack(0, 0, NXI_NOTIF_MAX + 1, UCP_AM_SEND_FLAG_EAGER);
    attack(0, 0, BIG, UCP_AM_SEND_FLAG_EAGER);
    notify_key("");
    notify_key("the key of nothing, but as long as.");
    for (int i = 0; i < 5000; i++)
        attack(0, 0, 60, UCP_AM_SEND_FLAG_EAGER);
    assert_alive();
}

/* One after the other, without waiting for UCX. */
static void post(const void *bytes, size_t len)
{
    const ucp_request_param_t param = { .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS, .flags = UCP_AM_SEND_FLAG_EAGER };
    ucs_status_ptr_t          s = ucp_am_send_nbx(attacker.ep, 0, NULL, 0, bytes, len, &param);
    if (UCS_PTR_IS_PTR(s))
        ucp_request_free(s); /* it goes on without us */
}

/* Nothing hostile: many operations end while the worker can't look. */
static void test_what_is_said_in_a_burst_is_heard_in_full(void **state)
{
    static const uint8_t junk[40] = "key of another operation";
    uint8_t              bytes[256];
    int                  status;
    (void)state;
    if (!victim_start())
        skip();
    attacker_start();
    notify_key("connects");
    kill(victim.pid, SIGSTOP);
    assert_int_equal(waitpid(victim.pid, &status, WUNTRACED), victim.pid);
    for (int i = 0; i < BURST; i++)
        post(junk, sizeof junk);
    post(bytes, encode_key(victim.ticket->key_text, bytes));
    for (int i = 0; i < BURST; i++)
        ucp_worker_progress(attacker.worker); /* out, as far as there is room */
    kill(victim.pid, SIGCONT);
    assert_ended_well();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_messages_with_other_ids_do_no_harm, begin),
        cmocka_unit_test_setup(test_rendezvous_is_refused, begin),
        cmocka_unit_test_setup(test_notifications_that_are_none_are_dropped, begin),
        cmocka_unit_test_setup(test_what_is_said_in_a_burst_is_heard_in_full, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
