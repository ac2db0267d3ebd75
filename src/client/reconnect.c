/* SPDX-License-Identifier: MIT */
/*
 * reconnect: the way to the far end, made again when it is lost.
 *
 * Theory of operation
 *   What failed may be on the stack: a task lets go of it, and a timer starts
 *   the next attempt, as the first one was started.  Meanwhile the device
 *   stays, with its addresses and routes, so nothing takes another way.
 *   Connections that were in the tunnel are reset, for the sockets on the far
 *   side are gone; a new one is not answered, so its SYN is sent again and
 *   meets the next session.
 *
 *   An attempt is cheap where nobody answers, and those follow closely: who
 *   closes a laptop wants the tunnel soon after opening it.  A server that
 *   refuses the login is left in peace for a minute: some lock out who insists.
 */
#include "reconnect.h"

#include <sodium.h>
#include <string.h>

#include "client_internal.h"
#include "log.h"

enum {
	FIRST_US = 250000,
	QUICK_MAX_US = 4000000,
	REFUSED_US = 60000000,
	DOUBLINGS_MAX = 4, /* 4 s */
	LOOK_UP_EACH = 3,  /* attempts */
};

/* Is it ssh or the server that will not, rather than the line? */
static bool is_refusal(const char *why)
{
	static const char *const words[] = {
		"Permission denied",
		"Host key verification failed",
		"REMOTE HOST IDENTIFICATION",
		"Too many authentication failures",
		"No more authentication methods",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(why, words[i]))
			return true;
	return false;
}

/* Up to a quarter more, so that the clients of a server that comes back do not
 * all come at once. */
static uint64_t with_jitter(uint64_t us)
{
	return us + randombytes_uniform((uint32_t)(us / 4));
}

static uint64_t delay_us(const struct reconnect *r)
{
	unsigned n = r->n_failed < DOUBLINGS_MAX ? r->n_failed : DOUBLINGS_MAX;
	uint64_t us = (uint64_t)FIRST_US << n;

	if (is_refusal(r->said.text))
		us = REFUSED_US;
	else if (us > QUICK_MAX_US)
		us = QUICK_MAX_US;
	return with_jitter(us);
}

static void on_drop(void *ctx)
{
	struct client *c = ctx;

	way_stop(c);
	proxy_session_down(c->proxy);
	if (c->tun)
		tun_port_set_plane(c->tun, NULL);
	c->plane = flowplane_free(c->plane);
	way_free(c);
	c->carrier = NULL;
	c->network = (struct frame_network_state){0};
	timer_disarm(c->loop, &c->ending);
	timer_disarm(c->loop, &c->network_timer);
	timer_arm(c->loop, &c->reconnect.timer, delay_us(&c->reconnect));
	c->reconnect.n_failed++;
}

/*
 * The address that is kept may be another host's by now, or one that is reached
 * from elsewhere only.  So now and then ssh looks the name up itself, unless
 * only the tunnel is asked for names.
 */
static void choose_address(struct client *c)
{
	bool looks_up = c->dns.mode != CLIENT_DNS_ALL &&
			c->reconnect.n_failed % LOOK_UP_EACH == 0;

	if (c->reconnect.has_pinned)
		c->pins.n = looks_up ? 0 : 1;
}

static void on_attempt(void *ctx)
{
	struct client *c = ctx;
	struct err err;

	choose_address(c);
	c->started_us = loop_now_us(c->loop);
	if (way_start(c, &err) < 0)
		(void)reconnect_takes(c, &err);
}

void reconnect_init(struct client *c)
{
	struct reconnect *r = &c->reconnect;

	r->drop = (struct loop_task){.on_run = on_drop, .ctx = c};
	list_init(&r->drop.link);
	r->timer = (struct timer){.on_fire = on_attempt, .ctx = c};
}

/*
 * Keep the address of the gateway, or of the jump host before it: its name may
 * be one that only the tunnel's own resolver is asked for.  And from ports of
 * our own nothing but ssh goes past the tunnel while it connects.
 */
static void keep_address(struct client *c)
{
	struct ssh_peer peers[2];
	struct err why;

	if (c->pins.n > 0 ||
	    starter_connections(c->starter, way_pid(c), peers, 2) != 1)
		return;
	if (way_pin(c, &peers[0].remote, 1, &c->ports, &why) == 0)
		c->reconnect.has_pinned = true;
	else
		log_debug("%s", why.text);
}

/* For each ssh from now on; where it is to connect again, in the background,
 * there is nobody to ask, and nobody waits for long. */
static void prepare(struct client *c)
{
	if (c->way == WAY_VIA)
		return;
	keep_address(c);
	if (!c->config->reconnects)
		return;
	if (c->config->is_background)
		c->ssh_flags |= SSH_START_BATCH;
	c->ssh_flags |= SSH_START_IMPATIENT;
}

/* Said once, until it changes. */
static void say(struct client *c, const struct err *why)
{
	struct reconnect *r = &c->reconnect;

	if (strcmp(r->said.text, why->text) == 0)
		return;
	r->said = *why;
	log_warn("%s; trying again until it works, or \"ecssh down\" ends it",
		 why->text);
}

static bool is_wanted(const struct client *c)
{
	return c->config->reconnects && c->has_been_up && !c->has_said_why;
}

void reconnect_on_session_down(struct client *c)
{
	if (is_wanted(c) && c->tun)
		tun_port_set_plane(c->tun, NULL);
}

bool reconnect_takes(struct client *c, const struct err *why)
{
	if (!is_wanted(c))
		return false;
	if (c->state != CLIENT_RECONNECTING) {
		c->reconnect.lost_us = loop_now_us(c->loop);
		c->state = CLIENT_RECONNECTING;
		c->since_s = clock_wall_s();
	}
	say(c, why);
	notify_status(&c->notify, "%s; trying again", why->text);
	loop_post(c->loop, &c->reconnect.drop);
	return true;
}

bool reconnect_on_connected(struct client *c)
{
	struct reconnect *r = &c->reconnect;
	bool is_again = c->has_been_up;

	prepare(c);
	if (is_again)
		log_notice("connected to %s again, after %.1f s",
			   status_gateway(c),
			   (double)(loop_now_us(c->loop) - r->lost_us) /
				   US_PER_SEC);
	if (is_again)
		client_notify_connected(c);
	c->has_been_up = true;
	r->n_failed = 0;
	r->said.text[0] = '\0';
	return is_again;
}

void reconnect_stop(struct client *c)
{
	loop_unpost(&c->reconnect.drop);
	timer_disarm(c->loop, &c->reconnect.timer);
}
