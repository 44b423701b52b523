//! `GET /api/v1/products`: filters, words, order, pages.

use std::{fmt, str::FromStr, sync::Arc};

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shop_core::Fault;
use shop_server::http::{MaybeUser, Params, Problem, ProblemBody};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    products::{ProductBody, amount},
    rules,
};
use crate::{
    app::Catalog,
    domain::product::{Attributes, Status, Viewer},
    error::Error,
    store::search::{Filter, Hit, Key, Order, Page},
};

const DEFAULT_LIMIT: u32 = 20;
/// Further on, `cursor` is the way: a page number makes the database walk over everything before it.
const MAX_PAGE: u32 = 10_000;

/// What to list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Words of the name or the description, all of them; one with five letters or more may be one slip away.
    #[garde(inner(custom(rules::paragraphs::<200>)))]
    #[param(max_length = 200)]
    q: Option<String>,
    /// Of one seller.
    #[serde(alias = "sellerId")]
    #[garde(skip)]
    seller_id: Option<Uuid>,
    /// `draft` and `inactive` show the caller's own.
    #[garde(skip)]
    status: Option<Status>,
    /// In this category or one below it.
    #[serde(alias = "categoryId")]
    #[garde(skip)]
    category_id: Option<Uuid>,
    /// At least this price.
    #[serde(alias = "minPrice")]
    #[garde(skip)]
    #[param(minimum = 0, maximum = 1_000_000_000_000_i64)]
    min_price: Option<f64>,
    /// At most this price.
    #[serde(alias = "maxPrice")]
    #[garde(skip)]
    #[param(minimum = 0, maximum = 1_000_000_000_000_i64)]
    max_price: Option<f64>,
    /// A JSON object; products that have all of it, for instance `{"color":"red"}`.
    #[garde(inner(length(chars, max = 2048)))]
    #[param(max_length = 2048, format = "json")]
    attributes: Option<String>,
    /// `relevance` when there are words, else `newest`.
    // A parameter brings no schema into the document, and no body has this one.
    #[garde(skip)]
    #[param(inline)]
    sort: Option<Sort>,
    /// From 1 on.
    #[garde(inner(range(min = 1, max = MAX_PAGE)))]
    #[param(minimum = 1, maximum = 10_000)]
    page: Option<u32>,
    /// At most so many.
    #[garde(inner(range(min = 1, max = 100)))]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before, with the same `q` and `sort`; `page` is then ignored.
    #[garde(inner(length(chars, max = 200)))]
    #[param(max_length = 200, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// What fits the words best.
    Relevance,
    /// The newest.
    Newest,
    /// The cheapest.
    PriceAsc,
    /// The dearest.
    PriceDesc,
}

/// One page of products.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListAnswer {
    data: Vec<ProductBody>,
    /// On all pages.
    total: u64,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Finds products.
#[utoipa::path(
    get, path = "/api/v1/products", tag = "products", params(ListQuery), security((), ("token" = [])),
    responses(
        (status = 200, description = "One page", body = ListAnswer),
        (status = 400, description = "A parameter breaks a rule", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "A token that is not good", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(catalog): State<Arc<Catalog>>,
    MaybeUser(caller): MaybeUser,
    Params(query): Params<ListQuery>,
) -> Result<Json<ListAnswer>, Problem> {
    let page = page(&query)?;
    let filter = filter(&catalog, &query, caller.as_ref().into())?;
    let (hits, total) = catalog.find_products(text(&query), query.category_id, filter, page).await?;
    Ok(Json(answer(&catalog, hits, total, page)))
}

fn text(query: &ListQuery) -> Option<&str> {
    query.q.as_deref().filter(|text| !text.trim().is_empty())
}

fn filter(catalog: &Catalog, query: &ListQuery, viewer: Viewer) -> Result<Filter, Error> {
    let price = |field, number: Option<f64>| number.map(|number| amount(catalog.currency, field, number)).transpose();
    Ok(Filter {
        viewer,
        terms: None,
        seller_id: query.seller_id,
        status: query.status,
        category_ids: None,
        min_price: price("minPrice", query.min_price)?,
        max_price: price("maxPrice", query.max_price)?,
        attributes: query.attributes.as_deref().map(attributes).transpose()?,
    })
}

fn attributes(text: &str) -> Result<Value, Fault> {
    let refuse = |message: &str| Fault::invalid_field("attributes", "json", message);
    let attributes: Attributes =
        serde_json::from_str(text).map_err(|_| refuse("must be a JSON object, for instance {\"color\":\"red\"}"))?;
    rules::attributes(&attributes, &()).map_err(|error| refuse(error.message()))?;
    serde_json::to_value(attributes).map_err(Fault::internal)
}

fn page(query: &ListQuery) -> Result<Page, Fault> {
    let order = match (query.sort, text(query)) {
        (Some(Sort::Relevance) | None, Some(_)) => Order::Score,
        (Some(Sort::Newest | Sort::Relevance) | None, _) => Order::Newest,
        (Some(Sort::PriceAsc), _) => Order::Cheapest,
        (Some(Sort::PriceDesc), _) => Order::Dearest,
    };
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let skipped = i64::from(query.page.unwrap_or(1) - 1) * i64::from(limit);
    let after = query.cursor.as_deref().map(|cursor| key_of(cursor, order)).transpose()?;
    let offset = if after.is_some() { 0 } else { skipped };
    Ok(Page { order, after, offset, limit: i64::from(limit) })
}

fn key_of(cursor: &str, order: Order) -> Result<Key, Fault> {
    let refuse =
        || Fault::invalid_field("cursor", "cursor", "must be the nextCursor of a list with the same q and sort");
    let Cursor { order: made_for, key } = cursor.parse().map_err(|NotACursor| refuse())?;
    if made_for == order { Ok(key) } else { Err(refuse()) }
}

fn answer(catalog: &Catalog, hits: Vec<Hit>, total: u64, page: Page) -> ListAnswer {
    let full = i64::try_from(hits.len()).is_ok_and(|found| found == page.limit);
    let next_cursor = hits.last().filter(|_| full).map(|hit| Cursor { order: page.order, key: hit.key }.to_string());
    let data = hits.into_iter().map(|hit| ProductBody::of(hit.product, catalog.currency)).collect();
    ListAnswer { data, total, next_cursor }
}

/// Where a page ended, as a client carries it: opaque, and good for one order only.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cursor {
    order: Order,
    key: Key,
}

#[derive(Debug)]
struct NotACursor;

const ORDERS: [(Order, u8); 4] =
    [(Order::Score, b's'), (Order::Newest, b'n'), (Order::Cheapest, b'c'), (Order::Dearest, b'd')];

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = ORDERS.iter().find(|(order, _)| *order == self.order).map(|(_, letter)| *letter);
        let mut bytes: Vec<u8> = letter.into_iter().collect();
        bytes.extend(self.key.value.to_be_bytes());
        bytes.extend(self.key.id.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
        let [letter, rest @ ..] = bytes.as_slice() else { return Err(NotACursor) };
        let (order, _) = ORDERS.iter().find(|(_, known)| known == letter).ok_or(NotACursor)?;
        let (value, id) = rest.split_at_checked(size_of::<f64>()).ok_or(NotACursor)?;
        let value = f64::from_be_bytes(value.try_into().map_err(|_| NotACursor)?);
        // PostgreSQL would refuse to make a price of anything else.
        if !value.is_finite() || value.abs() > 1e15 {
            return Err(NotACursor);
        }
        Ok(Self { order: *order, key: Key { value, id: Uuid::from_slice(id).map_err(|_| NotACursor)? } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        for (order, _) in ORDERS {
            let cursor = Cursor { order, key: Key { value: 0.303_964_f32.into(), id: Uuid::from_u128(7) } };
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
        let endless = Cursor { order: Order::Cheapest, key: Key { value: f64::INFINITY, id: Uuid::nil() } };
        for text in ["", "AAAA", "not base64!", &endless.to_string(), &URL_SAFE_NO_PAD.encode([b's'; 30])] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_order_only() {
        let cursor = Cursor { order: Order::Newest, key: Key { value: 0.0, id: Uuid::nil() } }.to_string();
        assert!(key_of(&cursor, Order::Newest).is_ok());
        assert!(key_of(&cursor, Order::Cheapest).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_cursor_that_reads_back_or_is_refused(
            text in prop_oneof!["\\PC*".boxed(), prop::collection::vec(any::<u8>(), 20..30).prop_map(|b| URL_SAFE_NO_PAD.encode(b)).boxed()],
        ) {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            }
        }

        #[test]
        fn any_text_is_a_filter_of_flat_attributes_or_is_refused(
            text in prop_oneof!["\\PC*", "[\\[\\]{}\":,a-z0-9]{0,60}", "\\{(\"[a-z]{1,3}\":(1|true|\"x\"|\\[1,2\\]|\\{\\}|null),?){0,4}\\}"],
        ) {
            match attributes(&text) {
                Ok(filter) => {
                    let fields = filter.as_object().unwrap();
                    prop_assert!(fields.values().all(|value| !value.is_object() && !value.is_null()), "{filter}");
                }
                Err(fault) => prop_assert_eq!(fault.fields()[0].field.as_str(), "attributes"),
            }
        }
    }
}
