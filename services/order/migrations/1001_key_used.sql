-- A checkout whose idempotency key made another order is refused under the id it brought.
ALTER TABLE order_attempts DROP CONSTRAINT order_attempts_refusal_known;
ALTER TABLE order_attempts ADD CONSTRAINT order_attempts_refusal_known
    CHECK (refusal IN ('price_changed', 'total_too_large', 'idempotency_key_used'));
