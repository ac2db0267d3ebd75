/* SPDX-License-Identifier: MIT */
/* test_host_routes: src/far/host_routes_linux.c, on tables as the kernel writes
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host_routes.h"

/* A file with this text; its name is for the caller to unlink. */
static void write_file(char path[32], const char *text)
{
	(void)snprintf(path, 32, "/tmp/ecssh-routes-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static void read_tables(const char *route, const char *ipv6_route,
			struct frame_routes *ret)
{
	char a[32], b[32];

	write_file(a, route);
	write_file(b, ipv6_route);
	host_routes_read_files(a, b, ret);
	(void)unlink(a);
	(void)unlink(b);
}

static void expect(const struct frame_routes *routes, const char *wanted)
{
	char got[1024] = "", text[SUBNET_TEXT_MAX];
	size_t at = 0;

	for (size_t i = 0; i < routes->n && at < sizeof(got); i++)
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%s",
				       i ? " " : "",
				       subnet_format(&routes->nets[i], text));
	assert_string_equal(got, wanted);
}

/* A line of /proc/net/route; the kernel prints what is in memory as a number.
 */
static void line4(char *out, size_t cap, const char *dst, unsigned flags,
		  const char *mask)
{
	struct ip_addr d, m;
	uint32_t dst_number, mask_number;

	assert_int_equal(addr_parse(dst, &d), 0);
	assert_int_equal(addr_parse(mask, &m), 0);
	memcpy(&dst_number, d.bytes, 4);
	memcpy(&mask_number, m.bytes, 4);
	(void)snprintf(out + strlen(out), cap - strlen(out),
		       "eth0\t%08X\t0100000A\t%04X\t0\t0\t100\t%08X\t0\t0\t0"
		       "           \n",
		       dst_number, flags, mask_number);
}

static void host_routes_reads_ipv4(void **state)
{
	char table[2048] = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\t"
			   "Metric\tMask\t\tMTU\tWindow\tIRTT\n";
	struct frame_routes routes;

	(void)state;
	line4(table, sizeof(table), "0.0.0.0", 3, "0.0.0.0");
	line4(table, sizeof(table), "10.77.0.0", 1, "255.255.255.0");
	line4(table, sizeof(table), "10.77.0.0", 1, "255.255.255.0");
	line4(table, sizeof(table), "10.0.0.0", 3, "255.0.0.0");
	line4(table, sizeof(table), "10.66.0.0", 0x200, "255.255.0.0");
	line4(table, sizeof(table), "10.65.0.0", 0x201, "255.255.0.0");
	line4(table, sizeof(table), "0.0.0.0", 3, "128.0.0.0");
	line4(table, sizeof(table), "169.254.0.0", 1, "255.255.0.0");
	line4(table, sizeof(table), "192.0.2.7", 5, "255.255.255.255");
	read_tables(table, "", &routes);
	expect(&routes, "10.77.0.0/24 10.0.0.0/8 0.0.0.0/1 192.0.2.7/32");
	assert_int_equal(routes.n_more, 0);
}

/* A line of /proc/net/ipv6_route. */
static void line6(char *out, size_t cap, const char *dst, unsigned prefix_len,
		  unsigned flags)
{
	static const char zero[] = "00000000000000000000000000000000";
	struct ip_addr d;

	assert_int_equal(addr_parse(dst, &d), 0);
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(out + strlen(out), cap - strlen(out), "%02x",
			       d.bytes[i]);
	(void)snprintf(out + strlen(out), cap - strlen(out),
		       " %02x %s 00 %s 00000100 00000001 00000000 %08x     "
		       "eth0\n",
		       prefix_len, zero, zero, flags);
}

static void host_routes_reads_ipv6(void **state)
{
	char table[4096] = "";
	struct frame_routes routes;

	(void)state;
	line6(table, sizeof(table), "fd77::", 64, 0x1);
	line6(table, sizeof(table), "fd78::", 64, 0x3);
	line6(table, sizeof(table), "fe80::", 64, 0x1);
	line6(table, sizeof(table), "::", 0, 0x3);
	line6(table, sizeof(table), "::", 0, 0x200200);
	line6(table, sizeof(table), "::1", 128, 0x80200001);
	line6(table, sizeof(table), "fd77::", 128, 0x100001);
	line6(table, sizeof(table), "fd77::1", 128, 0x80200001);
	line6(table, sizeof(table), "fd79::", 64, 0x201);
	line6(table, sizeof(table), "ff00::", 8, 0x1);
	read_tables("", table, &routes);
	expect(&routes, "fd77::/64 fd78::/64");
}

static void host_routes_survives_what_is_no_table(void **state)
{
	static const char *const texts[] = {
		"",
		"\n\n\n",
		"eth0 zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n",
		"ffffffffffffffffffffffffffffffffffffffffffffffffff\n",
		"eth0\t0000000A\t00000000\t0001\t0\t0\t0\t\n",
		"fd770000000000000000000000000000 ff 0 00 0 0 0 0 00000001\n",
	};
	struct frame_routes routes;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		read_tables(texts[i], texts[i], &routes);
		assert_int_equal(routes.n, 0);
	}
	host_routes_read_files("/nonexistent", "/nonexistent", &routes);
	assert_int_equal(routes.n, 0);
}

static void host_routes_counts_what_does_not_fit(void **state)
{
	static char table[256 * 128];
	struct frame_routes routes;

	(void)state;
	table[0] = '\0';
	for (int i = 0; i < 200; i++) {
		char dst[32];

		(void)snprintf(dst, sizeof(dst), "10.1.%d.0", i);
		line4(table, sizeof(table), dst, 1, "255.255.255.0");
	}
	read_tables(table, "", &routes);
	assert_int_equal(routes.n, FRAME_ROUTES_MAX);
	assert_int_equal(routes.n_more, 200 - FRAME_ROUTES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_routes_reads_ipv4),
		cmocka_unit_test(host_routes_reads_ipv6),
		cmocka_unit_test(host_routes_survives_what_is_no_table),
		cmocka_unit_test(host_routes_counts_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
