/* SPDX-License-Identifier: MIT */
/* sim: both engines and the applications' hosts in one process. */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

/* ---- libsodium's randomness, repeatable ---- */

/* randombytes has no context, so this is the one exception to "no state at file
 * scope". */
static struct rng sodium_rng;

static const char *sodium_name(void)
{
	return "sim";
}

static uint32_t sodium_random(void)
{
	return (uint32_t)rng_next(&sodium_rng);
}

/* Four bytes are a sequence number: often one that is about to wrap. */
static void sodium_buf(void *const buf, const size_t size)
{
	rng_fill(&sodium_rng, buf, size);
	if (size == 4 && rng_below(&sodium_rng, 2)) {
		uint32_t iss =
			(uint32_t)-1 - (uint32_t)rng_below(&sodium_rng, 100000);

		memcpy(buf, &iss, sizeof(iss));
	}
}

static void make_sodium_repeatable(uint64_t seed)
{
	static struct randombytes_implementation implementation = {
		.implementation_name = sodium_name,
		.random = sodium_random,
		.buf = sodium_buf,
	};

	sodium_rng = (struct rng){seed};
	(void)randombytes_set_implementation(&implementation);
}

/* ---- the TUN ---- */

struct flying {
	struct list link;
	struct sim *sim;
	struct timer timer;
	bool is_up;
	size_t len;
	uint8_t bytes[];
};

static void complain(struct sim *s, const char *what)
{
	if (!s->violation[0])
		(void)snprintf(s->violation, sizeof(s->violation), "%s", what);
}

static void capture(struct sim *s, const uint8_t *bytes, size_t len)
{
	struct sim_captured *c =
		&s->captured[s->n_captured++ % SIM_CAPTURE_MAX];

	free(c->bytes);
	c->bytes = malloc(len);
	assert_always(c->bytes != NULL);
	memcpy(c->bytes, bytes, len);
	c->len = len;
	c->at_us = sim_now_us(s);
}

const struct sim_captured *sim_captured(const struct sim *s, unsigned n)
{
	if (n >= s->n_captured || n >= SIM_CAPTURE_MAX)
		return NULL;
	return &s->captured[(s->n_captured - 1 - n) % SIM_CAPTURE_MAX];
}

static struct app_tcp *find_app(struct sim *s, const struct endpoint *near,
				const struct endpoint *far)
{
	struct app_tcp *found = NULL;

	list_for_each (link, &s->apps) {
		struct app_tcp *a = container_of(link, struct app_tcp, link);

		if (endpoint_equal(&a->config.near, near) &&
		    endpoint_equal(&a->config.far, far))
			found = a; /* the newest of several */
	}
	return found;
}

static uint16_t port_at(const uint8_t *p)
{
	return (uint16_t)ref_get16(p);
}

/* An ICMP error: tell the application whose segment it quotes. */
static bool deliver_icmp(struct sim *s, const uint8_t *ip, size_t len)
{
	bool is4 = ip[0] >> 4 == 4;
	size_t ip_len = is4 ? 20 : 40;
	const uint8_t *quote = ip + ip_len + 8;
	struct endpoint near, far;

	if (len < 2 * ip_len + 16 || quote[is4 ? 9 : 6] != REF_TCP ||
	    (is4 ? ip[ip_len] != 3 : ip[ip_len] >= 128))
		return false;
	enum ip_version version = is4 ? IPV4 : IPV6;
	near.addr = addr_make(version, quote + (is4 ? 12 : 8));
	far.addr = addr_make(version, quote + (is4 ? 16 : 24));
	near.port = port_at(quote + ip_len);
	far.port = port_at(quote + ip_len + 2);
	struct app_tcp *a = find_app(s, &near, &far);
	if (a)
		app_tcp_on_icmp(a, ip[ip_len], ip[ip_len + 1]);
	return false; /* captured as well */
}

static void deliver_down(struct sim *s, const uint8_t *bytes, size_t len)
{
	int proto = seg_proto(bytes, len);
	struct seg seg;

	if (s->on_down_packet) {
		s->on_down_packet(s->down_ctx, bytes, len);
		return;
	}
	if (proto == REF_TCP) {
		const char *wrong = seg_parse(bytes, len, &seg);

		if (wrong) {
			complain(s, wrong);
			return;
		}
		struct app_tcp *a =
			s->has_raw_tun ? NULL : find_app(s, &seg.dst, &seg.src);
		if (a) {
			app_tcp_on_segment(a, &seg);
			return;
		}
	} else if (proto == REF_ICMP || proto == REF_ICMP6) {
		(void)deliver_icmp(s, bytes + SEG_VNET_LEN, len - SEG_VNET_LEN);
	}
	capture(s, bytes, len);
}

/* With $ECSSH_SIM_TRACE set: what passes the TUN, and what does not. */
static void trace(struct sim *s, bool is_up, const char *fate,
		  const uint8_t *bytes, size_t len)
{
	struct seg seg;

	if (!s->is_traced || seg_parse(bytes, len, &seg) != NULL)
		return;
	fprintf(stderr,
		"# %.6f %u %s %s:%s%s%s%s%s seq %u len %zu ack %u win %u\n",
		(double)sim_now_us(s) / 1e6,
		(unsigned)(is_up ? seg.src.port : seg.dst.port),
		is_up ? "up" : "down", fate, seg.flags & SEG_SYN ? " SYN" : "",
		seg.flags & SEG_FIN ? " FIN" : "",
		seg.flags & SEG_RST ? " RST" : "",
		seg.flags & SEG_ACK ? " ACK" : "",
		seg.flags & SEG_URG ? " URG" : "", seg.seq, seg.payload_len,
		seg.ack, seg.window);
}

static void on_flown(void *ctx)
{
	struct flying *f = ctx;
	struct sim *s = f->sim;

	list_del(&f->link);
	trace(s, f->is_up, "arrives", f->bytes, f->len);
	if (f->is_up)
		(void)flowplane_on_packet(s->plane, f->bytes, f->len);
	else
		deliver_down(s, f->bytes, f->len);
	free(f);
}

static bool chance(struct sim *s, uint32_t ppm)
{
	return ppm && rng_below(&s->rng, 1000000) < ppm;
}

static void launch(struct sim *s, bool is_up, const uint8_t *bytes, size_t len)
{
	const struct sim_tun *tun = is_up ? &s->config.up : &s->config.down;
	mono_us_t *last_us = is_up ? &s->last_up_us : &s->last_down_us;
	mono_us_t now_us = sim_now_us(s);
	mono_us_t due_us =
		now_us + tun->delay_us + rng_below(&s->rng, tun->jitter_us + 1);
	struct flying *f = malloc(sizeof(*f) + len);

	assert_always(f != NULL);
	if (chance(s, tun->reorder_ppm)) {
		due_us += 1 + rng_below(&s->rng, 5000);
	} else {
		due_us = due_us > *last_us ? due_us : *last_us + 1;
		*last_us = due_us;
	}
	f->sim = s;
	f->is_up = is_up;
	f->len = len;
	memcpy(f->bytes, bytes, len);
	f->timer = (struct timer){.on_fire = on_flown, .ctx = f};
	list_push(&s->flying, &f->link);
	timer_arm(s->loop, &f->timer, due_us - now_us);
}

static void launch_lossy(struct sim *s, bool is_up, const uint8_t *bytes,
			 size_t len)
{
	const struct sim_tun *tun = is_up ? &s->config.up : &s->config.down;

	trace(s, is_up, "leaves", bytes, len);
	if (chance(s, tun->loss_ppm)) {
		trace(s, is_up, "is lost", bytes, len);
		return;
	}
	launch(s, is_up, bytes, len);
	if (chance(s, tun->dup_ppm))
		launch(s, is_up, bytes, len);
}

static void send_up(void *ctx, const uint8_t *packet, size_t len)
{
	launch_lossy(ctx, true, packet, len);
}

static int tun_write(void *ctx, const struct iovec *iov, int n)
{
	struct sim *s = ctx;
	size_t len = 0, at = 0;

	if (chance(s, s->config.down.refuse_ppm))
		return -ENOBUFS;
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	uint8_t *packet = malloc(len);
	assert_always(packet != NULL);
	for (int i = 0; i < n; i++) {
		memcpy(packet + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	launch_lossy(s, false, packet, len);
	free(packet);
	return 0;
}

enum drop_reason sim_tun_up(struct sim *s, const uint8_t *packet, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* it may be changed */

	assert_always(copy != NULL);
	if (len > 0)
		memcpy(copy, packet, len);
	enum drop_reason reason = flowplane_on_packet(s->plane, copy, len);
	free(copy);
	return reason;
}

/* ---- invariants ---- */

static void check_flow(struct htab_node *node, void *ctx)
{
	struct sim *s = ctx;
	const struct flow *f = container_of(node, struct flow, node);

	if (f->key.proto != PKT_PROTO_TCP)
		return;
	const char *wrong = tcp_probe_check(f);
	if (!wrong)
		return;
	struct tcp_probe p = tcp_probe(f);
	char text[SIM_VIOLATION_MAX];

	(void)snprintf(text, sizeof(text), "endpoint of port %u in %s: %s",
		       f->key.near.port, p.state, wrong);
	complain(s, text);
}

static void add_ring_bytes(struct htab_node *node, void *ctx)
{
	const struct flow *f = container_of(node, struct flow, node);
	size_t *bytes = ctx;

	if (f->key.proto != PKT_PROTO_TCP)
		return;
	struct tcp_probe p = tcp_probe(f);
	*bytes += p.tx_cap + p.rx_cap;
}

size_t sim_ring_bytes(struct sim *s)
{
	size_t bytes = sim_far_ring_bytes(&s->far);

	htab_each(&s->plane->flows, add_ring_bytes, &bytes);
	return bytes;
}

/* Looking at everything all the time would take most of it: with many flows
 * not after every step. */
static void check(struct sim *s)
{
	if (s->n_steps++ % (1 + s->plane->flows.n / 16) != 0)
		return;
	size_t bytes = sim_ring_bytes(s);

	htab_each(&s->plane->flows, check_flow, s);
	if (bytes > s->most_ring_bytes)
		s->most_ring_bytes = bytes;
}

/* ---- the clock ---- */

void sim_settle(struct sim *s)
{
	while (loop_poll(s->loop))
		continue;
	check(s);
}

bool sim_run(struct sim *s, bool (*done)(const struct sim *s), uint64_t most_us)
{
	mono_us_t end_us = sim_now_us(s) + most_us;

	for (;;) {
		sim_settle(s);
		if (s->violation[0])
			return false;
		if (done && done(s))
			return true;
		uint64_t left_us = end_us - sim_now_us(s);
		uint64_t next_us = loop_next_timer_us(s->loop);
		if (next_us > left_us) {
			loop_advance_us(s->loop, left_us);
			return false;
		}
		loop_advance_us(s->loop, next_us);
	}
}

bool sim_apps_are_over(const struct sim *s)
{
	list_for_each (link, &s->apps)
		if (!app_tcp_is_over(container_of(link, struct app_tcp, link)))
			return false;
	return true;
}

/* ---- the plane's calls ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct sim *s = ctx;

	(void)peer;
	s->is_up = true;
}

static void on_down(void *ctx, const struct err *why)
{
	struct sim *s = ctx;

	s->is_down = true;
	s->down_why = *why;
}

static void on_network_state(void *ctx, const struct frame_network_state *state)
{
	struct sim *s = ctx;

	s->n_network_states++;
	s->network_state = *state;
}

static void note_foreign(struct sim *s, uint32_t id)
{
	s->n_foreign++;
	s->foreign_id = id;
}

static void on_foreign_resolved(void *ctx, uint32_t id,
				enum frame_reason status, const uint8_t *answer,
				size_t len)
{
	(void)status;
	(void)answer;
	(void)len;
	note_foreign(ctx, id);
}

static void on_foreign_dgram(void *ctx, uint32_t id,
			     const struct frame_dgram *d)
{
	(void)d;
	note_foreign(ctx, id);
}

static void on_foreign_icmp_error(void *ctx, uint32_t id,
				  const struct frame_icmp_error *e)
{
	(void)e;
	note_foreign(ctx, id);
}

static void on_foreign_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	(void)reason;
	note_foreign(ctx, id);
}

static const struct flowplane_ops plane_ops = {
	.tun_write = tun_write,
	.on_up = on_up,
	.on_down = on_down,
	.on_network_state = on_network_state,
	.on_resolved = on_foreign_resolved,
	.on_dgram = on_foreign_dgram,
	.on_icmp_error = on_foreign_icmp_error,
	.on_assoc_close = on_foreign_close,
};

/* ---- life ---- */

static bool is_up(const struct sim *s)
{
	return s->is_up;
}

static void begin_sessions(struct sim *s)
{
	static const struct sim_rule none = {0};
	struct frame_hello hello = {
		.capabilities = s->config.capabilities
					? s->config.capabilities
					: FRAME_CAP_IPV4 | FRAME_CAP_IPV6 |
						  FRAME_CAP_ECHO |
						  FRAME_CAP_ECHO6 |
						  FRAME_CAP_TCP | FRAME_CAP_UDP,
		.software = "sim",
		.user = "sim",
	};

	if (!s->config.has_no_gateway) {
		assert_always(addr_parse("203.0.113.1", &hello.gateway4) == 0 &&
			      addr_parse("2001:db8:f::1", &hello.gateway6) ==
				      0);
		s->gateway = s->near_addr.version == IPV4 ? hello.gateway4
							  : hello.gateway6;
	}
	s->pipe = sim_pipe_new(s->loop, &s->rng, &s->config.link);
	sim_far_init(&s->far, s->loop, &s->rng, sim_pipe_end(s->pipe, SIM_FAR),
		     s->config.rules ? s->config.rules : &none, &hello,
		     s->violation);
	assert_always(flowplane_attach(s->plane,
				       sim_pipe_end(s->pipe, SIM_NEAR),
				       NULL) == 0);
	(void)sim_run(s, is_up, SESSION_SILENCE_US);
}

struct sim *sim_new(const struct sim_config *config, uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));
	bool is6 = config->version == IPV6;

	assert_always(s != NULL);
	make_sodium_repeatable(seed);
	s->config = *config;
	if (!s->config.mtu_bytes)
		s->config.mtu_bytes = 1500;
	s->rng = (struct rng){seed};
	s->next_port = SIM_NEAR_PORT;
	s->is_traced = getenv("ECSSH_SIM_TRACE") != NULL;
	list_init(&s->apps);
	list_init(&s->flying);
	assert_always(addr_parse(is6 ? "2001:db8:a::2" : "192.0.2.2",
				 &s->near_addr) == 0 &&
		      addr_parse(is6 ? "2001:db8:b::80" : "198.51.100.80",
				 &s->far_addr) == 0);
	s->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_always(s->loop != NULL);
	s->env = (struct app_env){.loop = s->loop,
				  .rng = &s->rng,
				  .violation = s->violation,
				  .send = send_up,
				  .ctx = s};
	s->plane = flowplane_new(s->loop, s->config.mtu_bytes, &plane_ops, s);
	assert_always(s->plane != NULL);
	begin_sessions(s);
	return s;
}

struct sim *sim_free(struct sim *s)
{
	struct list *link;

	if (!s)
		return NULL;
	s->plane = flowplane_free(s->plane);
	sim_far_fini(&s->far);
	s->pipe = sim_pipe_free(s->pipe);
	while ((link = list_pop(&s->apps))) {
		struct app_tcp *a = container_of(link, struct app_tcp, link);

		app_tcp_vanish(a);
		free(a);
	}
	while ((link = list_pop(&s->flying))) {
		struct flying *f = container_of(link, struct flying, link);

		timer_disarm(s->loop, &f->timer);
		free(f);
	}
	for (int i = 0; i < SIM_CAPTURE_MAX; i++)
		free(s->captured[i].bytes);
	s->loop = loop_free(s->loop);
	free(s);
	return NULL;
}

struct app_config sim_app_config(struct sim *s, uint16_t far_port)
{
	bool is4 = s->near_addr.version == IPV4;

	return (struct app_config){
		.near = {s->near_addr, s->next_port++},
		.far = {s->far_addr, far_port},
		.iss = rng_below(&s->rng, 2)
			       ? (uint32_t)rng_next(&s->rng)
			       : UINT32_MAX -
					 (uint32_t)rng_below(&s->rng, 100000),
		.mss_bytes = (uint16_t)(s->config.mtu_bytes - (is4 ? 40 : 60)),
		.window_scale = 7,
		.rcv_buf_bytes = 1 << 20,
	};
}

/* What an echo sends down is the pattern up. */
static bool is_echo(const struct sim *s, uint16_t port)
{
	const struct sim_rule *rule = s->far.rules;

	while (rule->port && rule->port != port)
		rule++;
	return rule->is_echo;
}

struct app_tcp *sim_app(struct sim *s, const struct app_config *config)
{
	struct app_tcp *a = malloc(sizeof(*a));

	assert_always(a != NULL);
	app_tcp_init(a, &s->env, config);
	if (is_echo(s, config->far.port))
		a->config.key_down = a->config.key_up;
	list_push(&s->apps, &a->link);
	app_tcp_connect(a);
	return a;
}

struct flow *sim_flow(struct sim *s, const struct app_tcp *a)
{
	struct flow_key key;

	memset(&key, 0, sizeof(key));
	key.proto = PKT_PROTO_TCP;
	key.near.addr = a->config.near.addr;
	key.near.port = a->config.near.port;
	key.far.addr = a->config.far.addr;
	key.far.port = a->config.far.port;
	return flow_find(s->plane, &key);
}
