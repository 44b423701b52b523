CREATE TABLE categories (
    id         uuid        CONSTRAINT categories_pkey PRIMARY KEY,
    name       text        NOT NULL,
    parent_id  uuid        CONSTRAINT categories_parent_id_fkey REFERENCES categories (id),
    -- Roots are 1. Bounded, because a tree is built and answered recursively.
    depth      smallint    NOT NULL CONSTRAINT categories_depth_check CHECK (depth BETWEEN 1 AND 16),
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX categories_name_key ON categories (parent_id, lower(name)) NULLS NOT DISTINCT;

CREATE TABLE products (
    id          uuid        CONSTRAINT products_pkey PRIMARY KEY,
    seller_id   uuid        NOT NULL,
    name        text        NOT NULL,
    description text        NOT NULL,
    price_minor bigint      NOT NULL CONSTRAINT products_price_minor_check CHECK (price_minor >= 0),
    status      text        NOT NULL CONSTRAINT products_status_check CHECK (status IN ('draft', 'active', 'inactive')),
    image_url   text,
    attributes  jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    -- Orders keep pointing here, so a product is never removed.
    deleted_at  timestamptz,
    -- Words as written, for exact matches and near ones, and their English stems.
    search      tsvector    NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', name), 'A') || setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('simple', description), 'C') || setweight(to_tsvector('english', description), 'C')
    ) STORED
);
CREATE INDEX products_search ON products USING gin (search);
CREATE INDEX products_attributes ON products USING gin (attributes jsonb_path_ops);
CREATE INDEX products_price ON products (price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX products_seller ON products (seller_id, id) WHERE deleted_at IS NULL;

CREATE TABLE product_categories (
    product_id  uuid NOT NULL CONSTRAINT product_categories_product_id_fkey REFERENCES products (id),
    category_id uuid NOT NULL CONSTRAINT product_categories_category_id_fkey REFERENCES categories (id),
    CONSTRAINT product_categories_pkey PRIMARY KEY (product_id, category_id)
);
CREATE INDEX product_categories_category ON product_categories (category_id, product_id);

-- A word and every way to leave out one of its letters. Two words that are one edit or one swapped pair apart share one of
-- these, so near words are found with an index, and not with a scan.
CREATE FUNCTION deletions(word text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
        SELECT word
        UNION
        SELECT left(word, at - 1) || substr(word, at + 1) FROM generate_series(1, length(word)) AS at
    $$;

-- Every word any product was ever described with. One that no product has any more costs its rows and finds nothing.
CREATE TABLE search_words (
    variant text NOT NULL,
    word    text NOT NULL,
    CONSTRAINT search_words_pkey PRIMARY KEY (variant, word)
);

CREATE TABLE images (
    key          text        CONSTRAINT images_pkey PRIMARY KEY,
    content_type text        NOT NULL,
    bytes        bytea       NOT NULL,
    created_at   timestamptz NOT NULL
);
-- JPEG and PNG do not get smaller by compressing them again.
ALTER TABLE images ALTER COLUMN bytes SET STORAGE EXTERNAL;
