//! What the catalog tells its neighbours: `shop.catalog.v1.CatalogService`.

use std::{collections::HashSet, sync::Arc};

use shop_auth::Verifier;
use shop_core::{Currency, Fault};
use shop_mesh::to_status;
use shop_proto::catalog::{
    self, GetProductsRequest, GetProductsResponse, PricedLine, ReserveStockRequest, ReserveStockResponse,
    catalog_service_server::CatalogService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    app::{self, Catalog},
    domain::{
        product,
        stock::{Line, Offer, Wanted},
    },
};

/// The most products of one call, and the most lines of one order.
const MAX_BATCH: usize = 100;
const MAX_QUANTITY: i32 = 999;

/// The gRPC edge.
pub struct CatalogGrpc {
    /// The use cases.
    pub catalog: Arc<Catalog>,
    /// A call made for a user carries the user's token; it is verified here again.
    pub verifier: Arc<Verifier>,
}

#[tonic::async_trait]
impl CatalogService for CatalogGrpc {
    async fn get_products(
        &self,
        request: Request<GetProductsRequest>,
    ) -> Result<Response<GetProductsResponse>, Status> {
        let GetProductsRequest { product_ids } = request.into_inner();
        let ids = product_ids_of(&product_ids).map_err(to_status)?;
        let offers = self.catalog.offers(&ids).await.map_err(to_status)?;
        let products = offers.into_iter().map(|offer| message(offer, self.catalog.currency)).collect();
        Ok(Response::new(GetProductsResponse { products }))
    }

    async fn reserve_stock(
        &self,
        request: Request<ReserveStockRequest>,
    ) -> Result<Response<ReserveStockResponse>, Status> {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let buyer = self.verifier.verify_header(token).map_err(to_status)?;
        let (order, wanted) = order_of(&request.into_inner()).map_err(to_status)?;
        let app::Reservation { lines, expires_at } =
            self.catalog.reserve(buyer.id, order, &wanted).await.map_err(to_status)?;
        Ok(Response::new(ReserveStockResponse {
            lines: lines.into_iter().map(priced).collect(),
            currency: self.catalog.currency.code().to_owned(),
            expires_at: expires_at.to_string(),
        }))
    }
}

fn product_ids_of(texts: &[String]) -> Result<Vec<Uuid>, Fault> {
    if texts.len() > MAX_BATCH {
        return Err(Fault::invalid_field("product_ids", "length", format!("at most {MAX_BATCH} in one call")));
    }
    texts.iter().enumerate().map(|(index, text)| uuid(&format!("product_ids[{index}]"), text)).collect()
}

fn order_of(request: &ReserveStockRequest) -> Result<(Uuid, Vec<Wanted>), Fault> {
    let order = uuid("order_id", &request.order_id)?;
    if request.lines.is_empty() || request.lines.len() > MAX_BATCH {
        return Err(Fault::invalid_field("lines", "length", format!("between 1 and {MAX_BATCH}")));
    }
    let mut seen = HashSet::new();
    let lines = request.lines.iter().enumerate().map(|(index, line)| {
        let product_id = uuid(&format!("lines[{index}].product_id"), &line.product_id)?;
        if !seen.insert(product_id) {
            let field = format!("lines[{index}].product_id");
            return Err(Fault::invalid_field(&field, "unique", "each product in one line only"));
        }
        if !(1..=MAX_QUANTITY).contains(&line.quantity) {
            let field = format!("lines[{index}].quantity");
            return Err(Fault::invalid_field(&field, "range", format!("must be between 1 and {MAX_QUANTITY}")));
        }
        Ok(Wanted { product_id, quantity: i64::from(line.quantity) })
    });
    Ok((order, lines.collect::<Result<_, Fault>>()?))
}

fn uuid(field: &str, text: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(text).map_err(|_| Fault::invalid_field(field, "uuid", "must be a UUID"))
}

fn message(offer: Offer, currency: Currency) -> catalog::Product {
    let Offer { product_id, seller_id, name, price, image_url, status, available } = offer;
    catalog::Product {
        id: product_id.to_string(),
        seller_id: seller_id.to_string(),
        name,
        price_minor: price.0,
        currency: currency.code().to_owned(),
        image_url: image_url.unwrap_or_default(),
        available,
        active: status == product::Status::Active,
    }
}

fn priced(line: Line) -> PricedLine {
    let Line { product_id, seller_id, name, price, quantity, image_url } = line;
    PricedLine {
        product_id: product_id.to_string(),
        seller_id: seller_id.to_string(),
        product_name: name,
        unit_price_minor: price.0,
        // At most MAX_QUANTITY came in.
        quantity: i32::try_from(quantity).unwrap_or(MAX_QUANTITY),
        image_url: image_url.unwrap_or_default(),
    }
}
