/* SPDX-License-Identifier: MIT */
/* test_bond_carrier: one frame stream over several links of any speed, and what
 * a peer may do to it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "bond_carrier.h"
#include "bond_rx.h"
#include "fd.h"

enum {
	SECOND = 1000000,
	BODY_MAX = 60000,
};

static const uint8_t token[BOND_TOKEN_LEN] = "sixteen letters";

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* ---- two carriers, and a relay in each link ---- */

/* What a carrier's user sends and sees: frames that both know beforehand. */
struct end {
	struct carrier *carrier;
	uint32_t tx_seed, rx_seed;
	unsigned n_sent, n_seen, n_wrong, n_writable, n_closed;
	unsigned n_asks, n_asks_numbered, n_offers, n_lost;
	struct bond_offer offer;
	struct err why;
};

/* Bytes under way in one direction of a link. */
struct pipe {
	int from, to; /* owned by the link */
	uint8_t buf[8192];
	size_t len;
	uint64_t bytes;
};

struct fixture {
	struct loop *loop;
	struct end ends[2];
	bool is_numbered;
	unsigned n_links;
	int fds[1 + BOND_LINKS_MAX][2]; /* the test's */
	struct pipe pipes[1 + BOND_LINKS_MAX][2];
};

/* Frame i of a direction. */
static size_t make_frame(uint32_t *seed, uint32_t i, uint8_t *out)
{
	uint32_t kind = next_random(seed) % 10;
	uint32_t limit = kind == 0 ? BODY_MAX : kind < 5 ? 2000 : 30;
	size_t len = next_random(seed) % limit;
	uint32_t salt = next_random(seed);
	size_t at = frame_build_header(out, FRAME_DATA, len, i);

	for (size_t j = 0; j < len; j++)
		out[at + j] = (uint8_t)(salt + j * 13);
	return at + len;
}

static void on_frame(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	static uint8_t want[FRAME_HEADER_LEN + BODY_MAX];
	struct end *e = ctx;
	size_t len = make_frame(&e->rx_seed, e->n_seen, want);

	if (h->id != e->n_seen || FRAME_HEADER_LEN + h->len != len ||
	    memcmp(body, want + FRAME_HEADER_LEN, h->len) != 0)
		e->n_wrong++;
	e->n_seen++;
}

static void on_writable(void *ctx)
{
	((struct end *)ctx)->n_writable++;
}

static void on_closed(void *ctx, const struct err *why)
{
	struct end *e = ctx;

	e->n_closed++;
	e->why = *why;
}

static const struct carrier_user user = {
	.on_frame = on_frame,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

static void on_ask(void *ctx, bool wants_numbers)
{
	((struct end *)ctx)->n_asks++;
	((struct end *)ctx)->n_asks_numbered += wants_numbers;
}

static void on_lost(void *ctx, uint32_t number, const struct err *why)
{
	struct end *e = ctx;

	assert_true(number > 0 && why->text[0] != '\0');
	e->n_lost++;
}

static void on_offer(void *ctx, const struct bond_offer *offer)
{
	struct end *e = ctx;

	e->n_offers++;
	e->offer = *offer;
}

static const struct bond_ops bond_ops = {
	.on_ask = on_ask,
	.on_lost = on_lost,
	.on_offer = on_offer,
};

static void settle(struct fixture *x)
{
	while (loop_poll(x->loop))
		continue;
}

/* Returns the carrier's end. */
static int open_socket(int *ret_ours)
{
	int pair[2], small = 8192;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF,
					    &small, sizeof(small)),
				 0);
	assert_int_equal(fd_set_nonblock(pair[1]), 0);
	*ret_ours = pair[1];
	return pair[0];
}

static void lay_pipes(struct fixture *x)
{
	int *fds = x->fds[x->n_links];

	x->pipes[x->n_links][0] = (struct pipe){.from = fds[0], .to = fds[1]};
	x->pipes[x->n_links][1] = (struct pipe){.from = fds[1], .to = fds[0]};
	x->n_links++;
}

static void add_link(struct fixture *x)
{
	uint8_t joined[BOND_JOIN_LEN];

	for (int i = 0; i < 2; i++) {
		int *fd = &x->fds[x->n_links][i];

		assert_int_equal(
			bond_carrier_add_fd(x->ends[i].carrier, open_socket(fd),
					    x->is_numbered ? x->n_links : 0,
					    token),
			0);
		/* Both are the far end here. */
		assert_int_equal(read(*fd, joined, sizeof(joined)),
				 sizeof(joined));
		assert_int_equal(joined[0], BOND_JOINED);
		assert_memory_equal(joined + FRAME_HEADER_LEN, token,
				    sizeof(token));
	}
	lay_pipes(x);
}

/* Move at most max bytes on.  Returns true if any moved. */
static bool squeeze(struct pipe *p, size_t max)
{
	if (max > sizeof(p->buf))
		max = sizeof(p->buf);
	if (p->len < max) {
		ssize_t n = read(p->from, p->buf + p->len, max - p->len);

		if (n > 0)
			p->len += (size_t)n;
	}
	size_t part = p->len < max ? p->len : max;
	ssize_t n = part > 0 ? write(p->to, p->buf, part) : 0;
	if (n <= 0)
		return false;
	p->bytes += (size_t)n;
	p->len -= (size_t)n;
	memmove(p->buf, p->buf + n, p->len);
	return true;
}

static void relay_all(struct fixture *x)
{
	bool moved = true;

	/* Where links have numbers the next bytes may wait for a timer. */
	for (unsigned quiet = 0; moved || (x->is_numbered && quiet < 50);) {
		settle(x);
		quiet = moved ? 0 : quiet + 1;
		if (!moved)
			loop_advance_us(x->loop, 5000);
		moved = false;
		for (unsigned i = 0; i < x->n_links; i++)
			for (int d = 0; d < 2; d++)
				moved |= squeeze(&x->pipes[i][d], SIZE_MAX);
	}
	settle(x);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_non_null(x->loop);
	for (int i = 0; i < 2; i++) {
		struct end *e = &x->ends[i];
		int fd = open_socket(&x->fds[0][i]);

		e->carrier = bond_carrier_new(x->loop, fd, fd, NULL, 0);
		assert_non_null(e->carrier);
		carrier_bind(e->carrier, &user, e);
		bond_carrier_set_ops(e->carrier, &bond_ops, e);
		e->tx_seed = 7 + (uint32_t)i;
		e->rx_seed = 7 + (uint32_t)!i;
	}
	lay_pipes(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	for (int i = 0; i < 2; i++) {
		x->ends[i].carrier = carrier_free(x->ends[i].carrier);
		for (unsigned l = 0; l < x->n_links; l++)
			fd_close(&x->fds[l][i]);
	}
	x->loop = loop_free(x->loop);
	free(x);
	return 0;
}

/* A few frames in one send, cut into parts anywhere. */
static void send_some(struct end *e, uint32_t *seed)
{
	static uint8_t bytes[4 * (FRAME_HEADER_LEN + BODY_MAX)];
	struct iovec iov[40];
	size_t len = 0, at = 0;
	int n = 0;

	for (uint32_t k = next_random(seed) % 4 + 1; k > 0; k--)
		len += make_frame(&e->tx_seed, e->n_sent++, bytes + len);
	while (at < len) {
		size_t part = next_random(seed) % (n < 30 ? 9000 : 90000);

		if (part > len - at || n == 39)
			part = len - at;
		iov[n++] = (struct iovec){bytes + at, part};
		at += part;
	}
	carrier_send(e->carrier, iov, n);
}

static void assert_all_is_seen(const struct fixture *x)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(x->ends[i].n_closed, 0);
		assert_int_equal(x->ends[i].n_wrong, 0);
		assert_int_equal(x->ends[i].n_seen, x->ends[!i].n_sent);
	}
}

/* ---- the frame stream ---- */

/* Links of random speed that join at random moments, bytes in random pieces. */
static void run_at_random(struct fixture *x, uint32_t seed)
{
	unsigned links = 1 + next_random(&seed) % (1 + BOND_LINKS_MAX);

	for (int turn = 0; turn < 3000; turn++) {
		struct end *e = &x->ends[next_random(&seed) % 2];
		uint32_t what = next_random(&seed) % 8;

		if (what == 0 && x->n_links < links)
			add_link(x);
		else if (what < 3 && !carrier_is_full(e->carrier))
			send_some(e, &seed);
		else
			(void)squeeze(&x->pipes[next_random(&seed) % x->n_links]
					       [next_random(&seed) % 2],
				      next_random(&seed) % 20000 + 1);
		if (next_random(&seed) % 3 == 0)
			(void)loop_poll(x->loop);
	}
	relay_all(x);
	assert_all_is_seen(x);
	assert_true(x->ends[0].n_sent > 20 && x->ends[1].n_sent > 20);
}

static void frame_stream_is_the_same_whatever_the_links_do(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 60; seed++) {
		void *x;

		assert_int_equal(setup(&x), 0);
		run_at_random(x, seed * 977);
		assert_int_equal(teardown(&x), 0);
	}
}

static void cut_link(struct fixture *x, unsigned l)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&x->fds[l][i]);
		x->pipes[l][i].from = x->pipes[l][i].to = -1;
	}
}

/* The same, with links that end at random moments, whatever is in them. */
static void run_with_losses(struct fixture *x, uint32_t seed)
{
	unsigned n_cut = 0;

	x->is_numbered = true;
	for (int turn = 0; turn < 4000; turn++) {
		struct end *e = &x->ends[next_random(&seed) % 2];
		uint32_t what = next_random(&seed) % 8;
		unsigned l = 1 + next_random(&seed) % x->n_links;

		if (what == 0 && x->n_links < 1 + BOND_LINKS_MAX &&
		    next_random(&seed) % 20 == 0)
			add_link(x);
		else if (what == 1 && l < x->n_links && x->fds[l][0] >= 0 &&
			 next_random(&seed) % 40 == 0)
			cut_link(x, l), n_cut++;
		else if (what < 3 && !carrier_is_full(e->carrier))
			send_some(e, &seed);
		else
			(void)squeeze(&x->pipes[next_random(&seed) % x->n_links]
					       [next_random(&seed) % 2],
				      next_random(&seed) % 20000 + 1);
		if (next_random(&seed) % 3 == 0)
			(void)loop_poll(x->loop);
		loop_advance_us(x->loop, next_random(&seed) % 1000);
	}
	relay_all(x);
	assert_all_is_seen(x);
	assert_true(x->ends[0].n_sent > 20 && x->ends[1].n_sent > 20);
	assert_true(n_cut > 0);
	assert_int_equal(x->ends[0].n_lost, n_cut);
	assert_int_equal(x->ends[1].n_lost, n_cut);
}

static void links_with_numbers_may_be_lost(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 40; seed++) {
		void *x;

		assert_int_equal(setup(&x), 0);
		run_with_losses(x, seed * 1979);
		assert_int_equal(teardown(&x), 0);
	}
}

/* ---- free frames ---- */

enum { LOOSE_MAX = 4000, LOOSE_BODY_MAX = 6000 };

/* One direction: frames that are told apart by their ids. */
struct loose {
	uint32_t n_sent, n_seen;
	uint32_t n_before; /* so many have come, and none is missing */
	unsigned n_early, n_twice, n_wrong, n_overtook;
	bool is_free[LOOSE_MAX], is_seen[LOOSE_MAX];
};

static size_t make_loose(uint32_t id, uint8_t *out)
{
	uint32_t seed = id * 31 + 5, salt = next_random(&seed);
	size_t len = next_random(&seed) % (id % 3 ? 100 : LOOSE_BODY_MAX);
	size_t at = frame_build_header(out, FRAME_DATA, len, id);

	for (size_t j = 0; j < len; j++)
		out[at + j] = (uint8_t)(salt + j * 7);
	return at + len;
}

/* What is not free comes when all that was sent before it has come. */
static void on_loose_frame(void *ctx, const struct frame_header *h,
			   const uint8_t *body)
{
	static uint8_t want[FRAME_HEADER_LEN + LOOSE_BODY_MAX];
	struct loose *d = ctx;

	if (h->id >= d->n_sent ||
	    make_loose(h->id, want) != FRAME_HEADER_LEN + h->len ||
	    memcmp(body, want + FRAME_HEADER_LEN, h->len) != 0) {
		d->n_wrong++;
		return;
	}
	d->n_twice += d->is_seen[h->id];
	d->n_early += !d->is_free[h->id] && h->id != d->n_before;
	d->n_overtook += h->id > d->n_before;
	d->is_seen[h->id] = true;
	d->n_seen++;
	while (d->n_before < d->n_sent && d->is_seen[d->n_before])
		d->n_before++;
}

static void ignore(void *ctx)
{
	(void)ctx;
}

static void fail_closed(void *ctx, const struct err *why)
{
	(void)ctx;
	fail_msg("%s", why->text);
}

static const struct carrier_user loose_user = {
	.on_frame = on_loose_frame,
	.on_writable = ignore,
	.on_closed = fail_closed,
};

static void send_loose(struct carrier *c, struct loose *d, uint32_t *seed)
{
	static uint8_t bytes[4 * (FRAME_HEADER_LEN + LOOSE_BODY_MAX)];
	bool is_free = c->may_overtake && next_random(seed) % 2;
	size_t len = 0;

	for (uint32_t k = next_random(seed) % 4 + 1; k > 0; k--) {
		assert_true(d->n_sent < LOOSE_MAX);
		d->is_free[d->n_sent] = is_free;
		len += make_loose(d->n_sent++, bytes + len);
	}
	struct iovec iov = {bytes, len};
	(is_free ? carrier_send_free : carrier_send)(c, &iov, 1);
}

/* Two links that now and then stand still; one is lost, and there is another.
 */
static void run_loosely(struct fixture *x, struct loose *dirs, uint32_t seed)
{
	x->is_numbered = true;
	for (int i = 0; i < 2; i++)
		carrier_bind(x->ends[i].carrier, &loose_user, &dirs[!i]);
	add_link(x);
	add_link(x);
	for (int turn = 0; turn < 3000; turn++) {
		uint32_t i = next_random(&seed) % 2;
		struct carrier *c = x->ends[i].carrier;
		uint32_t link = next_random(&seed) % x->n_links;

		if (turn == 1000)
			cut_link(x, 1);
		if (turn == 2000)
			add_link(x);
		if (next_random(&seed) % 4 == 0 && !carrier_is_full(c))
			send_loose(c, &dirs[i], &seed);
		else if (link != (uint32_t)turn / 100 % x->n_links)
			(void)squeeze(&x->pipes[link][next_random(&seed) % 2],
				      next_random(&seed) % 9000 + 1);
		if (next_random(&seed) % 3 == 0)
			(void)loop_poll(x->loop);
		loop_advance_us(x->loop, next_random(&seed) % 1000);
	}
	relay_all(x);
}

static void free_frames_come_once_and_others_behind_them(void **state)
{
	struct loose *dirs = test_calloc(2, sizeof(*dirs));

	(void)state;
	for (uint32_t seed = 1; seed <= 20; seed++) {
		void *x;

		memset(dirs, 0, 2 * sizeof(*dirs));
		assert_int_equal(setup(&x), 0);
		run_loosely(x, dirs, seed * 1013);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(dirs[i].n_wrong, 0);
			assert_int_equal(dirs[i].n_twice, 0);
			assert_int_equal(dirs[i].n_early, 0);
			assert_int_equal(dirs[i].n_seen, dirs[i].n_sent);
			assert_true(dirs[i].n_overtook > 10);
		}
		assert_int_equal(teardown(&x), 0);
	}
	test_free(dirs);
}

static void send_and_settle(struct fixture *x, uint32_t *seed, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		for (int k = 0; carrier_is_full(x->ends[0].carrier); k++) {
			assert_true(k < 1000);
			relay_all(x);
		}
		send_some(&x->ends[0], seed);
	}
	relay_all(x);
}

/* So many links with numbers, and so many sends over them. */
static void begin_numbered(struct fixture *x, unsigned n_links, uint32_t *seed,
			   unsigned n)
{
	x->is_numbered = true;
	while (n_links-- > 0)
		add_link(x);
	send_and_settle(x, seed, n);
}

static void one_end_alone_notices_the_loss(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 11;

	begin_numbered(x, 2, &seed, 20);
	/* Nothing moves in link 1 any more; in the end one side gives up. */
	send_some(&x->ends[0], &seed);
	send_some(&x->ends[1], &seed);
	x->pipes[1][0].from = x->pipes[1][1].from = -1;
	fd_close(&x->fds[1][0]);
	relay_all(x);
	assert_all_is_seen(x);
	assert_int_equal(x->ends[0].n_lost, 1);
	assert_int_equal(x->ends[1].n_lost, 1);
	assert_int_equal(bond_carrier_n_links(x->ends[1].carrier), 1);
}

static void the_last_link_with_a_number_is_link_0(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 12;

	begin_numbered(x, 1, &seed, 20);
	cut_link(x, 1);
	send_and_settle(x, &seed, 20);
	assert_all_is_seen(x);
	assert_int_equal(bond_carrier_n_links(x->ends[0].carrier), 0);
	/* And another may come. */
	add_link(x);
	send_and_settle(x, &seed, 20);
	assert_all_is_seen(x);
}

static void a_late_chunk_is_sent_once_more(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 13;

	begin_numbered(x, 2, &seed, 200);
	assert_int_equal(bond_carrier_n_repeats(x->ends[0].carrier), 0);
	/* Link 0, the first of equals, stalls with something in it. */
	struct pipe stalled = x->pipes[0][0];
	x->pipes[0][0].from = x->pipes[0][0].to = -1;
	send_and_settle(x, &seed, 40);
	assert_all_is_seen(x);
	assert_true(bond_carrier_n_repeats(x->ends[0].carrier) > 0);
	/* What it brings in the end is not seen twice. */
	x->pipes[0][0].from = stalled.from;
	x->pipes[0][0].to = stalled.to;
	send_and_settle(x, &seed, 40);
	assert_all_is_seen(x);
}

/* Links in which something of ends[0] waits to be moved on. */
static unsigned count_used(const struct fixture *x)
{
	unsigned n = 0;

	for (unsigned i = 0; i < x->n_links; i++) {
		uint8_t byte;

		n += recv(x->pipes[i][0].from, &byte, 1, MSG_PEEK) == 1;
	}
	return n;
}

/* One of them may stand still. */
static void what_is_little_goes_on_two_links(void **state)
{
	struct fixture *x = *state;
	struct end *e = &x->ends[0];
	uint8_t frame[FRAME_HEADER_LEN + BODY_MAX];
	unsigned n_little = 0, n_more = 0;
	uint32_t seed = 21;

	begin_numbered(x, 2, &seed, 200);
	for (unsigned i = 0; i < 60; i++) {
		size_t len = make_frame(&e->tx_seed, e->n_sent++, frame);
		struct iovec iov = {frame, len};

		assert_false(carrier_is_full(e->carrier));
		(i % 2 ? carrier_send_free : carrier_send)(e->carrier, &iov, 1);
		settle(x);
		if (len <= 1400)
			assert_int_equal(count_used(x), 2);
		else if (len <= 4096)
			assert_int_equal(count_used(x), 1);
		n_little += len <= 1400;
		n_more += len > 1400 && len <= 4096;
		relay_all(x);
		assert_all_is_seen(x);
	}
	assert_true(n_little > 10 && n_more > 2);
	assert_int_equal(bond_carrier_n_repeats(e->carrier), 0);
}

/* What link 0 has brought plainly is there first, the greeting at least. */
static void nothing_overtakes_the_first_chunk(void **state)
{
	struct fixture *x = *state;
	struct carrier *c = x->ends[0].carrier;
	uint32_t seed = 22;

	x->is_numbered = true;
	add_link(x);
	struct pipe stalled = x->pipes[0][0];
	x->pipes[0][0].from = x->pipes[0][0].to = -1;
	send_some(&x->ends[0], &seed);
	send_some(&x->ends[1], &seed);
	relay_all(x);
	/* The other end has written of what link 1 brought. */
	assert_true(x->pipes[1][1].bytes >= BOND_GOT_LEN);
	assert_false(c->may_overtake);
	x->pipes[0][0].from = stalled.from;
	x->pipes[0][0].to = stalled.to;
	relay_all(x);
	assert_true(c->may_overtake);
	assert_all_is_seen(x);
}

static void kinds_of_links_do_not_mix(void **state)
{
	struct fixture *x = *state;
	int ours, fd;

	add_link(x);
	fd = open_socket(&ours);
	assert_true(bond_carrier_add_fd(x->ends[0].carrier, fd, 1, token) < 0);
	fd_close(&ours);
	x->is_numbered = true;
	assert_int_equal(bond_carrier_set_numbered(x->ends[0].carrier, true),
			 -EPROTO);
}

static void all_links_but_the_first_are_used(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 1;
	uint64_t at_start;

	add_link(x);
	add_link(x);
	add_link(x);
	send_some(&x->ends[0], &seed);
	relay_all(x);
	at_start = x->pipes[0][0].bytes;
	assert_int_equal(at_start, FRAME_HEADER_LEN); /* chunk 0 */
	for (int i = 0; i < 400; i++) {
		send_some(&x->ends[0], &seed);
		relay_all(x);
	}
	assert_all_is_seen(x);
	assert_int_equal(x->pipes[0][0].bytes, at_start);
	for (unsigned l = 1; l < 4; l++)
		assert_true(x->pipes[l][0].bytes > 500000);
	/* The other direction has had nothing to say. */
	assert_int_equal(x->pipes[0][1].bytes, 0);
}

static void a_stuck_link_does_not_stop_the_sender_at_once(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 3;
	uint64_t n_before;

	add_link(x);
	add_link(x);
	for (int i = 0; i < 10000 && !carrier_is_full(x->ends[0].carrier);
	     i++) {
		send_some(&x->ends[0], &seed);
		for (int k = 0; k < 100; k++) {
			(void)squeeze(&x->pipes[0][0], SIZE_MAX);
			(void)squeeze(&x->pipes[1][0], SIZE_MAX);
			(void)loop_poll(x->loop);
		}
	}
	/* Link 2 holds a chunk that is next; the other is read ahead so far. */
	assert_true(carrier_is_full(x->ends[0].carrier));
	assert_in_range(x->pipes[1][0].bytes, 500 << 10, 800 << 10);
	n_before = x->ends[0].n_writable;
	relay_all(x);
	assert_all_is_seen(x);
	assert_true(x->ends[0].n_writable > n_before);
	assert_false(carrier_is_full(x->ends[0].carrier));
}

static void asking_and_offering(void **state)
{
	struct fixture *x = *state;
	struct bond_offer offer = {.path = "/tmp/ecssh-x/s",
				   .helper = "/home/a/.cache/ecssh-helper"};

	memcpy(offer.token, token, sizeof(token));
	for (int round = 0; round < 2; round++) {
		bond_carrier_ask(x->ends[0].carrier, round == 1);
		offer.has_numbers = round == 1;
		relay_all(x);
		assert_int_equal(x->ends[1].n_asks, round + 1);
		bond_carrier_offer(x->ends[1].carrier, &offer);
		relay_all(x);
		assert_int_equal(x->ends[0].n_offers, round + 1);
		assert_int_equal(x->ends[1].n_asks_numbered, round);
		assert_int_equal(x->ends[0].offer.has_numbers, round == 1);
		assert_string_equal(x->ends[0].offer.path, offer.path);
		assert_string_equal(x->ends[0].offer.helper, offer.helper);
		assert_memory_equal(x->ends[0].offer.token, token,
				    sizeof(token));
		add_link(x); /* the second time in chunks */
	}
	assert_all_is_seen(x);
}

static void no_more_links_than_allowed(void **state)
{
	struct fixture *x = *state;
	int ours, fd;

	while (x->n_links < 1 + BOND_LINKS_MAX)
		add_link(x);
	assert_int_equal(bond_carrier_n_links(x->ends[0].carrier),
			 BOND_LINKS_MAX);
	fd = open_socket(&ours);
	assert_int_equal(bond_carrier_add_fd(x->ends[0].carrier, fd, 0, token),
			 -EPIPE);
	fd_close(&ours);
}

/* ---- the end ---- */

static void last_words_on_another_link_are_heard(void **state)
{
	struct fixture *x = *state;
	uint32_t seed = 5;

	add_link(x);
	add_link(x);
	send_some(&x->ends[1], &seed);
	relay_all(x);
	send_some(&x->ends[1], &seed); /* in the relay when link 0 ends */
	fd_close(&x->fds[0][0]);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 0);
	assert_true(carrier_is_full(x->ends[0].carrier));
	for (int k = 0; k < 1000; k++) {
		(void)squeeze(&x->pipes[1][1], SIZE_MAX);
		(void)squeeze(&x->pipes[2][1], SIZE_MAX);
		settle(x);
	}
	assert_int_equal(x->ends[0].n_seen, x->ends[1].n_sent);
	fd_close(&x->fds[1][0]);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 0);
	fd_close(&x->fds[2][0]);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 1);
	assert_non_null(strstr(x->ends[0].why.text, "closed the connection"));
}

static void end_of_one_link_is_the_end_after_two_seconds(void **state)
{
	struct fixture *x = *state;

	add_link(x);
	fd_close(&x->fds[1][0]);
	settle(x);
	loop_advance_us(x->loop, 1900000);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 0);
	loop_advance_us(x->loop, 200000);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 1);
	loop_advance_us(x->loop, 10 * SECOND);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 1);
}

/* ---- hostile peers ---- */

struct heard {
	unsigned n_frames;
	uint32_t ids[8];
};

static void on_heard(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	struct heard *heard = ctx;

	(void)body;
	if (heard->n_frames < 8)
		heard->ids[heard->n_frames] = h->id;
	heard->n_frames++;
}

struct parser {
	struct bond_rx rx;
	struct bond_rx_link links[3];
	struct heard heard;
};

static struct parser *new_parser(void)
{
	static struct parser p;

	bond_rx_init(&p.rx, on_heard, &p.heard);
	for (int i = 0; i < 3; i++)
		bond_rx_link_init(&p.links[i], i == 0);
	p.heard = (struct heard){0};
	return &p;
}

static size_t put_one(uint8_t *out, enum bond_type type, uint32_t seq,
		      uint32_t id, size_t len)
{
	size_t at = bond_build_chunk(out, type, seq, len);
	uint8_t frame[FRAME_HEADER_LEN];

	(void)frame_build_header(frame, FRAME_DATA, 0, id);
	memcpy(out + at, frame, len);
	return at + len;
}

/* A chunk with one empty frame in it, cut to len bytes of body. */
static size_t put_chunk(uint8_t *out, uint32_t seq, uint32_t id, size_t len)
{
	return put_one(out, BOND_CHUNK, seq, id, len);
}

static void chunks_go_in_order_over_links_split_anywhere(void **state)
{
	uint8_t a[100], b[100];
	size_t a_len, b_len;

	(void)state;
	a_len = put_chunk(a, 0, 0, 0);
	a_len += put_chunk(a + a_len, 2, 2, 8);
	b_len = put_chunk(b, 1, 1, 8);
	b_len += put_chunk(b + b_len, 3, 3, 8);
	for (size_t i = 0; i <= a_len; i++) {
		for (size_t j = 0; j <= b_len; j++) {
			struct parser *p = new_parser();
			size_t at = 0, bt = 0;

			for (int round = 0; round < 6; round++) {
				size_t to = round ? a_len : i;

				if (to > at)
					at += (size_t)bond_rx_feed(
						&p->rx, &p->links[0], a + at,
						to - at);
				to = round ? b_len : j;
				if (to > bt)
					bt += (size_t)bond_rx_feed(
						&p->rx, &p->links[1], b + bt,
						to - bt);
			}
			assert_int_equal(at, a_len);
			assert_int_equal(bt, b_len);
			assert_int_equal(p->heard.n_frames, 3);
			for (uint32_t k = 0; k < 3; k++)
				assert_int_equal(p->heard.ids[k], k + 1);
		}
	}
}

static void bad_chunks_are_refused(void **state)
{
	struct parser *p;
	uint8_t bytes[64];
	size_t n;

	(void)state;
	/* chunk 0 on another link */
	p = new_parser();
	n = put_chunk(bytes, 0, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n),
			 -EBADMSG);
	/* link 0 begins with another */
	p = new_parser();
	n = put_chunk(bytes, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes, n),
			 -EBADMSG);
	/* a number twice, on one link */
	p = new_parser();
	n = put_chunk(bytes, 0, 1, 8);
	n += put_chunk(bytes + n, 0, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes, n),
			 -EBADMSG);
	/* and on two */
	p = new_parser();
	n = put_chunk(bytes, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n), 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes, n), 8);
	n = put_chunk(bytes, 0, 1, 0);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes, n), n);
	(void)put_chunk(bytes, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes + 8, 8), 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes + 8, 8),
			 -EBADMSG);
	/* a frame that is no chunk where only chunks are */
	p = new_parser();
	n = frame_build_header(bytes, FRAME_DATA, 0, 1);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n),
			 -EBADMSG);
	/* a free one where links have no numbers */
	p = new_parser();
	n = put_one(bytes, BOND_FREE, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n),
			 -EBADMSG);
	/* longer than allowed */
	p = new_parser();
	(void)bond_build_chunk(bytes, BOND_CHUNK, 0, BOND_CHUNK_MAX);
	bytes[3]++;
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes, 8),
			 -EBADMSG);
}

/* ---- what a peer may do where links have numbers ---- */

static struct parser *new_numbered(void)
{
	struct parser *p = new_parser();
	uint8_t first[FRAME_HEADER_LEN];
	size_t n = bond_build_chunk(first, BOND_CHUNK, 0, 0);

	p->rx.is_numbered = true;
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], first, n), n);
	assert_int_equal(p->rx.next, 1);
	return p;
}

static void numbered_chunks_come_in_any_order_and_twice(void **state)
{
	static const uint32_t order[] = {4, 2, 2, 1, 4, 3, 1, 6, 5, 5, 7};
	uint8_t bytes[64];

	(void)state;
	for (size_t cut = 0; cut <= 16; cut++) {
		struct parser *p = new_numbered();

		for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
			struct bond_rx_link *l = &p->links[i % 3];
			size_t n = put_chunk(bytes, order[i], order[i], 8);

			assert_int_equal(bond_rx_feed(&p->rx, l, bytes, cut),
					 cut);
			assert_int_equal(
				bond_rx_feed(&p->rx, l, bytes + cut, n - cut),
				n - cut);
		}
		assert_int_equal(p->heard.n_frames, 7);
		for (uint32_t k = 0; k < 7; k++)
			assert_int_equal(p->heard.ids[k], k + 1);
		assert_int_equal(p->rx.next, 8);
		assert_int_equal(p->rx.stash_bytes, 0);
		bond_rx_fini(&p->rx);
	}
}

/* Chunk 1 brings half a frame and comes last but for 6. */
static void free_chunks_wait_for_nothing_and_others_for_them(void **state)
{
	static const struct {
		enum bond_type type;
		uint32_t seq;
	} order[] = {{BOND_FREE, 3},  {BOND_CHUNK, 4}, {BOND_FREE, 3},
		     {BOND_CHUNK, 1}, {BOND_FREE, 5},  {BOND_CHUNK, 2},
		     {BOND_FREE, 7},  {BOND_FREE, 3},  {BOND_FREE, 6},
		     {BOND_FREE, 7},  {BOND_CHUNK, 8}};
	static const uint32_t heard[] = {3, 5, 2, 4, 7, 6, 8};
	uint8_t bytes[64];

	(void)state;
	for (size_t cut = 0; cut <= 12; cut++) {
		struct parser *p = new_numbered();

		for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
			struct bond_rx_link *l = &p->links[i % 3];
			uint32_t seq = order[i].seq;
			size_t n = put_one(bytes, order[i].type, seq, seq, 8);

			if (seq == 1 || seq == 2) { /* one frame in two */
				n = put_chunk(bytes, seq, 2, 4);
				if (seq == 2)
					memset(bytes + 8, 0, 3);
				if (seq == 2)
					bytes[11] = 2;
			}
			size_t first = cut < n ? cut : n;
			assert_int_equal(bond_rx_feed(&p->rx, l, bytes, first),
					 first);
			assert_int_equal(bond_rx_feed(&p->rx, l, bytes + first,
						      n - first),
					 n - first);
		}
		assert_int_equal(p->heard.n_frames, 7);
		for (size_t k = 0; k < 7; k++)
			assert_int_equal(p->heard.ids[k], heard[k]);
		assert_int_equal(p->rx.next, 9);
		assert_int_equal(p->rx.stash_bytes, 0);
		bond_rx_fini(&p->rx);
	}
}

static void free_chunks_wait_for_nothing_where_numbers_begin_again(void **state)
{
	struct parser *p = new_numbered();
	static const uint32_t heard[] = {0, 2, UINT32_MAX, UINT32_MAX - 1, 1};
	uint8_t bytes[64];

	(void)state;
	p->rx.next = UINT32_MAX - 1;
	for (size_t i = 0; i < 7; i++) {
		static const struct {
			enum bond_type type;
			uint32_t seq;
		} order[] = {
			{BOND_FREE, 0},		 {BOND_CHUNK, 1},
			{BOND_FREE, 2},		 {BOND_FREE, 0},
			{BOND_FREE, UINT32_MAX}, {BOND_CHUNK, UINT32_MAX - 1},
			{BOND_FREE, UINT32_MAX}};
		size_t n = put_one(bytes, order[i].type, order[i].seq,
				   order[i].seq, 8);

		assert_int_equal(
			bond_rx_feed(&p->rx, &p->links[i % 3], bytes, n), n);
	}
	assert_int_equal(p->heard.n_frames, 5);
	assert_memory_equal(p->heard.ids, heard, sizeof(heard));
	assert_int_equal(p->rx.next, 3);
	assert_int_equal(p->rx.stash_bytes, 0);
	bond_rx_fini(&p->rx);
}

/* Two links bring the same, a byte of the one and a byte of the other. */
static void a_free_chunk_is_had_once(void **state)
{
	struct parser *p = new_numbered();
	uint8_t bytes[64];
	size_t n = put_one(bytes, BOND_FREE, 2, 7, 8);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (int link = 1; link <= 2; link++)
			assert_int_equal(bond_rx_feed(&p->rx, &p->links[link],
						      bytes + i, 1),
					 1);
	assert_int_equal(p->heard.n_frames, 1);
	/* The one that is next now, on a link that is lost in the midst of it.
	 */
	n = put_one(bytes, BOND_FREE, 1, 8, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n - 1),
			 n - 1);
	bond_rx_link_fini(&p->rx, &p->links[1]);
	assert_int_equal(p->heard.n_frames, 1);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes, n), n);
	assert_int_equal(p->heard.n_frames, 2);
	assert_int_equal(p->rx.next, 3);
	assert_int_equal(p->rx.stash_bytes, 0);
	bond_rx_fini(&p->rx);
}

static void bad_free_chunks_are_refused(void **state)
{
	uint8_t bytes[64];
	struct parser *p;
	size_t n;

	(void)state;
	/* part of a frame, whether it is next or not */
	for (uint32_t seq = 1; seq <= 2; seq++) {
		p = new_numbered();
		n = put_one(bytes, BOND_FREE, seq, 1, 7);
		assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n),
				 -EBADMSG);
		bond_rx_fini(&p->rx);
	}
	/* a chunk within one */
	p = new_numbered();
	n = bond_build_chunk(bytes, BOND_FREE, 2, 16);
	n += put_chunk(bytes + n, 3, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n),
			 -EBADMSG);
	bond_rx_fini(&p->rx);
	/* the sign that link 0 goes over to chunks */
	p = new_parser();
	p->rx.is_numbered = true;
	n = put_one(bytes, BOND_FREE, 0, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n),
			 -EBADMSG);
	/* also on link 0, its header at once or not */
	for (size_t cut = 0; cut < FRAME_HEADER_LEN; cut++) {
		p = new_parser();
		p->rx.is_numbered = true;
		assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes, cut),
				 cut);
		assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes + cut,
					      n - cut),
				 -EBADMSG);
	}
	/* what has had its turn already, while it still comes in order */
	p = new_numbered();
	n = put_chunk(bytes, 2, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n - 1),
			 n - 1);
	n = put_one(bytes, BOND_FREE, 2, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes, n), n);
	n = put_chunk(bytes, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes, n),
			 -EBADMSG);
	bond_rx_fini(&p->rx);
	/* what has begun to come in order */
	p = new_numbered();
	n = put_chunk(bytes, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n - 1),
			 n - 1);
	n = put_one(bytes, BOND_FREE, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes, n),
			 -EBADMSG);
	bond_rx_fini(&p->rx);
}

static void a_chunk_goes_on_where_the_lost_link_stopped(void **state)
{
	uint8_t bytes[64];

	(void)state;
	for (size_t cut = 0; cut < 16; cut++) {
		struct parser *p = new_numbered();
		size_t n = put_chunk(bytes, 1, 1, 8);

		/* Next and in part on link 1; 2 in part on link 2. */
		(void)bond_rx_feed(&p->rx, &p->links[1], bytes, cut);
		(void)put_chunk(bytes, 2, 2, 8);
		(void)bond_rx_feed(&p->rx, &p->links[2], bytes, cut);
		bond_rx_link_fini(&p->rx, &p->links[1]);
		(void)put_chunk(bytes, 1, 1, 8);
		assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes, n),
				 n);
		bond_rx_link_fini(&p->rx, &p->links[2]);
		(void)put_chunk(bytes, 2, 2, 8);
		assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], bytes, n),
				 n);
		assert_int_equal(p->heard.n_frames, 2);
		assert_int_equal(p->heard.ids[1], 2);
		bond_rx_fini(&p->rx);
	}
}

static void bad_numbered_chunks_are_refused(void **state)
{
	struct parser *p = new_numbered();
	uint8_t bytes[64];
	ssize_t r = 0;
	size_t n;

	(void)state;
	/* one number, two lengths */
	n = put_chunk(bytes, 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n - 2),
			 n - 2);
	n = put_chunk(bytes, 1, 1, 4);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes, n),
			 -EBADMSG);
	bond_rx_fini(&p->rx);
	/* a frame that is neither */
	p = new_numbered();
	n = frame_build_header(bytes, FRAME_DATA, 0, 1);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n),
			 -EBADMSG);
	/* a GOT of another length */
	(void)frame_build_header(bytes, FRAME_DATA, 13, 1);
	bytes[0] = BOND_GOT;
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[2], bytes, 21),
			 -EBADMSG);
	/* ever further ahead */
	p = new_numbered();
	for (uint32_t i = 0; i <= BOND_STASH_MAX && r >= 0; i++) {
		n = put_chunk(bytes, 2 + i, 1, 8);
		r = bond_rx_feed(&p->rx, &p->links[1], bytes, n);
	}
	assert_int_equal(r, -ENOMEM);
	bond_rx_fini(&p->rx);
	/* far ahead, alone */
	p = new_numbered();
	n = put_chunk(bytes, p->rx.next + BOND_STASH_MAX - 1, 1, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], bytes, n), n);
	for (enum bond_type t = BOND_CHUNK; t <= BOND_FREE; t++) {
		n = put_one(bytes, t, p->rx.next + BOND_STASH_MAX, 1, 8);
		assert_int_equal(
			bond_rx_feed(&p->rx, &p->links[2 - (t & 1)], bytes, n),
			-ENOMEM);
	}
	bond_rx_fini(&p->rx);
	/* and with long ones, of which only the headers come */
	p = new_numbered();
	for (uint32_t i = 0; i <= 200 && r >= 0; i++)
		r = bond_rx_feed(
			&p->rx, &p->links[1], bytes,
			bond_build_chunk(bytes, BOND_CHUNK, 2 + i, 100000));
	assert_true(p->rx.stash_bytes <= BOND_STASH_MAX_BYTES);
	bond_rx_fini(&p->rx);
}

static void lying_acknowledgement_breaks_the_carrier(void **state)
{
	struct fixture *x = *state;
	struct bond_got got = {.number = 1, .next = 1000000};
	uint8_t bytes[BOND_GOT_LEN];
	uint32_t seed = 17;
	size_t n = bond_build_got(bytes, &got);

	begin_numbered(x, 1, &seed, 5);
	/* Where the far end's bytes come out. */
	assert_int_equal(write(x->fds[1][0], bytes, n), n);
	relay_all(x);
	assert_int_equal(x->ends[0].n_closed, 1);
	assert_non_null(strstr(x->ends[0].why.text, "what was not sent"));
}

static void chunk_within_a_chunk_is_refused(void **state)
{
	uint8_t bytes[64];

	(void)state;
	for (size_t cut = 1; cut <= 24; cut++) {
		struct parser *p = new_parser();
		ssize_t r, r2 = 0;

		(void)bond_build_chunk(bytes, BOND_CHUNK, 0, 16);
		(void)bond_build_chunk(bytes + 8, BOND_CHUNK, 1, 8);
		(void)frame_build_header(bytes + 16, FRAME_DATA, 0, 1);
		r = bond_rx_feed(&p->rx, &p->links[0], bytes, cut);
		if (r >= 0)
			r2 = bond_rx_feed(&p->rx, &p->links[0], bytes + cut,
					  24 - cut);
		assert_true(r == -EBADMSG || r2 == -EBADMSG);
		assert_int_equal(p->heard.n_frames, 0);
	}
}

static void longest_chunk_and_numbers_that_begin_again(void **state)
{
	static uint8_t chunk[FRAME_HEADER_LEN + BOND_CHUNK_MAX];
	struct parser *p;
	size_t n = bond_build_chunk(chunk, BOND_CHUNK, 0, BOND_CHUNK_MAX);

	(void)state;
	for (size_t i = 0; i < BOND_CHUNK_MAX; i += FRAME_HEADER_LEN)
		(void)frame_build_header(chunk + n + i, FRAME_DATA, 0, 1);
	for (size_t cut = 0; cut < 20; cut++) {
		p = new_parser();
		assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], chunk, cut),
				 cut);
		assert_int_equal(bond_rx_feed(&p->rx, &p->links[0], chunk + cut,
					      sizeof(chunk) - cut),
				 sizeof(chunk) - cut);
		assert_int_equal(p->heard.n_frames,
				 BOND_CHUNK_MAX / FRAME_HEADER_LEN);
	}
	p->rx.next = UINT32_MAX;
	n = put_chunk(chunk, UINT32_MAX, 1, 8);
	n += put_chunk(chunk + n, 0, 2, 8);
	n += put_chunk(chunk + n, 1, 3, 8);
	assert_int_equal(bond_rx_feed(&p->rx, &p->links[1], chunk, n), n);
}

static void broken_carrier_is_told_once(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[64];
	size_t n = put_chunk(bytes, 5, 1, 8);

	add_link(x);
	assert_int_equal(write(x->fds[0][0], bytes, n), n);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 1);
	assert_true(carrier_is_full(x->ends[0].carrier));
	assert_int_equal(write(x->fds[1][0], bytes, n), n);
	settle(x);
	loop_advance_us(x->loop, 10 * SECOND);
	settle(x);
	assert_int_equal(x->ends[0].n_closed, 1);
}

static void bad_offers_are_refused(void **state)
{
	struct bond_offer o = {.path = "/a", .helper = ""}, got;
	uint8_t f[BOND_OFFER_MAX];
	size_t n = bond_build_offer(f, &o) - FRAME_HEADER_LEN;
	uint8_t *body = f + FRAME_HEADER_LEN;

	(void)state;
	assert_int_equal(bond_parse_offer(body, n, &got), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bond_parse_offer(body, i, &got), -EBADMSG);
	assert_int_equal(bond_parse_offer(body, n + 1, &got), -EBADMSG);
	for (const char *c = " '\"$`;|&\n%~\\"; *c; c++) {
		body[BOND_TOKEN_LEN + 2] = (uint8_t)*c;
		assert_int_equal(bond_parse_offer(body, n, &got), -EBADMSG);
	}
	body[BOND_TOKEN_LEN + 2] = 0;
	assert_int_equal(bond_parse_offer(body, n, &got), -EBADMSG);
	body[BOND_TOKEN_LEN + 2] = 'a';
	body[BOND_TOKEN_LEN + 1] = 'b'; /* not absolute */
	assert_int_equal(bond_parse_offer(body, n, &got), -EBADMSG);
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			frame_stream_is_the_same_whatever_the_links_do),
		cmocka_unit_test(links_with_numbers_may_be_lost),
		WITH(one_end_alone_notices_the_loss),
		WITH(the_last_link_with_a_number_is_link_0),
		WITH(a_late_chunk_is_sent_once_more),
		WITH(what_is_little_goes_on_two_links),
		WITH(nothing_overtakes_the_first_chunk),
		cmocka_unit_test(free_frames_come_once_and_others_behind_them),
		WITH(kinds_of_links_do_not_mix),
		WITH(all_links_but_the_first_are_used),
		WITH(a_stuck_link_does_not_stop_the_sender_at_once),
		WITH(asking_and_offering),
		WITH(no_more_links_than_allowed),
		WITH(last_words_on_another_link_are_heard),
		WITH(end_of_one_link_is_the_end_after_two_seconds),
		cmocka_unit_test(chunks_go_in_order_over_links_split_anywhere),
		cmocka_unit_test(bad_chunks_are_refused),
		cmocka_unit_test(numbered_chunks_come_in_any_order_and_twice),
		cmocka_unit_test(
			free_chunks_wait_for_nothing_and_others_for_them),
		cmocka_unit_test(
			free_chunks_wait_for_nothing_where_numbers_begin_again),
		cmocka_unit_test(a_free_chunk_is_had_once),
		cmocka_unit_test(bad_free_chunks_are_refused),
		cmocka_unit_test(a_chunk_goes_on_where_the_lost_link_stopped),
		cmocka_unit_test(bad_numbered_chunks_are_refused),
		WITH(lying_acknowledgement_breaks_the_carrier),
		cmocka_unit_test(chunk_within_a_chunk_is_refused),
		cmocka_unit_test(longest_chunk_and_numbers_that_begin_again),
		WITH(broken_carrier_is_told_once),
		cmocka_unit_test(bad_offers_are_refused),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
