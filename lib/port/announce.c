/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/announce.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

void fg_port_announce(int s, const char *ifname, const struct fg_frame_host_address *addresses,
                      unsigned count)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
    struct ifreq r = {0};

    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
    if (ioctl(s, SIOCGIFINDEX, &r) != 0)
        return;
    to.sll_ifindex = r.ifr_ifindex;
    if (ioctl(s, SIOCGIFHWADDR, &r) != 0)
        return;
    for (unsigned i = 0; i < count; i++) {
        uint8_t frame[FG_FRAME_HOST_ANNOUNCEMENT];
        uint32_t length =
            fg_frame_host_announce(frame, &addresses[i], (const uint8_t *)r.ifr_hwaddr.sa_data);

        sendto(s, frame, length, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
    }
}
