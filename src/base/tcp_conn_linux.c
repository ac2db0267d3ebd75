/* SPDX-License-Identifier: MIT */
/* tcp_conn: a TCP connection of the kernel's: how it fares, and how it sends.
 */
#include "tcp_conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const char bbr[] = "bbr";

int tcp_conn_cookie(int fd, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &len) < 0 ? -errno
								    : 0;
}

static int read_congestion(int fd, char name[TCP_CONN_NAME_MAX])
{
	socklen_t len = TCP_CONN_NAME_MAX;

	memset(name, 0, TCP_CONN_NAME_MAX);
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) < 0)
		return -errno;
	name[TCP_CONN_NAME_MAX - 1] = '\0';
	return 0;
}

int tcp_conn_read(int fd, struct tcp_conn *ret)
{
	struct tcp_conn t = {0};
	struct tcp_info info = {0}; /* an older kernel fills in less */
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int queued = 0, r;

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return -errno;
	r = endpoint_from_sockaddr((struct sockaddr *)&peer, &t.peer);
	if (r == 0)
		r = read_congestion(fd, t.congestion);
	if (r < 0)
		return r;
	len = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    ioctl(fd, SIOCOUTQ, &queued) < 0)
		return -errno;
	t.rtt_us = info.tcpi_rtt;
	/* All ones: there was none yet. */
	t.rtt_min_us = info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt;
	t.cwnd = info.tcpi_snd_cwnd;
	t.unacked = info.tcpi_unacked;
	t.segments = info.tcpi_data_segs_out;
	t.retransmits = info.tcpi_total_retrans;
	t.duplicates = info.tcpi_dsack_dups;
	t.queued_bytes = (uint32_t)queued;
	t.notsent_bytes = info.tcpi_notsent_bytes;
	t.delivery_rate_byte_s = info.tcpi_delivery_rate;
	*ret = t;
	return 0;
}

bool tcp_conn_is_default(const char *congestion)
{
	return strcmp(congestion, "cubic") == 0 ||
	       strcmp(congestion, "reno") == 0;
}

int tcp_conn_use_bbr(int fd, char name[TCP_CONN_NAME_MAX], struct err *err)
{
	int r = read_congestion(fd, name);

	if (r < 0)
		return err_set(err, r, "cannot read how it sends: %s",
			       strerror(-r));
	if (!tcp_conn_is_default(name))
		return 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, bbr, sizeof(bbr) - 1) ==
	    0)
		return read_congestion(fd, name);
	if (errno == EPERM)
		return err_set(err, -EPERM,
			       "bbr is not for ordinary users there "
			       "(net.ipv4.tcp_allowed_congestion_control)");
	if (errno == ENOENT)
		return err_set(err, -ENOENT,
			       "the kernel has no bbr, or has not loaded it "
			       "(modprobe tcp_bbr)");
	return err_set(err, -errno, "bbr cannot be set: %s", strerror(errno));
}
