//! Accounts, what became true of them, and the secrets we hand out. No IO.

mod account;
mod mail_request;
mod token;

pub use account::{Account, Email, Fact, Facts, NewPassword, Profile};
pub use mail_request::{MailRequest, Occasion};
pub use token::{Fingerprint, Link, Purpose, Session, Token, TokenHash};
