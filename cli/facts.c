/* SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include "text.h"

#include <nxconnect/nxconnect.h>

void facts_json(const char *name, int result, const char *text, void *arg)
{
    bool *any = arg;
    fputs(*any ? ",\n{\"name\":" : "\n{\"name\":", stdout);
    *any = true;
    text_json(stdout, name);
    if (result < 0)
        printf(",\"error\":\"%s\",\"text\":", nxc_err_name(result));
    else
        fputs(",\"error\":null,\"text\":", stdout);
    text_json(stdout, text);
    fputc('}', stdout);
}
