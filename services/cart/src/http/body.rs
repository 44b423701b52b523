//! Requests and answers as they are on the wire. Their names mix two spellings because the original's clients do.

use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shop_core::{Currency, Fault, RequestKey};
use shop_server::http::rules;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Address, Cart, Checkout, Item, MAX_QUANTITY, Placed};

/// A cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Cart")]
pub struct CartBody {
    /// Whose cart it is.
    user_id: Uuid,
    /// What is in it, in the order it was put in.
    items: Vec<CartItem>,
    /// Sum of unit price times quantity.
    total_amount: f64,
    /// When the cart goes unless somebody looks at it before.
    expires_at: Timestamp,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartItem {
    /// The product.
    product_id: Uuid,
    /// Its name in the catalog.
    product_name: String,
    /// Its price in the catalog.
    unit_price: f64,
    /// How many of it.
    #[schema(minimum = 1, maximum = 999)]
    quantity: u32,
    /// Its image in the catalog.
    image_url: String,
    /// Present when the catalog could not be asked: name, price and image are the last known ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
    /// Present when fewer can be bought than the cart holds: how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
}

impl CartBody {
    /// `cart` with its amounts in `currency`.
    pub fn new(cart: Cart, currency: Currency) -> Self {
        let Cart { user, items, total, expires_at } = cart;
        let items = items.into_iter().map(|item| CartItem::new(item, currency)).collect();
        Self { user_id: user, items, total_amount: currency.to_number(total), expires_at }
    }
}

impl CartItem {
    fn new(item: Item, currency: Currency) -> Self {
        let available = item.shortage();
        let Item { line, known } = item;
        Self {
            product_id: line.product,
            product_name: known.product.name,
            unit_price: currency.to_number(known.product.price),
            quantity: line.quantity,
            image_url: known.product.image_url,
            stale: known.stale,
            available,
        }
    }
}

/// What to add.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddBody {
    /// The product.
    #[serde(alias = "product_id")]
    #[garde(skip)]
    pub product_id: Uuid,
    /// How many more of it.
    #[garde(range(min = 1, max = MAX_QUANTITY))]
    #[schema(minimum = 1, maximum = 999)]
    pub quantity: u32,
}

/// How many of a product.
#[derive(Debug, Deserialize, Validate, ToSchema)]
pub struct QuantityBody {
    /// The new quantity.
    #[garde(range(min = 1, max = MAX_QUANTITY))]
    #[schema(minimum = 1, maximum = 999)]
    pub quantity: u32,
}

/// How to check out.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutBody {
    /// Where to.
    // A missing address reads as an empty one, so that the answer names every field it needs.
    #[serde(default, alias = "shipping_address")]
    #[garde(dive)]
    #[schema(required = true)]
    shipping_address: ShippingAddress,
    /// The total the buyer was shown. When the order would cost something else, nothing is ordered.
    #[serde(default, alias = "expected_total")]
    // How many decimals it may have depends on the currency.
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    expected_total: Option<f64>,
}

/// Where an order goes.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(default)]
pub struct ShippingAddress {
    /// Who receives it.
    #[serde(alias = "fullName")]
    #[garde(custom(rules::line::<200>))]
    #[schema(required = true, min_length = 1, max_length = 200)]
    full_name: String,
    /// Whom the courier calls.
    #[garde(custom(rules::phone))]
    #[schema(required = true, min_length = 1, max_length = 40, pattern = "^[0-9 +().,/#*x-]*[0-9][0-9 +().,/#*x-]*$")]
    phone: String,
    /// Town.
    #[garde(custom(rules::line::<200>))]
    #[schema(required = true, min_length = 1, max_length = 200)]
    city: String,
    /// Street and number.
    #[garde(custom(rules::line::<300>))]
    #[schema(required = true, min_length = 1, max_length = 300)]
    street: String,
}

impl CheckoutBody {
    /// What the buyer says.
    pub fn into_checkout(self, currency: Currency, key: Option<RequestKey>) -> Result<Checkout, Fault> {
        let ShippingAddress { full_name, phone, city, street } = self.shipping_address;
        let trimmed = |text: String| text.trim().to_owned();
        let address = Address {
            full_name: trimmed(full_name),
            phone: trimmed(phone),
            city: trimmed(city),
            street: trimmed(street),
        };
        let expected_total = self.expected_total.map(|number| currency.parse(number)).transpose();
        let expected_total =
            expected_total.map_err(|error| Fault::invalid_field("expectedTotal", "amount", error.to_string()))?;
        Ok(Checkout { address, expected_total, key })
    }
}

/// The order a checkout made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "PlacedOrder")]
pub struct PlacedBody {
    /// Its id.
    order_id: Uuid,
    /// Its status.
    #[schema(example = "CREATED")]
    status: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Placed> for PlacedBody {
    fn from(placed: Placed) -> Self {
        let Placed { order, status, created_at } = placed;
        Self { order_id: order, status, created_at }
    }
}
