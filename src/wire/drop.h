/* SPDX-License-Identifier: MIT */
/* drop: every reason for which a packet or frame is refused. */
#ifndef ECSSH_DROP_H
#define ECSSH_DROP_H

enum drop_reason {
	DROP_NONE, /* accepted */
	/* IP */
	DROP_TRUNCATED,	  /* shorter than its headers say */
	DROP_BAD_VERSION, /* neither IPv4 nor IPv6 */
	DROP_BAD_LENGTH,  /* a length field contradicts the packet */
	DROP_BAD_CHECKSUM,
	DROP_BAD_VNET_HDR,    /* virtio header contradicts the packet */
	DROP_BAD_OPTION,      /* malformed TCP option or extension header */
	DROP_BAD_SOURCE,      /* source that no host may use */
	DROP_BAD_DESTINATION, /* multicast, broadcast, link-local */
	DROP_TTL_EXCEEDED,
	DROP_PROTOCOL,	    /* protocol this plane cannot carry */
	DROP_TOO_BIG,	    /* for the way through the far end's device */
	DROP_NOT_THIS_HOST, /* to our own service, which is this host's alone */
	/* packet plane */
	DROP_NO_PACKET_PLANE,	  /* it is not up */
	DROP_FOREIGN_SOURCE,	  /* from the far side, not of it */
	DROP_FOREIGN_DESTINATION, /* from the far side, not for this one */
	DROP_UNSOLICITED,	  /* nobody here has begun it */
	/* fragments */
	DROP_FRAGMENT_OVERLAP,
	DROP_FRAGMENT_LIMIT,
	DROP_FRAGMENT_TIMEOUT,
	/* TCP */
	DROP_TCP_NO_FLOW,
	DROP_TCP_FLAGS, /* a combination that means nothing */
	DROP_TCP_OUT_OF_WINDOW,
	DROP_TCP_OUT_OF_ORDER, /* a gap before it: sent again */
	DROP_TCP_BLIND_RST,    /* RFC 5961 section 3 */
	DROP_TCP_BLIND_SYN,    /* RFC 5961 section 4 */
	DROP_TCP_BAD_ACK,      /* RFC 5961 section 5 */
	/* UDP, ICMP */
	DROP_UDP_FILTERED, /* from an endpoint never sent to */
	DROP_ICMP_OTHER,   /* neither echo nor an error we make use of */
	DROP_ICMP_RATE,	   /* error not sent: too many of them */
	/* limits */
	DROP_FLOW_LIMIT,
	DROP_QUEUE_FULL,     /* datagram that would wait too long */
	DROP_STALE_DATAGRAM, /* it did wait too long */
	DROP_AQM,	     /* the queue stood for too long */
	DROP_NO_MEMORY,
	DROP_NO_SESSION,
	DROP_TUN_WRITE,	 /* the device refused the packet */
	DROP_NO_CHANNEL, /* ssh has no room for another channel */
	DROP_POLICY,	 /* destination the far side may not reach */
	/* from the other side */
	DROP_STALE_FRAME, /* for a stream or association that is gone */
	DROP__N,
};

/* Short lower-case name with dashes, for status and JSON.  Never NULL. */
const char *drop_reason_name(enum drop_reason reason);

#endif
