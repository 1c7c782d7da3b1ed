/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/proc.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int  n = 0;
    if (!dir)
        return -1;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

int proc_descriptors(void)
{
    return entries("/proc/self/fd") - 1; /* the one that lists them */
}

int proc_threads(void)
{
    return entries("/proc/self/task");
}

/* The sum over the mappings: the kernel's quick counters lag behind by some pages per thread. */
long long proc_resident_kib(void)
{
    FILE     *f = fopen("/proc/self/smaps_rollup", "r");
    char      line[256];
    long long kib = -1;
    while (f && kib < 0 && fgets(line, sizeof line, f))
        sscanf(line, "Rss: %lld kB", &kib);
    if (f)
        fclose(f);
    return kib;
}

bool proc_maps(const char *part)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char  line[4500];
    bool  found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = strstr(line, part) != NULL;
    if (f)
        fclose(f);
    return found;
}

uint64_t proc_cpu_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

bool proc_only_loopback(void)
{
    struct ifaddrs *all;
    bool            only = true;
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        only &= !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK);
    freeifaddrs(all);
    return only;
}
