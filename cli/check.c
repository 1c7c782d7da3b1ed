/* SPDX-License-Identifier: Apache-2.0 */
/* check: what this host can do. */
#include "cli.h"
#include "facts.h"
#include "text.h"

#include <nxconnect/nxconnect.h>

static void print_check(const char *name, int result, const char *text, void *arg)
{
    (void)arg;
    printf("%-8s %-3s  ", name, result < 0 ? "no" : "ok");
    text_print(stdout, text);
    fputc('\n', stdout);
}

int check_run(const struct args *a)
{
    bool any = false;
    if (a->json)
        fputc('[', stdout);
    int r = a->json ? nxc_host_check(facts_json, &any) : nxc_host_check(print_check, NULL);
    if (a->json)
        fputs("\n]\n", stdout);
    return r < 0 ? cli_fail(r, nxc_err_detail()) : CLI_DONE;
}
