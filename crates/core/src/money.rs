//! Amounts of money: integer minor units inside, a decimal number at the JSON edge.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An amount in minor units (cents for USD). Arithmetic is checked: an overflow is an error, never a wrong price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

/// The largest amount a price or total may have: 10^12 minor units, far inside what a JSON number carries exactly.
pub const MAX_MINOR: i64 = 1_000_000_000_000;

impl Money {
    /// `self * quantity`, `None` when it leaves the range of amounts.
    #[must_use]
    pub fn times(self, quantity: u32) -> Option<Self> {
        self.0.checked_mul(i64::from(quantity)).filter(|minor| *minor <= MAX_MINOR).map(Self)
    }

    /// `self + other`, `None` when it leaves the range of amounts.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).filter(|minor| *minor <= MAX_MINOR).map(Self)
    }
}

/// A currency by its ISO 4217 code, with the number of decimals ISO 4217 gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency {
    code: [u8; 3],
    decimals: u8,
}

/// A text that is not an ISO 4217 code.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a currency: write three capital letters of ISO 4217, for instance USD")]
pub struct NotACurrency(String);

/// A number that is not an amount of this currency.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAnAmount {
    /// Zero is fine, less is not.
    #[error("must not be negative")]
    Negative,
    /// More than [`MAX_MINOR`].
    #[error("is too large")]
    TooLarge,
    /// More decimals than the currency has, or not a number.
    #[error("has more decimals than the currency")]
    TooPrecise,
}

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        str::from_utf8(&self.code).unwrap_or("XXX")
    }

    /// The amount as a JSON number: the shortest decimal that reads back as the same minor units.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts stay under MAX_MINOR, far inside 2^53")]
    pub fn to_number(&self, amount: Money) -> f64 {
        amount.0 as f64 / self.scale()
    }

    /// Reads a JSON number as an amount.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "bounded by MAX_MINOR before the cast"
    )]
    pub fn parse(&self, number: f64) -> Result<Money, NotAnAmount> {
        if number < 0.0 {
            return Err(NotAnAmount::Negative);
        }
        let minor = number * self.scale();
        if minor > MAX_MINOR as f64 {
            return Err(NotAnAmount::TooLarge);
        }
        let rounded = minor.round();
        // The product of a decimal with few digits and a power of ten is off by some ulps at most.
        if minor.is_nan() || (minor - rounded).abs() > 1e-3 {
            return Err(NotAnAmount::TooPrecise);
        }
        Ok(Money(rounded as i64))
    }

    fn scale(self) -> f64 {
        10_f64.powi(i32::from(self.decimals))
    }
}

impl FromStr for Currency {
    type Err = NotACurrency;

    fn from_str(text: &str) -> Result<Self, NotACurrency> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self { code, decimals: decimals(text) }),
            _ => Err(NotACurrency(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = NotACurrency;

    fn try_from(text: String) -> Result<Self, NotACurrency> {
        text.parse()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Minor unit exponents that differ from two, from ISO 4217 list one.
fn decimals(code: &str) -> u8 {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd() -> Currency {
        "USD".parse().unwrap()
    }

    #[test]
    fn every_price_of_two_decimals_reads_back_as_itself() {
        for minor in (0..200_000).chain(MAX_MINOR - 1_000..=MAX_MINOR) {
            assert_eq!(usd().parse(usd().to_number(Money(minor))), Ok(Money(minor)));
        }
    }

    #[test]
    fn a_price_with_a_fraction_of_a_cent_is_refused() {
        assert_eq!(usd().parse(19.999), Err(NotAnAmount::TooPrecise));
        assert_eq!(usd().parse(f64::NAN), Err(NotAnAmount::TooPrecise));
    }

    #[test]
    fn a_negative_or_endless_price_is_refused() {
        assert_eq!(usd().parse(-0.01), Err(NotAnAmount::Negative));
        assert_eq!(usd().parse(f64::INFINITY), Err(NotAnAmount::TooLarge));
    }

    #[test]
    fn yen_have_no_decimals() {
        let yen: Currency = "JPY".parse().unwrap();
        assert_eq!(yen.parse(1.5), Err(NotAnAmount::TooPrecise));
        assert_eq!(yen.parse(150.0), Ok(Money(150)));
    }

    #[test]
    fn a_total_that_overflows_is_no_total() {
        assert_eq!(Money(MAX_MINOR).times(2), None);
        assert_eq!(Money(1).plus(Money(i64::MAX)), None);
    }

    proptest! {
        #[test]
        fn any_number_is_an_amount_within_bounds_that_reads_back_or_is_refused(
            number in prop_oneof![proptest::num::f64::ANY, -10.0..1e13, (0..=MAX_MINOR).prop_map(|minor| usd().to_number(Money(minor)))],
            code in prop_oneof![Just("USD"), Just("JPY"), Just("KWD"), Just("CLF")],
        ) {
            let currency: Currency = code.parse().unwrap();
            if let Ok(amount) = currency.parse(number) {
                prop_assert!((0..=MAX_MINOR).contains(&amount.0), "{amount:?}");
                prop_assert_eq!(currency.parse(currency.to_number(amount)), Ok(amount));
            }
        }

        #[test]
        fn any_text_is_a_currency_that_reads_back_or_is_refused(text in "\\PC{0,5}|[A-Z]{3}") {
            if let Ok(currency) = text.parse::<Currency>() {
                prop_assert_eq!(currency.to_string(), text);
            }
        }

        #[test]
        fn no_arithmetic_leaves_the_range_of_amounts(a in 0..=MAX_MINOR, b in 0..=MAX_MINOR, quantity: u32) {
            let results = [Money(a).plus(Money(b)), Money(a).times(quantity)];
            prop_assert!(results.into_iter().flatten().all(|money| (0..=MAX_MINOR).contains(&money.0)));
        }
    }
}
