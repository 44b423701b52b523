-- Events to publish, written in the transaction of the change they tell of.
CREATE TABLE outbox (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid        NOT NULL CONSTRAINT outbox_id_key UNIQUE,
    exchange     text        NOT NULL,
    routing_key  text        NOT NULL,
    mandatory    boolean     NOT NULL,
    payload      jsonb       NOT NULL,
    trace        jsonb       NOT NULL,
    occurred_at  timestamptz NOT NULL,
    -- Moves into the future when the broker had no queue for it.
    available_at timestamptz NOT NULL,
    sent_at      timestamptz
);
CREATE INDEX outbox_unsent ON outbox (seq) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

-- Events already handled, written in the transaction of the handling.
CREATE TABLE inbox (
    event_id   uuid PRIMARY KEY,
    handled_at timestamptz NOT NULL
);
CREATE INDEX inbox_handled_at ON inbox (handled_at);
