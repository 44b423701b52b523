//! Pages of a list: by number as in the original, or after a cursor, which new rows do not shift.

use std::str::FromStr;

use jiff::Timestamp;
use shop_core::Fault;
use uuid::Uuid;

/// The place of one row in a list that is sorted from new to old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When the order was placed.
    pub at: Timestamp,
    /// The order.
    pub order: Uuid,
    /// Its line, in a list of lines.
    pub line: i32,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows after this place; the first row comes after [`Cursor::START`].
    pub after: Cursor,
    /// Rows to skip from there.
    pub skip: i64,
    /// Most rows.
    pub limit: i64,
}

impl Cursor {
    /// Before every row.
    pub const START: Self = Self { at: Timestamp::MAX, order: Uuid::max(), line: i32::MAX };
}

impl Page {
    /// The page a client asks for: after `cursor` when there is one, else the `number`th, from 1.
    pub fn new(number: u32, limit: u32, cursor: Option<&str>) -> Result<Self, Fault> {
        let limit = i64::from(limit);
        match cursor {
            Some(text) => Ok(Self { after: text.parse()?, skip: 0, limit }),
            None => Ok(Self { after: Cursor::START, skip: (i64::from(number) - 1) * limit, limit }),
        }
    }

    /// Cuts `rows` to this page, when one more than the limit was asked for, and says where the next page begins.
    pub fn cut<T>(&self, rows: &mut Vec<T>, place: impl Fn(&T) -> Cursor) -> Option<String> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|row| place(row).to_string())
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.at.as_microsecond(), self.order.simple(), self.line)
    }
}

impl FromStr for Cursor {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        read(text).ok_or_else(|| Fault::invalid_field("cursor", "cursor", "must be the nextCursor of an answer"))
    }
}

fn read(text: &str) -> Option<Cursor> {
    let mut parts = text.splitn(3, '.');
    // Nothing was ordered before 1970, and PostgreSQL refuses times that are much older.
    let micros = parts.next()?.parse().ok().filter(|micros| *micros >= 0)?;
    let at = Timestamp::from_microsecond(micros).ok()?;
    let order = Uuid::try_parse(parts.next()?).ok()?;
    let line = parts.next()?.parse().ok()?;
    Some(Cursor { at, order, line })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(micros: i64) -> Cursor {
        Cursor { at: Timestamp::from_microsecond(micros).unwrap(), order: Uuid::from_u128(7), line: 2 }
    }

    #[test]
    fn a_cursor_reads_back_as_the_place_it_was_made_of() {
        assert_eq!(place(1_732_000_000_123_456).to_string().parse::<Cursor>().unwrap(), place(1_732_000_000_123_456));
    }

    #[test]
    fn a_cursor_that_is_none_is_refused_and_named() {
        for text in [
            "",
            "1",
            "1.2",
            "x.y.z",
            "1.00000000000000000000000000000007.",
            "99999999999999999999.7.1",
            "-1.00000000000000000000000000000007.1",
        ] {
            assert_eq!(text.parse::<Cursor>().err().unwrap().fields()[0].field, "cursor", "{text:?}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_next_cursor() {
        let page = Page::new(1, 2, None).unwrap();
        let mut rows = vec![30, 20, 10];
        assert_eq!(page.cut(&mut rows, |at| place(*at)), Some(place(20).to_string()));
        assert_eq!(rows, [30, 20]);
        assert_eq!(page.cut(&mut rows, |at| place(*at)), None);
    }

    #[test]
    fn pages_are_counted_from_one() {
        assert_eq!(Page::new(3, 20, None).unwrap().skip, 40);
    }

    proptest! {
        #[test]
        fn any_text_is_a_cursor_that_reads_back_or_is_refused(
            text in prop_oneof!["\\PC*", "[0-9]{1,20}\\.[0-9a-f]{32}\\.-?[0-9]{1,11}"],
        ) {
            match text.parse::<Cursor>() {
                Ok(cursor) => prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor),
                Err(fault) => prop_assert_eq!(fault.kind(), shop_core::Kind::Invalid),
            }
        }

        #[test]
        fn every_place_reads_back(micros in 0_i64..250_000_000_000_000_000, order: u128, line: i32) {
            let place = Cursor { at: Timestamp::from_microsecond(micros).unwrap(), order: Uuid::from_u128(order), line };
            prop_assert_eq!(place.to_string().parse::<Cursor>().unwrap(), place);
        }
    }
}
