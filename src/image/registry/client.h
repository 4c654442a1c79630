/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One repository at one registry: manifests and blobs by the OCI distribution API, version 2.
 *
 * A `struct client` is shared by all threads: it knows the place (scheme, host, prefix), the
 * credentials and the token. A `struct client_conn` belongs to one thread and holds its
 * connections, those to the registry and those to places the registry sends us to apart.
 *
 * Plain HTTP is spoken only to hosts that the user named insecure, and to this machine when the
 * port there does not speak TLS; never because a server asks for it. Redirects are followed by
 * hand: at most CLIENT_REDIRECTS_MAX, not to less security, not nearer to us than the registry
 * (net.h), and credentials stay with the origin they are for.
 *
 * Nothing here tries again: an attempt ends in a word that says whether that would help.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/ref.h"
#include "image/registry/creds.h"
#include "image/registry/http.h"

enum { CLIENT_REDIRECTS_MAX = 5, CLIENT_TOKEN_MAX = 16 * 1024, CLIENT_PREFIX_MAX = 255 };

struct client;
struct client_conn;

/* Where a host of image references is served: by itself or by a mirror. */
struct client_place {
	char host[REF_HOST_MAX + 1]; /* with port, as in a URL */
	char name[REF_HOST_MAX + 1]; /* under which credentials are kept, and said to the user */
	char prefix[CLIENT_PREFIX_MAX + 1]; /* "" or "some/path/", in front of the repository */
	bool insecure; /* the user said so by name */
	bool plain; /* and that it is plain HTTP */
};

/** client_place_of_host - the registry itself; docker.io is served by another name */
void client_place_of_host(const char *host, bool insecure, struct client_place *ret);

/**
 * client_place_of_mirror - [http[s]://]host[:port][/prefix]
 *
 * Return: 0, or -EINVAL with a message. A mirror written with http:// is insecure by that name.
 */
int client_place_of_mirror(const char *text, bool insecure, struct client_place *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/**
 * client_new - prepare to talk about @repository ("library/alpine")
 * @creds: taken over; may be none
 * @options: must outlive it
 */
int client_new(const struct client_place *place, const char *repository, struct creds *creds,
	const struct http_options *options, struct client **ret, struct msb_err *err)
	MSB_MUST_CHECK;
struct client *client_free(struct client *c);
DEFINE_CLEANUP(struct client *, client_free);

const struct client_place *client_get_place(const struct client *c);

/** client_connect - connections for the calling thread; NULL when out of memory */
struct client_conn *client_connect(struct client *c);
struct client_conn *client_disconnect(struct client_conn *conn);
DEFINE_CLEANUP(struct client_conn *, client_disconnect);

enum client_outcome {
	CLIENT_OK,
	CLIENT_AGAIN, /* may pass: the same request later */
	CLIENT_ELSEWHERE, /* not here: another place may have it */
	CLIENT_STOP, /* nowhere: cancelled, or the receiver said no */
};

struct client_failure {
	uint64_t after_ns; /* CLIENT_AGAIN: the server asked for this much patience */
	unsigned int status; /* of the response, 0 if there was none */
};

/** client_get_manifest - index or image manifest behind @reference, a tag or a digest, unverified
 * @body: empty, with a maximum of MANIFEST_MAX
 * @ret_type: Content-Type
 */
enum client_outcome client_get_manifest(struct client_conn *conn, const char *reference,
	struct buf *body, char ret_type[HTTP_TYPE_MAX + 1], struct client_failure *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/* Receiver of a blob; both functions may refuse, and say why in their own place. */
struct client_sink {
	/* The body that follows starts at @offset of the blob, 0 when the server has no ranges. */
	int (*begin)(void *arg, uint64_t offset, bool has_length, uint64_t length);
	int (*data)(void *arg, const void *p, size_t n);
	void *arg;
};

/** client_get_blob - bytes of blob @digest, from offset @from where the server can, unverified */
enum client_outcome client_get_blob(struct client_conn *conn, const char *digest, uint64_t from,
	const struct client_sink *sink, struct client_failure *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** client_check - do the credentials open the door? For login */
enum client_outcome client_check(
	struct client_conn *conn, struct client_failure *ret, struct msb_err *err) MSB_MUST_CHECK;
