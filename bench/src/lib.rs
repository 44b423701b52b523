//! Load, and what it costs.
//!
//! `http` is one connection, `pace` decides when requests are sent, `record` keeps what came of them. `load` is a shop's
//! daily mix, for any Shop that runs; `figures` measures the services one by one, `operator` the operator.

pub mod console;
pub mod figures;
pub mod http;
pub mod load;
pub mod operator;
pub mod pace;
pub mod record;

mod process;
