/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for registries: our own file, and what Docker has. Links with libc alone.
 *
 * `msb registry login` writes $MSB_HOME/registry.json, which only its owner may read; no desktop
 * keyring is needed. What is not there is looked up where `docker login` and `podman login` leave
 * it: ~/.docker/config.json ($DOCKER_CONFIG) with its credential helpers, which get the name of
 * the registry on their standard input and answer on their standard output. A secret never stands
 * on a command line or in an environment.
 *
 * Hosts are the names of image references: docker.io, ghcr.io, localhost:5000.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { CREDS_FIELD_MAX = 64 * 1024 };

enum creds_source { CREDS_NONE, CREDS_REQUEST, CREDS_OWN, CREDS_DOCKER_FILE, CREDS_DOCKER_HELPER };

struct creds {
	char *username; /* owned; NULL with an identity token */
	char *secret; /* owned; password, or the token */
	bool identity_token; /* to be exchanged at the registry's token server (OAuth 2) */
	enum creds_source source;
};

/** creds_deinit - wipes and frees; leaves "no credentials" */
void creds_deinit(struct creds *c);

/**
 * creds_get - credentials for @host
 * @ret: creds_deinit(); .source is CREDS_NONE when there are none, which is no failure
 *
 * May start a credential helper and wait for it.
 */
int creds_get(const char *home, const char *host, struct creds *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** creds_set - keep @username and @secret for @host in our file */
int creds_set(const char *home, const char *host, const char *username, const char *secret,
	struct msb_err *err) MSB_MUST_CHECK;

/** creds_remove - forget @host; -ENOENT when our file does not have it */
int creds_remove(const char *home, const char *host, struct msb_err *err) MSB_MUST_CHECK;

/**
 * creds_each - call @fn for every host we could log in to, ours first
 * @fn: @username is NULL where only a helper knows it; a negative result ends the walk
 */
int creds_each(const char *home,
	int (*fn)(void *arg, const char *host, const char *username, enum creds_source source),
	void *arg, struct msb_err *err) MSB_MUST_CHECK;
