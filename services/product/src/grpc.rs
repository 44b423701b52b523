//! What the catalog tells its neighbours: `shop.catalog.v1.CatalogService`.

use std::{collections::HashSet, sync::Arc};

use shop_auth::Verifier;
use shop_core::{Currency, Fault, Rules};
use shop_mesh::{Grpc, LARGEST_MESSAGE, to_status};
use shop_proto::catalog::{
    self, GetProductsRequest, GetProductsResponse, PricedLine, ReservationLine, ReserveStockRequest,
    ReserveStockResponse,
    catalog_service_server::{CatalogService, CatalogServiceServer},
};
use tonic::{Request, Response, Status, service::Routes};
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

impl CatalogGrpc {
    /// The methods; a reservation is part of a checkout, and everything else makes room for it.
    #[must_use]
    pub fn methods(self) -> Grpc {
        let service = CatalogServiceServer::new(self).max_decoding_message_size(LARGEST_MESSAGE);
        Grpc { routes: Routes::new(service), checkout: &["/shop.catalog.v1.CatalogService/ReserveStock"] }
    }
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
    let mut rules = Rules::default();
    let mut ids = Vec::new();
    if rules.count("product_ids", texts.len(), &(0..=MAX_BATCH)) {
        let texts = texts.iter().enumerate();
        ids.extend(texts.filter_map(|(index, text)| rules.uuid(&format!("product_ids[{index}]"), text)));
    }
    rules.kept()?;
    Ok(ids)
}

fn order_of(request: &ReserveStockRequest) -> Result<(Uuid, Vec<Wanted>), Fault> {
    let mut rules = Rules::default();
    let order = rules.uuid("order_id", &request.order_id).unwrap_or_default();
    let mut wanted = Vec::new();
    if rules.count("lines", request.lines.len(), &(1..=MAX_BATCH)) {
        wanted = lines_of(&mut rules, &request.lines);
    }
    rules.kept()?;
    Ok((order, wanted))
}

fn lines_of(rules: &mut Rules, lines: &[ReservationLine]) -> Vec<Wanted> {
    let mut seen = HashSet::new();
    let wanted = lines.iter().enumerate().filter_map(|(index, line)| {
        rules.range(&format!("lines[{index}].quantity"), line.quantity.into(), &(1..=MAX_QUANTITY.into()));
        let field = format!("lines[{index}].product_id");
        let product_id = rules.uuid(&field, &line.product_id)?;
        if !seen.insert(product_id) {
            rules.broken(&field, "distinct", "must not be in two lines: add up the quantities");
        }
        Some(Wanted { product_id, quantity: line.quantity.into() })
    });
    wanted.collect()
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
