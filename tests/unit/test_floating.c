/* SPDX-License-Identifier: BSD-3-Clause */
/* Floating addresses of ports without a kernel. Those of interfaces: tests/net/test_takeover.py. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "port/floating.h"
#include "port/netlink.h"

/* An address of the other appliance is nobody's here, until this one has it. */
static void an_address_is_ours_while_we_lead(void **state)
{
    struct fg_port_options options = {.name = "shop"};
    struct fg_port_group g = {
        .options = {.count = 1,
                    .floating =
                        "192.0.2.8/24 at eth0, 198.18.0.9/24 at shop, 2001:db8::9/64 at shop"}};
    struct fg_port *p = &g.list[0];

    p->options = &options;
    p->own.count = 1;
    p->own.addresses[0] = (struct fg_frame_host_address){4, {198, 18, 0, 1}};
    fg_port_floating_take(&g, p);
    assert_int_equal(p->own.count, 3);
    assert_int_equal(p->floating, 2);
    assert_int_equal(p->own.addresses[1].family, 0);
    assert_int_equal(p->own.addresses[2].family, 0);
    fg_port_floating_hold_ports(&g, true);
    assert_int_equal(p->own.addresses[0].family, 4);
    assert_int_equal(p->own.addresses[1].family, 4);
    assert_int_equal(p->own.addresses[1].bytes[3], 9);
    assert_int_equal(p->own.addresses[2].family, 6);
    assert_false(p->announce); /* there is no link */
    atomic_store(&p->link.state, FG_PORT_LINK_UP);
    fg_port_floating_hold_ports(&g, true);
    assert_true(p->announce);
    p->announce = false;
    p->held_ms -= 100; /* the second one is due */
    fg_port_floating_hold_ports(&g, true);
    assert_true(p->announce);
    fg_port_floating_hold_ports(&g, false);
    assert_int_equal(p->own.addresses[0].family, 4);
    assert_int_equal(p->own.addresses[1].family, 0);
    assert_int_equal(p->own.addresses[2].family, 0);
}

/* The bytes behind a message of its head alone are left from before, here those of a success. */
static void an_answer_of_the_kernel_is_whole(void **state)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
    } answer = {.head = {.nlmsg_len = sizeof(answer), .nlmsg_type = NLMSG_ERROR}};

    assert_int_equal(fg_port_netlink_error(&answer.head, sizeof(answer)), 0);
    answer.error.error = -EPERM;
    assert_int_equal(fg_port_netlink_error(&answer.head, sizeof(answer)), EPERM);
    answer.error.error = INT_MIN;
    assert_int_equal(fg_port_netlink_error(&answer.head, sizeof(answer)), EPROTO);
    answer.error.error = 0;
    assert_int_equal(fg_port_netlink_error(&answer.head, sizeof(answer) - 1), EPROTO);
    answer.head.nlmsg_type = NLMSG_DONE;
    assert_int_equal(fg_port_netlink_error(&answer.head, sizeof(answer)), EPROTO);
    answer.head.nlmsg_type = NLMSG_ERROR;
    answer.head.nlmsg_len = NLMSG_HDRLEN;
    assert_int_equal(fg_port_netlink_error(&answer.head, NLMSG_HDRLEN), EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_address_is_ours_while_we_lead),
                                       cmocka_unit_test(an_answer_of_the_kernel_is_whole)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
