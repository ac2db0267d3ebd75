/* SPDX-License-Identifier: MIT */
/* http_msg: what HTTP clients say to a proxy, and what they are answered. */
#include "http_msg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "escape.h"
#include "frame.h"

enum {
	DEFAULT_PORT = 80,
	LENGTH_DIGITS_MAX = 18,
	SHOWN_MAX = 100, /* bytes of what a client sent, in a sentence */
};

/* Borrowed bytes of the head. */
struct span {
	const char *p;
	size_t len;
};

struct line {
	struct span method, target, version;
};

struct field {
	struct span name, value;
};

static bool is(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

static bool begins_with(struct span s, const char *word)
{
	size_t n = strlen(word);

	return s.len >= n && strncasecmp(s.p, word, n) == 0;
}

static struct span behind(struct span s, size_t n)
{
	return (struct span){s.p + n, s.len - n};
}

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= 'a' && c <= 'z') &&
		    (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.len > 0;
}

static struct span trim(struct span s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = behind(s, 1);
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Cut the part before c off the front, c included.  False if there is none. */
static bool cut(struct span *rest, char c, struct span *ret)
{
	const char *at = rest->len ? memchr(rest->p, c, rest->len) : NULL;

	if (!at)
		return false;
	*ret = (struct span){rest->p, (size_t)(at - rest->p)};
	*rest = behind(*rest, ret->len + 1);
	return true;
}

static int refuse(struct err *err, int r, const char *what, struct span s)
{
	char shown[4 * SHOWN_MAX + 1];

	escape_text(s.p, s.len < SHOWN_MAX ? s.len : SHOWN_MAX, shown,
		    sizeof(shown));
	return err_set(err, r, "%s: %s", what, shown);
}

/* ---- lines ---- */

/* The next line, without its end.  The head ends with an empty one. */
static bool next_line(struct span *rest, struct span *ret)
{
	if (!cut(rest, '\n', ret) || ret->len == 0)
		return false;
	ret->len--; /* the CR: check_bytes has seen to that */
	return ret->len > 0;
}

/* Lines end in CR LF, and no other control character is there but tabs. */
static bool check_bytes(struct span head)
{
	for (size_t i = 0; i < head.len; i++) {
		char c = head.p[i];

		if (c == '\r' && i + 1 < head.len && head.p[i + 1] == '\n')
			i++;
		else if ((c >= 0 && c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int split_request_line(struct span line, struct line *ret,
			      struct err *err)
{
	struct span rest = line;

	if (!cut(&rest, ' ', &ret->method) || !cut(&rest, ' ', &ret->target) ||
	    !is_token(ret->method) || ret->target.len == 0)
		return refuse(err, -EBADMSG, "not a request of HTTP", line);
	ret->version = rest;
	if (!begins_with(rest, "HTTP/"))
		return refuse(err, -EBADMSG, "not a request of HTTP", line);
	if (!is(rest, "HTTP/1.1") && !is(rest, "HTTP/1.0"))
		return refuse(err, -EPROTO, "only HTTP/1.0 and 1.1 are spoken",
			      rest);
	return 0;
}

static int split_field(struct span line, struct field *ret, struct err *err)
{
	struct span rest = line;

	if (!cut(&rest, ':', &ret->name) || !is_token(ret->name))
		return refuse(err, -EBADMSG, "not a field of a head", line);
	ret->value = trim(rest);
	return 0;
}

/* Step through the fields of a head that was found good. */
static bool next_field(struct span *rest, struct field *ret)
{
	struct span line = {.len = 0};

	return next_line(rest, &line) && split_field(line, ret, NULL) == 0;
}

/* ---- destinations ---- */

static int parse_port(struct span s, uint16_t *ret)
{
	unsigned port = 0;

	if (s.len == 0 || s.len > 5)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

static int set_host(struct span host, bool is_bracketed, struct socks_addr *ret)
{
	char text[FRAME_NAME_MAX + 1];

	if (host.len == 0 || host.len > FRAME_NAME_MAX)
		return -EINVAL;
	memcpy(text, host.p, host.len);
	text[host.len] = '\0';
	if (addr_parse(text, &ret->at.addr) == 0)
		return is_bracketed == (ret->at.addr.version == IPV6) ? 0
								      : -EINVAL;
	if (is_bracketed || !frame_name_is_valid(text, host.len))
		return -EINVAL;
	memcpy(ret->name, text, host.len + 1);
	return 0;
}

/* host, host:port, [v6], [v6]:port.  default_port 0: there must be one. */
static int parse_authority(struct span s, uint16_t default_port,
			   struct socks_addr *ret)
{
	struct socks_addr a = {.at.port = default_port};
	bool is_bracketed = s.len > 0 && s.p[0] == '[';
	struct span host = {.len = 0}, port = s;
	bool has_port;

	if (is_bracketed) {
		port = behind(s, 1);
		if (!cut(&port, ']', &host))
			return -EINVAL;
		has_port = port.len > 0;
		if (has_port && port.p[0] != ':')
			return -EINVAL;
		if (has_port)
			port = behind(port, 1);
	} else {
		has_port = cut(&port, ':', &host);
		if (!has_port)
			host = s;
	}
	/* "host:" means the default (RFC 3986 section 3.2.3). */
	if (has_port && (port.len > 0 || default_port == 0) &&
	    parse_port(port, &a.at.port) < 0)
		return -EINVAL;
	if (a.at.port == 0 || set_host(host, is_bracketed, &a) < 0)
		return -EINVAL;
	*ret = a;
	return 0;
}

/* Split http://authority/path?query; the path may be empty. */
static void split_url(struct span url, struct span *ret_authority,
		      struct span *ret_path)
{
	struct span rest = behind(url, strlen("http://"));
	size_t n = 0;

	while (n < rest.len && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	*ret_authority = (struct span){rest.p, n};
	*ret_path = behind(rest, n);
}

static int parse_target(const struct line *line, struct http_request *r,
			struct err *err)
{
	struct span authority = {.len = 0}, path, t = line->target;

	r->is_connect = line->method.len == strlen("CONNECT") &&
			memcmp(line->method.p, "CONNECT", 7) == 0;
	if (r->is_connect) {
		if (parse_authority(t, 0, &r->dst) < 0)
			return refuse(err, -EBADMSG,
				      "CONNECT wants host:port, not", t);
		return 0;
	}
	if (!begins_with(t, "http://")) {
		if (t.p[0] == '/' || is(t, "*") ||
		    !memmem(t.p, t.len, "://", 3))
			return refuse(err, -EBADMSG,
				      "this is a proxy, not a web server; it "
				      "wants a whole URL, not",
				      t);
		return refuse(err, -EPROTONOSUPPORT,
			      "only http: is fetched; use CONNECT for", t);
	}
	split_url(t, &authority, &path);
	if (memchr(t.p, '#', t.len) ||
	    parse_authority(authority, DEFAULT_PORT, &r->dst) < 0)
		return refuse(err, -EBADMSG, "not a URL that can be fetched",
			      t);
	return 0;
}

/* ---- fields ---- */

static int parse_length(struct span s, uint64_t *ret)
{
	uint64_t n = 0;

	if (s.len == 0 || s.len > LENGTH_DIGITS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	*ret = n;
	return 0;
}

/* What the fields say of the body.  Two answers are none. */
static int parse_fields(struct span rest, struct http_request *r,
			struct err *err)
{
	unsigned n = 0, n_lengths = 0, n_codings = 0;
	struct span line = {.len = 0};

	r->body_len = 0;
	while (next_line(&rest, &line)) {
		struct field f = {.name.len = 0};
		int e = split_field(line, &f, err);

		if (e < 0)
			return e;
		if (++n > HTTP_FIELDS_MAX)
			return err_set(err, -EMSGSIZE,
				       "more than %d fields in the head",
				       HTTP_FIELDS_MAX);
		if (is(f.name, "Transfer-Encoding"))
			n_codings++;
		if (is(f.name, "Content-Length") &&
		    (n_lengths++ > 0 || parse_length(f.value, &r->body_len)))
			return refuse(err, -EBADMSG, "the length is not clear",
				      line);
	}
	if (n_codings > 0 && n_lengths > 0)
		return err_set(err, -EBADMSG,
			       "the length is not clear: Content-Length and "
			       "Transfer-Encoding");
	if (n_codings > 0 || r->is_connect)
		r->body_len = UINT64_MAX;
	return 0;
}

int http_parse(const uint8_t *in, size_t len, struct http_request *ret,
	       struct err *err)
{
	struct http_request r = {.body_len = 0};
	struct span head = {(const char *)in, len};
	struct span first = {.len = 0};
	struct line line = {.target.p = ""};
	size_t look = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	const char *end = look ? memmem(in, look, "\r\n\r\n", 4) : NULL;

	if (!end && len >= HTTP_HEAD_MAX)
		return err_set(err, -EMSGSIZE,
			       "the head is longer than %d bytes",
			       HTTP_HEAD_MAX);
	if (!end)
		return 0;
	head.len = (size_t)(end - head.p) + 4;
	int n = (int)head.len;

	if (!check_bytes(head) || !next_line(&head, &first))
		return err_set(err, -EBADMSG,
			       "control characters in the head, or lines that "
			       "do not end in CR LF");
	int e = split_request_line(first, &line, err);
	if (e == 0)
		e = parse_target(&line, &r, err);
	if (e == 0)
		e = parse_fields(head, &r, err);
	if (e < 0)
		return e;
	*ret = r;
	return n;
}

enum http_status http_status_of(int r)
{
	switch (r) {
	case -EMSGSIZE:
		return HTTP_HEAD_TOO_LONG;
	case -EPROTONOSUPPORT:
		return HTTP_NOT_IMPLEMENTED;
	case -EPROTO:
		return HTTP_BAD_VERSION;
	default:
		return HTTP_BAD_REQUEST;
	}
}

/* ---- the head for the server ---- */

static void put(uint8_t *out, size_t *at, struct span s)
{
	if (s.len > 0)
		memcpy(out + *at, s.p, s.len);
	*at += s.len;
}

static void put_text(uint8_t *out, size_t *at, const char *text)
{
	put(out, at, (struct span){text, strlen(text)});
}

/* True if a field Connection names this one. */
static bool is_named(struct span fields, struct span name)
{
	struct field f = {.name.len = 0};

	while (next_field(&fields, &f)) {
		struct span rest = f.value, word = {.len = 0};

		if (!is(f.name, "Connection"))
			continue;
		while (cut(&rest, ',', &word)) {
			word = trim(word);
			if (word.len == name.len &&
			    strncasecmp(word.p, name.p, name.len) == 0)
				return true;
		}
		rest = trim(rest);
		if (rest.len == name.len &&
		    strncasecmp(rest.p, name.p, name.len) == 0)
			return true;
	}
	return false;
}

static bool is_for_server(struct span fields, struct span name)
{
	static const char *const never[] = {
		"Connection",
		"Proxy-Connection",
		"Keep-Alive",
		"Host",
		"Proxy-Authorization",
		"Proxy-Authenticate",
		"TE",
		"Upgrade",
	};

	/* Where the body ends is not to be hidden by naming these. */
	if (is(name, "Content-Length") || is(name, "Transfer-Encoding"))
		return true;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (is(name, never[i]))
			return false;
	return !is_named(fields, name);
}

size_t http_build_request(uint8_t *out, const uint8_t *head, size_t head_len)
{
	struct span rest = {(const char *)head, head_len};
	struct span first = {.len = 0}, authority, path;
	struct line line = {.target.p = ""};
	struct field f = {.name.len = 0};
	size_t at = 0;

	if (!next_line(&rest, &first) ||
	    split_request_line(first, &line, NULL) < 0)
		return 0;
	split_url(line.target, &authority, &path);
	put(out, &at, line.method);
	put_text(out, &at, " ");
	if (path.len == 0 && is(line.method, "OPTIONS"))
		put_text(out, &at, "*");
	else if (path.len == 0 || path.p[0] != '/')
		put_text(out, &at, "/");
	put(out, &at, path);
	put_text(out, &at, " ");
	put(out, &at, line.version);
	put_text(out, &at, "\r\nHost: ");
	put(out, &at, authority);
	put_text(out, &at, "\r\n");
	for (struct span fields = rest; next_field(&rest, &f);) {
		if (!is_for_server(fields, f.name))
			continue;
		put(out, &at, f.name);
		put_text(out, &at, ": ");
		put(out, &at, f.value);
		put_text(out, &at, "\r\n");
	}
	put_text(out, &at, "Connection: close\r\n\r\n");
	return at;
}

/* ---- answers ---- */

size_t http_build_connected(uint8_t *out)
{
	size_t at = 0;

	put_text(out, &at, "HTTP/1.1 200 Connection established\r\n\r\n");
	return at;
}

static const char *phrase(enum http_status status)
{
	switch (status) {
	case HTTP_OK:
		return "OK";
	case HTTP_BAD_REQUEST:
		return "Bad Request";
	case HTTP_FORBIDDEN:
		return "Forbidden";
	case HTTP_REQUEST_TIMEOUT:
		return "Request Timeout";
	case HTTP_HEAD_TOO_LONG:
		return "Request Header Fields Too Large";
	case HTTP_NOT_IMPLEMENTED:
		return "Not Implemented";
	case HTTP_BAD_GATEWAY:
		return "Bad Gateway";
	case HTTP_UNAVAILABLE:
		return "Service Unavailable";
	case HTTP_GATEWAY_TIMEOUT:
		return "Gateway Timeout";
	case HTTP_BAD_VERSION:
		return "HTTP Version Not Supported";
	}
	return "Error";
}

size_t http_build_error(uint8_t *out, enum http_status status, const char *text)
{
	struct err body;

	(void)err_set(&body, 0, "ecssh: %s", text);
	int n = snprintf((char *)out, HTTP_ERROR_MAX,
			 "HTTP/1.1 %d %s\r\n"
			 "Content-Type: text/plain; charset=utf-8\r\n"
			 "Content-Length: %zu\r\n"
			 "Connection: close\r\n"
			 "\r\n"
			 "%s\n",
			 (int)status, phrase(status), strlen(body.text) + 1,
			 body.text);

	return (size_t)n;
}
