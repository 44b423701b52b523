-- One row for every order id ever asked for. Its key makes repeated and concurrent requests for one id one outcome: an order
-- of the same id, or a refusal that stays one.
CREATE TABLE order_attempts (
    order_id uuid        CONSTRAINT order_attempts_pkey PRIMARY KEY,
    user_id  uuid        NOT NULL,
    refusal  text        CONSTRAINT order_attempts_refusal_known CHECK (refusal IN ('price_changed', 'total_too_large')),
    at       timestamptz NOT NULL
);
CREATE INDEX order_attempts_refused ON order_attempts (at) WHERE refusal IS NOT NULL;

CREATE TABLE orders (
    id             uuid        CONSTRAINT orders_pkey PRIMARY KEY,
    user_id        uuid        NOT NULL,
    status         text        NOT NULL CONSTRAINT orders_status_known
                   CHECK (status IN ('CREATED', 'PENDING', 'PAID', 'SHIPPED', 'DELIVERED', 'CANCELED')),
    payment_status text        NOT NULL CONSTRAINT orders_payment_status_known
                   CHECK (payment_status IN ('none', 'pending', 'paid', 'failed', 'refunding', 'refunded')),
    total_minor    bigint      NOT NULL CONSTRAINT orders_total_not_negative CHECK (total_minor >= 0),
    currency       text        NOT NULL,
    full_name      text        NOT NULL,
    phone          text        NOT NULL,
    city           text        NOT NULL,
    street         text        NOT NULL,
    -- The trace of the checkout: what happens to the order later, without a request, goes on in it.
    trace          jsonb       NOT NULL,
    expires_at     timestamptz NOT NULL,
    created_at     timestamptz NOT NULL
);
CREATE INDEX orders_of_user ON orders (user_id, created_at DESC, id DESC);
CREATE INDEX orders_unpaid ON orders (expires_at) WHERE status IN ('CREATED', 'PENDING');

CREATE TABLE order_lines (
    order_id         uuid        NOT NULL CONSTRAINT order_lines_order_fkey REFERENCES orders,
    line             integer     NOT NULL,
    product_id       uuid        NOT NULL,
    seller_id        uuid        NOT NULL,
    product_name     text        NOT NULL,
    image_url        text        NOT NULL,
    unit_price_minor bigint      NOT NULL CONSTRAINT order_lines_price_not_negative CHECK (unit_price_minor >= 0),
    quantity         integer     NOT NULL CONSTRAINT order_lines_quantity_range CHECK (quantity BETWEEN 1 AND 999),
    -- The order's, so that a seller's list needs one index.
    created_at       timestamptz NOT NULL,
    CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, line)
);
CREATE INDEX order_lines_of_seller ON order_lines (seller_id, created_at DESC, order_id DESC, line DESC);

-- Every move of every order; rows are only ever added.
CREATE TABLE order_history (
    seq      bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT order_history_pkey PRIMARY KEY,
    order_id uuid        NOT NULL CONSTRAINT order_history_order_fkey REFERENCES orders,
    status   text        NOT NULL,
    reason   text        NOT NULL,
    at       timestamptz NOT NULL
);
CREATE INDEX order_history_of_order ON order_history (order_id, seq);
