//! Those who come to the Shop through its ingress: its admin, a seller and a buyer.

use std::collections::BTreeSet;

use http::Method;
use http::header::HOST;
use reqwest::multipart::{Form, Part};
use serde::de::IgnoredAny;
use serde_json::Value;
use shop_e2e::purchase::{Stall, Visit, stranger};
use shop_e2e::shop::{Call, Credentials, Shop};
use shop_e2e::{Seen, Target, wait_for};
use shopkeeper_testing::Scene;

use super::PATIENCE;
use super::outside::Outside;
use super::sights::Sights;
use super::wishes::{self, MAIL_FROM, PRICE, PUBLIC_URL};
use crate::market;

/// More than is bought.
const STOCK: u32 = 100_000;
/// A PNG of one brown pixel.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\
    \0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\
    \0\0\0\x0cIDATx\x9cc\xe8\x8e\xd2\x06\0\x02\x84\x01\x11\x93\xe3\xe2\xeb\
    \0\0\0\0IEND\xaeB`\x82";
/// Everybody may look there.
const PRODUCTS: &str = "/api/v1/products";
/// Only those may who are known.
pub const ME: &str = "/api/v1/users/me";

pub struct Guests {
    pub visit: Visit,
    /// The tokens of the admin and of the buyer.
    pub keeper: String,
    pub buyer: String,
    pub stall: Stall,
    customer: Credentials,
    /// Path of the product's picture.
    picture: String,
}

impl Guests {
    pub async fn arrive(scene: &Scene) -> Self {
        let visit = market::visit(scene).await;
        let keeper = market::routed(&visit, &wishes::keeper()).await.expect("a route to this Shop and no other");
        let seller = visit.become_seller().await.expect("a seller");
        let (product, picture) = offer(scene, &seller).await;
        let stocked = visit.shop.set_stock(&seller, &product, STOCK).await.expect("an answer");
        stocked.ok().expect("stock");
        let customer = visit.verified().await.expect("a buyer");
        let buyer = visit.log_in(&customer).await.expect("a token");
        Self { visit, keeper, buyer, stall: Stall { seller, product }, customer, picture }
    }

    /// Tokens are good for a quarter of an hour: whoever has waited for pods needs new ones.
    pub async fn log_in(&mut self) {
        self.keeper = self.visit.log_in(&wishes::keeper()).await.expect("a token");
        self.buyer = self.visit.log_in(&self.customer).await.expect("a token");
    }

    /// Asks so often what there is. Gives back the traces.
    pub async fn look_around(&self, times: usize) -> BTreeSet<u128> {
        let mut traces = BTreeSet::new();
        for _ in 0..times {
            let answer = self.visit.shop.send::<IgnoredAny>(Call::new(Method::GET, PRODUCTS)).await;
            let trace = answer.expect("an answer").trace_id.expect("every answer carries the id of its trace");
            traces.insert(u128::from_str_radix(&trace, 16).expect("an id in hexadecimal digits"));
        }
        traces
    }

    /// The admin is who the Shop says, and nobody comes in by another door than the Shop's.
    pub async fn are_let_in(&self, scene: &Scene, sights: &Sights) {
        let category = self.visit.shop.create_category(&self.keeper, "Nutcrackers").await.expect("an answer");
        sights.same("users.adminSecretName", category.status.as_u16(), 201);
        let target = Target::from_env().expect("SHOP_URL");
        let mut let_in = Vec::new();
        for host in [market::host(scene), format!("next-to-{}", market::host(scene))] {
            let door = Shop::at(&target.url, Some(&host)).expect("a client");
            let answer = door.send::<IgnoredAny>(Call::new(Method::GET, ME).by(&self.keeper)).await.expect("an answer");
            let_in.push(answer.status.is_success());
        }
        sights.same("host", let_in, vec![true, false]);
    }

    /// What a seller uploaded is in the bucket, whose server takes nothing that is not signed for it.
    pub async fn look_at_their_pictures(&self, outside: &Outside, sights: &Sights) {
        const FIELDS: &str = "products.images.s3.bucket products.images.s3.endpoint products.images.s3.region \
                              products.images.s3.secretName";
        let is_there = outside.bucket.object(self.picture.trim_start_matches('/')).is_some();
        let seen = self.visit.shop.send::<IgnoredAny>(Call::new(Method::GET, &self.picture)).await.expect("an answer");
        sights.same(FIELDS, (is_there, seen.status.as_u16()), (true, 200));
    }

    /// Whoever registers gets mail by the server that the Shop names. It takes none from those who do not log in.
    pub async fn get_mail(&self, outside: &Outside, sights: &Sights) {
        let who = stranger();
        self.visit.shop.register(&who).await.expect("an answer").ok().expect("an account");
        let mail = wait_for("the mail", PATIENCE, async || {
            let mut mails = outside.mail.received().into_iter();
            let found = mails.find(|mail| mail.header("To") == who.email);
            Ok(found.map_or_else(|| Seen::NotYet(format!("{:?}", outside.mail.commands())), Seen::Done))
        });
        let mail = mail.await.expect("a mail");
        sights.same("users.mail.smtp.secretName", mail.to.clone(), vec![format!("RCPT TO:<{}>", who.email)]);
        sights.same("users.mail.smtp.from", mail.header("From").replace('"', "").as_str(), MAIL_FROM);
        let link = format!("{PUBLIC_URL}/api/v1/auth/verify-email?token=");
        sights.same("publicUrl", mail.text().contains(&link), true);
    }

    /// Whether the admin comes in without encryption.
    pub async fn is_let_in_without_encryption(&self) -> bool {
        let call = Call::new(Method::GET, ME).by(&self.keeper);
        self.visit.shop.send::<IgnoredAny>(call).await.expect("an answer").status.is_success()
    }
}

/// Puts a product with a picture up for sale. Gives back its id and the picture's path.
async fn offer(scene: &Scene, seller: &str) -> (String, String) {
    let form = Form::new()
        .text("name", "Nutcracker")
        .text("price", PRICE)
        .text("status", "active")
        .text("category_ids", "[]")
        .part("image", Part::bytes(PICTURE).file_name("nutcracker.png"));
    let url = format!("{}/api/v1/products/", Target::from_env().expect("SHOP_URL").url);
    let request = reqwest::Client::new().post(url).header(HOST, market::host(scene)).bearer_auth(seller);
    let answer = request.multipart(form).send().await.expect("an answer");
    let product: Value = answer.json().await.expect("JSON");
    let text = |field: &str| product[field].as_str().unwrap_or_else(|| panic!("no {field}: {product}")).to_owned();
    (text("id"), text("imageUrl"))
}
