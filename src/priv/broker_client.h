/* SPDX-License-Identifier: MIT */
/*
 * broker_client: the engine's side of doc/PROTOCOL.broker.
 *
 * Starts the broker and asks it, one blocking call at a time.  For set-up,
 * before the loop runs: a call takes milliseconds, except the start, which may
 * wait for a person to type a password.
 */
#ifndef ECSSH_BROKER_CLIENT_H
#define ECSSH_BROKER_CLIENT_H

#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "port_range.h"

struct broker_client;
struct brokermsg_dns_set;

/* No user. */
#define BROKER_CLIENT_NO_UID UINT32_MAX

enum {
	BROKER_CLIENT_NAME_MAX = 16, /* with its NUL */
	BROKER_CLIENT_CALL_TIMEOUT_MS = 10000,
	BROKER_CLIENT_STOP_TIMEOUT_MS = 2000,
};

/* Who gives the broker its privilege. */
enum broker_via {
	BROKER_VIA_AUTO,       /* the first of the others that fits and works */
	BROKER_VIA_DIRECT,     /* we are root, or the file has a capability */
	BROKER_VIA_SUDO,       /* may ask for a password on the terminal */
	BROKER_VIA_SUDO_QUIET, /* must not ask */
	BROKER_VIA_PKEXEC,
	BROKER_VIA__N,
};

struct broker_start {
	const char *path; /* absolute path of ecssh-broker, or of a helper: */
	enum broker_via via;
	const char *option; /* which makes it be a broker; NULL: none needed */
};

/* The device as it was made. */
struct broker_tun {
	int fd; /* non-blocking, close-on-exec; the caller's to close */
	uint32_t ifindex;
	uint32_t offloads; /* enum tun_offload, those switched on */
	char name[BROKER_CLIENT_NAME_MAX];
};

/*
 * Start the broker and exchange versions.  Waits until it answers or gives up:
 * sudo's prompt has no time limit of ours.  Returns 0 with a client for
 * broker_client_stop, or -errno with err: -EPERM: nobody gives us the
 * privilege, the sentence says what to do; -ENOENT: no broker at that path;
 * -EPROTO: a broker of another version; -ENODEV, -EACCES: no TUN device here.
 */
int broker_client_start(struct broker_client **ret_client,
			const struct broker_start *how, struct err *err);

/*
 * The same with a broker in a child process of our own, which runs run on its
 * end of the socket and ends when that returns.  To be called before there are
 * threads, descriptors and a loop that the child should not have.
 */
int broker_client_fork(struct broker_client **ret_client, void (*run)(int sock),
		       struct err *err);

/*
 * Undo everything and end the broker: waits up to BROKER_CLIENT_STOP_TIMEOUT_MS
 * for that.  Returns 0; -ETIMEDOUT if it had not ended by then (it will go on
 * undoing), or -errno if something could not be undone, with err.  Accepts
 * NULL; frees client in all cases.
 */
int broker_client_stop(struct broker_client *client, struct err *err);

/*
 * Let the broker run on without a client: returns the socket, the caller's to
 * close, which ends it.  The process is not reaped.  Frees client.
 */
int broker_client_release(struct broker_client *client);

/*
 * The socket, to be watched for EPOLLIN and EPOLLHUP between calls: either of
 * them means that the broker has died and taken the configuration with it.
 */
int broker_client_fd(const struct broker_client *client);

/*
 * Make the device, down, with its MTU in bytes.  name is what the user wants,
 * or "" for the first free ecssh0, ecssh1 ...; want_offloads is of enum
 * tun_offload.  Once.  Returns 0 or -errno with err, as all below:
 * -EEXIST: there is such a device; -EINVAL: name or MTU; -EPIPE: the broker
 * has died.
 */
int broker_client_tun_create(struct broker_client *client, const char *name,
			     uint32_t mtu_bytes, uint32_t want_offloads,
			     struct broker_tun *ret_tun, struct err *err);

/* Give the device an address; -EADDRNOTAVAIL, -EOPNOTSUPP or -EACCES for IPv6
 * where the host has IPv6 switched off. */
int broker_client_addr_add(struct broker_client *client,
			   const struct ip_addr *addr, struct err *err);

/* Set the device up.  Once, after the addresses and before the routes. */
int broker_client_link_up(struct broker_client *client, struct err *err);

/* Keep the device's addresses to the device by rules of nft (flags: enum
 * brokermsg_guard_flag), for those that it has by now; again if more were
 * added.  -ENOENT: there is no nft here. */
int broker_client_guard(struct broker_client *client, uint32_t flags,
			struct err *err);

/* Route a subnet into the device; -EEXIST: something else has that very route,
 * which err names. */
int broker_client_route_add(struct broker_client *client,
			    const struct subnet *dst, struct err *err);

/* Take back a route added before. */
int broker_client_route_del(struct broker_client *client,
			    const struct subnet *dst, struct err *err);

/*
 * TCP connections: with BROKER_CLIENT_NO_UID that one from local and a port
 * (both of from) to remote; else each that the user opens to remote from one of
 * these ports, or from any.
 */
struct broker_exemption {
	struct ip_addr local; /* version 0: any */
	struct port_range from;
	struct endpoint remote;
	uint32_t uid;
};

/* Have them go past all tunnels.  What was added twice has to be deleted
 * twice. */
int broker_client_exempt_add(struct broker_client *client,
			     const struct broker_exemption *it,
			     struct err *err);
int broker_client_exempt_del(struct broker_client *client,
			     const struct broker_exemption *it,
			     struct err *err);

/* Mark the packets of a TCP connection, of IP version 4 or 6, and have marked
 * ones go past all tunnels.  fd is borrowed. */
int broker_client_mark(struct broker_client *client, int fd,
		       enum ip_version version, struct err *err);

struct brokermsg_kill_on;

/* Put a kill switch in force, whose type is filled in here; before there is a
 * device.  -EBUSY: that of another tunnel is in force. */
int broker_client_kill_on(struct broker_client *client,
			  struct brokermsg_kill_on *kill, struct err *err);

/* Lift the kill switch of a tunnel, if it is in force. */
int broker_client_kill_off(struct broker_client *client, const char *name,
			   struct err *err);

/* Have the note about a tunnel's kill switch say whether its rules are there.
 * Before there is a device. */
int broker_client_kill_look(struct broker_client *client, const char *name,
			    struct err *err);

/*
 * Take back one thing that tunnels have left which were killed: before
 * broker_client_tun_create.  Returns 0 with said: what it was; -ENOENT: there
 * is nothing more; or -errno with said: why something stays.
 */
int broker_client_cleanup(struct broker_client *client, struct err *said);

/* Forward what is from and to the subnets routed into the device (flags: enum
 * brokermsg_forward_flag).  Far side only; the last call of the set-up. */
int broker_client_forward(struct broker_client *client, uint32_t flags,
			  struct err *err);

/* Look whether sshd's end of the connection should send in another way.  Far
 * side only; the first time before broker_client_forward.  text tells how it
 * sends, also if 0 is returned: it is of use to ask again.  -EALREADY: it is
 * decided. */
int broker_client_tune(struct broker_client *client, struct err *text);

/*
 * Have this host's names asked for in the tunnel, after the routes to the
 * servers are there; dns->type is filled in here.  ret_way says how.  Returns 0
 * or -errno with err: -EPERM: the broker was not started by root, or a server
 * is not reached by the tunnel; -EOPNOTSUPP: this host cannot split names.
 */
int broker_client_dns_set(struct broker_client *client,
			  const struct brokermsg_dns_set *dns,
			  char ret_way[BROKER_CLIENT_NAME_MAX],
			  struct err *err);

/* Undo that, if it is done; -ESTALE: somebody else has changed it meanwhile. */
int broker_client_dns_clear(struct broker_client *client, struct err *err);

#endif
