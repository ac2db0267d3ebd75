/* SPDX-License-Identifier: MIT */
/* status: what the tunnel says about itself.  Spec: doc/PROTOCOL.ctl */
#include <string.h>

#include "client_internal.h"
#include "escape.h"

enum { TEXT_MAX = 512 };

static const char *state_name(const struct client *c)
{
	switch (c->state) {
	case CLIENT_CONNECTING:
		return "connecting";
	case CLIENT_CONNECTED:
		return "connected";
	case CLIENT_ENDING:
	case CLIENT_DOWN:
		return "down";
	}
	return "down";
}

const char *status_missing(const struct client *c, int i)
{
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

	for (size_t at = 0; at < sizeof(missing) / sizeof(*missing); at++) {
		const struct ip_addr *ours = missing[at].version == IPV4
						     ? &c->address4
						     : &c->address6;

		/* Not asked for is not missed. */
		if (!ours->version ||
		    (c->peer.capabilities & missing[at].capability))
			continue;
		if (i-- == 0)
			return missing[at].text;
	}
	return NULL;
}

const char *status_subnets(const struct client *c, char *out, size_t cap)
{
	const struct client_config *config = c->config;
	char text[SUBNET_TEXT_MAX];
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < config->n_subnets; i++) {
		if (cap - at < SUBNET_TEXT_MAX + 32) {
			(void)snprintf(out + at, cap - at, " and %zu more",
				       config->n_subnets - i);
			break;
		}
		at += (size_t)snprintf(
			out + at, cap - at, "%s%s", i ? ", " : "",
			subnet_format(&config->subnets[i], text));
	}
	return out;
}

/* ---- JSON ---- */

static void json_text(FILE *out, const char *key, const char *text)
{
	char escaped[2 * TEXT_MAX];

	(void)escape_json(text, strnlen(text, TEXT_MAX), escaped,
			  sizeof(escaped));
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

static const struct flowplane_stats *plane_stats_of(const struct client *c)
{
	static const struct flowplane_stats none;

	return c->plane ? flowplane_stats(c->plane) : &none;
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

static void print_json(const struct client *c, FILE *out)
{
	const struct client_config *config = c->config;

	(void)fputc('{', out);
	json_text(out, "name", config->name);
	(void)fputs(", ", out);
	json_text(out, "destination", config->dest_text);
	(void)fputs(", ", out);
	json_text(out, "gateway", config->dest.host);
	(void)fputs(", ", out);
	json_text(out, "user", c->ssh_config ? c->ssh_config->user : "");
	(void)fputs(", ", out);
	json_text(out, "state", state_name(c));
	(void)fputs(", \"rung\": \"helper\", ", out);
	json_text(out, "interface", c->device.name);
	json_addresses(c, out);
	json_subnets(out, "routes", config->subnets, config->n_subnets);
	json_subnets(out, "excluded", config->excludes, config->n_excludes);
	(void)fprintf(out, ", \"mtu\": %u, \"since\": %lld", config->mtu_bytes,
		      (long long)c->since_s);
	json_counters(c, out);
	(void)fputs(", \"helper\": {", out);
	json_text(out, "version", c->helper_version);
	(void)fputs(", ", out);
	json_text(out, "origin", boot_origin_name(c->helper_origin));
	(void)fputs(", ", out);
	json_text(out, "user", c->peer.user);
	(void)fputc('}', out);
	json_missing(c, out);
	(void)fputs(", \"drops\": {", out);
	json_drops(out, "near", plane_stats_of(c)->drops);
	(void)fputs(", ", out);
	json_drops(out, "frames", session_stats_of(c)->drops);
	(void)fputs(", ", out);
	json_drops(out, "far", session_stats_of(c)->far_drops);
	(void)fputs("}}", out);
}

/* ---- for people ---- */

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
	(void)fprintf(out, " as %s, for %llu s\n", c->ssh_config->user,
		      (unsigned long long)(clock_wall_s() - c->since_s));
	(void)fprintf(out, "  routes      %s via %s\n",
		      status_subnets(c, text, sizeof(text)), c->device.name);
	(void)fprintf(out, "  carried by  helper %s (%s)\n", c->helper_version,
		      boot_origin_name(c->helper_origin));
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

static void print_drops(const struct client *c, FILE *out)
{
	const uint64_t *near = plane_stats_of(c)->drops;
	const uint64_t *frames = session_stats_of(c)->drops;
	const uint64_t *far = session_stats_of(c)->far_drops;
	bool any = false;

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
	case CTL_STATUS_DROPS:
		print_drops(c, out);
		return;
	}
}
