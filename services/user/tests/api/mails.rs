//! Mails on their way, above all when something is in it.

use std::net::Ipv4Addr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use serde_json::json;
use shop_testing::{
    eventually,
    smtp_server::{self, Manner, Received, SmtpServer},
};
use shop_user::config::{Login, Smtp, Tls};

use crate::harness::{PASSWORD, PUBLIC_URL, Setting, Shop, address};

const FROM: &str = "Café Nuß <shop@shop.example.com>";

async fn server(manner: Manner) -> SmtpServer {
    SmtpServer::start(Ipv4Addr::LOCALHOST.into(), manner).await
}

async fn shop_with(server: &SmtpServer, tls: Tls) -> Shop {
    let password = SecretString::from(smtp_server::PASSWORD);
    let login = Some(Login { username: smtp_server::USER.to_owned(), password });
    let from = FROM.parse().expect("a sender");
    let smtp = Smtp { host: Ipv4Addr::LOCALHOST.to_string(), port: server.port(), login, from, tls };
    Shop::with(Setting { smtp: Some(smtp), ..Setting::default() }).await
}

async fn received(server: &SmtpServer, count: usize) -> Vec<Received> {
    eventually("the mails arrive", || async {
        let mails = server.received();
        if mails.len() >= count { Ok(mails) } else { Err(format!("{mails:?} after {:?}", server.commands())) }
    })
    .await
}

async fn counted(shop: &Shop, outcome: &str, least: u64) {
    let sample = format!("mails_total{{outcome=\"{outcome}\"}}");
    eventually(&sample, || async {
        let count = shop.metric(&sample).await;
        if count >= least { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_mail_goes_through_a_mail_server_with_who_it_is_from_to_whom_and_a_link_that_works() {
    let server = server(Manner::Takes).await;
    let shop = shop_with(&server, Tls::None).await;
    let email = address("ada");
    let body = json!({"email": email, "password": PASSWORD, "first_name": "Zoë", "last_name": "Zoroastre"});
    assert_eq!(shop.post("/api/v1/auth/register", body).await.status, 201);
    let mails = received(&server, 1).await;
    let mail = &mails[0];

    assert!(server.commands().starts_with(&["EHLO".to_owned(), "AUTH".to_owned(), "MAIL".to_owned()]));
    assert!(mail.from.starts_with("MAIL FROM:<shop@shop.example.com>"), "{mail:?}");
    assert_eq!(mail.to, [format!("RCPT TO:<{email}>")]);
    let sender = mail.header("From");
    let (name, from) = sender.rsplit_once(' ').expect("name and address");
    let encoded = name.trim_matches('"').strip_prefix("=?utf-8?b?").and_then(|name| name.strip_suffix("?="));
    let name = STANDARD.decode(encoded.expect("an encoded word (RFC 2047)")).expect("base64");
    assert_eq!((String::from_utf8(name).as_deref(), from), (Ok("Café Nuß"), "<shop@shop.example.com>"));
    assert_eq!(mail.header("To"), email);
    assert_eq!(mail.header("Subject"), "Verify your e-mail address");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.header("Message-ID").ends_with("@shop.example.com>"), "{mail:?}");
    assert!(!mail.header("Date").is_empty());

    let link = format!("{PUBLIC_URL}/api/v1/auth/verify-email?token=");
    let text = mail.text();
    let token = text.lines().find_map(|line| line.strip_prefix(&link)).expect("a line with the link");
    assert_eq!(shop.verify(token).await.status, 200);
    shop.login(&email, PASSWORD).await;
    let whole = format!("{}{}", mail.headers.join("\n"), text.replace(token, ""));
    assert!(!whole.contains("Zo"), "what a stranger wrote is not carried on: {whole}");
}

#[tokio::test]
async fn nobody_writes_lines_of_their_own_into_a_mail() {
    let server = server(Manner::Takes).await;
    let shop = shop_with(&server, Tls::None).await;
    let injected = "\r\nBcc: everybody@example.com";
    let register = |email: String, first_name: String| {
        let body = json!({"email": email, "password": PASSWORD, "first_name": first_name, "last_name": "Lovelace"});
        shop.post("/api/v1/auth/register", body)
    };
    assert_eq!(register(address("ada"), format!("Ada{injected}")).await.fields(), ["firstName"]);
    let inside = format!("ada{injected}@example.com");
    let addresses = [format!("{}{injected}", address("ada")), inside, "a@b.test>\r\nRCPT TO:<c@d.test".to_owned()];
    for email in &addresses {
        assert_eq!(register(email.clone(), "Ada".to_owned()).await.fields(), ["email"], "{email:?}");
        for path in ["verify-email/request", "password/forgot", "login"] {
            let body = json!({"email": email, "password": PASSWORD});
            assert_eq!(shop.post(&format!("/api/v1/auth/{path}"), body).await.fields(), ["email"], "{email:?}");
        }
    }
    let good = address("ada");
    assert_eq!(register(good.clone(), "Ada".to_owned()).await.status, 201);
    shop.all_mails_are_sent().await;
    let mails = server.received();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].to, [format!("RCPT TO:<{good}>")]);
}

#[tokio::test]
async fn a_mail_waits_until_the_mail_server_takes_it() {
    let server = server(Manner::Takes).await;
    let shop = shop_with(&server, Tls::None).await;
    let mut put_off = 0;
    for (number, manner) in [Manner::Away, Manner::KeepsUsOut, Manner::PutsOff].into_iter().enumerate() {
        server.behave(manner);
        let email = address("ada");
        assert_eq!(shop.register(&email, PASSWORD).await.status, 201, "{manner:?}");
        put_off += 1;
        counted(&shop, "put_off", put_off).await;
        server.behave(Manner::Takes);
        let mails = received(&server, number + 1).await;
        assert_eq!(mails[number].to, [format!("RCPT TO:<{email}>")], "{manner:?}");
        shop.all_mails_are_sent().await;
        put_off = shop.metric("mails_total{outcome=\"put_off\"}").await;
    }
    assert_eq!(server.received().len(), 3, "each mail once");
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_given_up_and_counted() {
    let server = server(Manner::Refuses).await;
    let shop = shop_with(&server, Tls::None).await;
    shop.register(&address("ada"), PASSWORD).await;
    counted(&shop, "given_up", 1).await;
    shop.all_mails_are_sent().await;
    server.behave(Manner::Takes);
    let other = address("grace");
    shop.register(&other, PASSWORD).await;
    assert_eq!(received(&server, 1).await[0].to, [format!("RCPT TO:<{other}>")], "others are not held up");
    assert_eq!(server.commands().iter().filter(|command| *command == "RCPT").count(), 2, "not tried again");
}

#[tokio::test]
async fn a_server_that_offers_no_tls_where_it_is_wanted_learns_neither_password_nor_mail() {
    let server = server(Manner::Takes).await;
    let shop = shop_with(&server, Tls::StartTls).await;
    shop.register(&address("ada"), PASSWORD).await;
    counted(&shop, "put_off", 1).await;
    let secret = |command: &String| ["AUTH", "MAIL", "RCPT", "DATA"].contains(&command.as_str());
    assert!(!server.commands().iter().any(secret), "{:?}", server.commands());
}

#[tokio::test]
async fn a_mail_outlives_the_process_that_was_asked_for_it() {
    let server = server(Manner::Away).await;
    let shop = shop_with(&server, Tls::None).await;
    let email = address("ada");
    assert_eq!(shop.register(&email, PASSWORD).await.status, 201);
    let shop = shop.restart().await;
    server.behave(Manner::Takes);
    assert_eq!(received(&server, 1).await[0].to, [format!("RCPT TO:<{email}>")]);
    shop.all_mails_are_sent().await;
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn replicas_send_each_mail_once() {
    let shop = Shop::open().await;
    let others = [shop.replica().await, shop.replica().await];
    let emails: Vec<String> = (0..12).map(|_| address("ada")).collect();
    for (number, email) in emails.iter().enumerate() {
        let replica = others.get(number % 3).unwrap_or(&shop);
        let body = json!({ "email": email });
        assert_eq!(replica.register(email, PASSWORD).await.status, 201);
        assert_eq!(shop.post("/api/v1/auth/verify-email/request", body).await.status, 200);
    }
    shop.all_mails_are_sent().await;
    for email in &emails {
        assert_eq!(shop.mails_to(email), 2, "one for each time it was asked for");
    }
}
