/* SPDX-License-Identifier: MIT */
/*
 * fuzz_up_opts: the values of the options of "ecssh up".
 *
 * Input: lines; the first byte of each says which option, the rest is its
 * value. What is refused is refused in a sentence that can be printed; what is
 * taken leaves a configuration within its limits.
 */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fuzz.h"
#include "log.h"
#include "up_opts.h"

enum { LINES_MAX = 32 };

static const struct option_entry *option_of(uint8_t which)
{
	size_t n = 1;

	while (up_opts[n].help)
		n++;
	return &up_opts[which % n];
}

static void check_err(const struct err *err)
{
	assert_always(err->text[0] != '\0');
	assert_always(memchr(err->text, '\0', sizeof(err->text)));
	for (const char *p = err->text; *p; p++)
		assert_always((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_subnets(const struct subnet *s, size_t n)
{
	assert_always(n <= CLIENT_SUBNETS_MAX);
	for (size_t i = 0; i < n; i++)
		assert_always(s[i].prefix_len <= addr_len_bits(&s[i].addr));
}

static void check_config(const struct client_config *config)
{
	check_subnets(config->subnets, config->n_subnets);
	check_subnets(config->excludes, config->n_excludes);
	check_subnets(config->announced, config->n_announced);
	assert_always(config->name[0] == '\0' ||
		      ctl_name_is_valid(config->name));
	assert_always(config->mtu_bytes >= 576 && config->mtu_bytes <= 65535);
	assert_always(config->channels >= -1 && config->channels <= 8);
	assert_always(config->connections >= 1 && config->connections <= 8);
	assert_always(config->n_doors <= PROXY_DOORS_MAX);
	assert_always(config->n_forwards <= CLIENT_FORWARDS_MAX);
	assert_always(!config->script || config->script[0] == '/');
}

/* The option of this line; its value may be written to, as argv may. */
static void apply(struct client_config *config, uint8_t which, char *value)
{
	const struct option_entry *o = option_of(which);
	struct err err = {.text = ""};

	if (o->apply(config, o, o->arg ? value : NULL, &err) < 0)
		check_err(&err);
	check_config(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_config config = {
		.mtu_bytes = CLIENT_MTU_DEFAULT,
		.channels = -1,
		.connections = 1,
	};
	/* ssh's options are borrowed: each value lives on. */
	char *values[LINES_MAX];
	int n = 0;

	log_init("", LOG_LEVEL_ERR);
	while (size > 0 && n < LINES_MAX) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t len = newline ? (size_t)(newline - data) : size;

		values[n] = strndup(len ? (const char *)data + 1 : "",
				    len ? len - 1 : 0);
		assert_always(values[n]);
		apply(&config, len ? data[0] : 0, values[n++]);
		data += len + (newline != NULL);
		size -= len + (newline != NULL);
	}
	free(config.subnets);
	free(config.excludes);
	free(config.announced);
	free(config.script);
	while (n > 0)
		free(values[--n]);
	return 0;
}
