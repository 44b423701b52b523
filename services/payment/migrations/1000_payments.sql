-- One payment for each order, and a row without an amount for each order that was canceled before it was heard of.
CREATE TABLE payments (
    id           uuid        CONSTRAINT payments_pkey PRIMARY KEY,
    order_id     uuid        NOT NULL CONSTRAINT payments_order_id_key UNIQUE,
    state        text        NOT NULL CONSTRAINT payments_state_check
        CHECK (state IN ('pending', 'succeeded', 'failed', 'canceled', 'refunding', 'refunded')),
    amount_minor bigint      NOT NULL CONSTRAINT payments_amount_check CHECK (amount_minor >= 0),
    currency     text        NOT NULL,
    expires_at   timestamptz,
    canceled_at  timestamptz,
    reason       text,
    -- W3C trace context of whatever caused the next step.
    trace        jsonb       NOT NULL,
    -- Claims since the last step that succeeded, and when the next step is due; see shop_db::Work.
    attempts     integer     NOT NULL,
    due_at       timestamptz,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE INDEX payments_due_at ON payments (due_at) WHERE due_at IS NOT NULL;

-- The mock provider's own books: one entry for each key it was asked about.
CREATE TABLE mock_charges (
    key          uuid        CONSTRAINT mock_charges_pkey PRIMARY KEY,
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    entry        text        NOT NULL CONSTRAINT mock_charges_entry_check
        CHECK (entry IN ('captured', 'declined', 'closed', 'refunded')),
    entered_at   timestamptz NOT NULL
);
