-- Whether a parcel will come back is decided when it is taken.
ALTER TABLE mock_parcels ADD COLUMN undeliverable boolean NOT NULL DEFAULT false;
-- What a parcel is for, in the merchant's words: the books tell by it whether an order was shipped twice.
ALTER TABLE mock_parcels ADD COLUMN reference uuid;
ALTER TABLE mock_parcels DROP CONSTRAINT mock_parcels_entry_check;
ALTER TABLE mock_parcels ADD CONSTRAINT mock_parcels_entry_check
    CHECK (entry IN ('shipped', 'delivered', 'undeliverable', 'declined', 'closed', 'recalled'));

-- The calls the mock carrier had, for rules that count them.
CREATE TABLE mock_calls (
    key       uuid        CONSTRAINT mock_calls_pkey PRIMARY KEY,
    nth       bigint      GENERATED ALWAYS AS IDENTITY,
    attempt   integer     NOT NULL,
    called_at timestamptz NOT NULL
);

-- For the sweep; see `SERVED` in src/store.rs.
CREATE INDEX deliveries_served ON deliveries (updated_at)
    WHERE state IN ('delivered', 'failed', 'canceled', 'recalled');
CREATE INDEX mock_parcels_served ON mock_parcels (entered_at);
CREATE INDEX mock_calls_served ON mock_calls (called_at);
