//! Pictures: read with care, made anew, served.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use shop_testing::eventually;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{Person, Shop, answer, fields_of};

pub fn photo() -> Vec<u8> {
    let picture = RgbImage::from_fn(64, 48, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 9]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, ImageFormat::Jpeg).expect("a picture");
    let mut bytes = bytes.into_inner();
    bytes.extend(b"<script>alert('I am no picture')</script>");
    bytes
}

pub fn form(image: Vec<u8>) -> Form {
    Form::new()
        .text("name", "Lamp")
        .text("price", "19.99")
        .text("status", "active")
        .text("category_ids", "[]")
        .text("attributes", r#"{"color":"red"}"#)
        .part("image", Part::bytes(image).file_name("../../etc/passwd"))
}

pub async fn create(shop: &Shop, seller: &Person, form: Form) -> (u16, Value) {
    answer(shop.request(Method::POST, "/api/v1/products/", Some(seller)).multipart(form)).await
}

#[tokio::test]
async fn an_uploaded_picture_is_encoded_anew_and_served() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let (status, product) = create(&shop, &seller, form(photo())).await;
    assert_eq!(status, 201, "{product}");
    assert_eq!((&product["price"], &product["status"]), (&json!(19.99), &json!("active")));
    let url = product["imageUrl"].as_str().unwrap();
    let key = url.strip_prefix("/uploads/").unwrap();
    assert_eq!(key.split_once('.').map(|(_, extension)| extension), Some("jpg"), "{url}");

    let served = shop.request(Method::GET, url, None).send().await.unwrap();
    assert_eq!(served.status(), 200);
    assert_eq!(served.headers()["content-type"], "image/jpeg");
    assert_eq!(served.headers()["x-content-type-options"], "nosniff");
    let bytes = served.bytes().await.unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"picture"));
    let picture = image::load_from_memory(&bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (64, 48));

    let (_, read) = shop.get(&format!("/api/v1/products/{}", product["id"].as_str().unwrap()), None).await;
    assert_eq!(read["product"]["attributes"]["attributes"], json!({"color": "red"}));
    for key in ["0123456789abcdef0123456789abcdef.jpg", "..%2Fetc%2Fpasswd", "%00", "%ff"] {
        assert_eq!(shop.get(&format!("/uploads/{key}"), None).await.0, 404, "{key}");
    }
}

#[tokio::test]
async fn what_is_no_picture_or_too_large_is_refused_and_nothing_is_created() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let (status, problem) = create(&shop, &seller, form(b"<svg onload=alert(1)>".to_vec())).await;
    assert_eq!((status, fields_of(&problem)), (400, vec!["image"]), "{problem}");
    let mut wide = Cursor::new(Vec::new());
    DynamicImage::new_luma8(4097, 1).write_to(&mut wide, ImageFormat::Png).unwrap();
    let (status, problem) = create(&shop, &seller, form(wide.into_inner())).await;
    assert_eq!((status, fields_of(&problem)), (400, vec!["image"]), "{problem}");
    let (status, problem) = create(&shop, &seller, form(vec![0; 8 * 1024 * 1024])).await;
    assert_eq!(status, 413, "{problem}");
    let long = json!({"name": "Lamp", "price": 1, "description": "x".repeat(65_536)});
    assert_eq!(shop.post("/api/v1/products", &seller, &long).await.0, 413);
    assert_eq!(shop.get("/api/v1/products", Some(&seller)).await.1["total"], 0);
}

#[tokio::test]
async fn a_form_keeps_the_rules_of_json_and_names_its_fields() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    for (form, field) in [
        (Form::new().text("name", "Lamp"), "price"),
        (Form::new().text("name", "Lamp").text("price", "cheap"), "price"),
        (Form::new().text("name", "Lamp").text("price", "1").text("category_ids", "[lamps"), "category_ids"),
        (Form::new().text("name", "Lamp").text("price", "1").text("attributes", "red"), "attributes"),
        (Form::new().text("name", "").text("price", "1"), "name"),
    ] {
        let (status, problem) = create(&shop, &seller, form).await;
        let fields = fields_of(&problem);
        assert_eq!((status, fields.contains(&field)), (400, true), "{problem}");
    }
}

#[tokio::test]
async fn pictures_uploaded_at_once_are_all_kept() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let uploads = (0..8).map(|_| create(&shop, &seller, form(photo())));
    for (status, product) in futures::future::join_all(uploads).await {
        assert_eq!(status, 201, "{product}");
        assert_eq!(
            shop.request(Method::GET, product["imageUrl"].as_str().unwrap(), None).send().await.unwrap().status(),
            200
        );
    }
}

/// A form that is announced and does not come.
async fn promise_a_form(shop: &Shop, seller: &Person) -> TcpStream {
    let head = format!(
        "POST /api/v1/products HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 1000\r\n\r\n",
        seller.token
    );
    let mut stream = TcpStream::connect(shop.service.addresses.http).await.expect("the service listens");
    stream.write_all(head.as_bytes()).await.expect("the connection is open");
    stream
}

#[tokio::test]
async fn while_two_pictures_do_not_come_a_third_is_asked_to_come_back_and_takes_no_place_from_others() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let _slow = [promise_a_form(&shop, &seller).await, promise_a_form(&shop, &seller).await];
    eventually("both are waited for", || async {
        let text = shop.service.metrics().await;
        if text.lines().any(|line| line == "requests_in_flight 2") { Ok(()) } else { Err(text) }
    })
    .await;
    let answer = shop.request(Method::POST, "/api/v1/products/", Some(&seller)).multipart(form(photo()));
    let answer = answer.send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(shop.get("/api/v1/products", None).await.0, 200);
}
