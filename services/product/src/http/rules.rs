//! Rules for what comes in that are not garde's own.

use serde_json::Value;
pub use shop_server::http::rules::{line, paragraphs};
use utoipa::openapi::{
    Object, ObjectBuilder, Type,
    schema::{AdditionalProperties, SchemaType},
};

use crate::domain::product::Attributes;

const MAX_ATTRIBUTES: usize = 50;
const MAX_ATTRIBUTE_NAME: usize = 64;
const MAX_ATTRIBUTE_TEXT: usize = 500;
const MAX_ATTRIBUTE_LIST: usize = 50;

/// The address of a picture: absolute, or one of our own uploads; empty for none.
pub fn picture_url<C>(url: &str, _: &C) -> garde::Result {
    let known =
        ["https://", "http://", "/uploads/"].iter().any(|start| url.len() > start.len() && url.starts_with(start));
    let printable = url.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if url.is_empty() || (known && printable) {
        return Ok(());
    }
    Err(garde::Error::new("url: must start with https:// or http://"))
}

/// Free properties: few, short, and flat.
pub fn attributes<C>(attributes: &Attributes, _: &C) -> garde::Result {
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(garde::Error::new(format!("length: at most {MAX_ATTRIBUTES} attributes")));
    }
    for (name, value) in attributes {
        if name.is_empty() || name.chars().count() > MAX_ATTRIBUTE_NAME || name.chars().any(char::is_control) {
            let text = format!(
                "name: attribute names have 1 to {MAX_ATTRIBUTE_NAME} characters, none of them control characters"
            );
            return Err(garde::Error::new(text));
        }
        let fine = match value {
            Value::Array(values) => values.len() <= MAX_ATTRIBUTE_LIST && values.iter().all(is_scalar),
            value => is_scalar(value),
        };
        if !fine {
            let text = format!(
                "value: each attribute is a text of at most {MAX_ATTRIBUTE_TEXT} characters, a number, true, false, or a list of at \
                 most {MAX_ATTRIBUTE_LIST} of these"
            );
            return Err(garde::Error::new(text));
        }
    }
    Ok(())
}

/// What the document says of them.
pub fn attributes_schema() -> Object {
    let about = "Free properties: texts, numbers, truths, or lists of them; in a form a JSON text.";
    ObjectBuilder::new()
        .schema_type([Type::Object, Type::Null].into_iter().collect::<SchemaType>())
        .description(Some(about))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .max_properties(Some(MAX_ATTRIBUTES))
        .build()
}

fn is_scalar(value: &Value) -> bool {
    match value {
        Value::String(text) => shop_core::rules::paragraphs(text, MAX_ATTRIBUTE_TEXT).is_ok(),
        Value::Number(_) | Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgresql_cannot_keep_is_refused_before_it_gets_there() {
        let with_nul = serde_json::from_str(r#"{"color":["red\u0000"]}"#).unwrap();
        assert!(attributes(&with_nul, &()).is_err());
    }

    #[test]
    fn attributes_are_flat() {
        for (json, good) in [
            (r#"{"color":"red","sizes":[1,2],"new":true}"#, true),
            (r#"{"deep":{"er":1}}"#, false),
            (r#"{"lists":[[1]]}"#, false),
            (r#"{"":"x"}"#, false),
        ] {
            assert_eq!(attributes(&serde_json::from_str(json).unwrap(), &()).is_ok(), good, "{json}");
        }
    }

    #[test]
    fn a_picture_is_not_a_script() {
        for (url, good) in [
            ("https://example.com/a.png", true),
            ("/uploads/0f.png", true),
            ("", true),
            ("javascript:alert(1)", false),
            ("https://", false),
            ("https://a b", false),
        ] {
            assert_eq!(picture_url(url, &()).is_ok(), good, "{url}");
        }
    }
}
