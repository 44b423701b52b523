-- A checkout that left stock set aside and no order is refused when the catalog asks after it.
ALTER TABLE order_attempts DROP CONSTRAINT order_attempts_refusal_known;
ALTER TABLE order_attempts ADD CONSTRAINT order_attempts_refusal_known
    CHECK (refusal IN ('price_changed', 'total_too_large', 'idempotency_key_used', 'checkout_expired'));
