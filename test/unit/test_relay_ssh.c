/* SPDX-License-Identifier: MIT */
/* relay_ssh: streams and name servers over channels, with a server played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pkt.h"
#include "relay_link.h"
#include "relay_refusal.h"
#include "relay_rig.h"

static const struct relay_ssh_config forwarding = {.has_forwarding = true,
						   .is_exec_unwanted = true};

/* A question for a.example, type A. */
static const uint8_t question[] = {0x12, 0x34, 1,   0,	 0,   1, 0,   0,   0,
				   0,	 0,    0,   1,	 'a', 7, 'e', 'x', 'a',
				   'm',	 'p',  'l', 'e', 0,   0, 1,   0,   1};

static int setup(void **state)
{
	*state = relay_rig_new(&forwarding);
	return 0;
}

static int teardown(void **state)
{
	(void)relay_rig_free(*state);
	return 0;
}

static struct mux_channel *newest(struct relay_rig *rig)
{
	return relay_rig_newest(&rig->links[0]);
}

static struct stream *open_stream(struct relay_rig *rig)
{
	struct stream *s = relay_rig_open(rig, "", 80);

	relay_rig_confirm(rig, newest(rig));
	assert_int_equal(s->state, STREAM_OPEN);
	return s;
}

/* ---- opening ---- */

static void offers_what_channels_can_do(void **state)
{
	struct relay_rig *rig = *state;

	assert_int_equal(rig->hello.capabilities,
			 FRAME_CAP_IPV4 | FRAME_CAP_IPV6 | FRAME_CAP_TCP |
				 FRAME_CAP_NAMES | FRAME_CAP_RESOLVE);
}

static void opens_by_address_and_says_so_when_it_is_confirmed(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = relay_rig_open(rig, "", 443);
	struct mux_channel *ch = newest(rig);

	assert_int_equal(ch->kind, MUX_DIRECT_TCPIP);
	assert_string_equal(ch->host, "10.77.0.2");
	assert_int_equal(ch->port, 443);
	assert_int_equal(ch->origin.port, 4000);
	assert_int_equal(rig->n.opened, 0);
	relay_rig_confirm(rig, ch);
	assert_int_equal(rig->n.opened, 1);
	assert_int_equal(s->state, STREAM_OPEN);
}

/* That a server sends small messages at once. */
static void runs_a_command_on_each_link(void **state)
{
	static const struct relay_ssh_config usual = {.has_forwarding = true};
	struct relay_rig *rig = relay_rig_new(&usual);

	(void)state;
	assert_int_equal(newest(rig)->kind, MUX_EXEC);
	assert_string_equal(newest(rig)->host, "true");
	relay_rig_confirm(rig, newest(rig));
	assert_int_equal(rig->links[0].n_channels, 0);
	rig->renews = true;
	rig->links[0].is_full = true;
	(void)relay_rig_open(rig, "", 80);
	assert_int_equal(relay_rig_newest(&rig->links[1])->kind, MUX_EXEC);
	relay_rig_refuse(rig, relay_rig_newest(&rig->links[1]), 2, "no");
	assert_int_equal(rig->links[1].n_channels, 0);
	(void)relay_rig_free(rig);
}

static void opens_by_name(void **state)
{
	struct relay_rig *rig = *state;

	(void)relay_rig_open(rig, "www.example.org", 80);
	assert_string_equal(newest(rig)->host, "www.example.org");
	assert_int_equal(newest(rig)->origin.addr.version, 0);
}

static void tells_why_it_was_refused(void **state)
{
	static const struct {
		uint32_t reason;
		const char *text;
		enum frame_reason meaning;
	} cases[] = {
		{2, "Connection refused", FRAME_REASON_REFUSED},
		{2, "dial tcp: connect: connection refused",
		 FRAME_REASON_REFUSED},
		{2, "Network is unreachable", FRAME_REASON_NET_UNREACH},
		{2, "No route to host", FRAME_REASON_HOST_UNREACH},
		{2, "Connection timed out", FRAME_REASON_TIMED_OUT},
		{2, "Operation timed out", FRAME_REASON_TIMED_OUT},
		{2, "Name or service not known", FRAME_REASON_NO_NAME},
		{2, "Temporary failure in name resolution",
		 FRAME_REASON_NO_NAME},
		{2, "Permission denied", FRAME_REASON_PROHIBITED},
		{2, "open failed", FRAME_REASON_OTHER},
		{2, "", FRAME_REASON_OTHER},
		{1, "open failed", FRAME_REASON_PROHIBITED},
		{3, "", FRAME_REASON_PROHIBITED},
		{4, "Connection refused", FRAME_REASON_NO_RESOURCES},
	};
	struct relay_rig *rig = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)relay_rig_open(rig, "", (uint16_t)(1000 + i));
		relay_rig_refuse(rig, newest(rig), cases[i].reason,
				 cases[i].text);
		assert_int_equal(rig->n.refused, i + 1);
		assert_int_equal(rig->reason, cases[i].meaning);
	}
}

static void refuses_all_where_forwarding_is_not_permitted(void **state)
{
	static const struct relay_ssh_config nothing = {
		.has_tun = true, .is_exec_unwanted = true};
	struct relay_rig *rig = relay_rig_new(&nothing);

	(void)state;
	assert_int_equal(rig->hello.capabilities & FRAME_CAP_TCP, 0);
	(void)relay_rig_open(rig, "", 80);
	assert_int_equal(rig->reason, FRAME_REASON_PROHIBITED);
	session_send_resolve(rig->near, 7, (const uint8_t *)"0123456789ab", 12);
	relay_rig_settle(rig);
	assert_int_equal(rig->status, FRAME_REASON_PROHIBITED);
	assert_int_equal(rig->links[0].n_opened, 0);
	(void)relay_rig_free(rig);
}

static void cancels_an_opening_that_nobody_wants(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = relay_rig_open(rig, "", 80);

	stream_reset(s, FRAME_REASON_RESET);
	relay_rig_settle(rig);
	assert_int_equal(rig->links[0].n_channels, 0);
}

/* ---- bytes ---- */

static void waits_while_the_channel_is_full(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);
	struct mux_channel *ch = newest(rig);
	uint8_t bytes[40000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	ch->room = 1000;
	assert_int_equal(stream_write(s, bytes, sizeof(bytes)), 0);
	stream_write_fin(s);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(ch->sent_len, 1000);
	assert_int_equal(s->tx_acked, 1000);
	relay_rig_room(rig, ch, 20000);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(s->tx_acked, 21000);
	assert_false(ch->has_eof);
	relay_rig_room(rig, ch, SIZE_MAX);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(ch->sent_len, sizeof(bytes));
	assert_memory_equal(ch->sent, bytes, sizeof(bytes));
	assert_true(ch->has_eof);
	assert_true(s->tx_fin_acked);
}

static void grants_what_the_application_has_taken(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);
	struct mux_channel *ch = newest(rig);
	uint8_t *bytes = calloc(1, ch->window_bytes);

	/* All of the window may come, however little the near end takes. */
	relay_rig_data(rig, ch, bytes, ch->window_bytes);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(ch->consumed, 0);
	assert_true(ring_len(&s->rx) > 0);
	stream_consume(s, s->rx.start + 100000);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(ch->consumed, 100000);
	while (ring_len(&s->rx) > 0) {
		stream_consume(s, s->rx.end);
		relay_rig_advance(rig, US_PER_SEC);
	}
	assert_int_equal(ch->consumed, ch->window_bytes);
	free(bytes);
}

static void ends_each_direction_by_itself(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);
	struct mux_channel *ch = newest(rig);

	relay_rig_data(rig, ch, "bye", 3);
	relay_rig_eof(rig, ch);
	assert_true(s->rx_fin);
	assert_int_equal(ring_len(&s->rx), 3);
	assert_int_equal(stream_write(s, "still here", 10), 0);
	relay_rig_settle(rig);
	assert_int_equal(ch->sent_len, 10);
	stream_consume(s, s->rx.end);
	stream_consume_fin(s);
	relay_rig_settle(rig);
	assert_int_equal(rig->links[0].n_channels, 1);
	stream_write_fin(s);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(rig->links[0].n_channels, 0);
	assert_int_equal(rig->n.closed, 1);
	assert_int_equal(session_stats(rig->near)->streams, 0);
}

static void delivers_what_came_before_a_break_and_then_resets(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);
	struct mux_channel *ch = newest(rig);

	relay_rig_data(rig, ch, "last words", 10);
	relay_rig_close(rig, ch);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(rig->n.reset, 0);
	assert_int_equal(ring_len(&s->rx), 10);
	/* What is written meanwhile goes nowhere. */
	assert_int_equal(stream_write(s, "x", 1), 0);
	stream_consume(s, s->rx.end);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(rig->n.reset, 1);
}

static void closes_the_channel_of_a_reset_stream(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);

	stream_reset(s, FRAME_REASON_RESET);
	relay_rig_settle(rig);
	assert_int_equal(rig->links[0].n_channels, 0);
}

static void survives_the_death_of_a_link(void **state)
{
	struct relay_rig *rig = *state;

	(void)open_stream(rig);
	(void)relay_rig_open(rig, "", 81);
	relay_rig_close(rig, newest(rig));
	relay_rig_close(rig, newest(rig));
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(rig->n.refused, 1);
	assert_int_equal(rig->n.reset, 1);
	assert_int_equal(session_stats(rig->near)->streams, 0);
}

/* ---- refusals ---- */

static void repeats_a_refusal_for_a_second(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_link *l = &rig->links[0];

	(void)relay_rig_open(rig, "", 80);
	relay_rig_refuse(rig, newest(rig), 2, "Connection refused");
	(void)relay_rig_open(rig, "", 80);
	assert_int_equal(rig->n.refused, 2);
	assert_int_equal(rig->reason, FRAME_REASON_REFUSED);
	assert_int_equal(l->n_opened, 1);
	/* Another port, or a name with that port, is another matter. */
	(void)relay_rig_open(rig, "", 81);
	(void)relay_rig_open(rig, "a.example", 80);
	assert_int_equal(l->n_opened, 3);
	relay_rig_advance(rig, RELAY_REFUSAL_US);
	(void)relay_rig_open(rig, "", 80);
	assert_int_equal(l->n_opened, 4);
}

static void remembers_for_longer_what_is_prohibited(void **state)
{
	struct relay_rig *rig = *state;

	(void)relay_rig_open(rig, "x.example", 80);
	relay_rig_refuse(rig, newest(rig), MUX_REFUSED_PROHIBITED, "no");
	relay_rig_advance(rig, 59 * US_PER_SEC);
	(void)relay_rig_open(rig, "x.example", 80);
	assert_int_equal(rig->n.refused, 2);
	assert_int_equal(rig->links[0].n_opened, 1);
	relay_rig_advance(rig, 2 * US_PER_SEC);
	(void)relay_rig_open(rig, "x.example", 80);
	assert_int_equal(rig->links[0].n_opened, 2);
}

static void goes_on_through_20000_refusals(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);
	struct mux_channel *ch = newest(rig);

	rig->renews = true;
	for (unsigned i = 1; i <= 20000; i++) {
		struct mux_link *l = &rig->links[rig->n_renewed];

		(void)relay_rig_open(rig, "", (uint16_t)(100 + i));
		relay_rig_refuse(rig, relay_rig_newest(l), 2,
				 "Connection refused");
		assert_int_equal(rig->n.refused, i);
	}
	assert_int_equal(rig->n.worn, 20000 / RELAY_LINK_WORN_FAILURES);
	assert_int_equal(rig->n_renewed, 2);
	/* The second link is empty; the first has our stream. */
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(rig->n.retired, 1);
	assert_ptr_equal(rig->retired, &rig->links[1]);
	relay_rig_data(rig, ch, "alive", 5);
	assert_int_equal(ring_len(&s->rx), 5);
	(void)relay_rig_open(rig, "", 80);
	relay_rig_confirm(rig, relay_rig_newest(&rig->links[2]));
	assert_int_equal(rig->n.opened, 2);
	relay_rig_close(rig, ch);
	relay_rig_advance(rig, US_PER_SEC);
	assert_int_equal(rig->n.retired, 2);
	assert_ptr_equal(rig->retired, &rig->links[0]);
}

/* Two streams, one still opening, and a question on a link that is given up. */
static void lets_go_of_a_link_that_is_freed(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);

	relay_rig_data(rig, newest(rig), "last words", 10);
	(void)relay_rig_open(rig, "", 81);
	session_send_resolve(rig->near, 9, question, sizeof(question));
	relay_rig_settle(rig);
	assert_int_equal(rig->links[0].n_channels, 3);
	rig->links[0].is_full = true;
	rig->renews = true;
	(void)relay_rig_open(rig, "", 82);
	relay_ssh_forget(rig->relay, &rig->links[0]);
	assert_int_equal(rig->links[0].n_channels, 0);
	relay_rig_settle(rig);
	assert_int_equal(rig->n.refused, 2);
	stream_consume(s, s->rx.end);
	relay_rig_advance(rig, 5 * US_PER_SEC);
	assert_int_equal(rig->n.reset, 1);
	assert_int_equal(rig->n.retired, 0);
}

static void refuses_when_a_worn_link_is_not_replaced(void **state)
{
	struct relay_rig *rig = *state;
	struct stream *s = open_stream(rig);
	struct mux_channel *ch = newest(rig);

	rig->links[0].is_full = true;
	(void)relay_rig_open(rig, "", 81);
	(void)relay_rig_open(rig, "", 82);
	assert_int_equal(rig->n.refused, 2);
	assert_int_equal(rig->reason, FRAME_REASON_NO_RESOURCES);
	assert_int_equal(rig->n.worn, 1);
	relay_rig_advance(rig, 2 * US_PER_SEC);
	assert_int_equal(session_stats(rig->near)->far_drops[DROP_NO_CHANNEL],
			 2);
	relay_rig_data(rig, ch, "alive", 5);
	assert_int_equal(ring_len(&s->rx), 5);
}

/* ---- datagrams and names ---- */

static void ask(struct relay_rig *rig, struct dgram_queue *q, uint16_t port)
{
	struct frame_dgram d = {.proto = PKT_PROTO_UDP,
				.ttl = 64,
				.remote = {.port = port},
				.payload = question,
				.payload_len = sizeof(question)};

	(void)addr_parse("10.77.0.9", &d.remote.addr);
	assert_int_equal(session_send_dgram(rig->near, q, &d), DROP_NONE);
	relay_rig_settle(rig);
}

/* The server answers the only question it was asked, saying no more than that
 * it is an answer. */
static void answer(struct relay_rig *rig, struct mux_channel *ch)
{
	uint8_t message[2 + sizeof(question)];

	assert_int_equal(ch->sent_len, sizeof(message));
	memcpy(message, ch->sent, sizeof(message));
	message[4] |= 0x80;
	relay_rig_data(rig, ch, message, sizeof(message));
}

static void asks_name_servers_through_a_channel(void **state)
{
	struct relay_rig *rig = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, 5);
	ask(rig, &q, 53);
	assert_string_equal(newest(rig)->host, "10.77.0.9");
	assert_int_equal(newest(rig)->port, 53);
	relay_rig_confirm(rig, newest(rig));
	answer(rig, newest(rig));
	assert_int_equal(rig->n.dgram, 1);
	assert_int_equal(rig->id, 5);
	assert_int_equal(rig->dgram.remote.port, 53);
	assert_int_equal(rig->payload_len, sizeof(question));
	assert_memory_equal(rig->payload, question, 2);
	dgram_queue_fini(&q);
}

static void says_that_a_name_server_is_not_there(void **state)
{
	struct relay_rig *rig = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, 5);
	for (unsigned i = 1; i <= 2; i++) {
		ask(rig, &q, 53);
		if (i == 1)
			relay_rig_refuse(rig, newest(rig), 2,
					 "Connection refused");
		relay_rig_settle(rig);
		assert_int_equal(rig->n.icmp, i);
		assert_int_equal(rig->icmp.type, 3);
		assert_int_equal(rig->icmp.code, 3);
	}
	/* The second time from what is known. */
	assert_int_equal(rig->links[0].n_opened, 1);
	dgram_queue_fini(&q);
}

static void prohibits_all_other_datagrams(void **state)
{
	struct relay_rig *rig = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, 5);
	ask(rig, &q, 54);
	assert_int_equal(rig->n.icmp, 1);
	assert_int_equal(rig->icmp.type, 3);
	assert_int_equal(rig->icmp.code, 13);
	assert_int_equal(rig->links[0].n_opened, 0);
	dgram_queue_fini(&q);
}

static void looks_for_a_resolver_and_keeps_to_it(void **state)
{
	struct relay_rig *rig = *state;

	session_send_resolve(rig->near, 9, question, sizeof(question));
	relay_rig_settle(rig);
	assert_string_equal(newest(rig)->host, "127.0.0.53");
	relay_rig_refuse(rig, newest(rig), 2, "Connection refused");
	assert_int_equal(rig->n.resolved, 0);
	assert_string_equal(newest(rig)->host, "127.0.0.1");
	relay_rig_confirm(rig, newest(rig));
	answer(rig, newest(rig));
	assert_int_equal(rig->n.resolved, 1);
	assert_int_equal(rig->id, 9);
	assert_int_equal(rig->status, FRAME_REASON_NONE);
	assert_int_equal(rig->payload_len, sizeof(question));
	/* Once it is known nobody else is asked. */
	relay_rig_close(rig, newest(rig));
	relay_rig_advance(rig, 5 * US_PER_SEC);
	session_send_resolve(rig->near, 10, question, sizeof(question));
	relay_rig_settle(rig);
	assert_string_equal(newest(rig)->host, "127.0.0.1");
}

static void gives_up_when_there_is_no_resolver(void **state)
{
	struct relay_rig *rig = *state;

	session_send_resolve(rig->near, 9, question, sizeof(question));
	relay_rig_settle(rig);
	for (int i = 0; i < 2; i++)
		relay_rig_refuse(rig, newest(rig), 2, "Connection refused");
	assert_int_equal(rig->n.resolved, 1);
	assert_int_equal(rig->status, FRAME_REASON_REFUSED);
	assert_int_equal(rig->payload_len, 0);
}

static void asks_the_resolver_that_was_configured(void **state)
{
	struct relay_ssh_config c = forwarding;

	(void)state;
	c.dns_server.port = 5353;
	(void)addr_parse("10.77.0.53", &c.dns_server.addr);
	struct relay_rig *rig = relay_rig_new(&c);
	session_send_resolve(rig->near, 9, question, sizeof(question));
	relay_rig_settle(rig);
	assert_string_equal(newest(rig)->host, "10.77.0.53");
	assert_int_equal(newest(rig)->port, 5353);
	(void)relay_rig_free(rig);
}

#define RIG(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG(offers_what_channels_can_do),
		RIG(opens_by_address_and_says_so_when_it_is_confirmed),
		cmocka_unit_test(runs_a_command_on_each_link),
		RIG(opens_by_name),
		RIG(tells_why_it_was_refused),
		cmocka_unit_test(refuses_all_where_forwarding_is_not_permitted),
		RIG(cancels_an_opening_that_nobody_wants),
		RIG(waits_while_the_channel_is_full),
		RIG(grants_what_the_application_has_taken),
		RIG(ends_each_direction_by_itself),
		RIG(delivers_what_came_before_a_break_and_then_resets),
		RIG(closes_the_channel_of_a_reset_stream),
		RIG(survives_the_death_of_a_link),
		RIG(repeats_a_refusal_for_a_second),
		RIG(remembers_for_longer_what_is_prohibited),
		RIG(goes_on_through_20000_refusals),
		RIG(lets_go_of_a_link_that_is_freed),
		RIG(refuses_when_a_worn_link_is_not_replaced),
		RIG(asks_name_servers_through_a_channel),
		RIG(says_that_a_name_server_is_not_there),
		RIG(prohibits_all_other_datagrams),
		RIG(looks_for_a_resolver_and_keeps_to_it),
		RIG(gives_up_when_there_is_no_resolver),
		cmocka_unit_test(asks_the_resolver_that_was_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
