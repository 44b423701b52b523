-- One delivery for each order, and a row without an address for each order that was canceled before it was paid.
CREATE TABLE deliveries (
    id          uuid        CONSTRAINT deliveries_pkey PRIMARY KEY,
    order_id    uuid        NOT NULL CONSTRAINT deliveries_order_id_key UNIQUE,
    state       text        NOT NULL CONSTRAINT deliveries_state_check
        CHECK (state IN ('pending', 'shipped', 'delivered', 'failed', 'canceled', 'recalling', 'recalled')),
    address     jsonb       NOT NULL,
    canceled_at timestamptz,
    reason      text,
    -- W3C trace context of whatever caused the next step.
    trace       jsonb       NOT NULL,
    -- Claims since the last step that succeeded, and when the next step is due; see shop_db::Work.
    attempts    integer     NOT NULL,
    due_at      timestamptz,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE INDEX deliveries_due_at ON deliveries (due_at) WHERE due_at IS NOT NULL;

-- The mock provider's own books: one entry for each key it was asked about.
CREATE TABLE mock_parcels (
    key        uuid        CONSTRAINT mock_parcels_pkey PRIMARY KEY,
    city       text        NOT NULL,
    entry      text        NOT NULL CONSTRAINT mock_parcels_entry_check
        CHECK (entry IN ('shipped', 'delivered', 'undeliverable', 'closed', 'recalled')),
    arrives_at timestamptz NOT NULL,
    entered_at timestamptz NOT NULL
);
