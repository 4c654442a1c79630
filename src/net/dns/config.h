/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user says about lookups, in the description of a sandbox, and what the forwarder is
 * started with.
 *
 * The description keeps the user's words: which name servers the host uses, and what address the
 * name of one has, is found out at every start.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"

#include "net/dns/forward.h"

struct dns_server {
	char host[DNS_NAME]; /* name or address without brackets */
	uint16_t port;
};

struct dns_settings {
	uint32_t n_servers; /* 0: those of the host */
	struct dns_server servers[DNS_SERVERS_MAX];
	uint32_t timeout_ms;
	bool rebind_protection;
};

/** dns_settings_init - the defaults: the host's name servers, 5 s, protected */
void dns_settings_init(struct dns_settings *s);

/** dns_settings_add - IP, IP:PORT, [IP]:PORT, HOST or HOST:PORT; -EINVAL, -E2BIG with a message */
int dns_settings_add(struct dns_settings *s, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** dns_settings_to_json - as member @key of the open object of @o */
void dns_settings_to_json(const struct dns_settings *s, struct json_out *o, const char *key);

/** dns_settings_from_json - strict; on failure @ret is as it was */
int dns_settings_from_json(const struct json *v, struct dns_settings *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * dns_settings_add_host - the name servers of the host: nameserver lines of a resolv.conf
 * @text: @len bytes; lines that make no sense are passed over, as every resolver does
 *
 * None at all mean, as everywhere, the one on this very machine.
 */
void dns_settings_add_host(struct dns_settings *s, const char *text, size_t len);

/**
 * dns_settings_apply - fill name servers, timeout and protection of @c
 *
 * Return: 0, or -EINVAL if a name server is known by its name only; the message says which.
 */
int dns_settings_apply(const struct dns_settings *s, struct dns_config *c, struct msb_err *err)
	MSB_MUST_CHECK;
