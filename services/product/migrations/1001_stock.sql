CREATE TABLE inventory (
    product_id uuid        CONSTRAINT inventory_pkey PRIMARY KEY
                           CONSTRAINT inventory_product_id_fkey REFERENCES products (id),
    -- On hand and not sold; `reserved` of it is set aside for orders that are not paid.
    stock      bigint      NOT NULL CONSTRAINT inventory_stock_check CHECK (stock >= 0),
    reserved   bigint      NOT NULL CONSTRAINT inventory_reserved_check CHECK (reserved >= 0 AND reserved <= stock),
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);

-- One row for each order ever heard of. An order whose cancellation came first has a released row without lines, so that
-- whatever comes late finds it closed.
CREATE TABLE reservations (
    order_id   uuid        CONSTRAINT reservations_pkey PRIMARY KEY,
    user_id    uuid,
    state      text        NOT NULL CONSTRAINT reservations_state_check CHECK (state IN ('reserved', 'committed', 'released')),
    expires_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX reservations_expiry ON reservations (expires_at) WHERE state = 'reserved';

-- With the price and the name the order was promised.
CREATE TABLE reservation_lines (
    order_id         uuid     NOT NULL CONSTRAINT reservation_lines_order_id_fkey REFERENCES reservations (order_id),
    position         smallint NOT NULL,
    product_id       uuid     NOT NULL CONSTRAINT reservation_lines_product_id_fkey REFERENCES products (id),
    seller_id        uuid     NOT NULL,
    product_name     text     NOT NULL,
    unit_price_minor bigint   NOT NULL,
    quantity         bigint   NOT NULL CONSTRAINT reservation_lines_quantity_check CHECK (quantity > 0),
    image_url        text,
    CONSTRAINT reservation_lines_pkey PRIMARY KEY (order_id, position),
    CONSTRAINT reservation_lines_product_key UNIQUE (order_id, product_id)
);
