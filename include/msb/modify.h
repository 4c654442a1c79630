/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: other settings for sandboxes that are there. */
#ifndef MSB_MODIFY_H
#define MSB_MODIFY_H

#include <msb/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is to be different. Strings given are copied. */
struct msb_change;

/** msb_change_new - nothing yet; NULL: no memory */
MSB_API struct msb_change *msb_change_new(void);
/** msb_change_free - NULL is fine. Return: NULL */
MSB_API struct msb_change *msb_change_free(struct msb_change *c);

/**
 * msb_change_set - an option of msb-modify(1) from the group "Changes"
 * @option: its long name without dashes, e.g. "memory", "label", "env-rm", "net-rule"
 * @value: as on the command line
 *
 * Repeatable ones add up, others replace what was set. Values that are off are refused at once,
 * with MSB_E_USAGE.
 */
MSB_API int msb_change_set(
	struct msb_change *c, const char *option, const char *value, struct msb_error *err);

/* How a running sandbox gets what it cannot take while it runs. */
enum msb_modify_how {
	MSB_MODIFY_NOW = 0, /* not at all: all changes are made at once, or none: MSB_E_BUSY */
	MSB_MODIFY_NEXT_START, /* when it is started the next time */
	MSB_MODIFY_RESTART, /* it is stopped and started, if that is what it takes */
	MSB_MODIFY_DRY_RUN /* nothing is changed: only the plan is made */
};

/* What changes, in the order in which msb modify shows it. */
struct msb_plan;

/**
 * msb_modify - change a sandbox, running or not: everything or nothing
 * @ret: msb_plan_free(); may be NULL. On failure what would have changed, as far as that is known,
 * or NULL
 */
MSB_API int msb_modify(struct msb *m, const char *name, const struct msb_change *c,
	enum msb_modify_how how, struct msb_plan **ret, struct msb_error *err);

/** msb_plan_free - NULL is fine. Return: NULL */
MSB_API struct msb_plan *msb_plan_free(struct msb_plan *p);
/** msb_plan_size - 0: everything was like that already */
MSB_API size_t msb_plan_size(const struct msb_plan *p);
/** msb_plan_field - "cpus", "label KEY", "net rule"; NULL when there are fewer */
MSB_API const char *msb_plan_field(const struct msb_plan *p, size_t i);
/** msb_plan_before - its value so far; NULL: there was none */
MSB_API const char *msb_plan_before(const struct msb_plan *p, size_t i);
/** msb_plan_after - its new value; NULL: it goes */
MSB_API const char *msb_plan_after(const struct msb_plan *p, size_t i);
/** msb_plan_at_once - 1: a running sandbox takes it; 0: at its next start */
MSB_API int msb_plan_at_once(const struct msb_plan *p, size_t i);
/** msb_plan_warning - what could not be taken back when the change failed; "" usually */
MSB_API const char *msb_plan_warning(const struct msb_plan *p);

#ifdef __cplusplus
}
#endif

#endif
