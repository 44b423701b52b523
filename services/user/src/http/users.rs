//! `/users`: who users are and what they may do.

use axum::{Json, extract::State};
use shop_auth::Role;
use shop_server::http::{Id, Params, Problem, ProblemBody, User, Valid};

use super::{
    Api,
    address::ClientAddress,
    bodies::{ChangePassword, Message, Query, UserBody, UserPage},
};
use crate::{domain::Fact, store::Page};

/// The caller.
#[utoipa::path(get, path = "/api/v1/users/me", tag = "users", security(("bearer" = [])), responses(
    (status = 200, description = "The caller", body = UserBody),
    (status = 401, description = "Not logged in", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn me(State(api): State<Api>, User(caller): User) -> Result<Json<UserBody>, Problem> {
    Ok(Json(api.accounts.member(caller.id).await?.into()))
}

/// Sets a new password. All sessions end.
#[utoipa::path(put, path = "/api/v1/users/me/password", tag = "users", security(("bearer" = [])), request_body = ChangePassword, responses(
    (status = 200, description = "Log in with the new password", body = Message),
    (status = 400, description = "Invalid, or the current one is wrong", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "Not logged in", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn change_password(
    State(api): State<Api>,
    User(caller): User,
    ClientAddress(from): ClientAddress,
    Valid(ChangePassword { current, new }): Valid<ChangePassword>,
) -> Result<Json<Message>, Problem> {
    api.accounts.change_password(caller.id, current, new.0, from).await?;
    Ok(Json(Message { message: "Your password is changed; log in with the new one" }))
}

/// The caller becomes a seller.
#[utoipa::path(put, path = "/api/v1/users/apply-seller", tag = "users", security(("bearer" = [])), responses(
    (status = 200, description = "From the next token on", body = Message),
    (status = 401, description = "Not logged in", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn apply_seller(State(api): State<Api>, User(caller): User) -> Result<Json<Message>, Problem> {
    api.accounts.grant(caller.id, Fact::Seller).await?;
    Ok(Json(Message { message: "You are a seller; refresh your token to sell" }))
}

/// All users, oldest first.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", security(("bearer" = [])), params(Query), responses(
    (status = 200, description = "A page of users", body = UserPage),
    (status = 400, description = "Invalid", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "Not logged in", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "Not an admin", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    User(caller): User,
    Params(query): Params<Query>,
) -> Result<Json<UserPage>, Problem> {
    caller.require(Role::Admin)?;
    Ok(Json(api.accounts.members(&query.into()).await?.into()))
}

/// A user becomes an admin.
#[utoipa::path(put, path = "/api/v1/users/{id}/promote-admin", tag = "users", security(("bearer" = [])), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, description = "From the next token on", body = Message),
    (status = 400, description = "Not a UUID", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "Not logged in", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "Not an admin", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "No such user", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn promote(State(api): State<Api>, User(caller): User, Id(id): Id) -> Result<Json<Message>, Problem> {
    caller.require(Role::Admin)?;
    api.accounts.grant(id, Fact::Admin).await?;
    Ok(Json(Message { message: "The user is an admin from the next token on" }))
}

impl From<Query> for Page {
    fn from(Query { email, page, limit, cursor }: Query) -> Self {
        // A cursor says where to begin, so pages are not counted with one.
        let skip = if cursor.is_some() { 0 } else { (page - 1) * limit };
        Self { email, after: cursor, skip, limit: limit.cast_signed() }
    }
}
