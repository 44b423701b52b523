//! The neighbours cart calls: the catalog for prices, order for orders.

use std::collections::HashMap;

use shop_auth::Caller;
use shop_core::{Fault, Money, RequestKey};
use shop_mesh::{Peer, for_caller, from_status};
use shop_proto::{
    catalog::{self, GetProductsRequest, catalog_service_client::CatalogServiceClient},
    orders::{
        CloseCheckoutRequest, CreateOrderRequest, IdempotencyKey, OrderItem, OrderResponse,
        order_service_client::OrderServiceClient,
    },
};
use tonic::Code;
use uuid::Uuid;

use crate::domain::{Attempt, Checkout, Placed, Product};

const CATALOG: &str = "The catalog";
const ORDERS: &str = "The order service";

/// The product service.
#[derive(Clone)]
pub struct Catalog(CatalogServiceClient<Peer>);

impl Catalog {
    /// A client over this channel.
    pub fn new(peer: Peer) -> Self {
        Self(CatalogServiceClient::new(peer))
    }

    /// Those of `products` that exist.
    pub async fn products(&self, caller: &Caller, products: &[Uuid]) -> Result<HashMap<Uuid, Product>, Fault> {
        let product_ids = products.iter().map(Uuid::to_string).collect();
        let request = for_caller(GetProductsRequest { product_ids }, &caller.token).map_err(Fault::internal)?;
        let answer = self.0.clone().get_products(request).await;
        let answer = answer.map_err(|status| from_status(CATALOG, status))?.into_inner();
        answer.products.into_iter().map(product).collect()
    }
}

fn product(message: catalog::Product) -> Result<(Uuid, Product), Fault> {
    let id = parse(&message.id)?;
    let product = Product {
        name: message.name,
        price: Money(message.price_minor),
        image_url: message.image_url,
        active: message.active,
        available: message.available,
    };
    Ok((id, product))
}

/// The order service.
#[derive(Clone)]
pub struct Orders(OrderServiceClient<Peer>);

impl Orders {
    /// A client over this channel.
    pub fn new(peer: Peer) -> Self {
        Self(OrderServiceClient::new(peer))
    }

    /// Makes the order of `attempt`, or answers with the one it has made before.
    pub async fn create(&self, caller: &Caller, attempt: &Attempt, checkout: Checkout) -> Result<Placed, Fault> {
        let request =
            for_caller(create_request(caller.id, attempt, checkout), &caller.token).map_err(Fault::internal)?;
        let answer = self.0.clone().create_order(request).await.map_err(|status| from_status(ORDERS, status))?;
        placed(answer.into_inner())
    }

    /// The order with this id, if there is one; else there never will be.
    pub async fn close(&self, caller: &Caller, order: Uuid) -> Result<Option<Placed>, Fault> {
        let message = CloseCheckoutRequest { order_id: order.to_string() };
        let request = for_caller(message, &caller.token).map_err(Fault::internal)?;
        let answer = self.0.clone().close_checkout(request).await.map_err(|status| from_status(ORDERS, status))?;
        answer.into_inner().order.map(placed).transpose()
    }

    /// The order that a checkout with this key made, if there is one.
    pub async fn find_by_key(&self, caller: &Caller, key: &RequestKey) -> Result<Option<Placed>, Fault> {
        let request = for_caller(key_message(key), &caller.token).map_err(Fault::internal)?;
        match self.0.clone().get_order_by_key(request).await {
            Ok(answer) => placed(answer.into_inner()).map(Some),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(from_status(ORDERS, status)),
        }
    }
}

fn key_message(key: &RequestKey) -> IdempotencyKey {
    IdempotencyKey { key: key.key().to_owned(), fingerprint: key.fingerprint().to_vec() }
}

/// Names, prices and totals stay empty: order takes the catalog's.
fn create_request(user: Uuid, attempt: &Attempt, checkout: Checkout) -> CreateOrderRequest {
    let items = attempt.lines.iter().map(|line| OrderItem {
        product_id: line.product.to_string(),
        quantity: i32::try_from(line.quantity).unwrap_or(i32::MAX),
        ..OrderItem::default()
    });
    let Checkout { address, expected_total, key } = checkout;
    let shipping_address = shop_proto::orders::Address {
        full_name: address.full_name,
        phone: address.phone,
        city: address.city,
        street: address.street,
    };
    CreateOrderRequest {
        user_id: user.to_string(),
        items: items.collect(),
        shipping_address: Some(shipping_address),
        total_amount: 0.0,
        order_id: attempt.order.to_string(),
        expected_total_minor: expected_total.map(|Money(minor)| minor),
        idempotency_key: key.as_ref().map(key_message),
    }
}

fn placed(answer: OrderResponse) -> Result<Placed, Fault> {
    Ok(Placed { order: parse(&answer.order_id)?, status: answer.status, created_at: answer.created_at })
}

fn parse(id: &str) -> Result<Uuid, Fault> {
    id.parse().map_err(|_| Fault::internal(format!("a neighbour answered with the id {id:?}")))
}
