/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct order {
    size_t way;
    uint64_t seed;
    struct bench_case c;
};

#define ORDER_LIMIT_SECONDS 60

uint64_t bench_resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fds(void)
{
    uint64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Both processes spin, so each gets a processor to itself; every thread that a
 * contender starts stays on the processor of its process. */
static void pin_to(int nth)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) < 2)
        return;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && nth-- == 0)
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static void obey(struct bench_side *s)
{
    struct order order;
    while (recv(s->order_fd, &order, sizeof order, 0) == (ssize_t)sizeof order) {
        struct bench_answer answer = { 0 };
        const struct bench_way *way = &bench_ways[order.way];
        /* A contender that hangs must not hang the benchmark. */
        alarm(ORDER_LIMIT_SECONDS);
        s->seed = order.seed;
        s->note[0] = 0;
        answer.value = way->measure(s, way, &order.c);
        alarm(0);
        answer.rss = bench_resident_bytes();
        answer.fds = open_fds();
        snprintf(answer.text, sizeof answer.text, "%s", s->note);
        if (send(s->order_fd, &answer, sizeof answer, MSG_NOSIGNAL) < 0)
            break;
    }
    bench_ours_close();
    bench_ucx_close();
}

static _Noreturn void child(int me, struct bench_page *page, int order_fd, int peer_fd, int pin)
{
    struct bench_side s = { .me = me, .page = page, .order_fd = order_fd, .peer_fd = peer_fd };
    size_t len = BENCH_MAX_SIZE;
    if (pin)
        pin_to(me);
    s.out = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    s.in = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s.out == MAP_FAILED || s.in == MAP_FAILED)
        bench_fail(&s, "no memory for the buffers");
    pid_t mine = getpid();
    bench_post(&s, &mine, sizeof mine);
    bench_collect(&s, &s.peer_pid, sizeof s.peer_pid);
    obey(&s);
    _exit(0);
}

/* order[i] and peer are socket pairs; a child keeps its own ends only, so that
 * the parent sees its death. */
static pid_t spawn(int me, struct bench_page *page, int order[2][2], const int peer[2], int pin)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    close(order[0][0]);
    close(order[1][0]);
    close(order[!me][1]);
    close(peer[!me]);
    child(me, page, order[me][1], peer[me], pin);
}

int bench_pair_start(struct bench_pair *p, int pin)
{
    int order[2][2], peer[2];
    memset(p, 0, sizeof *p);
    p->page = mmap(NULL, sizeof *p->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p->page == MAP_FAILED)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, order[0]) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, order[1]) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peer) < 0)
        return -1; /* the benchmark ends; the kernel tidies up */
    for (int i = 0; i < 2; i++) {
        p->pid[i] = spawn(i, p->page, order, peer, pin);
        p->fd[i] = order[i][0];
        if (p->pid[i] < 0)
            return -1;
    }
    for (int i = 0; i < 2; i++) {
        close(order[i][1]);
        close(peer[i]);
    }
    return 0;
}

/* Takes the answer of whoever speaks first: after the death of one side the
 * other would spin until its alarm. */
static int take_answer(struct bench_pair *p, int seen[2], struct bench_answer answers[2])
{
    struct pollfd fds[2];
    for (int i = 0; i < 2; i++)
        fds[i] = (struct pollfd){ .fd = seen[i] ? -1 : p->fd[i], .events = POLLIN };
    if (poll(fds, 2, (ORDER_LIMIT_SECONDS + 5) * 1000) <= 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (fds[i].fd < 0 || !fds[i].revents)
            continue;
        if (recv(p->fd[i], &answers[i], sizeof answers[i], 0) != (ssize_t)sizeof answers[i])
            return -1;
        seen[i] = 1;
        if (answers[i].failed)
            return -1;
    }
    return 0;
}

int bench_pair_order(struct bench_pair *p, size_t way, const struct bench_case *c,
                     struct bench_answer ret_answers[2])
{
    static uint64_t seed;
    struct order order = { way, ++seed, *c };
    int seen[2] = { 0, 0 };
    memset(ret_answers, 0, 2 * sizeof *ret_answers);
    for (int i = 0; i < 2; i++)
        if (send(p->fd[i], &order, sizeof order, MSG_NOSIGNAL) < 0)
            goto fail;
    while (!seen[0] || !seen[1])
        if (take_answer(p, seen, ret_answers) < 0)
            goto fail;
    return 0;
fail:
    if (!ret_answers[0].failed && ret_answers[1].failed)
        ret_answers[0] = ret_answers[1];
    if (!ret_answers[0].failed)
        snprintf(ret_answers[0].text, sizeof ret_answers[0].text, "a process died or hung");
    for (int i = 0; i < 2; i++)
        kill(p->pid[i], SIGKILL);
    bench_pair_stop(p);
    return -1;
}

void bench_pair_stop(struct bench_pair *p)
{
    if (!p->pid[0])
        return;
    for (int i = 0; i < 2; i++) {
        /* Not close alone: processes of a later pair have copies. */
        shutdown(p->fd[i], SHUT_RDWR);
        close(p->fd[i]);
    }
    for (int i = 0; i < 2; i++)
        waitpid(p->pid[i], NULL, 0);
    munmap(p->page, sizeof *p->page);
    memset(p, 0, sizeof *p);
}
