//! `ecommerce.orders.OrderService`, for the cart. The user's token is verified here again.

mod request;

use std::sync::Arc;

use shop_auth::{Caller, Verifier};
use shop_core::Fault;
use shop_mesh::{Grpc, LARGEST_MESSAGE, to_status};
use shop_proto::orders::{
    CloseCheckoutRequest, CloseCheckoutResponse, CreateOrderRequest, GetOrderStatusRequest, IdempotencyKey,
    OrderResponse,
    order_service_server::{OrderService, OrderServiceServer},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{app::Orders, domain::Order};

struct Service {
    orders: Arc<Orders>,
    verifier: Arc<Verifier>,
}

/// The methods; placing an order is what everything else makes room for.
#[must_use]
pub fn methods(orders: Arc<Orders>, verifier: Arc<Verifier>) -> Grpc {
    let service = OrderServiceServer::new(Service { orders, verifier }).max_decoding_message_size(LARGEST_MESSAGE);
    let checkout = &["/ecommerce.orders.OrderService/CreateOrder", "/ecommerce.orders.OrderService/CloseCheckout"];
    Grpc { routes: Routes::new(service), checkout }
}

#[tonic::async_trait]
impl OrderService for Service {
    async fn create_order(&self, request: Request<CreateOrderRequest>) -> Result<Response<OrderResponse>, Status> {
        let caller = self.caller(&request).map_err(to_status)?;
        let draft = request::draft(request.into_inner(), &caller).map_err(to_status)?;
        let order = self.orders.create(&caller, draft).await.map_err(to_status)?;
        Ok(Response::new(answer(&order)))
    }

    async fn get_order_status(
        &self,
        request: Request<GetOrderStatusRequest>,
    ) -> Result<Response<OrderResponse>, Status> {
        let caller = self.caller(&request).map_err(to_status)?;
        let id = request::order_id(&request.into_inner().order_id).map_err(to_status)?;
        let order = self.orders.order(&caller, id).await.map_err(to_status)?;
        Ok(Response::new(answer(&order)))
    }

    async fn get_order_by_key(&self, request: Request<IdempotencyKey>) -> Result<Response<OrderResponse>, Status> {
        let caller = self.caller(&request).map_err(to_status)?;
        let key = request::key(request.get_ref()).map_err(to_status)?;
        let order = self.orders.order_by_key(&caller, &key).await.map_err(to_status)?;
        Ok(Response::new(answer(&order)))
    }

    async fn close_checkout(
        &self,
        request: Request<CloseCheckoutRequest>,
    ) -> Result<Response<CloseCheckoutResponse>, Status> {
        let caller = self.caller(&request).map_err(to_status)?;
        let id = request::order_id(&request.into_inner().order_id).map_err(to_status)?;
        let order = self.orders.close_checkout(&caller, id).await.map_err(to_status)?;
        Ok(Response::new(CloseCheckoutResponse { order: order.as_ref().map(answer) }))
    }
}

impl Service {
    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Fault> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        self.verifier.verify_header(authorization)
    }
}

fn answer(order: &Order) -> OrderResponse {
    OrderResponse {
        order_id: order.id.to_string(),
        status: order.status.as_str().to_owned(),
        created_at: order.created_at.to_string(),
        total_minor: order.total_minor,
        currency: order.currency.code().to_owned(),
    }
}
