-- A catalog as large as `shop.products` says, the same every time: SELECT set_config('shop.products', '100000', false) first,
-- on the same connection. For tests and benchmarks of search; the tables have to be empty.
SET statement_timeout = 0;
SELECT setseed(0.42);

-- Ten departments of ten families of five kinds.
CREATE TEMP TABLE tree AS
SELECT md5('category ' || path)::uuid AS id, nullif(regexp_replace(path, '\.?\d+$', ''), '') AS parent, path,
       array_length(string_to_array(path, '.'), 1) AS depth
FROM (
    SELECT d::text AS path FROM generate_series(1, 10) d
    UNION ALL SELECT d || '.' || f FROM generate_series(1, 10) d, generate_series(1, 10) f
    UNION ALL SELECT d || '.' || f || '.' || k FROM generate_series(1, 10) d, generate_series(1, 10) f, generate_series(1, 5) k
) paths;
INSERT INTO categories (id, name, parent_id, depth, created_at)
SELECT id, 'Category ' || path, md5('category ' || parent)::uuid, depth, now() FROM tree ORDER BY depth;

CREATE TEMP TABLE vocabulary AS
SELECT
    regexp_split_to_array('red blue green black white silver golden grey brown purple orange yellow small large compact portable foldable
        wireless electric digital smart classic modern vintage elegant sturdy light heavy soft waterproof durable
        premium basic professional outdoor indoor winter summer travel kids adjustable rechargeable organic handmade
        insulated magnetic ergonomic quiet powerful slim round square double triple mini deluxe natural recycled', '\s+') AS qualities,
    regexp_split_to_array('wooden steel leather cotton wool glass ceramic bamboo plastic aluminium copper linen silk rubber marble paper
        carbon titanium granite velvet', '\s+') AS materials,
    regexp_split_to_array('lamp chair table desk shelf sofa bed pillow blanket carpet mirror clock vase candle bottle kettle teapot mug
        plate bowl knife fork spoon pan pot oven toaster blender mixer grinder scale fridge heater fan vacuum iron
        speaker headphones microphone camera tripod lens monitor keyboard mouse printer scanner router cable charger
        battery tablet phone laptop backpack suitcase wallet belt watch ring necklace bracelet earrings scarf hat gloves
        jacket coat shirt trousers dress skirt socks shoes boots sandals slippers umbrella sunglasses tent sleeping
        hammock bicycle helmet skateboard scooter racket football basketball puzzle doll train drone guitar piano violin
        drum flute notebook pencil marker brush easel paint canvas hammer drill saw wrench ladder toolbox screwdriver
        pump hose shovel rake planter seeds fertilizer leash collar aquarium birdhouse', '\s+') AS things,
    regexp_split_to_array('with for and the everyday kitchen living room bedroom garden office travel designed made quality finish surface
        easy clean use store pack carry set pieces includes manual warranty years design style colour size weight height
        width length inches litres watts hours battery charge fast slow warm cold water heat resistant proof safe
        children adults family gift present birthday holiday camping hiking running cycling swimming cooking baking
        reading writing drawing painting music sound light bright dark soft hard smooth rough strong flexible stable
        balanced modern classic simple elegant practical comfortable reliable trusted tested certified european standard
        energy saving low noise high power long life perfect ideal great value price best choice customers love
        recommended experts', '\s+') AS phrases,
    -- Makers and odd words, spread as syllables are.
    ARRAY(SELECT initcap(a || b || c) FROM unnest(ARRAY['bel','cor','dan','fel','gra','hov','jen','kal','lum','mor','nor','pel','qui','ros','sol','tam','ur','vel','wes','zan']) a,
          unnest(ARRAY['a','e','i','o','u']) b, unnest(ARRAY['dor','lis','mex','nar','pax','rin','tek','ven']) c) AS makers;

CREATE TEMP TABLE drawn AS
SELECT n, maker, quality, material, thing,
       CASE WHEN random() < 0.3 THEN ' ' || chr(65 + (random() * 25)::int) || chr(65 + (random() * 25)::int) || (100 + random() * 9899)::int ELSE '' END AS model,
       (SELECT string_agg(CASE WHEN random() < 0.9 THEN v.phrases[1 + 0 * i + floor(array_length(v.phrases, 1) * power(random(), 1.5))::int]
                               ELSE lower(v.makers[1 + floor(array_length(v.makers, 1) * random())::int]) END, ' ')
        FROM generate_series(1, 15 + n % 15) AS i) AS text,
       floor(100 * exp(random() * 7))::bigint AS price_minor, random() AS luck,
       md5('seller ' || floor(300 * power(random(), 2)))::uuid AS seller_id,
       format('%s.%s.%s', 1 + n % 10, 1 + n / 10 % 10, 1 + floor(5 * random())::int) AS path,
       timestamptz '2026-01-01' + n * interval '1 second' AS created_at
FROM vocabulary v, generate_series(1, current_setting('shop.products')::int) n, LATERAL (
    SELECT v.makers[1 + floor(array_length(v.makers, 1) * random())::int] AS maker,
           v.qualities[1 + floor(array_length(v.qualities, 1) * power(random(), 1.3))::int] AS quality,
           v.materials[1 + floor(array_length(v.materials, 1) * random())::int] AS material,
           v.things[1 + floor(array_length(v.things, 1) * random())::int] AS thing, n AS again
) drawing;

INSERT INTO products (id, seller_id, name, description, price_minor, status, attributes, created_at, updated_at)
SELECT (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
        || substr(md5(n::text), 4, 15))::uuid,
       seller_id, format('%s %s %s %s%s', maker, quality, material, thing, model),
       format('%s %s. %s', quality, thing, text), price_minor,
       CASE WHEN luck < 0.9 THEN 'active' WHEN luck < 0.95 THEN 'draft' ELSE 'inactive' END,
       jsonb_build_object('brand', maker, 'material', material, 'size', (ARRAY['S', 'M', 'L', 'XL'])[1 + n % 4], 'watts', n % 100),
       created_at, created_at
FROM drawn;
INSERT INTO inventory (product_id, stock, reserved, updated_at) SELECT id, 100, 0, created_at FROM products;
INSERT INTO product_categories (product_id, category_id)
SELECT p.id, md5('category ' || d.path)::uuid FROM drawn d JOIN products p ON p.created_at = d.created_at;
INSERT INTO search_words (variant, word)
SELECT variant, word FROM ts_stat($$SELECT to_tsvector('simple', name || ' ' || description) FROM products$$), LATERAL deletions(word) AS variant
WHERE length(word) BETWEEN 4 AND 40;
ANALYZE categories, products, inventory, product_categories, search_words;
DROP TABLE tree, vocabulary, drawn;
RESET statement_timeout;
