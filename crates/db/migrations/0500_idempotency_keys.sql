-- Answers to requests that came with an Idempotency-Key, written in the transaction of the change they tell of.
CREATE TABLE idempotency_keys (
    user_id     uuid        NOT NULL,
    route       text        NOT NULL,
    key         text        NOT NULL,
    -- SHA-256 of the body.
    fingerprint bytea       NOT NULL,
    answer      text        NOT NULL,
    kept_at     timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, route, key)
);
CREATE INDEX idempotency_keys_kept_at ON idempotency_keys (kept_at);
