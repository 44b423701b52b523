//! The catalog as this service sees it: it sets stock aside and says what it costs.

use shop_auth::Caller;
use shop_mesh::{Peer, for_caller, from_status};
use shop_proto::catalog::{
    PricedLine, ReservationLine, ReserveStockRequest, ReserveStockResponse,
    catalog_service_client::CatalogServiceClient,
};
use uuid::Uuid;

use crate::{
    domain::{Line, RequestedLine, Reservation},
    error::Error,
};

/// A client; a clone shares the channel.
#[derive(Clone)]
pub struct Catalog(CatalogServiceClient<Peer>);

impl Catalog {
    /// A client over this channel.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self(CatalogServiceClient::new(peer))
    }

    /// Sets stock aside for an order. Asked again with the same order id, the catalog answers with what is set aside.
    pub async fn reserve(&self, caller: &Caller, order: Uuid, lines: &[RequestedLine]) -> Result<Reservation, Error> {
        let lines = lines
            .iter()
            .map(|line| ReservationLine { product_id: line.product_id.to_string(), quantity: line.quantity });
        let message = ReserveStockRequest { order_id: order.to_string(), lines: lines.collect() };
        let refused = |status| Error::Fault(from_status("The catalog", status));
        let request = for_caller(message, &caller.token).map_err(refused)?;
        let answer = self.0.clone().reserve_stock(request).await.map_err(refused)?;
        read(answer.into_inner())
    }
}

fn read(answer: ReserveStockResponse) -> Result<Reservation, Error> {
    let ReserveStockResponse { lines, currency, expires_at: _ } = answer;
    let currency = currency.parse().map_err(|error| Error::CatalogAnswer(format!("{error}")))?;
    Ok(Reservation { lines: lines.into_iter().map(read_line).collect::<Result<_, _>>()?, currency })
}

fn read_line(line: PricedLine) -> Result<Line, Error> {
    let PricedLine { product_id, seller_id, product_name, unit_price_minor, quantity, image_url } = line;
    if unit_price_minor < 0 {
        return Err(Error::CatalogAnswer(format!("the price of {product_id} is {unit_price_minor}")));
    }
    let uuid = |text: &str| Uuid::parse_str(text).map_err(|_| Error::CatalogAnswer(format!("`{text}` is no id")));
    Ok(Line {
        product_id: uuid(&product_id)?,
        seller_id: uuid(&seller_id)?,
        product_name,
        image_url,
        unit_price_minor,
        quantity,
    })
}
