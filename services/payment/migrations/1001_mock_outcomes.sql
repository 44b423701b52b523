-- What a charge is for, in the merchant's words. The provider's books tell by it whether an order was charged twice, whatever
-- became of the service's own rows.
ALTER TABLE mock_charges ADD COLUMN reference uuid;

-- The calls the mock provider had, for rules that count them.
CREATE TABLE mock_calls (
    key       uuid        CONSTRAINT mock_calls_pkey PRIMARY KEY,
    nth       bigint      GENERATED ALWAYS AS IDENTITY,
    attempt   integer     NOT NULL,
    called_at timestamptz NOT NULL
);

-- For the sweep; see `SERVED` in src/store.rs.
CREATE INDEX payments_served ON payments (updated_at) WHERE state IN ('failed', 'canceled', 'refunded');
CREATE INDEX mock_charges_served ON mock_charges (entered_at) WHERE entry <> 'captured';
CREATE INDEX mock_calls_served ON mock_calls (called_at);
