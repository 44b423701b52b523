//! `/auth`: registration, sessions, forgotten passwords.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use secrecy::ExposeSecret as _;
use shop_server::http::{Params, Problem, ProblemBody, Valid};

use super::{
    Api,
    address::ClientAddress,
    bodies::{Address, LinkToken, Login, Message, RefreshToken, Register, Reset, TokenPair},
};
use crate::{app::Tokens, domain::Profile};

/// Makes an account. The answer is the same for an address that has one; its owner is mailed instead.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = Register, responses(
    (status = 201, description = "Look for the mail", body = Message),
    (status = 400, description = "Malformed or invalid", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "Too many registrations", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn register(
    State(api): State<Api>,
    ClientAddress(from): ClientAddress,
    Valid(body): Valid<Register>,
) -> Result<(StatusCode, Json<Message>), Problem> {
    let Register { email, password, first_name, last_name } = body;
    api.accounts.register(Profile { email, first_name, last_name }, password.0, from).await?;
    let message = "We have sent you a mail: open the link in it to verify your address";
    Ok((StatusCode::CREATED, Json(Message { message })))
}

/// Mails a new link to verify an address, if there is an account that needs one.
#[utoipa::path(post, path = "/api/v1/auth/verify-email/request", tag = "auth", request_body = Address, responses(
    (status = 200, description = "Whether there is such an account or not", body = Message),
    (status = 400, description = "Malformed or invalid", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "Too many requests for mail", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn request_verification(
    State(api): State<Api>,
    ClientAddress(from): ClientAddress,
    Valid(Address { email }): Valid<Address>,
) -> Result<Json<Message>, Problem> {
    api.accounts.request_verification(email, from).await?;
    Ok(Json(Message { message: "If the address has an account to verify, a mail is on its way" }))
}

/// Verifies an address with the token of a mail. Works once, for 24 hours.
#[utoipa::path(get, path = "/api/v1/auth/verify-email", tag = "auth", params(LinkToken), responses(
    (status = 200, description = "Verified", body = Message),
    (status = 400, description = "Unknown, used or expired", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn verify(
    State(api): State<Api>,
    Params(LinkToken { token }): Params<LinkToken>,
) -> Result<Json<Message>, Problem> {
    api.accounts.verify(&token).await?;
    Ok(Json(Message { message: "Your e-mail address is verified; you can log in now" }))
}

/// Begins a session.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = Login, responses(
    (status = 200, description = "A pair of tokens", body = TokenPair),
    (status = 400, description = "Malformed or invalid", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "Unknown, wrong, or not verified", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "Too many logins", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn login(
    State(api): State<Api>,
    ClientAddress(from): ClientAddress,
    Valid(Login { email, password }): Valid<Login>,
) -> Result<Response, Problem> {
    Ok(pair(api.accounts.login(&email, password, from).await?))
}

/// The next pair of a session. The refresh token is spent; using it again ends the session.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshToken, responses(
    (status = 200, description = "A pair of tokens", body = TokenPair),
    (status = 400, description = "Malformed or invalid", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "Unknown, spent or expired", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn refresh(
    State(api): State<Api>,
    Valid(RefreshToken { refresh_token }): Valid<RefreshToken>,
) -> Result<Response, Problem> {
    Ok(pair(api.accounts.refresh(&refresh_token).await?))
}

/// Ends a session.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", request_body = RefreshToken, responses(
    (status = 204, description = "It is over, or was already"),
    (status = 400, description = "Malformed or invalid", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn logout(
    State(api): State<Api>,
    Valid(RefreshToken { refresh_token }): Valid<RefreshToken>,
) -> Result<StatusCode, Problem> {
    api.accounts.logout(&refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mails a link to set a new password, if the address has an account.
#[utoipa::path(post, path = "/api/v1/auth/password/forgot", tag = "auth", request_body = Address, responses(
    (status = 200, description = "Whether there is such an account or not", body = Message),
    (status = 400, description = "Malformed or invalid", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "Too many requests for mail", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn forgot_password(
    State(api): State<Api>,
    ClientAddress(from): ClientAddress,
    Valid(Address { email }): Valid<Address>,
) -> Result<Json<Message>, Problem> {
    api.accounts.forgot_password(email, from).await?;
    Ok(Json(Message { message: "If the address has an account, a mail is on its way" }))
}

/// Sets a new password with the token of a mail, which works once, for an hour. All sessions end.
#[utoipa::path(post, path = "/api/v1/auth/password/reset", tag = "auth", request_body = Reset, responses(
    (status = 200, description = "Log in with the new password", body = Message),
    (status = 400, description = "Invalid; or an unknown, used or expired token", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn reset_password(
    State(api): State<Api>,
    Valid(Reset { token, password }): Valid<Reset>,
) -> Result<Json<Message>, Problem> {
    api.accounts.reset_password(token.expose_secret(), password.0).await?;
    Ok(Json(Message { message: "Your password is changed; log in with the new one" }))
}

/// No cache keeps tokens.
fn pair(tokens: Tokens) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(TokenPair::from(tokens))).into_response()
}
