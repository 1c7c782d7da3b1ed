/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char detail[256];

int nxi_fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    return code;
}

int nxi_fail_errno(int code, int err, const char *what)
{
    char text[96];
    /* The GNU strerror_r may return another buffer than the one it got. */
    return nxi_fail(code, "%s: %s", what, strerror_r(err, text, sizeof text));
}

const char *nxc_err_detail(void)
{
    return detail;
}

const char *nxc_err_name(int err)
{
    switch (err) {
#define NAME(name, number, text) \
    case number:                 \
        return #name;
        NXC_ERROR_MAP(NAME)
#undef NAME
    }
    return err >= 0 ? "NXC_OK" : "unknown error";
}

const char *nxc_err_text(int err)
{
    switch (err) {
#define TEXT(name, number, text) \
    case number:                 \
        return text;
        NXC_ERROR_MAP(TEXT)
#undef TEXT
    }
    return err >= 0 ? "no error" : "unknown error";
}
