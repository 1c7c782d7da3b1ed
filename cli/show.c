/* SPDX-License-Identifier: Apache-2.0 */
/* show: what a ticket says. Its keys are not among that. */
#include "cli.h"
#include "facts.h"
#include "text.h"
#include "ticket.h"

#include <inttypes.h>

enum { SHOWN = 16 }; /* descriptors that a person is shown */

static const char *kind_name(const nxc_ticket *t)
{
    return nxc_ticket_kind(t) == NXC_READ ? "read" : "write";
}

static const char *device_name(const struct nxc_desc *desc, char buf[32])
{
    return nxc_device_format(desc, buf, 32) < 0 ? "unknown device" : buf;
}

static void print_fact(const char *name, int result, const char *text, void *arg)
{
    (void)arg;
    printf("%-12s ", name);
    text_print(stdout, text);
    if (result < 0)
        printf(" (%s)", nxc_err_text(result));
    fputc('\n', stdout);
}

static void print_text(const nxc_ticket *t, uint64_t bytes)
{
    const struct nxc_desc *descs;
    size_t n = nxc_ticket_descs(t, &descs);
    char human[TEXT_SIZE], device[32];
    printf("%-12s %s\n", "kind", nxc_ticket_kind(t) == NXC_READ ? "read: offers data, use fetch"
                                                                : "write: accepts data, use send");
    printf("%-12s %" PRIu64 " bytes", "total", bytes);
    if (bytes >= 1024)
        printf(" (%s)", text_size(bytes, human));
    printf(" in %zu descriptor%s\n", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n && i < SHOWN; i++)
        printf("%-12s %" PRIu64 " bytes at 0x%" PRIx64 ", %s\n", "descriptor", descs[i].len, descs[i].addr,
               device_name(&descs[i], device));
    if (n > SHOWN)
        printf("%-12s %zu more, --json has them all\n", "", n - SHOWN);
    nxc_ticket_explain(t, print_fact, NULL);
}

static void print_json(const nxc_ticket *t, uint64_t bytes)
{
    const struct nxc_desc *descs;
    size_t n = nxc_ticket_descs(t, &descs);
    char device[32];
    printf("{\"kind\":\"%s\",\"agent\":", kind_name(t));
    text_json(stdout, nxc_ticket_peer(t));
    printf(",\"bytes\":%" PRIu64 ",\"descriptors\":[", bytes);
    for (size_t i = 0; i < n; i++)
        printf("%s{\"addr\":%" PRIu64 ",\"len\":%" PRIu64 ",\"device\":\"%s\"}", i ? "," : "", descs[i].addr,
               descs[i].len, device_name(&descs[i], device));
    fputs("],\"facts\":[", stdout);
    bool any = false;
    nxc_ticket_explain(t, facts_json, &any);
    fputs("]}\n", stdout);
}

int show_run(const struct args *a)
{
    nxc_ticket *t = NULL;
    uint64_t bytes;
    int code = ticket_load(a->words[0], &t);
    if (code == CLI_DONE && !ticket_bytes(t, &bytes))
        code = CLI_REFUSED;
    if (code == CLI_DONE && a->json)
        print_json(t, bytes);
    else if (code == CLI_DONE)
        print_text(t, bytes);
    nxc_ticket_free(t);
    return code;
}
