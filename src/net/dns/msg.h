/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages: the one door to their bytes (RFC 1035, 6891, 9460).
 *
 * Guests and name servers are both hostile. Every read is checked; a compression pointer must
 * point in front of the name it stands in, so that names end; counts are capped. A query is taken
 * apart and what goes out is written anew from its parts, so nothing rides along in odd corners.
 */
#pragma once

#include "base/base.h"

#include "net/addr.h"

enum {
	DNS_HEADER = 12,
	DNS_NAME = 254, /* longest name as text with its NUL */
	DNS_QUERY_MAX = 512, /* bytes of a query that we read */
	DNS_QUERY_OUT_MAX = 300, /* and of one that we write: header, name, question, OPT */
	DNS_MESSAGE_MAX = 65535,
	DNS_RECORDS_MAX = 1024,
	DNS_UDP_PLAIN = 512, /* largest UDP answer without EDNS */
	DNS_UDP_MAX = 1232, /* largest we ask for and hand on: no fragments */
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_PTR = 12,
	DNS_AAAA = 28,
	DNS_DNAME = 39,
	DNS_OPT = 41,
	DNS_SVCB = 64,
	DNS_HTTPS = 65,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

enum dns_section { DNS_ANSWER = 0, DNS_AUTHORITY, DNS_ADDITIONAL };

/* A name as text: lower case, no final dot, "" is the root. */
struct dns_name {
	bool plain; /* only letters, digits, '-' and '_'; otherwise other bytes are '?' in .text */
	char text[DNS_NAME];
};

struct dns_query {
	uint16_t id;
	uint16_t type;
	struct dns_name name;
	size_t question_end; /* the question is the bytes from DNS_HEADER up to here */
	bool recurse; /* RD */
	bool check_off; /* CD */
	bool edns;
	bool dnssec_ok; /* DO */
	uint16_t udp_size; /* largest UDP answer the client takes */
};

/**
 * dns_query_parse - a query with one question of class IN
 *
 * Return: 0; -EBADMSG for what is no query at all and gets no answer; an enum dns_rcode above 0 to
 * answer with (@ret->id is set, and @ret->question_end if the question could be read, else 0).
 */
int dns_query_parse(const uint8_t *msg, size_t len, struct dns_query *ret) MSB_MUST_CHECK;

/**
 * dns_query_write - the query to send on
 * @id: of the new message
 * @coins: random bytes, one bit per letter that turns it to upper case; NULL: as in the text
 *
 * Return: bytes written to @out.
 */
size_t dns_query_write(const struct dns_query *q, uint16_t id, const uint8_t coins[32],
	uint8_t out[DNS_QUERY_OUT_MAX]);

/**
 * dns_reply_write - an answer without records, to the query @msg of which @q was read
 * @rcode: enum dns_rcode
 * @truncated: set TC
 *
 * Return: bytes written to @out, at most DNS_QUERY_MAX.
 */
size_t dns_reply_write(const uint8_t *msg, const struct dns_query *q, unsigned int rcode,
	bool truncated, uint8_t out[DNS_QUERY_MAX]);

/** dns_reply_address - append to what dns_reply_write() wrote one address of the question's name */
size_t dns_reply_address(
	uint8_t out[DNS_QUERY_MAX], size_t len, const struct net_addr *a, uint32_t ttl);

struct dns_record {
	enum dns_section section;
	struct dns_name name;
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	size_t data_at; /* offset of the data in the message */
	size_t data_len;
};

/* Walk over the records of an answer. */
struct dns_answer {
	const uint8_t *msg;
	size_t len;
	uint16_t id;
	unsigned int rcode;
	bool truncated;
	size_t question_end;
	uint16_t counts[3]; /* records per enum dns_section */
	/* state of the walk */
	size_t at;
	unsigned int section;
	uint16_t left;
};

/**
 * dns_answer_parse - header and question of an answer
 * @question: bytes that the question must be, exactly (also in the case of letters)
 *
 * Return: 0, or -EBADMSG: not the answer to that.
 */
int dns_answer_parse(const uint8_t *msg, size_t len, const uint8_t *question, size_t question_len,
	struct dns_answer *ret) MSB_MUST_CHECK;

/** dns_answer_next - next record: 1, 0 at the end of the message, -EBADMSG */
int dns_answer_next(struct dns_answer *a, struct dns_record *ret) MSB_MUST_CHECK;

/** dns_record_address - of an A or AAAA record; false for others */
bool dns_record_address(
	const struct dns_answer *a, const struct dns_record *r, struct net_addr *ret);

/** dns_record_target - name that a CNAME record points to; false for others */
bool dns_record_target(
	const struct dns_answer *a, const struct dns_record *r, struct dns_name *ret);

/** dns_record_hints - addresses in an SVCB or HTTPS record, at most @max; how many */
size_t dns_record_hints(
	const struct dns_answer *a, const struct dns_record *r, struct net_addr *ret, size_t max);

/** dns_type_name - "A", "HTTPS", ..., "TYPE123"; @to */
const char *dns_type_name(uint16_t type, char to[16]);
