\set n random(1, 9000000000000000)
SELECT user_id, refusal FROM order_attempts WHERE order_id = md5(:n::text)::uuid;
BEGIN;
WITH attempt AS (INSERT INTO order_attempts (order_id, user_id, at) VALUES (md5(:n::text)::uuid, md5(:n::text)::uuid, now()) ON CONFLICT DO NOTHING RETURNING order_id), placed AS (INSERT INTO orders (id, user_id, created_at, status, payment_status, total_minor, currency, full_name, phone, city, street, trace, expires_at) SELECT order_id, order_id, now(), 'CREATED', 'none', 1999, 'USD', 'Load Tester', '+442071234567', 'London', '1 Test Row', '{}', now() + interval '10 minutes' FROM attempt RETURNING id) INSERT INTO order_history (order_id, status, reason, at) SELECT id, 'CREATED', 'placed', now() FROM placed;
INSERT INTO order_lines (order_id, created_at, line, product_id, seller_id, product_name, image_url, unit_price_minor, quantity) SELECT md5(:n::text)::uuid, now(), 1, md5(:n::text)::uuid, md5(:n::text)::uuid, 'bal cet dif', '', 1999, 1;
INSERT INTO outbox (id, exchange, routing_key, mandatory, payload, trace, occurred_at, available_at, sent_at) VALUES (md5(:n::text)::uuid, 'order_events', 'order.created', true, '{"orderId":"0","userId":"0","totalMinor":1999,"currency":"USD","lines":[{"productId":"0","sellerId":"0","productName":"bal cet dif","unitPriceMinor":1999,"quantity":1}],"expiresAt":"2030-01-01T00:00:00Z"}', '{}', now(), now(), now());
COMMIT;
