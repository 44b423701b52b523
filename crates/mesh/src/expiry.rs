//! When this process's certificate runs out, as a metric: the operator renews it long before, so an age is an alarm.

use jiff::{civil::DateTime, tz::TimeZone};
use prometheus_client::metrics::gauge::Gauge;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use shop_telemetry::metrics::Metrics;

use crate::Identity;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Shows when the certificate of `identity` runs out, and follows its renewals.
pub fn show_expiry(mut identity: Identity, metrics: &Metrics) {
    let expiry = Gauge::<i64>::default();
    metrics.register(|registry| {
        let help = "When the certificate runs out, in seconds since 1970";
        registry.register("mesh_certificate_expiry_seconds", help, expiry.clone());
    });
    tokio::spawn(async move {
        loop {
            if let Some(time) =
                CertificateDer::from_pem_slice(&identity.certificate()).ok().and_then(|it| not_after(&it))
            {
                expiry.set(time);
            }
            identity.changed().await;
        }
    });
}

/// `notAfter` of a certificate that has been verified, in seconds since 1970 (RFC 5280, section 4.1).
fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // Certificates without a version are of the first one; those of today have it, and then serial number, algorithm and issuer.
    let before_validity = if *fields.first()? == VERSION { 4 } else { 3 };
    for _ in 0..before_validity {
        (_, _, fields) = element(fields)?;
    }
    let (SEQUENCE, validity, _) = element(fields)? else { return None };
    let (_, _, validity) = element(validity)?;
    let (tag, time, _) = element(validity)?;
    let time = std::str::from_utf8(time).ok()?;
    let full = match (tag, time.get(..2)?.parse::<u8>().ok()?) {
        (UTC_TIME, 50..) => format!("19{time}"),
        (UTC_TIME, _) => format!("20{time}"),
        (GENERALIZED_TIME, _) => time.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", full).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The first element of DER (X.690): its tag, its content, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first & 0x7f {
        short if first & 0x80 == 0 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long.into())?;
            let length = digits
                .iter()
                .try_fold(0_usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)));
            (length?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};
    use time::OffsetDateTime;

    use super::*;

    proptest! {
        // From 1950 to 2200: two ways to write a year.
        #[test]
        fn the_end_of_a_certificate_is_read_as_it_was_written(end in -631_000_000_i64..7_258_000_000) {
            let mut params = CertificateParams::new(["walnut".to_owned()]).unwrap();
            params.not_before = OffsetDateTime::from_unix_timestamp(-631_000_000).unwrap();
            params.not_after = OffsetDateTime::from_unix_timestamp(end).unwrap();
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            prop_assert_eq!(not_after(certificate.der()), Some(end));
        }

        #[test]
        fn any_other_bytes_have_no_end(bytes: Vec<u8>) {
            prop_assert_eq!(not_after(&bytes), None);
        }
    }
}
