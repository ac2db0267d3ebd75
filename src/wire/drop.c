/* SPDX-License-Identifier: MIT */
/* drop: every reason for which a packet or frame is refused. */
#include "drop.h"

#include <assert.h>
#include <stddef.h>

static const char *const names[] = {
	[DROP_NONE] = "none",
	[DROP_TRUNCATED] = "truncated",
	[DROP_BAD_VERSION] = "bad-version",
	[DROP_BAD_LENGTH] = "bad-length",
	[DROP_BAD_CHECKSUM] = "bad-checksum",
	[DROP_BAD_VNET_HDR] = "bad-vnet-hdr",
	[DROP_BAD_OPTION] = "bad-option",
	[DROP_BAD_SOURCE] = "bad-source",
	[DROP_BAD_DESTINATION] = "bad-destination",
	[DROP_TTL_EXCEEDED] = "ttl-exceeded",
	[DROP_PROTOCOL] = "protocol",
	[DROP_TOO_BIG] = "too-big",
	[DROP_NOT_THIS_HOST] = "not-this-host",
	[DROP_NO_PACKET_PLANE] = "no-packet-plane",
	[DROP_FOREIGN_SOURCE] = "foreign-source",
	[DROP_FOREIGN_DESTINATION] = "foreign-destination",
	[DROP_UNSOLICITED] = "unsolicited",
	[DROP_FRAGMENT_OVERLAP] = "fragment-overlap",
	[DROP_FRAGMENT_LIMIT] = "fragment-limit",
	[DROP_FRAGMENT_TIMEOUT] = "fragment-timeout",
	[DROP_TCP_NO_FLOW] = "tcp-no-flow",
	[DROP_TCP_FLAGS] = "tcp-flags",
	[DROP_TCP_OUT_OF_WINDOW] = "tcp-out-of-window",
	[DROP_TCP_OUT_OF_ORDER] = "tcp-out-of-order",
	[DROP_TCP_BLIND_RST] = "tcp-blind-rst",
	[DROP_TCP_BLIND_SYN] = "tcp-blind-syn",
	[DROP_TCP_BAD_ACK] = "tcp-bad-ack",
	[DROP_UDP_FILTERED] = "udp-filtered",
	[DROP_ICMP_OTHER] = "icmp-other",
	[DROP_ICMP_RATE] = "icmp-rate",
	[DROP_FLOW_LIMIT] = "flow-limit",
	[DROP_QUEUE_FULL] = "queue-full",
	[DROP_STALE_DATAGRAM] = "stale-datagram",
	[DROP_AQM] = "queue-delay",
	[DROP_NO_MEMORY] = "no-memory",
	[DROP_NO_SESSION] = "no-session",
	[DROP_TUN_WRITE] = "tun-write",
	[DROP_NO_CHANNEL] = "no-channel",
	[DROP_POLICY] = "policy",
	[DROP_STALE_FRAME] = "stale-frame",
};

static_assert(sizeof(names) / sizeof(names[0]) == DROP__N,
	      "one name for each drop reason");

const char *drop_reason_name(enum drop_reason reason)
{
	if ((unsigned)reason >= DROP__N || !names[reason])
		return "unknown";
	return names[reason];
}
