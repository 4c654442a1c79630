/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/credit.h"

#include "test.h"

TEST(sender_stops_at_the_window_and_resumes_with_credit)
{
	struct credit_tx tx;

	credit_tx_init(&tx);
	ASSERT_ERR(credit_tx_return(&tx, 1), EPROTO);
	credit_tx_take(&tx, LIMIT_STREAM_WINDOW);
	ASSERT_EQ(tx.avail, 0);
	ASSERT_OK(credit_tx_return(&tx, 10));
	ASSERT_EQ(tx.avail, 10);
	ASSERT_ERR(credit_tx_return(&tx, LIMIT_STREAM_WINDOW - 9), EPROTO);
	ASSERT_ERR(credit_tx_return(&tx, UINT32_MAX), EPROTO);
	ASSERT_OK(credit_tx_return(&tx, LIMIT_STREAM_WINDOW - 10));
}

TEST(receiver_detects_an_overrun)
{
	struct credit_rx rx;

	credit_rx_init(&rx);
	ASSERT_OK(credit_rx_data(&rx, LIMIT_STREAM_WINDOW - 1));
	ASSERT_ERR(credit_rx_data(&rx, 2), EPROTO);
	ASSERT_OK(credit_rx_data(&rx, 1));
	ASSERT_ERR(credit_rx_data(&rx, 1), EPROTO);
	ASSERT_OK(credit_rx_data(&rx, 0));
	/* What is passed on but not yet returned is still not the peer's to use. */
	ASSERT_EQ(credit_rx_passed(&rx, CREDIT_BATCH - 1), 0);
	ASSERT_ERR(credit_rx_data(&rx, 1), EPROTO);
	ASSERT_EQ(credit_rx_passed(&rx, 1), CREDIT_BATCH);
	ASSERT_OK(credit_rx_data(&rx, CREDIT_BATCH));
	ASSERT_ERR(credit_rx_data(&rx, 1), EPROTO);
}

/* Any pattern of sizes: the two sides agree, and the stream never stalls for good. */
TEST(both_sides_stay_in_step)
{
	struct credit_tx tx;
	struct credit_rx rx;
	uint32_t seed = 1;
	uint64_t sent = 0;

	credit_tx_init(&tx);
	credit_rx_init(&rx);
	while (sent < 100 * MIB) {
		uint32_t n;
		uint32_t due;

		seed = seed * 1103515245 + 12345;
		n = MIN(tx.avail, (seed >> 8) % (64 * 1024));
		credit_tx_take(&tx, n);
		ASSERT_OK(credit_rx_data(&rx, n));
		sent += n;
		due = credit_rx_passed(&rx, MIN(rx.held, (seed >> 4) % (96 * 1024)));
		if (due)
			ASSERT_OK(credit_tx_return(&tx, due));
		ASSERT_EQ(tx.avail, rx.window);
		ASSERT_EQ(rx.window + rx.held + rx.owed, LIMIT_STREAM_WINDOW);
		if (rx.held == 0)
			ASSERT_TRUE(tx.avail > 0);
	}
}
