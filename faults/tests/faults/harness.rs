//! What the fault tests share.

pub mod buyer;
pub mod chaos;
pub mod inside;
pub mod link;
pub mod member;
pub mod process;
pub mod shop;
pub mod wire;
