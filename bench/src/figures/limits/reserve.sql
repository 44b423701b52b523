\set n random(1, 9000000000000000)
\set p random(1, 1000)
BEGIN;
INSERT INTO reservations (order_id, user_id, state, expires_at, updated_at) VALUES (md5(:n::text)::uuid, md5(:n::text)::uuid, 'reserved', now() + interval '1 day', now()) ON CONFLICT (order_id) DO NOTHING RETURNING expires_at;
SELECT p.id, p.seller_id, p.name, p.price_minor, p.image_url, p.status, i.stock - i.reserved AS available FROM inventory i JOIN products p ON p.id = i.product_id WHERE i.product_id = ANY(ARRAY[bench_product(:p)]) AND p.deleted_at IS NULL ORDER BY i.product_id FOR UPDATE OF i;
INSERT INTO reservation_lines (order_id, position, product_id, seller_id, product_name, unit_price_minor, quantity, image_url) VALUES (md5(:n::text)::uuid, 1, bench_product(:p), bench_product(:p), 'bal cet dif', 1999, 1, NULL);
SELECT FROM inventory WHERE product_id = ANY(ARRAY[bench_product(:p)]) ORDER BY product_id FOR UPDATE;
UPDATE inventory SET reserved = reserved + 1, updated_at = now() WHERE product_id = bench_product(:p) RETURNING *;
INSERT INTO outbox (id, exchange, routing_key, mandatory, payload, trace, occurred_at, available_at, sent_at) VALUES (md5(:n::text)::uuid, 'product_events', 'inventory.changed', true, '{"productId":"0","stock":1000000000,"reserved":1,"available":999999999}', '{}', now(), now(), now());
COMMIT;
