/* SPDX-License-Identifier: Apache-2.0 */
/* How links end: closed, refused, killed, forked. */
#include "fabric/shm_two.h"

#include "base/error.h"
#include "base/mem.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_who_is_closed_on_reads_all_first(void **state)
{
    struct two *t = *state;
    two_link(t);
    for (int i = 0; i < 100; i++)
        assert_int_equal(worker_send(&t->a, "last words", NULL, 0, NXI_SEND_WHOLE), 0);
    t->a.f->ops->close(t->a.link);
    DRIVE_UNTIL(&t->b, &t->a, t->b.downs == 1);
    assert_int_equal(t->b.headers, 100);
    assert_int_equal(t->b.down_code, NXC_EPEER);
    assert_int_equal(t->a.downs, 0);
}

static void test_a_refused_frame_ends_the_link(void **state)
{
    struct two *t = *state;
    two_link(t);
    t->b.refuse = nxi_fail(NXC_EPEER, "no such message");
    assert_int_equal(worker_send(&t->a, "nonsense", NULL, 0, NXI_SEND_WHOLE), 0);
    DRIVE_UNTIL(&t->a, &t->b, t->b.downs == 1 && t->a.downs == 1);
    assert_int_equal(t->b.headers, 1);
    assert_int_equal(t->b.down_code, NXC_EPEER);
}

static void test_a_link_may_be_closed_inside_an_event(void **state)
{
    struct two *t = *state;
    two_link(t);
    t->b.close_in_header = true;
    struct nxc_desc   d = nxc_desc_host(t->from, 40000);
    struct nxi_cursor c = nxi_cursor_at(&d, 1);
    assert_int_equal(worker_send(&t->a, "x", &c, 40000, NXI_SEND_LEND), 1);
    assert_int_equal(worker_send(&t->a, "y", NULL, 0, NXI_SEND_WHOLE), 0);
    DRIVE_UNTIL(&t->a, &t->b, t->a.downs == 1);
    assert_int_equal(t->b.headers, 1);
    assert_int_equal(t->b.downs, 0);
}

static void test_a_send_after_the_peers_end_says_so(void **state)
{
    struct two *t = *state;
    struct nxi_link *l = two_link(t);
    t->b.f->ops->close(t->b.link);
    struct epoll_event e;
    assert_int_equal(epoll_wait(t->a.env.epfd, &e, 1, 1000 * LIMIT_S), 1);
    ((struct nxi_watch *)e.data.ptr)->fn(e.data.ptr, e.events, worker_clock(&t->a));
    assert_int_equal(worker_send(&t->a, "x", NULL, 0, NXI_SEND_REPLY), NXC_EPEER);
    assert_true(t->a.f->ops->arm(t->a.f)); /* down is due */
    assert_int_equal(t->a.downs, 0);
    DRIVE_UNTIL(&t->a, NULL, t->a.downs == 1);
    (void)l;
}

/* What a child does: connects to b, sends a frame, and dies. With an heir it leaves
 * a child of its own that holds all its descriptors until the test lets go of life. */
static void be_a_mortal_peer(struct two *t, bool heir, int life[2])
{
    struct worker    w;
    struct nxi_link *l;
    char             byte;
    close(life[1]);
    alarm(LIMIT_S);
    worker_open(&w, 3);
    w.f->ops->connect(w.f, &t->b.entry, NULL, worker_clock(&w), &l);
    while (!w.ups)
        worker_drive(&w);
    worker_send(&w, "farewell", NULL, 0, NXI_SEND_WHOLE);
    if (heir && fork() == 0)
        _exit(read(life[0], &byte, 1) != 0);
    kill(getpid(), SIGKILL);
}

static void check_death(struct two *t, bool heir)
{
    int life[2];
    assert_int_equal(pipe(life), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        t->b.f->ops->forked(t->b.f); /* else the child would hold the listener too */
        t->a.f->ops->forked(t->a.f);
        be_a_mortal_peer(t, heir, life);
    }
    DRIVE_UNTIL(&t->b, NULL, t->b.downs == 1);
    assert_int_equal(t->b.headers, 1);
    assert_string_equal((char *)t->b.header, "farewell");
    assert_int_equal(t->b.down_code, NXC_EPEER);
    close(life[0]);
    close(life[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_killed_peer_is_missed_after_its_last_frame(void **state)
{
    check_death(*state, false);
}

static void test_a_killed_peers_child_does_not_keep_the_link_alive(void **state)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd < 0) {
        print_message("pidfd_open is not allowed here\n");
        skip();
    }
    close(fd);
    check_death(*state, true);
}

static void test_a_forked_child_lets_go_and_harms_nobody(void **state)
{
    struct two *t = *state;
    two_link(t);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(LIMIT_S);
        t->a.f->ops->forked(t->a.f);
        t->a.f->ops->free(t->a.f);
        t->b.f->ops->forked(t->b.f);
        t->b.f->ops->free(t->b.f);
        _exit(t->a.timers.reserved || t->b.timers.reserved);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(worker_send(&t->a, "still here", NULL, 0, NXI_SEND_WHOLE), 0);
    DRIVE_UNTIL(&t->a, &t->b, t->b.headers == 1);
    assert_int_equal(t->a.downs + t->b.downs, 0);
}

static void test_memory_that_is_out_is_an_error_and_no_leak(void **state)
{
    struct two *t = *state;
    for (unsigned nth = 1; nth < 12; nth++) {
        struct nxi_link *l;
        nxi_mem_fail(nth, false);
        int r = t->a.f->ops->connect(t->a.f, &t->b.entry, t, worker_clock(&t->a), &l);
        int ended = t->a.ups + t->a.downs;
        if (r == 0)
            DRIVE_UNTIL(&t->a, &t->b, t->a.ups + t->a.downs > ended);
        nxi_mem_fail(0, false);
        assert_true(r == 0 || r == NXC_ENOMEM);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, two_open, two_close)
    const struct CMUnitTest tests[] = {
        TEST(test_who_is_closed_on_reads_all_first),
        TEST(test_a_refused_frame_ends_the_link),
        TEST(test_a_link_may_be_closed_inside_an_event),
        TEST(test_a_send_after_the_peers_end_says_so),
        TEST(test_a_killed_peer_is_missed_after_its_last_frame),
        TEST(test_a_killed_peers_child_does_not_keep_the_link_alive),
        TEST(test_a_forked_child_lets_go_and_harms_nobody),
        TEST(test_memory_that_is_out_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
