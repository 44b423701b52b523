//! `/api/v1/products`: creating, reading, changing and deleting one.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shop_auth::Role;
use shop_core::{Currency, Money};
use shop_server::http::{Created, Id, IdempotencyKey, MaybeUser, Problem, ProblemBody, User};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Message, body, categories::CategoryBody, inventory::InventoryBody, rules};
use crate::{
    app::{Catalog, Details},
    domain::product::{Attributes, Change, Image, NewProduct, Product, Status},
    error::Error,
};

/// A product to be. `sellerId` is always the caller's.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewProductBody {
    /// 1 to 200 characters.
    #[garde(custom(rules::line::<200>))]
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// At most 10000 characters.
    #[garde(inner(custom(rules::paragraphs::<10_000>)))]
    #[schema(max_length = 10_000)]
    description: Option<String>,
    /// In the Shop's currency, with no more decimals than it has.
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    price: f64,
    /// The Shop's currency, or absent.
    #[garde(skip)]
    #[schema(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// `draft` when absent.
    #[garde(skip)]
    status: Option<Status>,
    /// At most 20; in a form a JSON text.
    #[serde(alias = "category_ids")]
    #[garde(inner(length(max = 20)))]
    #[schema(max_items = 20)]
    category_ids: Option<Vec<Uuid>>,
    /// Free properties, texts, numbers, truths or lists of them; in a form a JSON text.
    #[garde(inner(custom(rules::attributes)))]
    #[schema(schema_with = rules::attributes_schema)]
    attributes: Option<Attributes>,
    /// The address of a picture, unless one is uploaded.
    #[serde(alias = "image_url")]
    #[garde(inner(length(chars, max = 2048), custom(rules::picture_url)))]
    #[schema(max_length = 2048, pattern = r"^((https?://|/uploads/)\S+)?$")]
    image_url: Option<String>,
}

/// What of a product is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeBody {
    /// 1 to 200 characters.
    #[garde(inner(custom(rules::line::<200>)))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// At most 10000 characters.
    #[garde(inner(custom(rules::paragraphs::<10_000>)))]
    #[schema(max_length = 10_000)]
    description: Option<String>,
    /// In the Shop's currency, with no more decimals than it has.
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    price: Option<f64>,
    /// The Shop's currency, or absent.
    #[garde(skip)]
    #[schema(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// Whether it can be seen and bought.
    #[garde(skip)]
    status: Option<Status>,
    /// At most 20, instead of those before.
    #[serde(alias = "category_ids")]
    #[garde(inner(length(max = 20)))]
    #[schema(max_items = 20)]
    category_ids: Option<Vec<Uuid>>,
    /// Instead of those before.
    #[garde(inner(custom(rules::attributes)))]
    #[schema(schema_with = rules::attributes_schema)]
    attributes: Option<Attributes>,
    /// Empty: no picture any more.
    #[serde(alias = "image_url")]
    #[garde(inner(length(chars, max = 2048), custom(rules::picture_url)))]
    #[schema(max_length = 2048, pattern = r"^((https?://|/uploads/)\S+)?$")]
    image_url: Option<String>,
}

/// The fields of a form, as [`NewProductBody`], with a picture.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct ProductForm {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(max_length = 10_000)]
    description: Option<String>,
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    price: f64,
    #[schema(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    status: Option<Status>,
    /// A JSON list of ids.
    #[schema(max_length = 65_536)]
    category_ids: Option<String>,
    /// A JSON object.
    #[schema(max_length = 65_536)]
    attributes: Option<String>,
    /// JPEG, PNG or WebP, at most 4096 x 4096 pixels.
    #[schema(format = Binary, value_type = Option<String>)]
    image: Option<Vec<u8>>,
    #[schema(rename = "imageUrl", max_length = 2048)]
    image_url: Option<String>,
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductBody {
    id: Uuid,
    seller_id: Uuid,
    name: String,
    description: String,
    price: f64,
    currency: String,
    status: Status,
    image_url: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl ProductBody {
    /// The answer that shows `product`.
    pub fn of(product: Product, shop: Currency) -> Self {
        let Product {
            id,
            seller_id,
            name,
            description,
            price,
            status,
            image_url,
            attributes: _,
            created_at,
            updated_at,
        } = product;
        let (price, currency) = (shop.to_number(price), shop.code().to_owned());
        Self { id, seller_id, name, description, price, currency, status, image_url, created_at, updated_at }
    }
}

/// The answer to the question for one product.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductAnswer {
    product: DetailsBody,
}

/// A product and everything around it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetailsBody {
    product: ProductBody,
    attributes: AttributesBody,
    categories: Vec<CategoryBody>,
    inventory: InventoryBody,
}

/// The free properties of a product.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributesBody {
    product_id: Uuid,
    #[schema(value_type = Object)]
    attributes: Attributes,
}

impl ProductAnswer {
    fn of(Details { product, categories, inventory }: Details, shop: Currency) -> Self {
        let attributes = AttributesBody { product_id: product.id, attributes: product.attributes.clone() };
        let categories = categories.into_iter().map(CategoryBody::from).collect();
        let (product, inventory) = (ProductBody::of(product, shop), inventory.into());
        Self { product: DetailsBody { product, attributes, categories, inventory } }
    }
}

/// Creates a product of the caller's.
#[utoipa::path(
    post, path = "/api/v1/products", tag = "products", security(("token" = [])), params(IdempotencyKey),
    request_body(content((NewProductBody = "application/json"), (ProductForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "Created", body = ProductBody),
        (status = 400, description = "A field breaks a rule", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No good token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not a seller", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The Idempotency-Key was used with another body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Over 64 KiB of JSON or 8 MiB of form", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor a form", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(catalog): State<Arc<Catalog>>,
    State(uploads): State<Arc<Semaphore>>,
    User(caller): User,
    request: Request,
) -> Result<Created, Problem> {
    caller.require(Role::Seller)?;
    let body::Body { fields, image, key, turn: _turn } = body::read::<NewProductBody>(request, &uploads).await?;
    if let Some(before) = catalog.created_before(&caller, key.as_ref()).await? {
        return Ok(Created(before));
    }
    let new = new_product(&catalog, fields, image).await?;
    let answer = |product| ProductBody::of(product, catalog.currency);
    Ok(Created(catalog.create_product(&caller, new, key.as_ref(), answer).await?))
}

/// A product, its attributes, categories and stock.
#[utoipa::path(
    get, path = "/api/v1/products/{id}", tag = "products", params(("id" = Uuid, Path)), security((), ("token" = [])),
    responses(
        (status = 200, description = "The product", body = ProductAnswer),
        (status = 400, description = "Not an id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "A token that is not good", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Not there, or not for the caller's eyes", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(catalog): State<Arc<Catalog>>,
    MaybeUser(caller): MaybeUser,
    Id(id): Id,
) -> Result<Json<ProductAnswer>, Problem> {
    let details = catalog.product(caller.as_ref(), id).await?;
    Ok(Json(ProductAnswer::of(details, catalog.currency)))
}

/// Changes what the body names.
#[utoipa::path(
    put, path = "/api/v1/products/{id}", tag = "products", params(("id" = Uuid, Path)), security(("token" = [])),
    request_body(content((ChangeBody = "application/json"), (ProductForm = "multipart/form-data"))),
    responses(
        (status = 200, description = "Changed", body = Message),
        (status = 400, description = "A field breaks a rule", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No good token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Another seller's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Not there, or not for the caller's eyes", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Over 64 KiB of JSON or 8 MiB of form", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor a form", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(catalog): State<Arc<Catalog>>,
    State(uploads): State<Arc<Semaphore>>,
    User(caller): User,
    Id(id): Id,
    request: Request,
) -> Result<Json<Message>, Problem> {
    catalog.product(Some(&caller), id).await?.product.require_editor(&caller)?;
    let body::Body { fields, image, key: _, turn: _turn } = body::read::<ChangeBody>(request, &uploads).await?;
    let change = change(&catalog, fields, image).await?;
    catalog.update_product(&caller, id, change).await?;
    Ok(Json(Message { message: "Product updated" }))
}

/// Takes a product out of sight; orders keep their data.
#[utoipa::path(
    delete, path = "/api/v1/products/{id}", tag = "products", params(("id" = Uuid, Path)), security(("token" = [])),
    responses(
        (status = 200, description = "Deleted", body = Message),
        (status = 400, description = "Not an id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No good token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Another seller's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Not there, or not for the caller's eyes", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(catalog): State<Arc<Catalog>>,
    User(caller): User,
    Id(id): Id,
) -> Result<Json<Message>, Problem> {
    catalog.delete_product(&caller, id).await?;
    Ok(Json(Message { message: "Product deleted" }))
}

async fn new_product(catalog: &Catalog, fields: NewProductBody, upload: Option<Vec<u8>>) -> Result<NewProduct, Error> {
    let NewProductBody { name, description, price, currency, status, category_ids, attributes, image_url } = fields;
    require_currency(catalog.currency, currency.as_deref())?;
    let price = amount(catalog.currency, "price", price)?;
    Ok(NewProduct {
        name: name.trim().to_owned(),
        description: description.unwrap_or_default(),
        price,
        status: status.unwrap_or_default(),
        image: image(catalog, image_url, upload).await?.unwrap_or_default(),
        attributes: attributes.unwrap_or_default(),
        category_ids: category_ids.unwrap_or_default(),
    })
}

async fn change(catalog: &Catalog, fields: ChangeBody, upload: Option<Vec<u8>>) -> Result<Change, Error> {
    let ChangeBody { name, description, price, currency, status, category_ids, attributes, image_url } = fields;
    require_currency(catalog.currency, currency.as_deref())?;
    let price = price.map(|price| amount(catalog.currency, "price", price)).transpose()?;
    let image = image(catalog, image_url, upload).await?;
    Ok(Change {
        name: name.map(|name| name.trim().to_owned()),
        description,
        price,
        status,
        image,
        attributes,
        category_ids,
    })
}

/// An address wins over an upload, as in the original.
async fn image(catalog: &Catalog, url: Option<String>, upload: Option<Vec<u8>>) -> Result<Option<Image>, Error> {
    match (url, upload) {
        (Some(url), _) if !url.is_empty() => Ok(Some(Image::Elsewhere(url))),
        (_, Some(upload)) => Ok(Some(Image::Uploaded(catalog.encode(upload).await?))),
        (Some(_), None) => Ok(Some(Image::None)),
        (None, None) => Ok(None),
    }
}

/// A JSON number as an amount of the Shop's currency.
pub fn amount(currency: Currency, field: &'static str, number: f64) -> Result<Money, Error> {
    currency.parse(number).map_err(|reason| Error::Amount { field, reason })
}

fn require_currency(shop: Currency, named: Option<&str>) -> Result<(), Error> {
    match named {
        Some(code) if code != shop.code() => Err(Error::Currency { expected: shop.code().to_owned() }),
        _ => Ok(()),
    }
}
