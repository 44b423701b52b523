//! What a Shop says arrives at the setting that is meant, and as it was said. Names that are right do not show that: two
//! lengths of time that changed places can be read as well.

use std::fmt::Debug;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shop_config::{Peer, Span};
use shop_server::Service;
use shop_user::config::{MailSettings, Tls};
use shopkeeper_operator::crd::{EdgeSpec, ProviderMock, ProviderSpec, Shop};
use shopkeeper_operator::credentials::Credentials;

use super::{ADMIN, BUCKET, COLLECTOR, Given, Keys, MAIL, SERVICES, Texts, containers, objects, outspoken};

/// The environment in which a service runs.
fn environment(shop: &Shop, service: &str) -> Texts {
    let objects = objects(shop, Credentials::dummy());
    let given = Given::of(&objects, shop, &MAIL);
    let serving = containers(&objects).filter(|(_, container)| container.args.iter().flatten().eq(["serve"]));
    let mut environments = serving.map(|(_, container)| given.variables(container));
    environments.find(|variables| variables["OTEL_SERVICE_NAME"] == service).expect("every service runs")
}

/// What a service makes of it.
fn settings<S: Service>(shop: &Shop) -> S::Config {
    shop_config::load_from(environment(shop, S::NAME)).expect("it can be read")
}

fn span(text: &str) -> Span {
    let length: SignedDuration = text.parse().expect("a length of time");
    Span(Duration::try_from(length).expect("it is not negative"))
}

/// What somebody wrote into a Secret.
fn at<'a>(keys: Keys<'a>, key: &str) -> &'a str {
    keys.iter().find(|(known, _)| *known == key).expect("a key").1
}

#[test]
fn who_may_try_how_often_who_is_the_first_admin_and_who_sends_mail_are_those_that_the_shop_names() {
    let shop = outspoken();
    let (spec, read) = (&shop.spec, settings::<shop_user::App>(&shop));
    // It has a certificate.
    assert_eq!(Some(read.public_url.as_str()), spec.host.as_ref().map(|host| format!("https://{host}")).as_deref());
    assert_eq!(i32::try_from(read.trusted_proxy_hops), Ok(spec.users.trusted_proxy_hops));
    let (limits, wanted) = (read.rate_limits, &spec.users.rate_limits);
    assert_eq!(i64::from(limits.logins_per_account), i64::from(wanted.logins_per_account));
    assert_eq!(i64::from(limits.logins_per_address), i64::from(wanted.logins_per_address));
    assert_eq!(i64::from(limits.registrations_per_address), i64::from(wanted.registrations_per_address));

    let admin = read.admin_user.expect("a first admin");
    assert_eq!(admin.email.as_str(), at(&ADMIN, "email"));
    assert_eq!(admin.password.expose_secret(), at(&ADMIN, "password"));

    let MailSettings::Smtp(smtp) = read.mail else { panic!("mail goes into the log") };
    let sender = format!("{} <{}>", smtp.from.name.unwrap_or_default(), smtp.from.email);
    assert_eq!(Some(sender), spec.users.mail.smtp.as_ref().map(|smtp| smtp.from.clone()));
    let login = smtp.login.expect("a login");
    let port = smtp.port.to_string();
    let words: [&str; 4] = [&smtp.host, &port, &login.username, login.password.expose_secret()];
    assert_eq!(words, ["host", "port", "username", "password"].map(|key| at(&MAIL, key)));
    assert_eq!((smtp.tls, at(&MAIL, "tls")), (Tls::Tls, "tls"));
}

#[test]
fn an_order_expires_and_a_reservation_ends_when_the_shop_says_so() {
    let shop = outspoken();
    let orders = &shop.spec.orders;
    assert_ne!(orders.unpaid_expiry, orders.reservation);
    assert_eq!(settings::<shop_order::App>(&shop).unpaid_expiry, span(&orders.unpaid_expiry));
    assert_eq!(settings::<shop_product::App>(&shop).reservation, span(&orders.reservation));
}

#[test]
fn pictures_go_into_the_bucket_that_the_shop_names() {
    let shop = outspoken();
    let read = settings::<shop_product::App>(&shop).images.expect("a bucket");
    let wanted = shop.spec.products.images.s3.as_ref().expect("a bucket");
    assert_eq!((&read.bucket, &read.region), (&wanted.bucket, &wanted.region));
    assert_eq!(read.endpoint, wanted.endpoint);
    assert_eq!(read.access_key_id.expose_secret(), at(&BUCKET, "accessKeyId"));
    assert_eq!(read.secret_access_key.expose_secret(), at(&BUCKET, "secretAccessKey"));
}

#[test]
fn everybody_counts_in_the_currency_of_the_shop() {
    let shop = outspoken();
    let read = [
        settings::<shop_product::App>(&shop).currency,
        settings::<shop_cart::App>(&shop).currency,
        settings::<shop_order::App>(&shop).currency,
        settings::<shop_payment::App>(&shop).currency,
    ];
    for currency in read {
        assert_eq!(currency.code(), shop.spec.currency);
    }
}

#[test]
fn each_provider_misbehaves_as_the_shop_says_of_it() {
    let shop = outspoken();
    let (payment, delivery) = (mock(&shop.spec.payment), mock(&shop.spec.delivery));
    let read = settings::<shop_payment::App>(&shop).provider;
    assert_eq!(read.latency, span(&payment.latency));
    check_outcomes(&read.outcomes, payment);
    let read = settings::<shop_delivery::App>(&shop).provider;
    assert_eq!(read.latency, span(&delivery.latency));
    check_outcomes(&read.outcomes, delivery);
}

fn mock(provider: &ProviderSpec) -> &ProviderMock {
    provider.mock.as_ref().expect("a mock")
}

fn check_outcomes<T: DeserializeOwned + PartialEq + Debug>(read: &T, mock: &ProviderMock) {
    let text = serde_json::to_string(&mock.outcomes).expect("JSON");
    let wanted: T = serde_json::from_value(Value::String(text)).expect("outcomes");
    assert_eq!(*read, wanted);
}

#[test]
fn each_call_between_services_is_made_as_the_shop_says_of_it() {
    let shop = outspoken();
    let (cart, order) = (settings::<shop_cart::App>(&shop), settings::<shop_order::App>(&shop));
    let calls = [("cart-product", &cart.catalog), ("cart-order", &cart.orders), ("order-product", &order.catalog)];
    for (edge, peer) in calls {
        let called = edge.split_once('-').expect("two services").1;
        assert!(peer.url.starts_with(&format!("http://walnut-{called}")), "{edge}: {}", peer.url);
        check_edge(edge, peer, &shop.spec.mesh.edges[edge]);
    }
}

fn check_edge(edge: &str, peer: &Peer, wanted: &EdgeSpec) {
    let length = |text: Option<&String>| text.map(|text| span(text));
    assert_eq!(peer.timeout, length(wanted.timeout.as_ref()), "{edge}");
    // Of what the Shop does not say the service has its own idea.
    if let Some(wanted) = &wanted.retries {
        assert_eq!(i32::try_from(peer.retries.attempts.get()).ok(), wanted.attempts, "{edge}");
        assert_eq!(peer.retries.per_try_timeout, length(wanted.per_try_timeout.as_ref()), "{edge}");
        assert_eq!(Some(i32::from(peer.retries.budget.get())), wanted.budget, "{edge}");
    }
    let read = peer.faults.map(|faults| {
        let error = faults.error.map(|error| format!("{error:?}"));
        (i32::from(faults.percent.get()), faults.delay, error, faults.reset)
    });
    let wanted = wanted.faults.as_ref().map(|faults| {
        let error = faults.error.map(|error| format!("{error:?}"));
        (faults.percent, length(faults.delay.as_ref()), error, faults.reset.unwrap_or_default())
    });
    assert_eq!(read, wanted, "{edge}");
}

#[test]
fn everybody_is_traced_to_the_collector_and_logs_as_much_as_the_shop_says() {
    let shop = outspoken();
    let (telemetry, services) = (&shop.spec.telemetry, &shop.spec.services);
    let collector = telemetry.otlp.as_ref().expect("a collector");
    let of_order = services.order.as_ref().and_then(|order| order.log_level.as_deref()).expect("a level");
    for (service, _) in SERVICES {
        let read = environment(&shop, service);
        assert_eq!(read["OTEL_EXPORTER_OTLP_ENDPOINT"], collector.endpoint, "{service}");
        assert_eq!(read["OTEL_EXPORTER_OTLP_HEADERS"], at(&COLLECTOR, "headers"), "{service}");
        assert_eq!(read["OTEL_TRACES_SAMPLER_ARG"], telemetry.sampling.to_string(), "{service}");
        let level = if service == shop_order::App::NAME { of_order } else { "info" };
        assert_eq!(read[shop_telemetry::LOG], level, "{service}");
    }
}
