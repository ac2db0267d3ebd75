/* SPDX-License-Identifier: MIT */
/* status: what the tunnel says about itself.  Spec: doc/PROTOCOL.ctl */
#include <string.h>

#include "client_internal.h"
#include "confirm.h"
#include "bond_carrier.h"
#include "confine.h"
#include "escape.h"
#include "sandbox.h"

enum { TEXT_MAX = 512 };

static const char *state_name(const struct client *c)
{
	switch (c->state) {
	case CLIENT_CONNECTING:
		return "connecting";
	case CLIENT_CONNECTED:
		return "connected";
	case CLIENT_RECONNECTING:
		return "reconnecting";
	case CLIENT_ENDING:
	case CLIENT_DOWN:
		return "down";
	}
	return "down";
}

const char *status_gateway(const struct client *c)
{
	return c->way == WAY_VIA ? c->config->via.host : c->config->dest.host;
}

/* What the host could not be, although its rung is: the i-th, or NULL. */
static const char *missing_here(const struct client *c, int *i)
{
	bool has_packets = c->network.status == FRAME_NETWORK_UP;
	static const struct {
		uint32_t capability;
		enum ip_version version;
		const char *text;
	} missing[] = {
		{FRAME_CAP_IPV4, IPV4,
		 "IPv4: the gateway has no IPv4 address to send from"},
		{FRAME_CAP_IPV6, IPV6,
		 "IPv6: the gateway has no IPv6 address to send from"},
		{FRAME_CAP_ECHO, IPV4,
		 "ping: the gateway forbids it to ordinary users "
		 "(net.ipv4.ping_group_range there)"},
		{FRAME_CAP_ECHO6, IPV6,
		 "IPv6 ping: the gateway forbids it to ordinary users "
		 "(net.ipv4.ping_group_range there)"},
	};

	/* A relay carries what its rung does, see there. */
	if (c->way != WAY_HELPER)
		return NULL;
	for (size_t at = 0; at < sizeof(missing) / sizeof(*missing); at++) {
		const struct ip_addr *ours = missing[at].version == IPV4
						     ? &c->address4
						     : &c->address6;

		/* Not asked for is not missed, nor what goes as packets. */
		if (!ours->version || has_packets ||
		    (c->peer.capabilities & missing[at].capability))
			continue;
		if ((*i)-- == 0)
			return missing[at].text;
	}
	return NULL;
}

const char *status_missing_here(const struct client *c, int i)
{
	return missing_here(c, &i);
}

const char *status_missing(const struct client *c, int i)
{
	const char *text = missing_here(c, &i);
	const char *of_rung[RUNG_SENTENCES_MAX];

	if (text || c->state != CLIENT_CONNECTED)
		return text;
	size_t n = rung_not_carried(&c->facts, way_rung(c), of_rung);
	return (size_t)i < n ? of_rung[i] : NULL;
}

const char *status_subnets(const struct client *c, char *out, size_t cap)
{
	const struct client_config *config = c->config;
	char text[SUBNET_TEXT_MAX];
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < c->n_asked; i++) {
		if (cap - at < SUBNET_TEXT_MAX + 32) {
			(void)snprintf(out + at, cap - at, " and %zu more",
				       c->n_asked - i);
			break;
		}
		at += (size_t)snprintf(out + at, cap - at, "%s%s",
				       i ? ", " : "",
				       subnet_format(&c->asked[i], text));
	}
	for (size_t i = 0; i < config->n_routed_domains; i++) {
		const struct dns_domain *d = &config->routed_domains[i];
		int n = snprintf(out + at, cap - at, "%s%s%s", at ? ", " : "",
				 d->is_below_only ? "*." : "", d->text);

		at = (size_t)n < cap - at ? at + (size_t)n : cap - 1;
	}
	return out;
}

/* ---- JSON ---- */

static void json_text(FILE *out, const char *key, const char *text)
{
	char escaped[2 * TEXT_MAX];

	(void)escape_json(text, strlen(text), escaped, sizeof(escaped));
	(void)fprintf(out, "\"%s\": \"%s\"", key, escaped);
}

static void json_subnets(FILE *out, const char *key, const struct subnet *s,
			 size_t n)
{
	char text[SUBNET_TEXT_MAX];

	(void)fprintf(out, ", \"%s\": [", key);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "%s\"%s\"", i ? ", " : "",
			      subnet_format(&s[i], text));
	(void)fputc(']', out);
}

static void json_addresses(const struct client *c, FILE *out)
{
	const struct ip_addr *all[] = {&c->address4, &c->address6};
	char text[ADDR_TEXT_MAX];
	const char *comma = "";

	(void)fputs(", \"addresses\": [", out);
	for (size_t i = 0; i < 2; i++) {
		if (!all[i]->version)
			continue;
		(void)fprintf(out, "%s\"%s\"", comma,
			      addr_format(all[i], text));
		comma = ", ";
	}
	(void)fputc(']', out);
}

static void json_missing(const struct client *c, FILE *out)
{
	const char *text;

	(void)fputs(", \"missing\": [", out);
	for (int i = 0; (text = status_missing(c, i)); i++)
		(void)fprintf(out, "%s\"%s\"", i ? ", " : "", text);
	(void)fputc(']', out);
}

static void json_out_of_reach(const struct client *c, FILE *out)
{
	char text[LAN_WATCH_TEXT_MAX], escaped[2 * LAN_WATCH_TEXT_MAX];

	(void)fputs(", \"out_of_reach\": [", out);
	for (size_t i = 0; lan_watch_tell(c, i, text); i++) {
		(void)escape_json(text, strlen(text), escaped, sizeof(escaped));
		(void)fprintf(out, "%s\"%s\"", i ? ", " : "", escaped);
	}
	(void)fputc(']', out);
}

static void json_drops(FILE *out, const char *key, const uint64_t *drops)
{
	const char *comma = "";

	(void)fprintf(out, "\"%s\": {", key);
	for (int i = 0; i < DROP__N; i++) {
		if (drops[i] == 0)
			continue;
		(void)fprintf(out, "%s\"%s\": %llu", comma,
			      drop_reason_name((enum drop_reason)i),
			      (unsigned long long)drops[i]);
		comma = ", ";
	}
	(void)fputc('}', out);
}

/* Statistics before there is a session. */
static const struct session_stats *session_stats_of(const struct client *c)
{
	static const struct session_stats none;
	struct session *s = c->plane ? flowplane_session(c->plane) : NULL;

	return s ? session_stats(s) : &none;
}

/* What the governor has found out of the way up. */
static struct governor_view line_of(const struct client *c)
{
	struct session *s = c->plane ? flowplane_session(c->plane) : NULL;

	return s ? session_line(s) : (struct governor_view){.rate = 0};
}

static const struct flowplane_stats *plane_stats_of(const struct client *c)
{
	static const struct flowplane_stats none;

	return c->plane ? flowplane_stats(c->plane) : &none;
}

/* What was refused here, also while there was no session. */
static void near_drops(const struct client *c, uint64_t ret[DROP__N])
{
	memcpy(ret, plane_stats_of(c)->drops, DROP__N * sizeof(*ret));
	if (c->tun)
		ret[DROP_NO_SESSION] += tun_port_n_dropped(c->tun);
}

static void json_counters(const struct client *c, FILE *out)
{
	const struct flowplane_stats *p = plane_stats_of(c);

	(void)fprintf(out,
		      ", \"bytes_up\": %llu, \"bytes_down\": %llu"
		      ", \"packets_up\": %llu, \"packets_down\": %llu",
		      (unsigned long long)p->tun_rx_bytes,
		      (unsigned long long)p->tun_tx_bytes,
		      (unsigned long long)p->tun_rx_packets,
		      (unsigned long long)p->tun_tx_packets);
	(void)fprintf(out,
		      ", \"whole\": {\"packets_up\": %llu, "
		      "\"packets_down\": %llu, \"bytes_up\": %llu, "
		      "\"bytes_down\": %llu}",
		      (unsigned long long)p->plane_up_packets,
		      (unsigned long long)p->plane_down_packets,
		      (unsigned long long)p->plane_up_bytes,
		      (unsigned long long)p->plane_down_bytes);
	/* Only this side opens flows so far. */
	(void)fprintf(out,
		      ", \"flows\": {\"tcp\": %u, \"udp\": %u, \"echo\": %u, "
		      "\"up\": %u, \"down\": 0}",
		      p->tcp_flows, p->udp_flows, p->echo_flows,
		      p->tcp_flows + p->udp_flows + p->echo_flows);
	(void)fprintf(out,
		      ", \"connections\": {\"opened\": %llu, \"refused\": "
		      "%llu}, \"rtt_us\": %u",
		      (unsigned long long)p->tcp_opened,
		      (unsigned long long)p->tcp_refused,
		      session_stats_of(c)->round_trip_us);
}

/* "via socks5" is no rung of the server's ladder. */
static const char *status_rung(const struct client *c)
{
	if (c->way == WAY_VIA)
		return "via";
	return c->state == CLIENT_CONNECTED ? rung_name(way_rung(c)) : "";
}

/* Why not a higher one: only of a tunnel that is there. */
static size_t why_not_higher(const struct client *c,
			     const char *ret_why[RUNG_SENTENCES_MAX])
{
	if (c->state != CLIENT_CONNECTED || c->way == WAY_VIA)
		return 0;
	return rung_why_not_higher(&c->facts, way_rung(c), ret_why);
}

static void json_why(const struct client *c, FILE *out)
{
	const char *why[RUNG_SENTENCES_MAX];
	size_t n = why_not_higher(c, why);

	(void)fputs(", \"why_not_higher\": [", out);
	for (size_t i = 0; i < n; i++) {
		char escaped[2 * TEXT_MAX];

		(void)escape_json(why[i], strnlen(why[i], TEXT_MAX), escaped,
				  sizeof(escaped));
		(void)fprintf(out, "%s\"%s\"", i ? ", " : "", escaped);
	}
	(void)fputc(']', out);
}

static const char *packets_state(const struct client *c)
{
	switch (c->network.status) {
	case FRAME_NETWORK_UP:
		return "up";
	case FRAME_NETWORK_LACKING:
		return "lacking";
	case FRAME_NETWORK_LOST:
		return "lost";
	}
	return "none";
}

static void json_doors(const struct client *c, FILE *out)
{
	struct door_status doors[PROXY_DOORS_MAX];
	size_t n = c->proxy ? proxy_doors(c->proxy, doors, PROXY_DOORS_MAX) : 0;

	(void)fputs(", \"doors\": [", out);
	for (size_t i = 0; i < n; i++) {
		(void)fputs(i ? ", {" : "{", out);
		json_text(out, "listen", doors[i].listen);
		(void)fprintf(out,
			      ", \"connections\": %u, \"associations\": %u, "
			      "\"accepted\": %llu, \"refused\": %llu}",
			      doors[i].conns, doors[i].assocs,
			      (unsigned long long)doors[i].accepted,
			      (unsigned long long)doors[i].refused);
	}
	(void)fputc(']', out);
}

static const char *forward_state_name(const struct forward_status *f)
{
	switch (f->state) {
	case FORWARD_ASKED:
		return "asked";
	case FORWARD_UP:
		return "up";
	case FORWARD_FAILED:
		return "failed";
	}
	return "failed";
}

static void json_forwards(const struct client *c, FILE *out)
{
	size_t n = c->forwards ? forwards_n(c->forwards) : 0;

	(void)fputs(", \"forwards\": [", out);
	for (size_t i = 0; i < n; i++) {
		const struct forward_status *f =
			forwards_status(c->forwards, i);

		(void)fputs(i ? ", {" : "{", out);
		json_text(out, "kind",
			  f->spec->kind == MUX_FORWARD_LOCAL ? "local"
							     : "remote");
		(void)fputs(", ", out);
		json_text(out, "forward", f->spec->text);
		(void)fputs(", ", out);
		json_text(out, "state", forward_state_name(f));
		(void)fprintf(out, ", \"port\": %u}", f->port);
	}
	(void)fputc(']', out);
}

/* How many of ssh, with the first; 0: there is none. */
static unsigned n_connections(const struct client *c)
{
	if (c->state != CLIENT_CONNECTED || c->way == WAY_VIA)
		return 0;
	return c->connections ? connections_n(c->connections) : 1;
}

/* A sentence, or "". */
static const char *why_no_connections(const struct client *c)
{
	return c->connections ? connections_why_not(c->connections)
			      : c->no_connections.text;
}

static void json_connections(const struct client *c, FILE *out)
{
	(void)fprintf(
		out,
		", \"ssh_connections\": {\"wanted\": %u, \"open\": %u, "
		"\"links\": %u, \"repeats\": %llu, ",
		c->config->connections, n_connections(c),
		c->carrier && n_connections(c) > 0
			? 1 + bond_carrier_n_links(c->carrier)
			: 0,
		c->carrier && n_connections(c) > 0
			? (unsigned long long)bond_carrier_n_repeats(c->carrier)
			: 0);
	json_text(out, "why_not", why_no_connections(c));
	(void)fputc('}', out);
}

static void print_connections(const struct client *c, FILE *out)
{
	if (c->config->connections < 2)
		return;
	(void)fprintf(out, "  connections %u of %u", n_connections(c),
		      c->config->connections);
	if (c->carrier)
		(void)fprintf(out, ", %u links",
			      1 + bond_carrier_n_links(c->carrier));
	(void)fputc('\n', out);
	if (why_no_connections(c)[0] != '\0')
		(void)fprintf(out, "  connections %s\n", why_no_connections(c));
}

/* What was done to the socket. */
static const char *tuning(const struct client *c, char out[TCP_TUNE_TEXT_MAX])
{
	if (c->config->no_tune)
		return "off (--tune off)";
	return tcp_tune_tell(&c->socket.tune, out);
}

static void json_ssh(const struct client *c, FILE *out)
{
	char text[TEXT_MAX], tuned[TCP_TUNE_TEXT_MAX];
	struct tcp_conn t;
	struct err why;

	(void)fputs(", \"ssh\": {", out);
	if (ssh_socket_read(&c->socket, &t, &why) < 0) {
		if (why.text[0] != '\0')
			json_text(out, "why_not", why.text);
		(void)fputc('}', out);
		return;
	}
	json_text(out, "peer", endpoint_format(&t.peer, text));
	(void)fputs(", ", out);
	(void)snprintf(text, sizeof(text), "%s", t.congestion);
	json_text(out, "congestion", text);
	(void)fputs(", ", out);
	json_text(out, "tuning", tuning(c, tuned));
	(void)fprintf(out,
		      ", \"rtt_us\": %u, \"rtt_min_us\": %u, \"cwnd\": %u"
		      ", \"unacked\": %u, \"retransmits\": %u"
		      ", \"queued_bytes\": %u, \"notsent_bytes\": %u"
		      ", \"delivery_rate\": %llu}",
		      t.rtt_us, t.rtt_min_us, t.cwnd, t.unacked, t.retransmits,
		      t.queued_bytes, t.notsent_bytes,
		      (unsigned long long)t.delivery_rate_byte_s);
}

static void json_line(const struct client *c, FILE *out)
{
	struct governor_view line = line_of(c);

	(void)fprintf(out,
		      ", \"line_up\": {\"rate\": %llu, \"round_trip_us\": %u, "
		      "\"round_trip_min_us\": %u, \"in_flight_bytes\": %zu, "
		      "\"allowed_bytes\": %zu}",
		      (unsigned long long)line.rate, line.round_trip_us,
		      line.round_trip_min_us, line.in_flight_bytes,
		      line.allowed_bytes);
}

/* "" if it does not tell, or there is none. */
static const char *helper_sandbox(const struct client *c,
				  char out[SANDBOX_TEXT_MAX])
{
	return c->peer.tells_sandbox ? sandbox_text(c->peer.sandbox, out) : "";
}

static void print_json(const struct client *c, FILE *out)
{
	uint64_t drops[DROP__N];
	const struct client_config *config = c->config;
	char sandboxed[SANDBOX_TEXT_MAX];

	(void)fputc('{', out);
	json_text(out, "name", config->name);
	(void)fputs(", ", out);
	json_text(out, "destination", config->dest_text);
	(void)fputs(", ", out);
	json_text(out, "gateway", status_gateway(c));
	(void)fputs(", ", out);
	json_text(out, "user", c->ssh_config ? c->ssh_config->user : "");
	(void)fputs(", ", out);
	json_text(out, "state", state_name(c));
	(void)fputs(", ", out);
	json_text(out, "rung", status_rung(c));
	json_why(c, out);
	(void)fputs(", ", out);
	json_text(out, "packets", packets_state(c));
	(void)fputs(", ", out);
	json_text(out, "interface", c->device.name);
	json_addresses(c, out);
	json_subnets(out, "routes", c->asked, c->n_asked);
	json_subnets(out, "excluded", config->excludes, config->n_excludes);
	(void)fprintf(
		out, ", \"mtu\": %u, \"since\": %lld, \"unconfirmed\": %u",
		config->mtu_bytes, (long long)c->since_s, confirm_left_s(c));
	json_counters(c, out);
	(void)fprintf(out, ", \"channels\": %u", links_n(c->links));
	json_connections(c, out);
	json_ssh(c, out);
	json_line(c, out);
	json_doors(c, out);
	stub_print_json(c, out);
	json_forwards(c, out);
	host_dns_print_json(&c->dns, out);
	(void)fputs(", \"helper\": {", out);
	json_text(out, "version", c->helper_version);
	(void)fputs(", ", out);
	json_text(out, "origin", boot_origin_name(c->helper_origin));
	(void)fputs(", ", out);
	json_text(out, "user", c->peer.user);
	(void)fputs(", ", out);
	json_text(out, "sandbox", helper_sandbox(c, sandboxed));
	(void)fputs("}, ", out);
	json_text(out, "sandbox", sandbox_text(c->sandbox, sandboxed));
	json_missing(c, out);
	json_out_of_reach(c, out);
	(void)fputs(", \"drops\": {", out);
	near_drops(c, drops);
	json_drops(out, "near", drops);
	(void)fputs(", ", out);
	json_drops(out, "frames", session_stats_of(c)->drops);
	(void)fputs(", ", out);
	json_drops(out, "far", session_stats_of(c)->far_drops);
	(void)fputs("}}", out);
}

/* ---- for people ---- */

static void print_way(const struct client *c, FILE *out)
{
	const char *why[RUNG_SENTENCES_MAX];
	size_t n = why_not_higher(c, why);

	if (c->way == WAY_HELPER)
		(void)fprintf(out, "  carried by  helper %s (%s)\n",
			      c->helper_version,
			      boot_origin_name(c->helper_origin));
	(void)fprintf(out, "  rung        %s\n", status_rung(c));
	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "  not higher  %s\n", why[i]);
	if (c->network.status)
		(void)fprintf(out, "  packets     %s: %s\n", packets_state(c),
			      c->network.text);
}

static void print_doors(const struct client *c, FILE *out)
{
	struct door_status doors[PROXY_DOORS_MAX];
	size_t n = c->proxy ? proxy_doors(c->proxy, doors, PROXY_DOORS_MAX) : 0;

	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "  door        %s, %u connections\n",
			      doors[i].listen, doors[i].conns);
}

static void print_forwards(const struct client *c, FILE *out)
{
	size_t n = c->forwards ? forwards_n(c->forwards) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct forward_status *f =
			forwards_status(c->forwards, i);

		(void)fprintf(out, "  forward     -%c %s, %s\n",
			      f->spec->kind == MUX_FORWARD_LOCAL ? 'L' : 'R',
			      f->spec->text, forward_state_name(f));
	}
}

static void print_text(const struct client *c, FILE *out)
{
	const struct flowplane_stats *p = plane_stats_of(c);
	char text[TEXT_MAX];
	const char *missing;

	(void)fprintf(out, "%s: %s, %s", c->config->name, state_name(c),
		      c->config->dest_text);
	if (c->state != CLIENT_CONNECTED) {
		(void)fputc('\n', out);
		return;
	}
	if (c->ssh_config)
		(void)fprintf(out, " as %s", c->ssh_config->user);
	(void)fprintf(out, ", for %llu s\n",
		      (unsigned long long)(clock_wall_s() - c->since_s));
	if (c->device.name[0])
		(void)fprintf(out, "  routes      %s via %s\n",
			      status_subnets(c, text, sizeof(text)),
			      c->device.name);
	for (size_t i = 0; lan_watch_tell(c, i, text); i++)
		(void)fprintf(out, "  local       %s\n", text);
	if (confirm_left_s(c) > 0)
		(void)fprintf(out,
			      "  ends        in %u s, unless confirmed: ecssh "
			      "confirm %s\n",
			      confirm_left_s(c), c->config->name);
	print_way(c, out);
	host_dns_print_text(&c->dns, out);
	print_connections(c, out);
	if (links_n(c->links) > 0)
		(void)fprintf(out, "  channels    %u more than one\n",
			      links_n(c->links));
	if (links_why_not(c->links)[0] != '\0')
		(void)fprintf(out, "  channels    %s\n",
			      links_why_not(c->links));
	print_doors(c, out);
	stub_print_text(c, out);
	print_forwards(c, out);
	(void)fprintf(out, "  traffic     %llu bytes up, %llu down\n",
		      (unsigned long long)p->tun_rx_bytes,
		      (unsigned long long)p->tun_tx_bytes);
	(void)fprintf(out, "  flows       %u TCP, %u UDP, %u ping\n",
		      p->tcp_flows, p->udp_flows, p->echo_flows);
	if (session_stats_of(c)->round_trip_us)
		(void)fprintf(out, "  round trip  %.1f ms\n",
			      session_stats_of(c)->round_trip_us / 1000.0);
	for (int i = 0; (missing = status_missing(c, i)); i++)
		(void)fprintf(out, "  not carried %s\n", missing);
}

static void print_line(const struct client *c, FILE *out)
{
	struct governor_view line = line_of(c);

	if (line.rate == 0)
		return;
	(void)fprintf(
		out,
		"  line up     %.1f Mbit/s seen, round trip %.1f ms, least "
		"%.1f ms; %zu of %zu KiB in flight\n",
		(double)line.rate * 8 / 1e6, line.round_trip_us / 1000.0,
		line.round_trip_min_us / 1000.0, line.in_flight_bytes >> 10,
		line.allowed_bytes >> 10);
}

static void print_ssh(const struct client *c, FILE *out)
{
	char text[TEXT_MAX], tuned[TCP_TUNE_TEXT_MAX];
	struct tcp_conn t;
	struct err why;

	if (c->state != CLIENT_CONNECTED || c->way == WAY_VIA)
		return;
	if (ssh_socket_read(&c->socket, &t, &why) < 0) {
		(void)fprintf(out, "  ssh         not reachable: %s\n",
			      why.text);
		return;
	}
	(void)fprintf(out, "  ssh         TCP to %s, congestion control %s\n",
		      endpoint_format(&t.peer, text), t.congestion);
	(void)fprintf(out, "  ssh tuning  %s\n", tuning(c, tuned));
	(void)fprintf(out,
		      "  ssh path    round trip %.1f ms, least %.1f ms; %llu "
		      "bytes/s delivered; %u segments sent again\n",
		      t.rtt_us / 1000.0, t.rtt_min_us / 1000.0,
		      (unsigned long long)t.delivery_rate_byte_s,
		      t.retransmits);
	(void)fprintf(
		out,
		"  ssh queue   %u bytes, %u of them not sent; %u segments "
		"under way, %u may be\n",
		t.queued_bytes, t.notsent_bytes, t.unacked, t.cwnd);
}

static void print_sandbox(const struct client *c, FILE *out)
{
	char text[SANDBOX_TEXT_MAX];

	if (c->state != CLIENT_CONNECTED)
		return;
	(void)fprintf(out, "  sandbox     engine: %s\n",
		      sandbox_text(c->sandbox, text));
	if (c->peer.tells_sandbox)
		(void)fprintf(out, "  sandbox     helper: %s\n",
			      helper_sandbox(c, text));
}

static void print_drops(const struct client *c, FILE *out)
{
	uint64_t near[DROP__N];
	const uint64_t *frames = session_stats_of(c)->drops;
	const uint64_t *far = session_stats_of(c)->far_drops;
	bool any = false;

	near_drops(c, near);
	(void)fprintf(out, "%s:\n", c->config->name);
	for (int i = 0; i < DROP__N; i++) {
		uint64_t n = near[i] + frames[i];

		if (n + far[i] == 0)
			continue;
		any = true;
		(void)fprintf(out, "  %-24s %llu here, %llu on the gateway\n",
			      drop_reason_name((enum drop_reason)i),
			      (unsigned long long)n,
			      (unsigned long long)far[i]);
	}
	if (!any)
		(void)fputs("  nothing was dropped\n", out);
}

void status_print(const struct client *c, enum ctl_status kind, FILE *out)
{
	switch (kind) {
	case CTL_STATUS_JSON:
		print_json(c, out);
		return;
	case CTL_STATUS_TEXT:
		print_text(c, out);
		return;
	case CTL_STATUS_VERBOSE:
		print_text(c, out);
		print_line(c, out);
		print_ssh(c, out);
		print_sandbox(c, out);
		return;
	case CTL_STATUS_DROPS:
		print_drops(c, out);
		return;
	}
}
