/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/interop/python.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 60000 };

struct python {
    pid_t    pid;
    int      orders, answers;
    char    *heard; /* what came and is not yet an answer */
    size_t   n, cap;
    yajl_val answer;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const char *setting_of(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        fail_msg("%s is not set: start this by env.sh run", name);
    return value;
}

/* ---- its life --------------------------------------------------------------- */

static _Noreturn void become(int in, int out, const char *script, const char *worker_id, const char *setting)
{
    char        path[4096];
    const char *interpreter = getenv("NXC_INTEROP_PYTHON");
    snprintf(path, sizeof path, "%s/%s", getenv("NXC_INTEROP_SCRIPTS"), script);
    /* A test that is killed leaves no worker behind. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(in, 0);
    dup2(out, 1);
    unsetenv("LD_LIBRARY_PATH"); /* the newer UCX is for our side */
    setenv("NIXL_LOG_LEVEL", "ERROR", 1);
    if (setting)
        putenv((char *)(uintptr_t)setting);
    execl(interpreter, interpreter, path, worker_id, (char *)NULL);
    _exit(127);
}

struct python *python_start(const char *script, const char *worker_id, const char *setting)
{
    int            in[2], out[2];
    struct python *p = calloc(1, sizeof *p);
    assert_non_null(p);
    setting_of("NXC_INTEROP_PYTHON");
    setting_of("NXC_INTEROP_SCRIPTS");
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0)
        become(in[0], out[1], script, worker_id, setting);
    close(in[0]);
    close(out[1]);
    p->orders = in[1];
    p->answers = out[0];
    return p;
}

static void bury(struct python *p)
{
    yajl_tree_free(p->answer);
    free(p->heard);
    close(p->orders);
    close(p->answers);
    free(p);
}

void python_freeze(struct python *p)
{
    int status;
    assert_int_equal(kill(p->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(p->pid, &status, WUNTRACED), p->pid);
    assert_true(WIFSTOPPED(status));
}

void python_thaw(struct python *p)
{
    assert_int_equal(kill(p->pid, SIGCONT), 0);
}

void python_kill(struct python *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    bury(p);
}

/* Waits for the end of the answers, so for its exit, up to the deadline. */
static void let_exit(struct python *p)
{
    char    scrap[256];
    int64_t end = now_ms() + 10000;
    for (int64_t left; (left = end - now_ms()) > 0;) {
        struct pollfd f = { p->answers, POLLIN, 0 };
        if (poll(&f, 1, (int)left) > 0 && read(p->answers, scrap, sizeof scrap) <= 0)
            return;
    }
}

void python_stop(struct python *p)
{
    if (!p)
        return;
    yajl_val answer = python_ask(p, "{\"do\":\"stop\"}");
    assert_true(YAJL_IS_TRUE(yajl_tree_get(answer, (const char *[]){ "stopped", NULL }, yajl_t_any)));
    let_exit(p);
    python_kill(p);
}

/* ---- orders and answers ----------------------------------------------------- */

static void order(struct python *p, const char *format, va_list args)
{
    char *line;
    int   len = vasprintf(&line, format, args);
    assert_true(len >= 0);
    line[len] = '\n'; /* in the place of the NUL */
    for (int at = 0; at <= len;) {
        ssize_t n = write(p->orders, line + at, (size_t)(len + 1 - at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail_msg("the Python worker does not take orders: %s", strerror(errno));
        at += (int)n;
    }
    free(line);
}

void python_order(struct python *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    order(p, format, args);
    va_end(args);
}

/* Reads once; the caller looks whether a line is there now. */
static void hear(struct python *p, int64_t end)
{
    int64_t       left = end - now_ms();
    struct pollfd f = { p->answers, POLLIN, 0 };
    if (left <= 0 || poll(&f, 1, (int)left) == 0)
        fail_msg("the Python worker does not answer");
    if (p->cap - p->n < 65536) {
        p->cap = p->cap * 2 + 65536;
        p->heard = realloc(p->heard, p->cap);
        assert_non_null(p->heard);
    }
    ssize_t n = read(p->answers, p->heard + p->n, p->cap - p->n);
    if (n == 0)
        fail_msg("the Python worker died");
    if (n > 0)
        p->n += (size_t)n;
}

yajl_val python_answer(struct python *p)
{
    char    why[256], *line_end;
    int64_t end = now_ms() + LIMIT_MS;
    while (!(line_end = p->n ? memchr(p->heard, '\n', p->n) : NULL))
        hear(p, end);
    *line_end++ = 0;
    yajl_tree_free(p->answer);
    p->answer = yajl_tree_parse(p->heard, why, sizeof why);
    if (!p->answer)
        fail_msg("no JSON: %s: %s", p->heard, why);
    p->n -= (size_t)(line_end - p->heard);
    memmove(p->heard, line_end, p->n);
    return p->answer;
}

static bool is_ok(yajl_val answer)
{
    return YAJL_IS_TRUE(yajl_tree_get(answer, (const char *[]){ "ok", NULL }, yajl_t_any));
}

yajl_val python_ask(struct python *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    order(p, format, args);
    va_end(args);
    yajl_val answer = python_answer(p);
    if (!is_ok(answer))
        fail_msg("%s: %s", answer_text(answer, "error"), answer_text(answer, "text"));
    return answer;
}

const char *python_refuses(struct python *p, const char *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    order(p, format, args);
    va_end(args);
    yajl_val answer = python_answer(p);
    assert_false(is_ok(answer));
    assert_string_equal(answer_text(answer, "error"), error);
    return answer_text(answer, "text");
}

const char *answer_text(yajl_val answer, const char *name)
{
    const char *text = YAJL_GET_STRING(yajl_tree_get(answer, (const char *[]){ name, NULL }, yajl_t_string));
    if (!text)
        fail_msg("no text %s in the answer", name);
    return text;
}

long long answer_number(yajl_val answer, const char *name)
{
    yajl_val number = yajl_tree_get(answer, (const char *[]){ name, NULL }, yajl_t_number);
    if (!YAJL_IS_INTEGER(number))
        fail_msg("no number %s in the answer", name);
    return YAJL_GET_INTEGER(number);
}

int answer_status(yajl_val answer, size_t i)
{
    yajl_val list = yajl_tree_get(answer, (const char *[]){ "status", NULL }, yajl_t_array);
    if (!list || i >= YAJL_GET_ARRAY(list)->len || !YAJL_IS_INTEGER(YAJL_GET_ARRAY(list)->values[i]))
        fail_msg("no status %zu in the answer", i);
    return (int)YAJL_GET_INTEGER(YAJL_GET_ARRAY(list)->values[i]);
}

char *json_string(const char *text, size_t len)
{
    char *made = malloc(2 * len + 3), *at = made;
    assert_non_null(made);
    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            *at++ = '\\';
        *at++ = text[i];
    }
    *at++ = '"';
    *at = 0;
    return made;
}
