// SPDX-License-Identifier: Apache-2.0
// A C++17 program that knows the installed library only: it accepts memory,
// writes into it by its own ticket, and looks at what arrived.
#include <nxconnect/nxconnect.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

template <auto free_fn> struct freer {
    template <class T> void operator()(T *object) const { free_fn(object); }
};
using connector = std::unique_ptr<nxc_connector, freer<nxc_connector_free>>;
using ticket = std::unique_ptr<nxc_ticket, freer<nxc_ticket_free>>;
using op = std::unique_ptr<nxc_op, freer<nxc_op_free>>;

void need(int result)
{
    if (result < 0)
        throw std::runtime_error(std::string(nxc_err_name(result)) + ": " + nxc_err_detail());
}

void run()
{
    std::vector<unsigned char> from(100000, 42), to(from.size());
    const auto source = nxc_desc_host(from.data(), from.size()), sink = nxc_desc_host(to.data(), to.size());

    nxc_connector *c;
    need(nxc_connector_new(nullptr, &c));
    connector owned_c(c);

    nxc_op *accepted;
    need(nxc_op_create_writable(c, &sink, 1, nullptr, &accepted));
    op owned_accepted(accepted);

    const char *json;
    size_t length;
    nxc_ticket *t;
    need(nxc_op_ticket(accepted, NXC_HEX, &json, &length));
    need(nxc_ticket_parse(json, length, &t));
    ticket owned_t(t);

    nxc_op *written;
    need(nxc_op_begin_write(c, t, &source, 1, nullptr, &written));
    op owned_written(written);
    need(nxc_op_wait(written, 10000));
    need(nxc_op_wait(accepted, 10000));
    if (to != from)
        throw std::runtime_error("other bytes arrived");
}

} // namespace

int main()
{
    try {
        run();
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
    return 0;
}
