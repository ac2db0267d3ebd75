/* SPDX-License-Identifier: MIT */
/*
 * socks_dial: a connection to a SOCKS 5 server, up to the server's reply.
 *
 * Theory of operation
 *   Greeting, perhaps user and password, request: each is answered before the
 *   next is sent, because some servers throw away what comes early.  Of one
 *   that is known not to, all three are sent at once; that needs the method to
 *   be known, so only this one is offered then.
 *
 *   No byte behind the reply is read: it is the other end's already.
 */
#include "socks_dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"

enum {
	KEEPALIVE_IDLE_S = 300,
	METHOD_LEN = 2,
	AUTH_STATUS_LEN = 2,
	/* So much of a reply says how long it is; none is shorter. */
	REPLY_HEAD_LEN = 5,
};

enum dial_state {
	DIAL_CONNECTING,
	DIAL_METHOD, /* awaited */
	DIAL_AUTH,
	DIAL_REPLY,
};

void socks_dial_stop(struct socks_dial *d)
{
	timer_disarm(d->loop, &d->timer);
	explicit_bzero(d->out, sizeof(d->out)); /* may hold the password */
	if (d->io.fd < 0)
		return;
	loop_io_del(d->loop, &d->io);
	fd_close(&d->io.fd);
}

int socks_dial_take(struct socks_dial *d)
{
	return fd_take(&d->io.fd);
}

static void end(struct socks_dial *d, enum socks_dial_end how, int errnum)
{
	struct socks_result why = {.end = how, .errnum = errnum};

	socks_dial_stop(d);
	d->on_done(d, &why);
}

/* The server was lost, or waited for in vain. */
static void end_early(struct socks_dial *d, int errnum)
{
	if (d->state == DIAL_REPLY && d->in_len == 0)
		end(d, SOCKS_DIAL_UNANSWERED, errnum);
	else
		end(d,
		    errnum == ETIMEDOUT ? SOCKS_DIAL_SILENT : SOCKS_DIAL_BROKEN,
		    0);
}

static void end_with_reply(struct socks_dial *d,
			   const struct socks_reply *reply)
{
	struct socks_result why = {.end = SOCKS_DIAL_REPLIED, .reply = *reply};
	int fd = -1;

	if (reply->outcome == SOCKS_GRANTED) {
		loop_io_del(d->loop, &d->io);
		fd = fd_take(&d->io.fd);
	}
	socks_dial_stop(d);
	d->io.fd = fd;
	d->on_done(d, &why);
}

/* ---- what is said ---- */

static void put_greeting(struct socks_dial *d)
{
	const struct socks_proxy *p = d->proxy;
	bool is_known = p->method != SOCKS_METHOD_REFUSED;
	struct socks_greeting offer = {
		.has_none = !is_known || p->method == SOCKS_METHOD_NONE,
		.has_password =
			p->has_auth &&
			(!is_known || p->method == SOCKS_METHOD_PASSWORD),
	};

	d->out_len += socks_build_greeting(d->out + d->out_len, &offer);
}

static void put_auth(struct socks_dial *d)
{
	d->out_len += socks_build_auth(d->out + d->out_len, &d->proxy->auth);
}

static void put_request(struct socks_dial *d)
{
	d->out_len +=
		socks_build_request(d->out + d->out_len, d->command, &d->dst);
}

/* Send what is to be said, and then listen.  Returns 0 or -errno. */
static int flush(struct socks_dial *d)
{
	while (d->out_at < d->out_len) {
		ssize_t n = send(d->io.fd, d->out + d->out_at,
				 d->out_len - d->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return loop_io_mod(d->loop, &d->io, EPOLLIN | EPOLLOUT);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			d->out_at += (size_t)n;
	}
	explicit_bzero(d->out, d->out_len);
	d->out_at = d->out_len = 0;
	return loop_io_mod(d->loop, &d->io, EPOLLIN);
}

static void on_connected(struct socks_dial *d)
{
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	if (getsockopt(d->io.fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		errnum = errno;
	if (errnum) {
		end(d, SOCKS_DIAL_UNREACHED, errnum);
		return;
	}
	d->state = DIAL_METHOD;
	put_greeting(d);
	if (d->is_pipelined) {
		if (d->proxy->method == SOCKS_METHOD_PASSWORD)
			put_auth(d);
		put_request(d);
	}
	if (flush(d) < 0)
		end(d, SOCKS_DIAL_BROKEN, 0);
}

/* ---- what is heard ---- */

/* How long the message is that is coming in, as far as is known. */
static size_t wanted_len(const struct socks_dial *d)
{
	if (d->state == DIAL_METHOD)
		return METHOD_LEN;
	if (d->state == DIAL_AUTH)
		return AUTH_STATUS_LEN;
	if (d->in_len < REPLY_HEAD_LEN)
		return REPLY_HEAD_LEN;
	switch (d->in[3]) { /* type of the address: RFC 1928 section 5 */
	case 1:
		return 10;
	case 3:
		return 7U + d->in[4];
	case 4:
		return 22;
	default:
		return REPLY_HEAD_LEN; /* the parser refuses it */
	}
}

static void enter_reply(struct socks_dial *d)
{
	d->state = DIAL_REPLY;
	timer_arm(d->loop, &d->timer,
		  d->reply_us ? d->reply_us : SOCKS_DIAL_REPLY_US);
	if (!d->is_pipelined)
		put_request(d);
}

static void take_method(struct socks_dial *d, enum socks_method method)
{
	struct socks_proxy *p = d->proxy;

	if (method == SOCKS_METHOD_REFUSED ||
	    (method == SOCKS_METHOD_PASSWORD && !p->has_auth) ||
	    (d->is_pipelined && method != p->method)) {
		p->method = SOCKS_METHOD_REFUSED; /* it has changed its mind */
		end(d, SOCKS_DIAL_NO_METHOD, 0);
		return;
	}
	p->method = method;
	if (method == SOCKS_METHOD_NONE) {
		enter_reply(d);
	} else {
		d->state = DIAL_AUTH;
		if (!d->is_pipelined)
			put_auth(d);
	}
	if (flush(d) < 0)
		end(d, SOCKS_DIAL_BROKEN, 0);
}

static void take_auth_status(struct socks_dial *d, bool is_accepted)
{
	if (!is_accepted) {
		end(d, SOCKS_DIAL_NO_AUTH, 0);
		return;
	}
	enter_reply(d);
	if (flush(d) < 0)
		end(d, SOCKS_DIAL_BROKEN, 0);
}

/* Act on the message if it is whole.  Returns as parsers do; if that is not 0
 * d may be gone. */
static int take_message(struct socks_dial *d)
{
	enum socks_method method;
	struct socks_reply reply;
	bool is_accepted;
	size_t len = d->in_len;
	int r;

	if (d->state == DIAL_METHOD)
		r = socks_parse_method(d->in, len, &method);
	else if (d->state == DIAL_AUTH)
		r = socks_parse_auth_status(d->in, len, &is_accepted);
	else
		r = socks_parse_reply(d->in, len, &reply);
	if (r == 0)
		return 0;
	d->in_len = 0;
	if (r < 0)
		end(d, SOCKS_DIAL_BROKEN, 0);
	else if (d->state == DIAL_METHOD)
		take_method(d, method);
	else if (d->state == DIAL_AUTH)
		take_auth_status(d, is_accepted);
	else
		end_with_reply(d, &reply);
	return r;
}

static void on_event(void *ctx, uint32_t events)
{
	struct socks_dial *d = ctx;

	if (d->state == DIAL_CONNECTING) {
		on_connected(d);
		return;
	}
	if ((events & EPOLLOUT) && flush(d) < 0) {
		end(d, SOCKS_DIAL_BROKEN, 0);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	/* The rest of a message is asked for at once, the next one by the next
	 * event. */
	for (;;) {
		ssize_t n = recv(d->io.fd, d->in + d->in_len,
				 wanted_len(d) - d->in_len, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			end_early(d, ECONNRESET);
			return;
		}
		d->in_len += (size_t)n;
		if (take_message(d) != 0)
			return;
	}
}

static void on_timer(void *ctx)
{
	struct socks_dial *d = ctx;

	end_early(d, ETIMEDOUT);
}

/* ---- beginning ---- */

static void set_int(int fd, int level, int name, int value)
{
	/* None of what is set here is worth failing for. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

int socks_dial_start(struct socks_dial *d, struct loop *loop,
		     struct socks_proxy *proxy, enum socks_command command,
		     const struct socks_addr *dst)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&proxy->at, &ss);
	int fd = socket(ss.ss_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	d->loop = loop;
	d->proxy = proxy;
	d->io = (struct loop_io){.fd = fd, .on_event = on_event, .ctx = d};
	d->timer = (struct timer){.on_fire = on_timer, .ctx = d};
	d->state = DIAL_CONNECTING;
	d->is_pipelined =
		proxy->may_pipeline && proxy->method != SOCKS_METHOD_REFUSED;
	d->command = command;
	d->dst = *dst;
	d->in_len = d->out_at = d->out_len = 0;
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	int r = 0;
	if (connect(fd, (const struct sockaddr *)&ss, len) < 0 &&
	    errno != EINPROGRESS)
		r = -errno;
	if (r == 0)
		r = loop_io_add(loop, &d->io, EPOLLOUT);
	if (r < 0)
		fd_close(&d->io.fd);
	else
		timer_arm(loop, &d->timer, SOCKS_DIAL_GREETING_US);
	return r;
}

/* ---- the outcome in other words ---- */

static enum frame_reason reason_of_outcome(uint8_t outcome)
{
	static const enum frame_reason reasons[SOCKS_OUTCOME__N] = {
		[SOCKS_GRANTED] = FRAME_REASON_NONE,
		[SOCKS_FAILED] = FRAME_REASON_OTHER,
		[SOCKS_PROHIBITED] = FRAME_REASON_PROHIBITED,
		[SOCKS_NET_UNREACH] = FRAME_REASON_NET_UNREACH,
		[SOCKS_HOST_UNREACH] = FRAME_REASON_HOST_UNREACH,
		[SOCKS_REFUSED] = FRAME_REASON_REFUSED,
		[SOCKS_TTL_EXPIRED] = FRAME_REASON_TIMED_OUT,
		[SOCKS_BAD_COMMAND] = FRAME_REASON_OTHER,
		[SOCKS_BAD_ADDRESS] = FRAME_REASON_NO_FAMILY,
	};

	return outcome < SOCKS_OUTCOME__N ? reasons[outcome]
					  : FRAME_REASON_OTHER;
}

enum frame_reason socks_result_reason(const struct socks_result *why)
{
	enum frame_reason reason;

	switch (why->end) {
	case SOCKS_DIAL_REPLIED:
		return reason_of_outcome(why->reply.outcome);
	case SOCKS_DIAL_UNREACHED:
		/* Not "refused": that would be said of the destination. */
		reason = frame_reason_from_errno(why->errnum);
		return reason == FRAME_REASON_NO_RESOURCES
			       ? reason
			       : FRAME_REASON_NET_UNREACH;
	case SOCKS_DIAL_SILENT:
		return FRAME_REASON_TIMED_OUT;
	case SOCKS_DIAL_NO_METHOD:
	case SOCKS_DIAL_NO_AUTH:
		return FRAME_REASON_PROHIBITED;
	case SOCKS_DIAL_UNANSWERED:
		return why->errnum == ETIMEDOUT ? FRAME_REASON_TIMED_OUT
						: FRAME_REASON_OTHER;
	case SOCKS_DIAL_BROKEN:
		break;
	}
	return FRAME_REASON_OTHER;
}
