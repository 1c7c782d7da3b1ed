/* SPDX-License-Identifier: Apache-2.0 */
/* The settings that keep UCX from doing harm, whatever the environment says. */
#include "fabric/ucx.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list of names with commas between them. false when it is full. */
static bool append(char list[NXI_UCX_NAME_MAX], const char *name)
{
    size_t at = strlen(list);
    int    n = snprintf(list + at, NXI_UCX_NAME_MAX - at, "%s%s", at ? "," : "", name);
    if (n >= 0 && (size_t)n < NXI_UCX_NAME_MAX - at)
        return true;
    list[at] = '\0';
    return false;
}

static bool holds(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strcspn(at, ",") == len && !strncmp(at, name, len))
            return true;
    return false;
}

/* What the user says of devices, by UCX's own variable: a list, or what it leaves out. */
static bool wanted(const char *name)
{
    const char *list = getenv("UCX_NET_DEVICES");
    if (!list || !*list || !strcmp(list, "all"))
        return true;
    return *list == '^' ? !holds(list + 1, name) : holds(list, name);
}

static void add_interfaces(char list[NXI_UCX_NAME_MAX])
{
    struct ifaddrs *all;
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK) &&
            (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6) && wanted(i->ifa_name) &&
            !holds(list, i->ifa_name))
            append(list, i->ifa_name);
    freeifaddrs(all);
}

/* Each port of each RDMA device, as mlx5_0:1. */
static void add_ports(char list[NXI_UCX_NAME_MAX])
{
    static const char root[] = "/sys/class/infiniband";
    char              path[512], name[300];
    DIR              *devices = opendir(root);
    for (struct dirent *d; devices && (d = readdir(devices));) {
        if (d->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s/ports", root, d->d_name) >= (int)sizeof path)
            continue;
        DIR *ports = opendir(path);
        for (struct dirent *p; ports && (p = readdir(ports));)
            if (p->d_name[0] != '.' &&
                snprintf(name, sizeof name, "%.200s:%.60s", d->d_name, p->d_name) < (int)sizeof name && wanted(name))
                append(list, name);
        if (ports)
            closedir(ports);
    }
    if (devices)
        closedir(devices);
}

static int set(ucp_config_t *config, const char *name, const char *value)
{
    ucs_status_t s = nxi_ucx_lib->ucp_config_modify(config, name, value);
    if (s == UCS_OK)
        return 0;
    return nxi_core->fail(NXC_ENOTSUP, "UCX: %s=%s: %s", name, value, nxi_ucx_lib->ucs_status_string(s));
}

int nxi_ucx_config(ucp_config_t **ret_config)
{
    static const char *const always[][2] = {
        /* Peers on one host meet through tcp and cma: with error handling, which we need,
         * UCX leaves the others aside, and their addresses only make tickets longer. */
        { "TLS", "^posix,sysv,self" },
        { "KEEPALIVE_INTERVAL", "1s" },
        { "UNIFIED_MODE", "n" }, /* its addresses have another format, which nobody else reads */
    };
    /* Of tcp. Newer releases want the transport's name in front, and refuse the others;
     * 1.13 to 1.16 take anything and heed those without. */
    static const char *const tcp[][2] = {
        { "TCP_CONN_NB", "y" }, /* else an endpoint to a black hole takes 134 s to make */
        { "TCP_TX_SEG_SIZE", "64K" }, /* what every release takes; with 8 KiB, the default, it is half as fast */
    };
    char          devices[NXI_UCX_NAME_MAX] = "";
    ucp_config_t *config;
    ucs_status_t  s = nxi_ucx_lib->ucp_config_read(NULL, NULL, &config);
    if (s != UCS_OK)
        return nxi_core->fail(NXC_ENOTSUP, "UCX: its configuration: %s", nxi_ucx_lib->ucs_status_string(s));
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof always / sizeof *always; i++)
        r = set(config, always[i][0], always[i][1]);
    for (size_t i = 0; r == 0 && i < sizeof tcp / sizeof *tcp; i++) {
        r = set(config, tcp[i][0], tcp[i][1]);
        nxi_ucx_lib->ucp_config_modify(config, tcp[i][0] + strlen("TCP_"), tcp[i][1]);
    }
    add_interfaces(devices);
    add_ports(devices);
    /* Without the loopback device: releases of UCX pack its address differently, and the
     * older one ends the process when a newer one has chosen it. */
    if (r == 0 && *devices)
        r = set(config, "NET_DEVICES", devices);
    if (r < 0) {
        nxi_ucx_lib->ucp_config_release(config);
        return r;
    }
    *ret_config = config;
    return 0;
}
