-- What every price_minor is an amount of. One row; see src/store/currency.rs.
CREATE TABLE currency (
    id   boolean CONSTRAINT currency_pkey PRIMARY KEY DEFAULT true CONSTRAINT currency_id_check CHECK (id),
    code text    NOT NULL
);
