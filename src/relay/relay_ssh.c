/* SPDX-License-Identifier: MIT */
/*
 * relay_ssh: a far end made of channels of the user's own ssh.
 *
 * Theory of operation
 *   Puts a session and what serves it together: relay_ssh_tcp for streams,
 *   relay_ssh_dns for questions to name servers, relay_tun for packets.  All
 *   open their channels through relay_link, which knows when a link is worn.
 *   What cannot be carried this way is answered as a firewall would.
 *
 *   The server decides what may be reached: forwarding is its own feature, and
 *   what it permits to this account ssh could be told to do without us.
 *
 *   OpenSSH's server before 10.1 switches Nagle's algorithm off only when a
 *   session starts a command, whatever becomes of that; until then a second
 *   small message waits 40 ms for the first.  So "true" is run on each link.
 *   (A server that grants no sessions at all, MaxSessions 0, cannot be helped.)
 */
#include <errno.h>
#include <stdlib.h>

#include "pkt.h"
#include "relay_internal.h"
#include "relay_link.h"
#include "relay_ssh_dns.h"
#include "relay_ssh_tcp.h"
#include "relay_tun.h"

enum { DNS_PORT = 53 };

struct relay_ssh {
	struct relay base; /* the first member */
	struct relay_links links;
	struct relay_ssh_tcp tcp;
	struct relay_ssh_dns dns;
	struct relay_tun tun;
	struct mux_channel *command;   /* owned; NULL: none is being started */
	struct mux_link *command_link; /* borrowed */
	bool has_forwarding;
	bool runs_command;
};

static struct relay_ssh *from_base(struct relay *r)
{
	return container_of(r, struct relay_ssh, base);
}

/* ---- callbacks of the session ---- */

static void on_open(void *ctx, struct stream *s, const struct frame_open *open)
{
	struct relay_ssh *r = from_base(ctx);

	if (r->has_forwarding) {
		relay_ssh_tcp_on_open(&r->tcp, s, open);
		return;
	}
	session_count_drop(r->base.session, DROP_POLICY);
	relay_refuse(s, FRAME_REASON_PROHIBITED);
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct relay_ssh *r = from_base(ctx);

	if (r->has_forwarding && d->proto == PKT_PROTO_UDP &&
	    d->remote.port == DNS_PORT)
		relay_ssh_dns_on_dgram(&r->dns, id, d);
	else
		relay_prohibit(&r->base, id, d);
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct relay_ssh *r = from_base(ctx);

	(void)reason;
	relay_ssh_dns_on_assoc_close(&r->dns, id);
}

static void on_resolve(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct relay_ssh *r = from_base(ctx);

	if (r->has_forwarding)
		relay_ssh_dns_on_resolve(&r->dns, id, query, len);
	else
		session_send_resolved(r->base.session, id,
				      FRAME_REASON_PROHIBITED, query, 0);
}

static void on_packet(void *ctx, const struct frame_packet *p)
{
	struct relay_ssh *r = from_base(ctx);

	relay_tun_on_packet(&r->tun, p);
}

static void on_network(void *ctx, const struct frame_network *n)
{
	struct relay_ssh *r = from_base(ctx);

	relay_tun_on_network(&r->tun, n);
}

static const struct session_ops session_ops = {
	.on_up = relay_on_up,
	.on_open = on_open,
	.stream = &relay_ssh_tcp_stream_ops,
	.on_dgram = on_dgram,
	.on_assoc_close = on_assoc_close,
	.on_resolve = on_resolve,
	.on_packet = on_packet,
	.on_network = on_network,
	.on_down = relay_on_down,
};

/* ---- a command, see above ---- */

/* Started: that was all. */
static void on_command_open(struct mux_channel *ch)
{
	struct relay_ssh *r = mux_channel_owner(ch);

	r->command = NULL;
	mux_channel_close(ch);
}

static void on_command_refused(struct mux_channel *ch, uint32_t reason,
			       const char *text)
{
	struct relay_ssh *r = mux_channel_owner(ch);

	(void)reason; /* it was worth a try */
	(void)text;
	r->command = NULL;
	relay_link_note_failure(&r->links);
}

static void on_command_closed(struct mux_channel *ch)
{
	struct relay_ssh *r = mux_channel_owner(ch);

	r->command = NULL;
}

static const struct mux_channel_ops command_ops = {
	.on_open = on_command_open,
	.on_refused = on_command_refused,
	.on_closed = on_command_closed,
};

static void stop_command(struct relay_ssh *r)
{
	if (r->command)
		mux_channel_close(r->command);
	r->command = NULL;
}

static void run_command(struct relay_ssh *r)
{
	static const struct mux_channel_open what = {
		.kind = MUX_EXEC, .host = "true", .window_bytes = 32 << 10};

	stop_command(r);
	if (!r->runs_command)
		return;
	r->command_link = r->links.current;
	r->command = relay_link_open(&r->links, &what, &command_ops, r);
}

/* ---- links ---- */

static void on_worn(void *ctx)
{
	struct relay_ssh *r = ctx;

	if (r->base.ops->on_worn)
		r->base.ops->on_worn(r->base.ctx);
}

static void on_tick(void *ctx)
{
	struct relay_ssh *r = ctx;

	relay_tun_leave_old(&r->tun);
}

void relay_ssh_renew(struct relay *r, struct mux_link *link,
		     void (*on_retired)(void *ctx, struct mux_link *link))
{
	mux_link_govern(link);
	relay_link_renew(&from_base(r)->links, link, on_retired, r->ctx);
	run_command(from_base(r));
}

void relay_ssh_forget(struct relay *r, struct mux_link *link)
{
	struct relay_ssh *ssh = from_base(r);

	if (ssh->command_link == link)
		stop_command(ssh);
	relay_link_forget(&ssh->links, link);
	relay_ssh_tcp_forget(&ssh->tcp, link);
	relay_ssh_dns_forget(&ssh->dns, link);
	relay_tun_forget(&ssh->tun, link);
}

/* ---- life ---- */

static void close_all(struct relay *base)
{
	struct relay_ssh *r = from_base(base);

	stop_command(r);
	relay_ssh_tcp_fini(&r->tcp);
	relay_ssh_dns_fini(&r->dns);
	relay_tun_fini(&r->tun);
	relay_link_fini(&r->links);
}

static void free_relay(struct relay *base)
{
	free(from_base(base));
}

static const struct relay_kind kind = {
	.close = close_all,
	.free = free_relay,
};

static void fill_hello(struct frame_hello *hello,
		       const struct relay_ssh_config *config)
{
	*hello = (struct frame_hello){.software = "ssh"};
	/* Which families there are shows when something is opened. */
	hello->capabilities = FRAME_CAP_IPV4 | FRAME_CAP_IPV6;
	if (config->has_forwarding)
		hello->capabilities |=
			FRAME_CAP_TCP | FRAME_CAP_NAMES | FRAME_CAP_RESOLVE;
	if (config->has_tun)
		hello->capabilities |= FRAME_CAP_NETWORK;
	if (config->gateway.version == IPV4)
		hello->gateway4 = config->gateway;
	else if (config->gateway.version == IPV6)
		hello->gateway6 = config->gateway;
}

struct relay *relay_ssh_new(struct loop *loop, struct carrier *carrier,
			    const struct relay_ssh_config *config,
			    const struct relay_ops *ops, void *ctx)
{
	struct relay_ssh *r = calloc(1, sizeof(*r));
	struct frame_hello hello;

	if (!r) {
		(void)carrier_free(carrier);
		return NULL;
	}
	r->has_forwarding = config->has_forwarding;
	r->runs_command = !config->is_exec_unwanted;
	fill_hello(&hello, config);
	relay_link_init(&r->links, loop, config->link);
	r->links.on_worn = on_worn;
	r->links.on_tick = on_tick;
	r->links.ctx = r;
	relay_ssh_tcp_init(&r->tcp, loop, &r->links);
	relay_ssh_dns_init(&r->dns, &r->base, loop, &r->links, &r->tcp.refusals,
			   config);
	relay_tun_init(&r->tun, &r->base, loop, &r->links, config);
	int error = relay_init(&r->base, &kind, loop, carrier, &session_ops,
			       &hello, ops, ctx);
	if (error < 0) {
		free(r);
		errno = -error;
		return NULL;
	}
	mux_link_govern(config->link);
	run_command(r);
	return &r->base;
}
