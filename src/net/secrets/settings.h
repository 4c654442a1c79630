/* SPDX-License-Identifier: Apache-2.0 */
/* What a user wants of secrets, in the form that is stored: everything but their values. */
#pragma once

#include "base/err.h"
#include "base/json.h"

enum {
	SECRETS_MAX = 32,
	SECRET_HOSTS_MAX = 16,
	SECRET_NAME_MAX = 128,
	SECRET_VALUE_MAX = 16 * 1024,
};

#define SECRET_PLACEHOLDER "$MSB_" /* with the name behind it */

/* Where in a request placeholders become values. */
enum {
	SECRET_IN_HEADERS = 1 << 0,
	SECRET_IN_BASIC = 1 << 1, /* a name and a password as Base64 */
	SECRET_IN_QUERY = 1 << 2,
	SECRET_IN_BODY = 1 << 3,
	SECRET_IN_DEFAULT = SECRET_IN_HEADERS | SECRET_IN_BASIC,
	SECRET_PARTS = 4,
};

/* As the user writes them, in the order of the bits. */
extern const char *const secret_part_names[SECRET_PARTS + 1];

enum secret_violation {
	SECRET_BLOCK_AND_LOG = 0,
	SECRET_BLOCK,
	SECRET_PASSTHROUGH, /* the placeholder goes on as it is */
	SECRET_TERMINATE, /* that is the end of the sandbox */
	SECRET_VIOLATIONS,
};

/* As the user writes them. */
extern const char *const secret_violation_names[SECRET_VIOLATIONS + 1];

struct secret_rule {
	const char *name; /* of the variable in the guest, and on the host */
	uint32_t n_hosts;
	const char *hosts[SECRET_HOSTS_MAX]; /* net/policy/pattern.h */
	const char *value; /* not stored; NULL: the environment has it */
	uint32_t inject; /* of SECRET_IN_*; 0: SECRET_IN_DEFAULT */
	bool inlined; /* its value was on the command line: no later start knows it */
};

struct secret_settings {
	uint32_t n;
	struct secret_rule rules[SECRETS_MAX];
	uint32_t violation; /* enum secret_violation */
};

void secret_settings_to_json(const struct secret_settings *s, struct json_out *o, const char *key);

/** secret_settings_from_json - strict; strings live as long as @obj */
int secret_settings_from_json(
	const struct json *obj, struct secret_settings *ret, struct msb_err *err) MSB_MUST_CHECK;

/** secret_part_parse - the @n bytes of a name of such a part are one more bit in @inject */
int secret_part_parse(const char *word, size_t n, uint32_t *inject, struct msb_err *err)
	MSB_MUST_CHECK;

/** secret_name_check - fit for a variable; the message is fit for the user */
int secret_name_check(const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** secret_value_keep - in its place: the value of now stays */
int secret_value_keep(int fd, struct msb_err *err) MSB_MUST_CHECK;

/* The environment of every command: what the user has set, and placeholders for secrets. */
struct secret_env {
	const char **items; /* NULL-terminated */
	char (*texts)[SECRET_NAME_MAX * 2 + sizeof(SECRET_PLACEHOLDER) + 2];
};

/** secret_env_make - @env may be NULL; 0 or -ENOMEM; secret_env_deinit() in any case */
int secret_env_make(const struct secret_settings *s, const char *const *env, struct secret_env *ret)
	MSB_MUST_CHECK;
void secret_env_deinit(struct secret_env *e);

/** secret_value_write - append a value to the file of values, in the order of the rules */
int secret_value_write(int fd, const char *value, struct msb_err *err) MSB_MUST_CHECK;
