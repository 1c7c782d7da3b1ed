/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 4096 };

/* Length of the UTF-8 character at p, 0 when it is none. Overlong forms and
 * surrogates don't pass. */
static size_t utf8_len(const unsigned char *p)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t      min, max;
    } forms[] = {
        { 0x80, 0x00, 0x00, 0x7f },
        { 0xe0, 0xc0, 0x80, 0x7ff },
        { 0xf0, 0xe0, 0x800, 0xffff },
        { 0xf8, 0xf0, 0x10000, 0x10ffff },
    };
    for (size_t n = 0; n < 4; n++) {
        if ((p[0] & forms[n].mask) != forms[n].lead)
            continue;
        uint32_t code = p[0] & (unsigned char)~forms[n].mask;
        for (size_t i = 1; i <= n; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (p[i] & 0x3f);
        }
        if (code < forms[n].min || code > forms[n].max || (code >= 0xd800 && code <= 0xdfff))
            return 0;
        return n + 1;
    }
    return 0;
}

/* C0, DEL, and C1 in its two bytes of UTF-8: some terminals obey these too. */
static bool is_control(const unsigned char *p)
{
    return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

void text_clean(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p;) {
        size_t n = utf8_len(p);
        if (n == 0 || is_control(p)) {
            n = n ? n : 1;
            memset(p, '?', n);
        }
        p += n;
    }
}

void text_print(FILE *out, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return;
    text_clean(copy);
    fputs(copy, out);
    free(copy);
}

void text_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = utf8_len(p);
        if (n == 0)
            fputs("\\ufffd", out);
        else if (is_control(p))
            fprintf(out, "\\u%04x", n == 1 ? p[0] : p[1]);
        else if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else
            fwrite(p, 1, n, out);
        p += n ? n : 1;
    }
    fputc('"', out);
}

static void say_line(char line[LINE])
{
    text_clean(line);
    fprintf(stderr, "nxconnect: %s\n", line);
}

void say(const char *format, ...)
{
    char line[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say_line(line);
}

void say_errno(const char *format, ...)
{
    const char *reason = strerror(errno);
    char line[LINE];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n >= 0 && n < LINE)
        snprintf(line + n, sizeof line - (size_t)n, ": %s", reason);
    say_line(line);
}

const char *text_size(uint64_t bytes, char buf[TEXT_SIZE])
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (bytes < 1024) {
        snprintf(buf, TEXT_SIZE, "%u byte%s", (unsigned)bytes, bytes == 1 ? "" : "s");
        return buf;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1024 && unit < 5; unit++)
        value /= 1024;
    snprintf(buf, TEXT_SIZE, "%.*f %s", value < 10 ? 1 : 0, value, units[unit]);
    return buf;
}

const char *text_rate(double bytes_per_second, char buf[TEXT_SIZE])
{
    static const char *const units[] = { "kB", "MB", "GB" };
    double value = bytes_per_second / 1e3;
    size_t unit = 0;
    for (; value >= 100 && unit < 2; unit++)
        value /= 1e3;
    snprintf(buf, TEXT_SIZE, "%.*f %s/s", value < 10 ? 2 : 1, value, units[unit]);
    return buf;
}
