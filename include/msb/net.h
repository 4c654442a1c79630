/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: networks of sandboxes: what they may, what they have done, who is trusted. */
#ifndef MSB_NET_H
#define MSB_NET_H

#include <msb/base.h>
#include <msb/watch.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the policy of a sandbox says to a connection. */
struct msb_verdict;

/**
 * msb_net_explain - of a sandbox that runs or not
 * @target: HOST:PORT, HOST:PORT/udp, or a URL of http or https
 * @address: that the host's name is taken to have; NULL: it is looked up from here
 * @ret: msb_verdict_free()
 */
MSB_API int msb_net_explain(struct msb *m, const char *name, const char *target,
	const char *address, struct msb_verdict **ret, struct msb_error *err);
/** msb_verdict_free - NULL is fine. Return: NULL */
MSB_API struct msb_verdict *msb_verdict_free(struct msb_verdict *v);

/** msb_verdict_allowed - 1: to all of its addresses */
MSB_API int msb_verdict_allowed(const struct msb_verdict *v);
/** msb_verdict_text - for people: lines for the lookup and for each address, with their rules */
MSB_API const char *msb_verdict_text(const struct msb_verdict *v);
/** msb_verdict_json - as msb net explain --format json prints it */
MSB_API const char *msb_verdict_json(const struct msb_verdict *v);

/**
 * msb_net_events - the ledger of a sandbox: what its network has done
 * @ret: msb_logs_close(). It is read, and followed while it grows, as logs are: of an entry only
 * @line is there, the event as it is kept. The first line of each file says which one it is
 */
MSB_API int msb_net_events(
	struct msb *m, const char *name, struct msb_logs **ret, struct msb_error *err);

struct msb_ledger_check {
	size_t size; /* set by the caller: MSB_LEDGER_CHECK_INIT */
	int whole; /* it is what was written */
	int running; /* the sandbox runs, so there is no end yet */
	uint64_t lines; /* that are right, up to the first that is not */
	uint64_t first; /* number of the oldest line that is still there, 0: none */
	uint64_t last;
	uint64_t lost; /* events of which the ledger says that they were lost */
	int torn; /* the last line is half written: somebody was killed */
	int ended; /* the last line is the end of a run */
	uint64_t line; /* the first that is wrong, counted in @file from 1 */
	char file[32]; /* "": the ledger as a whole is wrong */
	char reason[200]; /* why it is wrong */
	char hash[72]; /* of the last line */
};

/* clang-format off */
#define MSB_LEDGER_CHECK_INIT {sizeof(struct msb_ledger_check), 0, 0, 0, 0, 0, 0, 0, 0, 0, "", "", ""}
/* clang-format on */

/** msb_net_verify - compute the hashes of a ledger anew; success says that it could be read, see
 * @whole. -ENOENT (MSB_E_NOT_FOUND): there is none */
MSB_API int msb_net_verify(
	struct msb *m, const char *name, struct msb_ledger_check *ret, struct msb_error *err);

/* The authority of intercepted connections, without its key. */
struct msb_authority;

/** msb_net_ca - it is made when it is first asked for; @rotate: make another one in its place.
 * @ret: msb_authority_free() */
MSB_API int msb_net_ca(
	struct msb *m, int rotate, struct msb_authority **ret, struct msb_error *err);
/** msb_authority_free - NULL is fine. Return: NULL */
MSB_API struct msb_authority *msb_authority_free(struct msb_authority *a);

/** msb_authority_path - of its certificate */
MSB_API const char *msb_authority_path(const struct msb_authority *a);
MSB_API const char *msb_authority_subject(const struct msb_authority *a);
/** msb_authority_fingerprint - SHA-256 of the certificate */
MSB_API const char *msb_authority_fingerprint(const struct msb_authority *a);
/** msb_authority_pem - the certificate */
MSB_API const char *msb_authority_pem(const struct msb_authority *a);
/* Nanoseconds since 1970. */
MSB_API uint64_t msb_authority_not_before_ns(const struct msb_authority *a);
MSB_API uint64_t msb_authority_not_after_ns(const struct msb_authority *a);
/** msb_authority_behind - after a rotation: number @n of the sandboxes that have the old one until
 * they are restarted; NULL when there are fewer */
MSB_API const char *msb_authority_behind(const struct msb_authority *a, size_t n);

#ifdef __cplusplus
}
#endif

#endif
