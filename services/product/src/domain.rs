//! What a catalog is, without IO: products and who may see them, the category tree, stock and reservations, search words,
//! pictures.

pub mod category;
pub mod picture;
pub mod product;
pub mod stock;
pub mod words;
