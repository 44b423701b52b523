//! Lists of products: what is found, in which order, from where on.

use serde_json::Value;
use shop_core::Money;
use shop_db::Pool;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::products::columns;
use crate::domain::{
    product::{Product, Status, Viewer},
    words::{Terms, Word},
};

/// Words shorter than this are found only as they are written.
const TYPO_LENGTH: i32 = 5;

/// What a list shows.
#[derive(Clone, Debug)]
pub struct Filter {
    /// For whom.
    pub viewer: Viewer,
    /// Words that have to be in the name or the description.
    pub terms: Option<Terms>,
    /// Of one seller.
    pub seller_id: Option<Uuid>,
    /// In one status.
    pub status: Option<Status>,
    /// In one of these categories.
    pub category_ids: Option<Vec<Uuid>>,
    /// At least.
    pub min_price: Option<Money>,
    /// At most.
    pub max_price: Option<Money>,
    /// With all of these attributes.
    pub attributes: Option<Value>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What fits the words best.
    Score,
    /// The newest.
    Newest,
    /// The cheapest.
    Cheapest,
    /// The dearest.
    Dearest,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// What comes first.
    pub order: Order,
    /// After the product with this key; takes precedence over `offset`.
    pub after: Option<Key>,
    /// Leave out so many.
    pub offset: i64,
    /// Show so many.
    pub limit: i64,
}

/// Where a product stands in a list: the value it is sorted by, and its id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Score or price; meaningless where the id alone decides.
    pub value: f64,
    /// Decides between equals.
    pub id: Uuid,
}

/// A product of a list.
pub struct Hit {
    /// The product.
    pub product: Product,
    /// Where it stands.
    pub key: Key,
}

/// A product found by its words, and how many were found.
struct Found {
    hit: Hit,
    total: i64,
}

impl FromRow<'_, PgRow> for Found {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { hit: Hit::from_row(row)?, total: row.try_get("total")? })
    }
}

impl FromRow<'_, PgRow> for Hit {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let product = Product::from_row(row)?;
        let key = Key { value: row.try_get("sort_key")?, id: product.id };
        Ok(Self { product, key })
    }
}

#[derive(FromRow)]
struct WordRow {
    typed: String,
    stems: Vec<String>,
    candidates: Vec<String>,
}

/// The words of `text`, each with its stems and with those words of the catalog that may be meant by it.
pub async fn words(pool: &Pool, text: &str) -> sqlx::Result<Vec<Word>> {
    let rows: Vec<WordRow> = sqlx::query_as(
        "SELECT typed, tsvector_to_array(to_tsvector('english', typed)) AS stems,
             ARRAY(SELECT DISTINCT word FROM search_words WHERE length(typed) >= $2
                   AND variant IN (SELECT deletions(typed)) AND word <> typed ORDER BY word) AS candidates
         FROM unnest(tsvector_to_array(to_tsvector('simple', $1))) AS typed",
    )
    .bind(text)
    .bind(TYPO_LENGTH)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|WordRow { typed, stems, candidates }| Word { typed, stems, candidates }).collect())
}

/// Remembers the words of a product. In one order, so that two products with the same new words do not wait for each other.
pub async fn learn(tx: &mut PgConnection, product: &Product) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO search_words (variant, word)
         SELECT variant, lexeme
         FROM unnest(tsvector_to_array(to_tsvector('simple', $1 || ' ' || $2))) AS lexeme, LATERAL deletions(lexeme) AS variant
         WHERE length(lexeme) BETWEEN $3 - 1 AND 40
             AND NOT EXISTS (SELECT FROM search_words known WHERE known.variant = lexeme AND known.word = lexeme)
         ORDER BY variant, lexeme ON CONFLICT DO NOTHING",
    )
    .bind(&product.name)
    .bind(&product.description)
    .bind(TYPO_LENGTH)
    .execute(tx)
    .await
    .map(|_| ())
}

impl Filter {
    /// Whether no index gives what it finds in the order of a list.
    #[must_use]
    pub const fn is_unordered(&self) -> bool {
        self.terms.is_some() || self.category_ids.is_some() || self.attributes.is_some()
    }
}

/// One page of what `filter` finds where an index gives the order: the page ends the walk.
pub async fn list(pool: &Pool, filter: &Filter, page: &Page) -> sqlx::Result<Vec<Hit>> {
    let mut query = QueryBuilder::<Postgres>::new(concat!("SELECT * FROM (SELECT ", columns!(), ", "));
    push_sort_key(&mut query, filter, page.order);
    query.push(" AS sort_key FROM products p WHERE ");
    push_conditions(&mut query, filter);
    query.push(") hits");
    push_page(&mut query, page);
    query.build_query_as().fetch_all(pool).await
}

/// One page of what `filter` finds in no order, and how many products that is on all pages; not known when the page is empty.
/// All of them have to be looked at, for their place or for the number, so it is done once for both.
pub async fn find(pool: &Pool, filter: &Filter, page: &Page) -> sqlx::Result<(Vec<Hit>, Option<u64>)> {
    let mut query = QueryBuilder::<Postgres>::new("WITH found AS MATERIALIZED (SELECT p.id, p.price_minor, ");
    push_sort_key(&mut query, filter, page.order);
    query.push(" AS sort_key FROM products p WHERE ");
    push_conditions(&mut query, filter);
    query.push(concat!(
        ") SELECT ",
        columns!(),
        ", page.sort_key, page.total FROM (SELECT id, sort_key, (SELECT count(*) FROM found) AS total FROM found"
    ));
    let by = push_page(&mut query, page);
    query.push(") page JOIN products p USING (id) ORDER BY ").push(by);
    let found: Vec<Found> = query.build_query_as().fetch_all(pool).await?;
    let total = found.first().map(|found| u64::try_from(found.total).unwrap_or_default());
    Ok((found.into_iter().map(|found| found.hit).collect(), total))
}

/// How many products `filter` finds.
pub async fn count(pool: &Pool, filter: &Filter) -> sqlx::Result<u64> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT count(*) FROM products p WHERE ");
    push_conditions(&mut query, filter);
    let count: i64 = query.build_query_scalar().fetch_one(pool).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

fn push_sort_key(query: &mut QueryBuilder<Postgres>, filter: &Filter, order: Order) {
    match (order, &filter.terms) {
        (Order::Score, Some(Terms { exact, wide })) if exact == wide => {
            query.push("(3 * ts_rank(p.search, ").push_bind(exact.clone()).push("::tsquery))::float8");
        }
        (Order::Score, Some(Terms { exact, wide })) => {
            query.push("(2 * ts_rank(p.search, ").push_bind(exact.clone());
            query.push("::tsquery) + ts_rank(p.search, ").push_bind(wide.clone()).push("::tsquery))::float8");
        }
        (Order::Cheapest | Order::Dearest, _) => {
            query.push("p.price_minor::float8");
        }
        (Order::Newest | Order::Score, _) => {
            query.push("0::float8");
        }
    }
}

fn push_conditions(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    let Filter { viewer, terms, seller_id, status, category_ids, min_price, max_price, attributes } = filter;
    query.push("p.deleted_at IS NULL");
    match viewer {
        Viewer::Anyone => {
            query.push(" AND p.status = 'active'");
        }
        Viewer::Seller(id) => {
            query.push(" AND (p.status = 'active' OR p.seller_id = ").push_bind(*id).push(")");
        }
        Viewer::Admin => {}
    }
    if let Some(terms) = terms {
        query.push(" AND p.search @@ ").push_bind(terms.wide.clone()).push("::tsquery");
    }
    if let Some(id) = seller_id {
        query.push(" AND p.seller_id = ").push_bind(*id);
    }
    if let Some(status) = status {
        query.push(" AND p.status = ").push_bind(*status);
    }
    if let Some(ids) = category_ids {
        query.push(" AND p.id IN (SELECT product_id FROM product_categories WHERE category_id = ANY(");
        query.push_bind(ids.clone()).push("))");
    }
    if let Some(Money(minor)) = min_price {
        query.push(" AND p.price_minor >= ").push_bind(*minor);
    }
    if let Some(Money(minor)) = max_price {
        query.push(" AND p.price_minor <= ").push_bind(*minor);
    }
    if let Some(attributes) = attributes {
        query.push(" AND p.attributes @> ").push_bind(Json(attributes.clone()));
    }
}

/// Cuts the page out, and says what it is sorted by.
fn push_page(query: &mut QueryBuilder<Postgres>, Page { order, after, offset, limit }: &Page) -> &'static str {
    // By id alone, and by the price's own column, an index gives the order.
    let (key, by, comparison) = match order {
        Order::Score => ("(sort_key, id)", "sort_key DESC, id DESC", " < "),
        Order::Newest => ("id", "id DESC", " < "),
        Order::Cheapest => ("(price_minor, id)", "price_minor, id", " > "),
        Order::Dearest => ("(price_minor, id)", "price_minor DESC, id DESC", " < "),
    };
    if let Some(Key { value, id }) = after {
        query.push(" WHERE ").push(key).push(comparison);
        match order {
            Order::Newest => query.push_bind(*id),
            Order::Score => query.push("(").push_bind(*value).push("::float8, ").push_bind(*id).push("::uuid)"),
            Order::Cheapest | Order::Dearest => {
                query.push("(").push_bind(*value).push("::float8::bigint, ").push_bind(*id).push("::uuid)")
            }
        };
    }
    query.push(" ORDER BY ").push(by).push(" LIMIT ").push_bind(*limit);
    if after.is_none() {
        query.push(" OFFSET ").push_bind(*offset);
    }
    by
}
