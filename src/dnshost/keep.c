/* SPDX-License-Identifier: MIT */
/* keep: what points this host's resolver at the tunnel stays in place. */
#include "keep.h"

#include <string.h>

#include "log.h"

static void arm(struct keep *k, const struct dnshost *d)
{
	int r = conf_watch_arm(&k->watch, d->host.etc);

	if (r < 0)
		log_warn("names will be asked for elsewhere if somebody "
			 "changes %s/resolv.conf, which cannot be watched: %s",
			 d->host.etc, strerror(-r));
}

void keep_start(struct keep *k, struct dnshost *d)
{
	*k = (struct keep)KEEP_NONE;
	if (!dnshost_can_renew(d))
		return;
	arm(k, d);
	/* Since it was set it may have been changed already. */
	k->due_us = clock_mono_us();
}

void keep_stop(struct keep *k)
{
	conf_watch_disarm(&k->watch);
	k->due_us = 0;
}

int keep_timeout_ms(const struct keep *k, mono_us_t now_us)
{
	if (!k->due_us)
		return -1;
	return k->due_us <= now_us
		       ? 0
		       : (int)((k->due_us - now_us) / US_PER_MS) + 1;
}

/* False: enough for this period, whose end is due then. */
static bool may_renew(struct keep *k, const struct dnshost *d, mono_us_t now_us)
{
	if (!k->n_renewed || now_us - k->began_us >= KEEP_PERIOD_US) {
		k->began_us = now_us;
		k->n_renewed = 0;
	}
	if (k->n_renewed < KEEP_RENEWED_MAX)
		return true;
	k->due_us = k->began_us + KEEP_PERIOD_US;
	log_warn("somebody else changes %s/resolv.conf again and again: it is "
		 "left as it is for up to a minute, and names are asked for "
		 "there",
		 d->host.etc);
	return false;
}

/* True: look once more, for it was changed. */
static bool renew(struct keep *k, struct dnshost *d, mono_us_t now_us)
{
	struct err err;
	bool is_ours = dnshost_is_ours(d);

	if (is_ours || !may_renew(k, d, now_us))
		return false;
	k->n_renewed++;
	if (dnshost_renew(d, &err) < 0) {
		log_warn("names are not asked for in the tunnel any more: %s",
			 err.text);
		return false;
	}
	log_warn("%s/resolv.conf was changed by somebody else: names go on "
		 "being asked for in the tunnel%s",
		 d->host.etc,
		 d->record->way == DNS_WAY_FILE
			 ? ", and theirs comes back at its end"
			 : ", for resolvconf was told so again");
	return true;
}

void keep_turn(struct keep *k, struct dnshost *d, mono_us_t now_us)
{
	if (k->watch.fd < 0)
		return;
	if (conf_watch_read(&k->watch) && !k->due_us)
		k->due_us = now_us + KEEP_SETTLE_US;
	if (!k->due_us || k->due_us > now_us)
		return;
	k->due_us = 0;
	do
		arm(k, d);
	while (renew(k, d, now_us));
}
