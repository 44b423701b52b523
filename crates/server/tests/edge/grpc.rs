//! The same limits over gRPC, and what only HTTP/2 can do.

use std::time::Duration;

use bytes::Bytes;
use h2::client;
use shop_core::Kind;
use shop_mesh::from_status;
use shop_proto::orders::{CreateOrderRequest, GetOrderStatusRequest, order_service_client::OrderServiceClient};
use shop_server::Limits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::Shop;

type Client = OrderServiceClient<shop_mesh::Peer>;

async fn client(shop: &Shop) -> Client {
    let peer = shop.service.peer("cart", "order");
    peer.found().await;
    OrderServiceClient::new(peer)
}

#[tokio::test]
async fn over_the_limit_a_call_is_refused_with_the_time_to_come_back_while_orders_are_placed() {
    let shop = Shop::open(Limits { requests: 4, ..Limits::default() }).await;
    let mut orders = client(&shop).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut orders = orders.clone();
            tokio::spawn(async move { orders.get_order_status(GetOrderStatusRequest::default()).await.map(drop) })
        })
        .collect();
    shop.until_in_flight(3).await;

    let refused = orders.get_order_status(GetOrderStatusRequest::default()).await.expect_err("it is full");
    let fault = from_status("The order service", refused);
    assert_eq!(fault.kind(), Kind::Unavailable { retry_after: Duration::from_secs(1) });
    orders.create_order(CreateOrderRequest::default()).await.expect("an order is placed");
    let http = shop.service.client.get(shop.service.url("/search")).send().await.expect("an answer");
    assert_eq!(http.status(), 503, "HTTP and gRPC share the limit");

    shop.open_door();
    for answer in waiting {
        answer.await.expect("no panic").expect("whoever was let in is served");
    }
    shop.until_in_flight(0).await;
    orders.get_order_status(GetOrderStatusRequest::default()).await.expect("served again");
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The beginning of a call, and its end (RFC 9113, sections 6.2 and 6.4).
fn call_taken_back(stream: u32) -> Vec<u8> {
    let path = b"/ecommerce.orders.OrderService/GetOrderStatus";
    let length = u8::try_from(path.len()).expect("a short path");
    // `:method: POST` and `:scheme: http` are in HPACK's static table (RFC 7541), `:path` is a literal behind its name there.
    let headers = [&[0x83, 0x86, 0x04, length][..], path].concat();
    [frame(1, 4, stream, &headers), frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
}

#[tokio::test]
async fn a_client_that_opens_calls_only_to_take_them_back_is_cut_off_and_others_are_served() {
    let shop = Shop::open(Limits::default()).await;
    let address = shop.service.addresses.grpc.expect("the service has gRPC");
    let (mut reader, mut writer) = TcpStream::connect(address).await.expect("it listens").into_split();
    let mut heard = Vec::new();
    let hearing = reader.read_to_end(&mut heard);
    let flooding = async {
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(4, 0, 0, b"").as_slice()].concat();
        writer.write_all(&hello).await.expect("the connection is open");
        for batch in 0.. {
            let calls: Vec<u8> = (0..1_000).flat_map(|call| call_taken_back(1 + 2 * (1_000 * batch + call))).collect();
            if writer.write_all(&calls).await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::join!(hearing, flooding);
    // That it ended at all is what counts: its GOAWAY may be lost when the connection is torn down.
    client(&shop).await.create_order(CreateOrderRequest::default()).await.expect("others are served");
}

#[tokio::test]
async fn bytes_that_are_no_http_2_and_messages_that_are_no_protobuf_are_refused() {
    let shop = Shop::open(Limits::default()).await;
    let address = shop.service.addresses.grpc.expect("the service has gRPC");
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (requests, connection) = client::handshake(stream).await.expect("HTTP/2");
    let _connection = tokio::spawn(connection);
    for (message, expected) in [
        (&b"\0\0\0\0\x04\xff\xff\xff\xff"[..], ["3", "13"]),
        (b"\x01\0\0\0\x01x", ["12", "13"]),
        (b"\0\xff\xff\xff\xff", ["8", "11"]),
        (b"\0\0", ["13", "3"]),
    ] {
        let mut requests = requests.clone().ready().await.expect("the connection holds");
        let request = http::Request::post("http://shop/ecommerce.orders.OrderService/CreateOrder")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let (answer, mut call) = requests.send_request(request, false).expect("the connection holds");
        call.send_data(Bytes::from_static(message), true).expect("the connection holds");
        let answer = answer.await.expect("an answer");
        let status = answer.headers().get("grpc-status").and_then(|status| status.to_str().ok()).unwrap_or_default();
        assert!(expected.contains(&status), "{message:?}: {answer:?}");
    }
    client(&shop).await.create_order(CreateOrderRequest::default()).await.expect("others are served");
}
