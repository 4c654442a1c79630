/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intercepted flows: between a guest, to whom msb-tls is the server, and the server, to whom it is
 * the client.
 */
#pragma once

#include "base/loop.h"

#include "net/events.h"
#include "net/intercept/config.h"
#include "net/intercept/upstream.h"
#include "net/intercept/wire.h"
#include "net/secrets/secret.h"
#include "tls/conn.h"

struct session;

struct intercept {
	struct loop *loop;
	struct net_events *events;
	struct tls_ca *ca;
	struct tls_server *server;
	struct upstream upstream;
	struct secrets *secrets; /* NULL: none */
	size_t kept; /* bytes of bodies that wait for values */
	struct session *sessions;
};

/** intercept_init - reads the files that @c names, and the values of its secrets from @secrets_fd;
 * @loop and @events must outlive it */
int intercept_init(struct intercept *in, struct loop *loop, struct net_events *events,
	const struct intercept_config *c, int secrets_fd, struct msb_err *err) MSB_MUST_CHECK;

/** intercept_secrets - other secrets, for connections from now on; @text is JSON, @fd borrowed */
int intercept_secrets(struct intercept *in, const void *text, size_t len, int fd,
	struct msb_err *err) MSB_MUST_CHECK;

/** intercept_deinit - ends every flow */
void intercept_deinit(struct intercept *in);

/** intercept_take - @guest and @server are owned from here on, also on failure; a failure ends
 * the flow and is told */
void intercept_take(struct intercept *in, const struct intercept_flow *flow, int guest, int server);
