/* SPDX-License-Identifier: MIT */
/* sig: signals as events of the loop. */
#include "sig.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fd.h"

static void on_event(void *ctx, uint32_t events)
{
	struct sig *s = ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(s->io.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->on_signal(s->ctx, (int)info.ssi_signo);
}

int sig_open(struct loop *loop, struct sig *s)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGQUIT);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->io = (struct loop_io){
		.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
		.on_event = on_event,
		.ctx = s,
	};
	if (s->io.fd < 0)
		return -errno;
	s->loop = loop;
	return loop_io_add(loop, &s->io, EPOLLIN);
}

void sig_close(struct sig *s)
{
	if (!s->loop)
		return;
	loop_io_del(s->loop, &s->io);
	fd_close(&s->io.fd);
	s->loop = NULL;
}
