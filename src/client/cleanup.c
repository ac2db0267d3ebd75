/* SPDX-License-Identifier: MIT */
/* cleanup: see cleanup.h. */
#include "cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "ctl_client.h"
#include "escape.h"
#include "kill_notes.h"
#include "log.h"
#include "own_broker.h"

enum { FAILURES_MAX = 1000 }; /* more than there can be records */

/* Returns how many could not be taken back. */
static unsigned clean(struct broker_client *broker, unsigned *ret_n)
{
	struct err said;
	unsigned n = 0, n_failed = 0;

	while (n_failed < FAILURES_MAX) {
		int r = broker_client_cleanup(broker, &said);

		if (r == -ENOENT || r == -EOPNOTSUPP)
			break;
		if (r == 0) {
			log_notice("taken back what a killed tunnel had left: "
				   "%s",
				   said.text);
			n++;
			continue;
		}
		log_warn("%s", said.text);
		n_failed++;
		if (r == -EPIPE || r == -ETIMEDOUT)
			break;
	}
	*ret_n = n;
	return n_failed;
}

unsigned cleanup_all(struct broker_client *broker)
{
	unsigned n;

	(void)clean(broker, &n);
	kill_notes_refresh(broker);
	return n;
}

void cleanup_refresh_notes(void)
{
	struct broker_client *broker = NULL;
	struct killnote note;
	struct err why;

	if (geteuid() != 0 || kill_notes_load(&note, 1) == 0 ||
	    own_broker_start(&broker, BROKER_VIA_DIRECT, &why) < 0)
		return;
	kill_notes_refresh(broker);
	(void)broker_client_stop(broker, NULL);
}

static void on_socket_removed(const char *path)
{
	char shown[4 * CTL_PATH_MAX];

	(void)escape_text(path, strlen(path), shown, sizeof(shown));
	log_notice("taken back what a killed tunnel had left: %s", shown);
}

int cleanup_run(void)
{
	struct broker_client *broker = NULL;
	struct err err;
	unsigned n = 0;
	size_t n_sockets = ctl_client_tidy(on_socket_removed);
	int r = own_broker_start(&broker, BROKER_VIA_AUTO, &err);

	if (r < 0) {
		log_err("%s", err.text);
		return r == -EPERM || r == -EACCES ? CLIENT_EXIT_PRIVILEGE
						   : CLIENT_EXIT_RUNTIME;
	}
	unsigned n_failed = clean(broker, &n);

	kill_notes_refresh(broker);
	(void)broker_client_stop(broker, NULL);
	if (n == 0 && n_sockets == 0 && n_failed == 0)
		log_notice("nothing to clean up");
	return n_failed == 0 ? CLIENT_EXIT_OK : CLIENT_EXIT_RUNTIME;
}
