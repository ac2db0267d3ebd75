/* SPDX-License-Identifier: MIT */
/* dns_routes: which addresses of which answers are routed, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dns_msg.h"
#include "dns_routes.h"

enum { SEC = 1000000, MANY = 4096 };

struct fixture {
	struct loop *loop;
	struct dns_domain domains[2];
	struct dns_routes *routes;
	struct ip_addr added[MANY], deleted[MANY];
	unsigned n_added, n_deleted, n_tried;
	int status; /* of add */
	bool is_used;
};

static int on_add(void *ctx, const struct ip_addr *a)
{
	struct fixture *x = ctx;

	x->n_tried++;
	if (x->status == 0)
		x->added[x->n_added++] = *a;
	return x->status;
}

static void on_del(void *ctx, const struct ip_addr *a)
{
	struct fixture *x = ctx;

	x->deleted[x->n_deleted++] = *a;
}

static bool on_is_used(void *ctx, const struct ip_addr *a)
{
	struct fixture *x = ctx;

	(void)a;
	return x->is_used;
}

static const struct dns_routes_ops ops = {
	.add = on_add,
	.del = on_del,
	.is_used = on_is_used,
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct err err;

	assert_non_null(x);
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_int_equal(
		dns_domain_parse("*.corp.example", &x->domains[0], &err), 0);
	assert_int_equal(dns_domain_parse("other.test", &x->domains[1], &err),
			 0);
	x->routes = dns_routes_new(x->loop, x->domains, 2, &ops, x);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	x->routes = dns_routes_free(x->routes);
	loop_free(x->loop);
	free(x);
	return 0;
}

/* ---- answers ---- */

struct message {
	uint8_t bytes[4000];
	size_t len;
};

static void begin(struct message *m, const char *name)
{
	int n = dns_build_query(m->bytes, 1, name, DNS_A);

	assert_true(n > 0);
	m->len = (size_t)n;
	bytes_put_u16(m->bytes + 2, DNS_FLAG_QR);
}

static size_t put_name(uint8_t *out, const char *name)
{
	uint8_t query[DNS_QUERY_MAX];
	size_t n = (size_t)dns_build_query(query, 1, name, DNS_A) -
		   DNS_HEADER_LEN - 4;

	memcpy(out, query + DNS_HEADER_LEN, n);
	return n;
}

static void put_record(struct message *m, const char *owner, uint16_t type,
		       uint32_t ttl_s, const void *data, size_t len)
{
	uint8_t *out = m->bytes + m->len;
	size_t n = put_name(out, owner);

	bytes_put_u16(out + n, type);
	bytes_put_u16(out + n + 2, DNS_CLASS_IN);
	bytes_put_u32(out + n + 4, ttl_s);
	bytes_put_u16(out + n + 8, (uint16_t)len);
	memcpy(out + n + 10, data, len);
	m->len += n + 10 + len;
	bytes_put_u16(m->bytes + 6,
		      (uint16_t)(bytes_get_u16(m->bytes + 6) + 1));
}

static void put_a(struct message *m, const char *owner, uint32_t ttl_s,
		  const char *addr)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(addr, &a), 0);
	put_record(m, owner, a.version == IPV4 ? DNS_A : DNS_AAAA, ttl_s,
		   a.bytes, addr_len_bytes(&a));
}

static void put_alias(struct message *m, const char *owner, const char *target)
{
	uint8_t name[DNS_NAME_MAX];

	put_record(m, owner, DNS_CNAME, 60, name, put_name(name, target));
}

static void tell(struct fixture *x, const struct message *m)
{
	struct dns_msg parsed;

	assert_int_equal(dns_parse(m->bytes, m->len, &parsed), 0);
	dns_routes_on_answer(x->routes, &parsed);
}

static void tell_a(struct fixture *x, const char *name, const char *addr,
		   uint32_t ttl_s)
{
	struct message m;

	begin(&m, name);
	put_a(&m, name, ttl_s, addr);
	tell(x, &m);
}

static bool was_added(const struct fixture *x, const char *addr)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(addr, &a), 0);
	for (unsigned i = 0; i < x->n_added; i++)
		if (addr_equal(&x->added[i], &a))
			return true;
	return false;
}

static uint32_t n_now(const struct fixture *x)
{
	return dns_routes_stats(x->routes).n;
}

/* Priority 1 and a target, "" for the owner's name, and parameters. */
static void put_service(struct message *m, const char *owner, uint16_t type,
			const char *params, size_t len)
{
	uint8_t data[200] = {0, 1, 3, 's', 'v', 'c', 0};

	memcpy(data + 7, params, len);
	put_record(m, owner, type, 60, data, 7 + len);
}

#define PUT_SERVICE(m, owner, type, params) \
	put_service(m, owner, type, params, sizeof(params) - 1)

/* ---- which ---- */

static void hints_are_routed(void **state)
{
	struct fixture *x = *state;
	struct message m;

	begin(&m, "a.corp.example");
	put_alias(&m, "a.corp.example", "b.test");
	/* alpn=h2, ipv4hint of two, ipv6hint */
	PUT_SERVICE(&m, "b.test", DNS_HTTPS,
		    "\0\1\0\3\2h2"
		    "\0\4\0\x8\x0a\0\0\1\x0a\0\0\2"
		    "\0\6\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3");
	/* Of another name; too long; an alias (RFC 9460 section 2.4.2). */
	PUT_SERVICE(&m, "c.test", DNS_HTTPS, "\0\4\0\4\x0a\0\0\x9");
	PUT_SERVICE(&m, "b.test", DNS_SVCB, "\0\4\0\4\x0a\0\0\4\0\6\0\x11\xfd");
	put_record(&m, "b.test", DNS_HTTPS, 60, "\0\0\3svc", 7);
	put_record(&m, "b.test", DNS_HTTPS, 60, "\0\1\3sv", 5);
	put_record(&m, "b.test", DNS_HTTPS, 60, "\0", 1);
	put_record(&m, "b.test", DNS_HTTPS, 60, "\0\1\xc0\x0c\0\4\0\4abcd", 12);
	tell(x, &m);
	assert_int_equal(n_now(x), 4);
	assert_true(was_added(x, "10.0.0.1") && was_added(x, "10.0.0.2"));
	assert_true(was_added(x, "fd00::3") && was_added(x, "10.0.0.4"));
	begin(&m, "b.test");
	PUT_SERVICE(&m, "b.test", DNS_HTTPS, "\0\4\0\4\x0a\0\0\5");
	tell(x, &m);
	assert_int_equal(n_now(x), 4);
}

static void names_of_the_domains_are_routed(void **state)
{
	struct fixture *x = *state;

	tell_a(x, "Host.Corp.Example", "10.1.2.3", 60);
	tell_a(x, "other.test", "2001:db8::1", 60);
	assert_true(was_added(x, "10.1.2.3"));
	assert_true(was_added(x, "2001:db8::1"));
	tell_a(x, "corp.example", "10.1.2.4", 60);
	tell_a(x, "corp.example.org", "10.1.2.5", 60);
	tell_a(x, "xcorp.example", "10.1.2.6", 60);
	assert_int_equal(x->n_added, 2);
	tell_a(x, "host.corp.example", "10.1.2.3", 60);
	assert_int_equal(x->n_added, 2);
}

static void aliases_are_followed(void **state)
{
	struct fixture *x = *state;
	struct message m;

	/* Out of the domain, in an order that is nobody's. */
	begin(&m, "www.corp.example");
	put_a(&m, "edge.cdn.test", 60, "192.0.2.1");
	put_alias(&m, "b.cdn.test", "edge.cdn.test");
	put_alias(&m, "www.corp.example", "b.cdn.test");
	put_a(&m, "edge.cdn.test", 60, "192.0.2.2");
	put_a(&m, "unasked.cdn.test", 60, "192.0.2.3");
	tell(x, &m);
	assert_int_equal(x->n_added, 2);
	assert_true(was_added(x, "192.0.2.1") && was_added(x, "192.0.2.2"));

	/* Into it. */
	begin(&m, "short.test");
	put_alias(&m, "short.test", "host.corp.example");
	put_a(&m, "host.corp.example", 60, "192.0.2.4");
	tell(x, &m);
	assert_true(was_added(x, "192.0.2.4"));
	assert_int_equal(x->n_added, 3);
}

static void aliases_in_a_circle_end(void **state)
{
	struct fixture *x = *state;
	struct message m;

	begin(&m, "a.corp.example");
	put_alias(&m, "a.corp.example", "b.corp.example");
	put_alias(&m, "b.corp.example", "a.corp.example");
	tell(x, &m);
	assert_int_equal(x->n_added, 0);
}

static void odd_records_are_passed_over(void **state)
{
	struct fixture *x = *state;
	struct message m;

	begin(&m, "a.corp.example");
	put_record(&m, "a.corp.example", DNS_A, 60, "\1\2\3", 3);
	put_record(&m, "a.corp.example", DNS_AAAA, 60, "\1\2\3\4", 4);
	put_record(&m, "a.corp.example", 16, 60, "\1\2\3\4", 4);
	put_record(&m, "a.corp.example", DNS_CNAME, 60, "\300\377", 2);
	tell(x, &m);
	assert_int_equal(x->n_tried, 0);
}

static void one_answer_has_a_limit(void **state)
{
	struct fixture *x = *state;
	struct message m;
	uint8_t a[4] = {10, 0, 0, 0};

	begin(&m, "a.corp.example");
	for (int i = 0; i < 100; i++) {
		a[3] = (uint8_t)i;
		put_record(&m, "a.corp.example", DNS_A, 60, a, 4);
	}
	tell(x, &m);
	assert_int_equal(x->n_added, DNS_ROUTES_ANSWER_MAX);
}

static void what_cannot_be_is_counted(void **state)
{
	struct fixture *x = *state;

	x->status = -EACCES;
	tell_a(x, "a.corp.example", "127.0.0.1", 60);
	x->status = -EEXIST;
	tell_a(x, "a.corp.example", "10.0.0.1", 60);
	x->status = -EPIPE;
	tell_a(x, "a.corp.example", "10.0.0.2", 60);
	x->status = 1;
	tell_a(x, "a.corp.example", "10.0.0.3", 60);
	struct dns_routes_stats stats = dns_routes_stats(x->routes);

	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.conflicts, 1);
	assert_int_equal(stats.failed, 1);
	assert_int_equal(stats.added, 0);
	assert_int_equal(stats.n, 0);
	/* It may be possible later. */
	x->status = 0;
	tell_a(x, "a.corp.example", "10.0.0.1", 60);
	assert_int_equal(n_now(x), 1);
}

/* ---- until when ---- */

static void routes_expire(void **state)
{
	struct fixture *x = *state;

	tell_a(x, "a.corp.example", "10.0.0.1", 1);
	tell_a(x, "b.corp.example", "10.0.0.2", 3000);
	loop_advance_us(x->loop, (DNS_ROUTES_MIN_S - 1) * (uint64_t)SEC);
	assert_int_equal(n_now(x), 2);
	loop_advance_us(x->loop, 2 * (uint64_t)DNS_ROUTES_LOOK_US);
	assert_int_equal(n_now(x), 1);
	assert_int_equal(x->n_deleted, 1);
	assert_int_equal(x->deleted[0].bytes[3], 1);
	/* What is told again stays. */
	tell_a(x, "b.corp.example", "10.0.0.2", 3000);
	loop_advance_us(x->loop, 2900 * (uint64_t)SEC);
	assert_int_equal(n_now(x), 1);
	loop_advance_us(x->loop, 3100 * (uint64_t)SEC);
	assert_int_equal(n_now(x), 0);
	assert_int_equal(loop_next_timer_us(x->loop), UINT64_MAX);
}

static void who_is_talked_to_stays(void **state)
{
	struct fixture *x = *state;

	x->is_used = true;
	tell_a(x, "a.corp.example", "10.0.0.1", 1);
	loop_advance_us(x->loop, 5000 * (uint64_t)SEC);
	assert_int_equal(n_now(x), 1);
	x->is_used = false;
	loop_advance_us(x->loop, 2 * DNS_ROUTES_MIN_S * (uint64_t)SEC);
	assert_int_equal(n_now(x), 0);
}

static void the_one_not_told_for_longest_goes(void **state)
{
	struct fixture *x = *state;
	struct message m;

	for (unsigned i = 0; i < DNS_ROUTES_MAX; i++) {
		uint8_t a[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};

		begin(&m, "a.corp.example");
		put_record(&m, "a.corp.example", DNS_A, 60, a, 4);
		tell(x, &m);
	}
	tell_a(x, "a.corp.example", "10.0.0.0", 60);
	tell_a(x, "a.corp.example", "10.9.9.9", 60);
	assert_int_equal(n_now(x), DNS_ROUTES_MAX);
	assert_int_equal(x->n_deleted, 1);
	assert_int_equal(x->deleted[0].bytes[3], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_of_the_domains_are_routed),
		TEST(hints_are_routed),
		TEST(aliases_are_followed),
		TEST(aliases_in_a_circle_end),
		TEST(odd_records_are_passed_over),
		TEST(one_answer_has_a_limit),
		TEST(what_cannot_be_is_counted),
		TEST(routes_expire),
		TEST(who_is_talked_to_stays),
		TEST(the_one_not_told_for_longest_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
