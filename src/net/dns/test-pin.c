/* SPDX-License-Identifier: Apache-2.0 */
/* The table of names and addresses. */
#include "net/dns/pin.h"

#include "test.h"

static struct net_addr addr(uint32_t n)
{
	return net_addr_v4((const uint8_t[]){
		(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n});
}

TEST(pins_end_after_their_time)
{
	cleanup_with(dns_pins_free_p) struct dns_pins *t = dns_pins_new();
	struct net_addr a = addr(1);
	const char *names[4];

	ASSERT_TRUE(t);
	dns_pins_add(t, 0, "a.example", &a, 5);
	dns_pins_add(t, 0, "b.example", &a, 100);
	dns_pins_add(t, 0, "a.example", &a, 1); /* does not shorten */
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 4), 2);
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 1), 1);
	ASSERT_EQ(dns_pins_find(t, 5 * NSEC_PER_SEC + DNS_PIN_GRACE - 1, &a, names, 4), 2);
	ASSERT_EQ(dns_pins_find(t, 5 * NSEC_PER_SEC + DNS_PIN_GRACE, &a, names, 4), 1);
	ASSERT_STREQ(names[0], "b.example");
	a = addr(2);
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 4), 0);
	a = addr(1);
	dns_pins_clear(t);
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 4), 0);
}

TEST(mapped_addresses_are_the_same)
{
	cleanup_with(dns_pins_free_p) struct dns_pins *t = dns_pins_new();
	struct net_addr a = addr(0x01020304);
	struct net_addr mapped = net_addr_v6(
		(const uint8_t[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4});
	const char *names[4];

	ASSERT_TRUE(t);
	dns_pins_add(t, 0, "a.example", &mapped, 5);
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 4), 1);
	ASSERT_EQ(dns_pins_find(t, 1, &mapped, names, 4), 1);
}

TEST(the_oldest_makes_room)
{
	cleanup_with(dns_pins_free_p) struct dns_pins *t = dns_pins_new();
	const char *names[4];
	struct net_addr a;

	ASSERT_TRUE(t);
	for (uint32_t i = 0; i < DNS_PINS_MAX + 100; i++) {
		a = addr(i);
		dns_pins_add(t, 0, "a.example", &a, i + 1);
	}
	a = addr(99);
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 4), 0);
	a = addr(100);
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 4), 1);
	a = addr(DNS_PINS_MAX + 99);
	ASSERT_EQ(dns_pins_find(t, 1, &a, names, 4), 1);
}

TEST(ended_pins_are_used_again)
{
	cleanup_with(dns_pins_free_p) struct dns_pins *t = dns_pins_new();
	struct net_addr a = addr(7);
	const char *names[4];

	ASSERT_TRUE(t);
	for (uint64_t i = 0; i < 3 * DNS_PINS_MAX; i++) {
		uint64_t now = i * 3600 * NSEC_PER_SEC;

		dns_pins_add(t, now, "a.example", &a, 1);
		ASSERT_EQ(dns_pins_find(t, now, &a, names, 4), 1);
		ASSERT_EQ(dns_pins_find(t, now + 1800 * NSEC_PER_SEC, &a, names, 4), 0);
	}
}
