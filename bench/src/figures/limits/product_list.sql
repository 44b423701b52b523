SELECT * FROM (SELECT p.id, p.seller_id, p.name, p.description, p.price_minor, p.status, p.image_url, p.attributes, p.created_at, p.updated_at, 0::float8 AS sort_key FROM products p WHERE p.deleted_at IS NULL AND p.status = 'active') hits ORDER BY id DESC LIMIT 20 OFFSET 0;
SELECT count(*) FROM products p WHERE p.deleted_at IS NULL AND p.status = 'active';
