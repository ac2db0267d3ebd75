/* SPDX-License-Identifier: MIT */
/*
 * fakeresolved: a systemd-resolved that behaves as it is told to, on the system
 * bus, and prints each call.
 *
 * usage: fakeresolved good|refuse|hang|old
 *
 * refuse: an error with a text that wants escaping.  hang: no answer at all.
 * old: knows none of what came after its first years.
 */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

static int on_message(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	static const char *const late[] = {"SetLinkDefaultRoute",
					   "SetLinkDNSOverTLS"};
	const char *mode = ctx, *member = sd_bus_message_get_member(m);
	int ifindex = 0;

	(void)error;
	if (!sd_bus_message_is_method_call(
		    m, "org.freedesktop.resolve1.Manager", NULL))
		return 0;
	if (sd_bus_message_has_signature(m, "") <= 0)
		(void)sd_bus_message_read(m, "i", &ifindex);
	(void)printf("%s %d\n", member, ifindex);
	(void)fflush(stdout);
	if (strcmp(mode, "hang") == 0)
		return 1;
	if (strcmp(mode, "refuse") == 0)
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED,
						  "not \033[31m you");
	for (size_t i = 0; i < 2; i++)
		if (strcmp(mode, "old") == 0 && strcmp(member, late[i]) == 0)
			return sd_bus_reply_method_errorf(
				m, SD_BUS_ERROR_UNKNOWN_METHOD, "what is %s?",
				member);
	return sd_bus_reply_method_return(m, "");
}

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;

	if (argc != 2 || sd_bus_open_system(&bus) < 0 ||
	    sd_bus_add_filter(bus, NULL, on_message, argv[1]) < 0 ||
	    sd_bus_request_name(bus, "org.freedesktop.resolve1", 0) < 0)
		return 1;
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		int r = sd_bus_process(bus, NULL);

		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
		if (r < 0)
			return 1;
	}
}
