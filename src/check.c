/* SPDX-License-Identifier: Apache-2.0 */
/* nxc_host_check(): what this host can do. Each check tries the real thing in a
 * small way, where that leaves nothing behind; what can't be tried is read from
 * the kernel. */
#include "base/error.h"
#include "hostlib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LINE = 512,
    FILES_MIN = 64,  /* descriptors that a few connectors with their links need */
    PORTS_MIN = 64,  /* the same for ports */
    SYS_PTRACE = 19, /* CAP_SYS_PTRACE; its header belongs to another package */
};

struct listener {
    nxc_fact_fn fn;
    void       *arg;
};

static void __attribute__((format(printf, 4, 5)))
tell(const struct listener *to, const char *name, int result, const char *format, ...)
{
    char text[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    to->fn(name, result, text, to->arg);
}

/* Reads the start of a small file. false when it is not there. */
static bool read_text(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, cap - 1);
    close(fd);
    if (n < 0)
        return false;
    buf[n] = '\0';
    return true;
}

/* ---- the same host ------------------------------------------------------- */

static int try_memfd(void)
{
    int fd = memfd_create("nxconnect-check", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return nxi_fail_errno(NXC_ENOTSUP, errno, "memfd_create");
    int r = 0;
    if (ftruncate(fd, 4096) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        r = nxi_fail_errno(NXC_ENOTSUP, errno, "sealing a memfd");
    close(fd);
    return r;
}

static int try_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return nxi_fail_errno(NXC_ENOTSUP, errno, "Unix socket");
    /* An address without a name makes the kernel choose an abstract one. */
    struct sockaddr_un any = { .sun_family = AF_UNIX };
    int r = 0;
    if (bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) < 0)
        r = nxi_fail_errno(NXC_ENOTSUP, errno, "abstract Unix socket");
    close(fd);
    return r;
}

static void check_shm(const struct listener *to)
{
    int r = try_memfd();
    if (r == 0)
        r = try_socket();
    tell(to, "shm", r, "%s", r < 0 ? nxc_err_detail() : "sealed memory files and abstract Unix sockets");
}

/* Whether the capabilities in effect include this one. */
static bool has_capability(unsigned capability)
{
    char status[4096];
    if (!read_text("/proc/self/status", status, sizeof status))
        return false;
    const char *line = strstr(status, "\nCapEff:");
    return line && strtoull(line + 8, NULL, 16) >> capability & 1;
}

/* A process may always read itself; what forbids even that is a seccomp filter
 * or a kernel without the call. */
static int try_pull(void)
{
    char from = 1, into = 0;
    struct iovec local = { &into, 1 }, remote = { &from, 1 };
    if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1)
        return nxi_fail_errno(NXC_ENOTSUP, errno, "process_vm_readv (a container's seccomp profile may forbid it)");
    return 0;
}

static void check_pull(const struct listener *to)
{
    char scope[16];
    int r = try_pull();
    if (r < 0) {
        tell(to, "pull", r, "%s; large transfers go through the ring", nxc_err_detail());
    } else if (prctl(PR_GET_DUMPABLE) != 1) {
        tell(to, "pull", NXC_EACCESS, "this process is not dumpable, so no peer may read its memory");
    } else if (read_text("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope) && atoi(scope) != 0 &&
               (atoi(scope) > 2 || !has_capability(SYS_PTRACE))) {
        tell(to, "pull", NXC_EACCESS,
             "kernel.yama.ptrace_scope is %d: large transfers go through the ring; sysctl kernel.yama.ptrace_scope=0 "
             "allows it",
             atoi(scope));
    } else {
        tell(to, "pull", 0, "process_vm_readv from processes of the same user");
    }
}

static void check_pidfd(const struct listener *to)
{
#ifdef SYS_pidfd_open
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0) {
        close(fd);
        tell(to, "pidfd", 0, "a peer's death is seen even if its child keeps its sockets open");
        return;
    }
#else
    errno = ENOSYS;
#endif
    tell(to, "pidfd", NXC_ENOTSUP, "%s; a dead peer whose child keeps its sockets open is found by its silence",
         strerror(errno));
}

/* ---- other hosts --------------------------------------------------------- */

/* The text of an address that the tcp fabric can listen on. Link-local ones
 * mean something on their own wire only and have no place in a ticket. */
static bool address_text(const struct ifaddrs *i, char text[INET6_ADDRSTRLEN])
{
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
        return false;
    if (i->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)i->ifa_addr;
        return inet_ntop(AF_INET, &four->sin_addr, text, INET6_ADDRSTRLEN) != NULL;
    }
    if (i->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)i->ifa_addr;
        return !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) &&
               inet_ntop(AF_INET6, &six->sin6_addr, text, INET6_ADDRSTRLEN) != NULL;
    }
    return false;
}

static void check_tcp(const struct listener *to)
{
    struct ifaddrs *all;
    char text[INET6_ADDRSTRLEN];
    unsigned loopback = 0, others = 0;
    if (getifaddrs(&all) < 0) {
        tell(to, "tcp", NXC_ESYSTEM, "interfaces can't be listed: %s", strerror(errno));
        return;
    }
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!address_text(i, text))
            continue;
        if (i->ifa_flags & IFF_LOOPBACK) {
            loopback++;
            continue;
        }
        others++;
        tell(to, "tcp", 0, "%s %s", i->ifa_name, text);
    }
    freeifaddrs(all);
    if (!others && loopback)
        tell(to, "tcp", 0, "loopback only: other hosts can't reach this one");
    else if (!others)
        tell(to, "tcp", NXC_ENOTSUP, "no interface is up");
}

static bool only_loopback(void)
{
    struct ifaddrs *all;
    bool only = true;
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        only &= !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK);
    freeifaddrs(all);
    return only;
}

static void check_ports(const struct listener *to)
{
    static const char path[] = "/proc/sys/net/ipv4/ip_local_port_range";
    char text[64];
    int first, last;
    if (!read_text(path, text, sizeof text) || sscanf(text, "%d %d", &first, &last) != 2)
        tell(to, "ports", NXC_ENOTSUP, "%s can't be read", path);
    else if (last - first + 1 < PORTS_MIN)
        tell(to, "ports", NXC_ELIMIT, "only %d to %d for tcp; sysctl net.ipv4.ip_local_port_range widens it", first, last);
    else
        tell(to, "ports", 0, "%d to %d, unless listen says otherwise", first, last);
}

/* ---- limits -------------------------------------------------------------- */

static void check_memlock(const struct listener *to)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        tell(to, "memlock", NXC_ESYSTEM, "%s", strerror(errno));
    else if (limit.rlim_cur == RLIM_INFINITY)
        tell(to, "memlock", 0, "unlimited");
    else
        tell(to, "memlock", NXC_ELIMIT,
             "%llu KiB: enough for shm and tcp; RDMA pins what it moves, ulimit -l unlimited lets it",
             (unsigned long long)limit.rlim_cur / 1024);
}

static void check_files(const struct listener *to)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        tell(to, "files", NXC_ESYSTEM, "%s", strerror(errno));
    else if (limit.rlim_cur == RLIM_INFINITY)
        tell(to, "files", 0, "unlimited open files");
    else
        tell(to, "files", limit.rlim_cur < FILES_MIN ? NXC_ELIMIT : 0, "%llu open files%s",
             (unsigned long long)limit.rlim_cur, limit.rlim_cur < FILES_MIN ? "; ulimit -n raises it" : "");
}

static void check_cpus(const struct listener *to)
{
    /* The mask of a host with more processors than cpu_set_t has bits is EINVAL. */
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        tell(to, "cpus", 0, "%ld online", n);
        return;
    }
    int n = CPU_COUNT(&set);
    tell(to, "cpus", 0, n == 1 ? "%d for this process: two workers take turns on it" : "%d for this process", n);
}

/* ---- devices and modules ------------------------------------------------- */

static void check_cuda(const struct listener *to)
{
    char path[PATH_MAX];
    bool driver = access("/dev/nvidiactl", F_OK) == 0;
    bool library = nxi_hostlib_find("libcuda.so.1", path, sizeof path) == 0;
    if (!driver)
        tell(to, "cuda", NXC_ENOTSUP, "no NVIDIA driver: there is no /dev/nvidiactl");
    else if (!library)
        tell(to, "cuda", NXC_ENOTSUP, "the driver is there, libcuda.so.1 is not");
    else
        tell(to, "cuda", NXC_ENOTSUP, "driver and %s are there, but no transport here moves GPU memory", path);
}

static void check_ucx(const struct listener *to)
{
    char module[PATH_MAX], ucp[PATH_MAX], version[32] = "of unknown version";
    bool has_module = nxi_hostlib_find("libnxconnect-ucx.so", module, sizeof module) == 0;
    if (nxi_hostlib_find("libucp.so.0", ucp, sizeof ucp) < 0) {
        tell(to, "ucx", NXC_ENOTSUP, "libucp.so.0 is not installed (libucx0 in Debian)");
        return;
    }
    nxi_hostlib_version(ucp, version, sizeof version);
    if (has_module && only_loopback())
        tell(to, "ucx", NXC_ENOTSUP, "UCX %s, %s, but the loopback is the only device here: NIXL workers with another "
             "release of UCX can't be spoken with by it", version, ucp);
    else if (has_module)
        tell(to, "ucx", 0, "UCX %s, %s, by %s", version, ucp, module);
    else
        tell(to, "ucx", NXC_ENOTSUP, "UCX %s is there, %s, but libnxconnect-ucx.so is not", version, ucp);
}

int nxc_host_check(nxc_fact_fn fn, void *arg)
{
    if (!fn)
        return nxi_fail(NXC_EINVAL, "fn is NULL");
    const struct listener to = { fn, arg };
    check_shm(&to);
    check_pull(&to);
    check_pidfd(&to);
    check_tcp(&to);
    check_ports(&to);
    check_memlock(&to);
    check_files(&to);
    check_cpus(&to);
    check_cuda(&to);
    check_ucx(&to);
    return 0;
}
