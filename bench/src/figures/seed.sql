-- Words of nine letters that are more than a slip apart, and products made of them: a few words are in many, most in few.
CREATE OR REPLACE FUNCTION bench_word(number integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (a.s)[1 + number % 16] || (a.s)[1 + number / 16 % 16] || (a.s)[1 + number / 256 % 16]
    FROM (SELECT '{bal,cet,dif,gom,hup,jan,kes,lir,mov,nuz,pax,qeb,rid,sol,tun,vag}'::text[] AS s) AS a
$$;
CREATE OR REPLACE FUNCTION bench_product(number integer) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid
$$;
SELECT setseed(0.5);
INSERT INTO products (id, seller_id, name, description, price_minor, status, attributes, created_at, updated_at)
SELECT bench_product(n), bench_product(n % 100),
    (SELECT string_agg(bench_word(floor(4096 * power(random(), 2))::integer), ' ') FROM generate_series(1, 3 + n * 0)),
    (SELECT string_agg(bench_word(floor(4096 * power(random(), 2))::integer), ' ') FROM generate_series(1, 12 + n * 0)),
    100 + n % 10000, 'active', jsonb_build_object('color', (ARRAY['red', 'green', 'blue'])[1 + n % 3]), now(), now()
FROM generate_series({{from}}, {{to}}) AS n;
INSERT INTO inventory (product_id, stock, reserved, updated_at)
SELECT bench_product(n), 1000000000, 0, now() FROM generate_series({{from}}, {{to}}) AS n;
INSERT INTO search_words (variant, word)
SELECT variant, word FROM (SELECT bench_word(n) AS word FROM generate_series(0, 4095) AS n) AS words,
    LATERAL deletions(word) AS variant ON CONFLICT DO NOTHING;
