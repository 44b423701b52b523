//! What clients send and get. Requests are read in camel case and snake case; answers are written as the contract has them.

use garde::Validate;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use shop_auth::Role;
use shop_server::http::rules;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    app::{Listing, Member, Tokens},
    domain::{Email, NewPassword},
};

/// Far above any token of ours.
const MAX_TOKEN: usize = 256;

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct Register {
    /// Compared without regard to case.
    #[garde(dive)]
    #[schema(value_type = String, format = Email, max_length = 254)]
    pub email: Email,
    /// Not one of the most common passwords.
    #[garde(dive)]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    pub password: NewPassword,
    #[serde(alias = "firstName")]
    #[garde(custom(rules::line::<100>))]
    #[schema(min_length = 1, max_length = 100)]
    pub first_name: String,
    #[serde(alias = "lastName")]
    #[garde(custom(rules::line::<100>))]
    #[schema(min_length = 1, max_length = 100)]
    pub last_name: String,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct Address {
    #[garde(dive)]
    #[schema(value_type = String, format = Email, max_length = 254)]
    pub email: Email,
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LinkToken {
    /// From the mail.
    #[serde(default)]
    #[garde(custom(rules::token::<MAX_TOKEN>))]
    #[param(required = true, min_length = 1, max_length = 256, pattern = "^[!-~]+$")]
    pub token: String,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct Login {
    #[garde(dive)]
    #[schema(value_type = String, format = Email, max_length = 254)]
    pub email: Email,
    #[garde(custom(may_be_password))]
    #[schema(value_type = String, format = Password, max_length = 128)]
    pub password: SecretString,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct RefreshToken {
    #[serde(alias = "refreshToken")]
    #[garde(custom(rules::secret_token::<MAX_TOKEN>))]
    #[schema(value_type = String, min_length = 1, max_length = 256, pattern = "^[!-~]+$")]
    pub refresh_token: SecretString,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct Reset {
    /// From the mail.
    #[garde(custom(rules::secret_token::<MAX_TOKEN>))]
    #[schema(value_type = String, min_length = 1, max_length = 256, pattern = "^[!-~]+$")]
    pub token: SecretString,
    #[garde(dive)]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    pub password: NewPassword,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct ChangePassword {
    #[serde(alias = "currentPassword", alias = "current_password")]
    #[garde(custom(may_be_password))]
    #[schema(value_type = String, format = Password, max_length = 128)]
    pub current: SecretString,
    #[serde(alias = "newPassword", alias = "new_password")]
    #[garde(dive)]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    pub new: NewPassword,
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Only the user with this address.
    #[garde(dive)]
    #[param(value_type = Option<String>, format = Email, max_length = 254)]
    pub email: Option<Email>,
    /// From 1.
    #[serde(default = "first_page")]
    #[garde(range(min = 1, max = 1_000_000))]
    #[param(minimum = 1, maximum = 1_000_000, required = false)]
    pub page: u64,
    /// Users on a page.
    #[serde(default = "page_size")]
    #[garde(range(min = 1, max = 100))]
    #[param(minimum = 1, maximum = 100, required = false)]
    pub limit: u64,
    /// `nextCursor` of the page before, instead of `page`.
    #[garde(skip)]
    pub cursor: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Message {
    pub message: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenPair {
    /// Good for 15 minutes.
    pub access_token: String,
    /// Good once, for 7 days.
    pub refresh_token: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserBody {
    pub id: Uuid,
    #[schema(value_type = String)]
    pub email: Email,
    pub first_name: String,
    pub last_name: String,
    pub created_at: Timestamp,
    pub verified: bool,
    /// `buyer`, `seller`, `admin`.
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<Role>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserPage {
    pub data: Vec<UserBody>,
    /// Users on all pages.
    pub total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Uuid>,
}

impl From<Tokens> for TokenPair {
    fn from(Tokens { access, refresh }: Tokens) -> Self {
        Self { access_token: access, refresh_token: refresh }
    }
}

impl From<Member> for UserBody {
    fn from(member: Member) -> Self {
        let Member { id, email, first_name, last_name, created_at, verified, roles } = member;
        Self { id, email, first_name, last_name, created_at, verified, roles }
    }
}

impl From<Listing> for UserPage {
    fn from(Listing { members, total, next }: Listing) -> Self {
        Self { data: members.into_iter().map(UserBody::from).collect(), total, next_cursor: next }
    }
}

/// No policy here: which passwords exist is nothing to learn from a refusal.
fn may_be_password<C>(password: &SecretString, _: &C) -> garde::Result {
    if password.expose_secret().chars().count() > 128 {
        return Err(garde::Error::new("length: must have at most 128 characters"));
    }
    Ok(())
}

fn first_page() -> u64 {
    1
}

fn page_size() -> u64 {
    20
}
