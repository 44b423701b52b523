//! Statements: one function a query, no rules.

pub mod bucket;
pub mod categories;
pub mod currency;
pub mod images;
pub mod inventory;
pub mod products;
pub mod reservations;
pub mod search;
