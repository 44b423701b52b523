-- What every price_minor is an amount of. One row; see src/store/currency.rs. Prices that were there before this table are taken for
-- amounts of the currency that the Shop has now.
CREATE TABLE currency (
    id   boolean CONSTRAINT currency_pkey PRIMARY KEY DEFAULT true CONSTRAINT currency_id_check CHECK (id),
    code text    NOT NULL
);
