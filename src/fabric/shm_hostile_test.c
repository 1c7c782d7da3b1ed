/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that do not keep the rules. */
#include "fabric/shm_two.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int knock_raw(struct two *t)
{
    struct sockaddr_un a;
    int                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    nxi_shm_address(t->b.env.instance, &a);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* Greets as an opener does, up to its MAC. */
static int greet_raw(struct two *t, uint8_t mac[NXI_MAC_LEN])
{
    struct nxi_greet g;
    uint8_t          buf[NXI_GREET_OUT];
    size_t           used;
    int              fd = knock_raw(t);
    nxi_greet_start(&g, true, t->b.env.instance, t->b.env.link_key, 1000, NULL);
    size_t len = nxi_greet_output(&g, buf);
    assert_int_equal(send(fd, buf, len, 0), len);
    for (size_t got = 0; got < NXI_GREET_OUT;) {
        worker_drive(&t->b);
        ssize_t n = recv(fd, buf + got, sizeof buf - got, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(nxi_greet_input(&g, buf, sizeof buf, &used), 1);
    assert_int_equal(nxi_greet_output(&g, mac), NXI_MAC_LEN);
    return fd;
}

static void wait_until_turned_away(struct two *t, int fd)
{
    char    byte;
    ssize_t n;
    uint64_t limit = nxi_now() + LIMIT_S * NXI_SEC;
    while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN && nxi_now() < limit)
        worker_drive(&t->b);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    assert_int_equal(t->b.ups + t->b.downs, 0);
    assert_int_equal(((struct nxi_shm *)t->b.f)->n_guests, 0);
    close(fd);
}

/* In a child that has become another user: 0 when both directions are refused as they should be. */
static int be_another_user(struct two *t)
{
    struct worker    w;
    struct nxi_link *l;
    alarm(LIMIT_S);
    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 1;
    worker_open(&w, 3);
    int r = w.f->ops->connect(w.f, &t->b.entry, NULL, worker_clock(&w), &l);
    return r == NXC_ENOTSUP ? 0 : 2;
}

static void test_another_users_process_is_not_talked_to(void **state)
{
    struct two *t = *state;
    if (geteuid() != 0) {
        print_message("only root can become another user\n");
        skip();
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(be_another_user(t));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    worker_drive(&t->b); /* it has knocked */
    assert_int_equal(((struct nxi_shm *)t->b.f)->n_guests, 0);
    assert_null(((struct nxi_shm *)t->b.f)->links);
}

static int sealed(size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void test_memory_that_is_not_as_agreed_is_turned_away(void **state)
{
    struct two *t = *state;
    uint8_t     mac[NXI_MAC_LEN];
    const int   all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    const int   fds[] = {
        sealed(sizeof(struct nxi_shm_map), F_SEAL_SHRINK | F_SEAL_GROW),
        sealed(sizeof(struct nxi_shm_map), F_SEAL_GROW | F_SEAL_SEAL),
        sealed(sizeof(struct nxi_shm_map) - 4096, all),
        sealed(sizeof(struct nxi_shm_map) + 4096, all),
        sealed(sizeof(struct nxi_shm_map), all | F_SEAL_WRITE),
        open("/dev/zero", O_RDWR | O_CLOEXEC),
    };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        int fd = greet_raw(t, mac);
        assert_int_equal(nxi_shm_fd_send(fd, mac, sizeof mac, fds[i]), 0);
        wait_until_turned_away(t, fd);
        close(fds[i]);
    }
    int fd = greet_raw(t, mac);
    assert_int_equal(send(fd, mac, sizeof mac, 0), sizeof mac); /* none at all */
    wait_until_turned_away(t, fd);
}

static void test_a_wrong_mac_is_turned_away(void **state)
{
    struct two *t = *state;
    uint8_t     mac[NXI_MAC_LEN];
    int         fd = greet_raw(t, mac);
    mac[31] ^= 1;
    assert_int_equal(send(fd, mac, sizeof mac, 0), sizeof mac);
    wait_until_turned_away(t, fd);
}

static void test_a_guest_that_does_not_greet_is_sent_away(void **state)
{
    struct two *t = *state;
    int         fd = knock_raw(t);
    worker_drive(&t->b);
    assert_int_equal(((struct nxi_shm *)t->b.f)->n_guests, 1);
    t->b.skew = 1900 * NXI_MS;
    worker_drive(&t->b);
    assert_int_equal(((struct nxi_shm *)t->b.f)->n_guests, 1);
    t->b.skew = 2100 * NXI_MS;
    wait_until_turned_away(t, fd);
}

static void test_more_guests_than_places_wait_outside(void **state)
{
    struct two *t = *state;
    int         fds[NXI_SHM_GUESTS + 1];
    for (int i = 0; i <= NXI_SHM_GUESTS; i++) {
        fds[i] = knock_raw(t);
        worker_drive(&t->b);
    }
    assert_int_equal(((struct nxi_shm *)t->b.f)->n_guests, NXI_SHM_GUESTS);
    assert_false(worker_has_bell(&t->b)); /* no busy loop */
    close(fds[0]);
    DRIVE_UNTIL(&t->b, NULL, ((struct nxi_shm *)t->b.f)->n_guests == NXI_SHM_GUESTS && !worker_has_bell(&t->b));
    for (int i = 1; i <= NXI_SHM_GUESTS; i++)
        close(fds[i]);
    DRIVE_UNTIL(&t->b, NULL, ((struct nxi_shm *)t->b.f)->n_guests == 0);
}

static size_t count_fds(void)
{
    size_t n = 0;
    DIR   *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_descriptors_that_nobody_asked_for_are_closed(void **state)
{
    struct two *t = *state;
    two_link(t);
    size_t before = count_fds();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(nxi_shm_fd_send(inside(t->a.link)->fd, "", 1, STDERR_FILENO), 0);
        worker_drive(&t->b);
    }
    assert_int_equal(count_fds(), before);
    uint8_t mac[NXI_MAC_LEN];
    int     fd = greet_raw(t, mac);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(nxi_shm_fd_send(fd, mac + i, 1, STDERR_FILENO), 0);
        worker_drive(&t->b);
    }
    close(fd);
    DRIVE_UNTIL(&t->b, NULL, ((struct nxi_shm *)t->b.f)->n_guests == 0);
    assert_int_equal(count_fds(), before);
}

/* Noise in a part of what both have mapped. */
static void scribble(struct nxi_shm_map *map, int where, uint32_t *seed)
{
    static const struct {
        size_t from, len;
    } parts[] = {
        { 0, offsetof(struct nxi_shm_map, rings) },          /* places and flags */
        { offsetof(struct nxi_shm_map, rings), 4096 },       /* records that are about to be read */
        { 0, sizeof(struct nxi_shm_map) },
    };
    for (int i = 0; i < 1000; i++) {
        *seed = *seed * 1664525 + 1013904223;
        ((uint8_t *)map)[parts[where].from + (*seed >> 8) % parts[where].len] = (uint8_t)(*seed >> 3);
    }
}

static void test_a_peer_that_scribbles_over_the_memory_is_left(void **state)
{
    struct two       *t = *state;
    uint32_t          seed = 9;
    struct nxc_desc   d = nxc_desc_host(t->from, 4096);
    struct nxi_cursor c;
    t->b.sinks[0] = nxc_desc_host(t->to, NXI_SHM_PIECE_MAX);
    t->b.n_sinks = 1;
    t->b.answer = true;
    for (int round = 0; round < 30; round++) {
        t->a.ups = t->b.ups = t->b.downs = 0;
        two_link(t);
        uint64_t limit = nxi_now() + LIMIT_S * NXI_SEC;
        for (int i = 0; t->b.downs == 0 && nxi_now() < limit; i++) {
            scribble(inside(t->a.link)->map, round % 3, &seed);
            c = nxi_cursor_at(&d, 1);
            worker_send(&t->b, "fills the ring", &c, 4096, NXI_SEND_REPLY);
            if (i == 500) /* luck may be long in coming */
                memset(inside(t->a.link)->map, 0xff, sizeof(struct nxi_shm_map));
            worker_drive(&t->b);
        }
        assert_int_equal(t->b.downs, 1);
        assert_int_equal(t->b.down_code, NXC_EPEER);
        DRIVE_UNTIL(&t->a, &t->b, t->a.link == NULL);
    }
    for (size_t i = NXI_SHM_PIECE_MAX; i < BIG; i++)
        assert_int_equal(t->to[i], 0);
}

static void test_a_peer_that_writes_on_after_its_end_is_not_read_for_ever(void **state)
{
    struct two *t = *state;
    two_link(t);
    struct nxi_shm_link *l = inside(t->a.link);
    shutdown(l->fd, SHUT_RDWR);
    for (int i = 0; t->b.downs == 0; i++) {
        assert_true(i < 100000);
        while (nxi_ring_put(&l->out, "more", 4, NULL, 0) == 0)
            ;
        worker_drive(&t->b);
    }
    assert_int_equal(t->b.down_code, NXC_EPEER);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, two_open, two_close)
    const struct CMUnitTest tests[] = {
        TEST(test_another_users_process_is_not_talked_to),
        TEST(test_memory_that_is_not_as_agreed_is_turned_away),
        TEST(test_a_wrong_mac_is_turned_away),
        TEST(test_a_guest_that_does_not_greet_is_sent_away),
        TEST(test_more_guests_than_places_wait_outside),
        TEST(test_descriptors_that_nobody_asked_for_are_closed),
        TEST(test_a_peer_that_scribbles_over_the_memory_is_left),
        TEST(test_a_peer_that_writes_on_after_its_end_is_not_read_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
