//! Timestamps as BSON dates, which queries can compare. A date has milliseconds; what is finer is cut off.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    bson::DateTime::from_jiff(*time).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Ok(bson::DateTime::deserialize(deserializer)?.to_jiff())
}
