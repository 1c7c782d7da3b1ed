/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "dialect/wire.h"

#include <string.h>

static void test_begin_has_the_bytes_of_the_documented_layout(void **state)
{
    (void)state;
    const uint8_t expected[NXI_MSG_BEGIN_LEN] = { 1, 3, 0, 0, 2, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
                                                  8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
                                                  'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k',
                                                  'k', 'k' };
    struct nxi_msg m = { .type = NXI_MSG_BEGIN, .flags = NXI_FLAG_WRITE | NXI_FLAG_VOTE, .n = 2,
                         .id = 0x1122334455667788, .total = 8, .offer = 5 };
    uint8_t buf[NXI_MSG_BEGIN_LEN];
    memset(m.secret, 'k', sizeof m.secret);
    assert_int_equal(nxi_msg_encode(&m, buf), sizeof expected);
    assert_memory_equal(buf, expected, sizeof expected);
}

static void test_every_message_reads_back_as_written(void **state)
{
    (void)state;
    for (int type = NXI_MSG_BEGIN; type <= NXI_MSG_BEAT; type++) {
        uint8_t        buf[NXI_MSG_BEGIN_LEN];
        struct nxi_msg m = { .type = (uint8_t)type, .id = 77 }, back;
        if (type == NXI_MSG_END) {
            m.reason = NXI_END_REFUSED;
            m.code = NXC_EACCESS;
        }
        if (type == NXI_MSG_BEAT)
            m.id = 0;
        size_t len = nxi_msg_encode(&m, buf);
        assert_int_equal(nxi_msg_decode(buf, len, &back), 0);
        assert_memory_equal(&m, &back, sizeof m);
    }
}

static void test_what_protocol_1_does_not_have_is_refused(void **state)
{
    (void)state;
    uint8_t        buf[64] = { 0 };
    struct nxi_msg m;
    for (int type = 0; type < 256; type++)
        for (size_t len = 0; len <= sizeof buf; len++) {
            buf[0] = (uint8_t)type;
            bool right = (type == NXI_MSG_BEGIN && len == NXI_MSG_BEGIN_LEN) ||
                         (type == NXI_MSG_BEAT && len == NXI_MSG_BEAT_LEN) ||
                         (type > NXI_MSG_BEGIN && type < NXI_MSG_BEAT && len == NXI_MSG_LEN);
            assert_int_equal(nxi_msg_decode(buf, len, &m), right ? 0 : NXC_EPEER);
        }
    buf[0] = NXI_MSG_DATA;
    buf[1] = NXI_FLAG_OFFER;
    assert_int_equal(nxi_msg_decode(buf, NXI_MSG_LEN, &m), NXC_EPEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin_has_the_bytes_of_the_documented_layout),
        cmocka_unit_test(test_every_message_reads_back_as_written),
        cmocka_unit_test(test_what_protocol_1_does_not_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
