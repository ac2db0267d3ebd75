/* SPDX-License-Identifier: MIT */
/* relay_tun: packets over a tun channel, with a server played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gso.h"
#include "pkt.h"
#include "relay_rig.h"
#include "relay_tun.h"
#include "vnet.h"

static const struct relay_ssh_config config = {
	.has_forwarding = true,
	.has_tun = true,
	.is_exec_unwanted = true,
	.tun_unit = 3,
};

static int setup(void **state)
{
	*state = relay_rig_new(&config);
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

static void ask_for_network(struct relay_rig *rig, const char *near6)
{
	struct frame_network n = {.mtu_bytes = 1500};

	(void)addr_parse("100.64.0.2", &n.near4);
	if (near6)
		(void)addr_parse(near6, &n.near6);
	session_send_network(rig->near, &n);
	relay_rig_settle(rig);
}

static struct mux_channel *come_up(struct relay_rig *rig)
{
	ask_for_network(rig, NULL);
	struct mux_channel *ch = newest(rig);
	relay_rig_confirm(rig, ch);
	assert_int_equal(rig->state.status, FRAME_NETWORK_UP);
	return ch;
}

enum { PAYLOAD_LEN = 10000, MSS_BYTES = 1448 };

/* A super-packet of TCP as a TUN would deliver it. */
static struct frame_packet super_packet(uint8_t buf[PKT_VNET_LEN + 12000],
					uint32_t seq)
{
	struct pkt_ip_params ip = {.ttl = 64, .df = true};
	struct pkt_tcp_params tcp = {
		.src_port = 80,
		.dst_port = 4000,
		.seq = seq,
		.ack = 1,
		.flags = TCP_ACK,
		.window = 1000,
		.window_scale = -1,
		.gso_bytes = MSS_BYTES,
	};
	struct frame_packet p;

	(void)addr_parse("10.77.0.2", &ip.src);
	(void)addr_parse("100.64.0.2", &ip.dst);
	size_t at = pkt_build_tcp(buf, &ip, &tcp, PAYLOAD_LEN);
	memset(buf + at, 'x', PAYLOAD_LEN);
	assert_int_equal(vnet_parse(buf, at + PAYLOAD_LEN, &p, NULL),
			 DROP_NONE);
	return p;
}

static void comes_up_with_what_is_to_be_done_there(void **state)
{
	struct relay_rig *rig = *state;

	assert_true(rig->hello.capabilities & FRAME_CAP_NETWORK);
	ask_for_network(rig, NULL);
	assert_int_equal(newest(rig)->kind, MUX_TUN);
	assert_int_equal(newest(rig)->port, 3);
	assert_int_equal(rig->n.states, 0);
	relay_rig_confirm(rig, newest(rig));
	assert_int_equal(rig->n.states, 1);
	assert_int_equal(rig->state.status, FRAME_NETWORK_UP);
	assert_int_equal(rig->state.mtu_bytes, 1500);
	assert_string_equal(
		rig->state.text,
		"ip link set tun3 up; ip route replace 100.64.0.2 dev tun3; "
		"sysctl net.ipv4.ip_forward=1; nft 'table inet "
		"ecssh-tun3{chain "
		"nat{type nat hook postrouting priority 100;ip saddr "
		"100.64.0.2 masquerade fully-random;};}'");
}

static void tells_what_is_to_be_done_for_both_families(void **state)
{
	struct relay_rig *rig = *state;

	ask_for_network(rig, "fd00:1234:5678:9abc:def0:1234:5678:9abc");
	relay_rig_confirm(rig, newest(rig));
	assert_non_null(strstr(rig->state.text, "ipv6.conf.all.forwarding=1"));
	assert_non_null(strstr(rig->state.text,
			       "100.64.0.2 masquerade fully-random;ip6 saddr "
			       "fd00:1234:5678:9abc:def0:1234:5678:9abc "
			       "masquerade fully-random;};}'"));
}

static void says_what_a_refusal_may_mean(void **state)
{
	struct relay_rig *rig = *state;

	ask_for_network(rig, NULL);
	relay_rig_refuse(rig, newest(rig), MUX_REFUSED_CONNECT, "open failed");
	assert_int_equal(rig->state.status, FRAME_NETWORK_LACKING);
	assert_int_equal(rig->state.mtu_bytes, 0);
	assert_non_null(strstr(rig->state.text, "open failed"));
	assert_non_null(strstr(rig->state.text, "PermitTunnel"));
	assert_non_null(strstr(rig->state.text, "tun3"));
	relay_rig_advance(rig, 100 * US_PER_SEC);
	assert_int_equal(rig->links[0].n_opened, 1);
}

static void lacks_what_is_not_to_be_used(void **state)
{
	static const struct relay_ssh_config none = {.has_forwarding = true,
						     .is_exec_unwanted = true};
	struct relay_rig *rig = relay_rig_new(&none);

	(void)state;
	assert_int_equal(rig->hello.capabilities & FRAME_CAP_NETWORK, 0);
	ask_for_network(rig, NULL);
	assert_int_equal(rig->state.status, FRAME_NETWORK_LACKING);
	assert_int_equal(rig->links[0].n_opened, 0);
	(void)relay_rig_free(rig);
}

/* Not named by the user: numbers from the first on, so that all know which. */
static void tries_the_first_devices(void **state)
{
	static const struct relay_ssh_config any = {.has_tun = true,
						    .tun_unit = MUX_TUN_ANY,
						    .is_exec_unwanted = true};
	struct relay_rig *rig = relay_rig_new(&any);

	(void)state;
	ask_for_network(rig, NULL);
	for (uint32_t unit = 0; unit < RELAY_TUN_UNITS; unit++) {
		assert_int_equal(newest(rig)->port, unit);
		assert_int_equal(rig->n.states, 0);
		relay_rig_refuse(rig, newest(rig), MUX_REFUSED_CONNECT, "no");
	}
	assert_int_equal(rig->links[0].n_opened, RELAY_TUN_UNITS);
	assert_int_equal(rig->state.status, FRAME_NETWORK_LACKING);
	assert_non_null(strstr(rig->state.text, "tunN"));
	(void)relay_rig_free(rig);
}

static void gives_root_a_new_device(void **state)
{
	static const struct relay_ssh_config any = {.has_tun = true,
						    .tun_unit = MUX_TUN_ANY,
						    .is_root = true,
						    .is_exec_unwanted = true};
	struct relay_rig *rig = relay_rig_new(&any);

	(void)state;
	ask_for_network(rig, NULL);
	relay_rig_refuse(rig, newest(rig), MUX_REFUSED_CONNECT, "no");
	assert_int_equal(newest(rig)->port, RELAY_TUN_ROOTS_UNIT + 1);
	relay_rig_confirm(rig, newest(rig));
	assert_non_null(strstr(rig->state.text, "ip link set tun101 up"));
	(void)relay_rig_free(rig);
}

static void send_super_packet(struct relay_rig *rig, struct dgram_queue *q)
{
	uint8_t buf[PKT_VNET_LEN + 12000];
	struct frame_packet p = super_packet(buf, 1000);

	assert_int_equal(session_send_packet(rig->near, q, &p), DROP_NONE);
	relay_rig_settle(rig);
}

static void cuts_super_packets_for_the_channel(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *ch = come_up(rig);
	struct dgram_queue q;
	struct pkt view;

	dgram_queue_init(&q, 0);
	send_super_packet(rig, &q);
	assert_int_equal(ch->n_packets, 7);
	for (size_t i = 0, at = 0; i < 7; at += ch->packet_lens[i++]) {
		assert_in_range(ch->packet_lens[i], 41, 1500);
		assert_int_equal(
			pkt_parse_ip(ch->sent + at, ch->packet_lens[i], &view),
			DROP_NONE);
	}
	dgram_queue_fini(&q);
}

static uint64_t far_drops(struct relay_rig *rig, enum drop_reason reason)
{
	relay_rig_advance(rig, 2 * US_PER_SEC);
	return session_stats(rig->near)->far_drops[reason];
}

static void keeps_what_does_not_fit_for_a_little(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *ch = come_up(rig);
	struct dgram_queue q;

	dgram_queue_init(&q, 0);
	ch->room = 3200;
	send_super_packet(rig, &q);
	/* Two of seven; the last and short one does not get ahead of others. */
	assert_int_equal(ch->n_packets, 2);
	relay_rig_advance(rig, RELAY_TUN_QUEUE_US / 2);
	relay_rig_room(rig, ch, 3200);
	assert_int_equal(ch->n_packets, 4);
	relay_rig_advance(rig, RELAY_TUN_QUEUE_US);
	/* Room comes too late for the three that are left, not for new ones. */
	ch->room = SIZE_MAX;
	send_super_packet(rig, &q);
	assert_int_equal(ch->n_packets, 4 + 7);
	assert_int_equal(far_drops(rig, DROP_STALE_DATAGRAM), 3);
	dgram_queue_fini(&q);
}

static void drops_what_would_make_the_queue_long(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *ch = come_up(rig);
	struct dgram_queue q;

	dgram_queue_init(&q, 0);
	ch->room = 0;
	for (int i = 0; i < 60; i++)
		send_super_packet(rig, &q);
	assert_int_equal(ch->n_packets, 0);
	uint64_t n = far_drops(rig, DROP_QUEUE_FULL);
	assert_in_range(n, 50, 100);
	dgram_queue_fini(&q);
}

static void puts_packets_of_one_turn_together(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *ch = come_up(rig);
	uint8_t buf[PKT_VNET_LEN + 12000], out[PKT_IP6_MAX];
	struct frame_packet p = super_packet(buf, 1000);
	struct gso_cut cut;
	size_t len, n = 0;

	assert_int_equal(gso_cut_init(&cut, &p), DROP_NONE);
	while ((len = gso_cut_next(&cut, out)) > 0) {
		n += len;
		ch->ops->on_data(ch, out, len);
	}
	relay_rig_settle(rig);
	assert_int_equal(rig->n.packets, 1);
	assert_int_equal(rig->packet.ip_len, p.ip_len);
	assert_int_equal(rig->packet.gso_size, MSS_BYTES);
	assert_int_equal(ch->consumed, n);
	/* What comes in the next turn does not wait. */
	p = super_packet(buf, 1000 + PAYLOAD_LEN);
	assert_int_equal(gso_cut_init(&cut, &p), DROP_NONE);
	len = gso_cut_next(&cut, out);
	relay_rig_data(rig, ch, out, len);
	assert_int_equal(rig->n.packets, 2);
	assert_int_equal(rig->payload_len, len);
	assert_memory_equal(rig->payload, out, len);
}

static void refuses_what_is_no_packet(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *ch = come_up(rig);

	relay_rig_data(rig, ch, "not a packet at all", 19);
	assert_int_equal(rig->n.packets, 0);
	assert_int_equal(ch->consumed, 19);
}

static void comes_back_after_the_server_closed_it(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *ch = come_up(rig);

	relay_rig_advance(rig, RELAY_TUN_STABLE_US);
	relay_rig_close(rig, ch);
	assert_int_equal(rig->state.status, FRAME_NETWORK_LOST);
	relay_rig_advance(rig, RELAY_TUN_RETRY_US);
	relay_rig_refuse(rig, newest(rig), MUX_REFUSED_CONNECT, "open failed");
	relay_rig_advance(rig, RELAY_TUN_RETRY_US);
	relay_rig_confirm(rig, newest(rig));
	assert_int_equal(rig->n.states, 3);
	assert_int_equal(rig->state.status, FRAME_NETWORK_UP);
	/* But not if it is closed at once. */
	relay_rig_close(rig, newest(rig));
	assert_int_equal(rig->state.status, FRAME_NETWORK_LOST);
	relay_rig_advance(rig, 100 * US_PER_SEC);
	assert_int_equal(rig->links[0].n_channels, 0);
}

static void moves_when_it_is_the_last_on_an_old_link(void **state)
{
	struct relay_rig *rig = *state;

	rig->renews = true;
	(void)come_up(rig);
	(void)relay_rig_open(rig, "", 80);
	struct mux_channel *tcp = newest(rig);
	relay_rig_confirm(rig, tcp);
	rig->links[0].is_full = true;
	(void)relay_rig_open(rig, "", 81);
	assert_int_equal(rig->n_renewed, 1);
	relay_rig_advance(rig, 5 * US_PER_SEC);
	assert_int_equal(rig->links[0].n_channels, 2);
	relay_rig_close(rig, tcp);
	relay_rig_advance(rig, 5 * US_PER_SEC);
	assert_int_equal(rig->n.retired, 1);
	assert_int_equal(relay_rig_newest(&rig->links[1])->kind, MUX_TUN);
	relay_rig_confirm(rig, relay_rig_newest(&rig->links[1]));
	assert_int_equal(rig->state.status, FRAME_NETWORK_UP);
}

static void moves_at_once_from_a_link_that_is_freed(void **state)
{
	struct relay_rig *rig = *state;

	rig->renews = true;
	(void)come_up(rig);
	rig->links[0].is_full = true;
	(void)relay_rig_open(rig, "", 81);
	relay_ssh_forget(rig->relay, &rig->links[0]);
	assert_int_equal(rig->links[0].n_channels, 0);
	relay_rig_advance(rig, RELAY_TUN_RETRY_US);
	assert_int_equal(relay_rig_newest(&rig->links[1])->kind, MUX_TUN);
}

/* ---- set up by root's shell ---- */

static const struct relay_ssh_config root_config = {
	.has_tun = true,
	.is_exec_unwanted = true,
	.may_exec = true,
	.is_root = true,
	.tun_unit = 100,
};

static int setup_root(void **state)
{
	*state = relay_rig_new(&root_config);
	return 0;
}

/* The shell's channel, of a tun channel that was just opened. */
static struct mux_channel *come_to_the_shell(struct relay_rig *rig)
{
	ask_for_network(rig, NULL);
	relay_rig_confirm(rig, newest(rig));
	struct mux_channel *shell = newest(rig);
	assert_int_equal(shell->kind, MUX_EXEC);
	return shell;
}

static void say(struct relay_rig *rig, struct mux_channel *ch, const char *text)
{
	relay_rig_data(rig, ch, text, strlen(text));
}

static void is_set_up_by_roots_shell(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *shell = come_to_the_shell(rig);

	assert_non_null(strstr(shell->host, "id -u"));
	shell->room = 100;
	say(rig, shell, "Welcome!\necssh-uid 0");
	assert_int_equal(shell->sent_len, 0);
	say(rig, shell, "\n");
	assert_int_equal(shell->sent_len, 100);
	relay_rig_room(rig, shell, SIZE_MAX);
	shell->sent[shell->sent_len] = '\0';
	assert_non_null(strstr((char *)shell->sent, "tun=tun100 dev=ecssh-"));
	assert_non_null(strstr((char *)shell->sent, "}\nmain\n"));
	assert_int_equal(rig->n.states, 0);
	say(rig, shell, "ready\n");
	assert_int_equal(rig->n.states, 1);
	assert_int_equal(rig->state.status, FRAME_NETWORK_UP);
	assert_non_null(strstr(rig->state.text, "set up by us as root"));
	assert_false(shell->has_eof);
	/* It has ended by itself: then somebody has to do it. */
	relay_rig_close(rig, shell);
	assert_int_equal(rig->n.states, 2);
	assert_int_equal(rig->state.status, FRAME_NETWORK_UP);
	assert_int_equal(
		strncmp(rig->state.text, "ip link set tun100 up; ", 23), 0);
	assert_non_null(strstr(rig->state.text, "#"));
	assert_non_null(strstr(rig->state.text, "has ended"));
}

static void tells_why_it_could_not_be_set_up(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *shell = come_to_the_shell(rig);

	say(rig, shell, "ecssh-uid 0\n");
	say(rig, shell, "failed no \x1b[31mluck\n");
	assert_int_equal(rig->n.states, 1);
	assert_int_equal(rig->state.status, FRAME_NETWORK_UP);
	assert_int_equal(
		strncmp(rig->state.text, "ip link set tun100 up; ", 23), 0);
	assert_non_null(strstr(rig->state.text, ": no \\x1b[31mluck"));
	assert_int_equal(rig->links[0].n_channels, 1);
}

/* An account may have a command of its own. */
static void sends_nothing_to_what_is_no_shell(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *shell = come_to_the_shell(rig);
	char noise[3000];

	memset(noise, 'x', sizeof(noise));
	noise[2999] = '\n';
	relay_rig_data(rig, shell, noise, sizeof(noise));
	assert_int_equal(shell->consumed, sizeof(noise));
	assert_int_equal(shell->sent_len, 0);
	relay_rig_advance(rig, TUN_ROOT_ANSWER_US);
	assert_int_equal(rig->n.states, 1);
	assert_non_null(strstr(rig->state.text, "no shell answers"));
	assert_int_equal(rig->links[0].n_channels, 1);
}

static void asks_again_where_one_session_is_the_limit(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *shell = come_to_the_shell(rig);

	relay_rig_refuse(rig, shell, MUX_REFUSED_CONNECT, "open failed");
	assert_int_equal(rig->n.states, 0);
	relay_rig_advance(rig, TUN_ROOT_RETRY_US);
	assert_int_equal(newest(rig)->kind, MUX_EXEC);
	relay_rig_refuse(rig, newest(rig), MUX_REFUSED_CONNECT, "open failed");
	assert_int_equal(rig->n.states, 1);
	assert_non_null(strstr(rig->state.text, "runs no command"));
}

/* Whatever its name: an account that is not root is told at once, and one that
 * turns out to be is told again. */
static void may_be_root_by_another_name(void **state)
{
	struct relay_ssh_config c = root_config;

	(void)state;
	c.is_root = false;
	for (int is_root = 0; is_root < 2; is_root++) {
		struct relay_rig *rig = relay_rig_new(&c);
		struct mux_channel *shell = come_to_the_shell(rig);

		assert_int_equal(rig->n.states, 1);
		assert_null(strchr(rig->state.text, '#'));
		say(rig, shell,
		    is_root ? "ecssh-uid 0\nready\n" : "ecssh-uid 1000\n");
		assert_int_equal(rig->n.states, 1 + is_root);
		assert_int_equal(rig->links[0].n_channels, 1 + is_root);
		(void)relay_rig_free(rig);
	}
}

static void takes_the_shell_along(void **state)
{
	struct relay_rig *rig = *state;
	struct mux_channel *shell = come_to_the_shell(rig);

	rig->renews = true;
	say(rig, shell, "ecssh-uid 0\nready\n");
	rig->links[0].is_full = true;
	(void)relay_ssh_renew(rig->relay, &rig->links[1], NULL);
	relay_rig_advance(rig, 5 * US_PER_SEC);
	assert_int_equal(rig->links[0].n_channels, 0);
	relay_rig_confirm(rig, relay_rig_newest(&rig->links[1]));
	assert_int_equal(relay_rig_newest(&rig->links[1])->kind, MUX_EXEC);
	assert_int_equal(rig->n.states, 1);
}

#define ROOT(name) cmocka_unit_test_setup_teardown(name, setup_root, teardown)
#define RIG(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG(comes_up_with_what_is_to_be_done_there),
		RIG(tells_what_is_to_be_done_for_both_families),
		RIG(says_what_a_refusal_may_mean),
		cmocka_unit_test(lacks_what_is_not_to_be_used),
		cmocka_unit_test(tries_the_first_devices),
		cmocka_unit_test(gives_root_a_new_device),
		RIG(cuts_super_packets_for_the_channel),
		RIG(keeps_what_does_not_fit_for_a_little),
		RIG(drops_what_would_make_the_queue_long),
		RIG(puts_packets_of_one_turn_together),
		RIG(refuses_what_is_no_packet),
		RIG(comes_back_after_the_server_closed_it),
		RIG(moves_at_once_from_a_link_that_is_freed),
		RIG(moves_when_it_is_the_last_on_an_old_link),
		ROOT(is_set_up_by_roots_shell),
		ROOT(tells_why_it_could_not_be_set_up),
		ROOT(sends_nothing_to_what_is_no_shell),
		ROOT(asks_again_where_one_session_is_the_limit),
		cmocka_unit_test(may_be_root_by_another_name),
		ROOT(takes_the_shell_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
