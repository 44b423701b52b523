\set n random(1, 10000)
SELECT p.id, p.seller_id, p.name, p.description, p.price_minor, p.status, p.image_url, p.attributes, p.created_at, p.updated_at, i.stock, i.reserved, i.updated_at AS counted_at FROM products p JOIN inventory i ON i.product_id = p.id WHERE p.id = bench_product(:n) AND p.deleted_at IS NULL;
SELECT c.id, c.name, c.parent_id, c.created_at FROM categories c JOIN product_categories pc ON pc.category_id = c.id WHERE pc.product_id = bench_product(:n) ORDER BY lower(c.name), c.id;
