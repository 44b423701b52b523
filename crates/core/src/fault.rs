//! One failure, told twice: to the client in public words, to the log with its cause.
//!
//! A layer's own error enum converts into a [`Fault`]; `shop-server` is the only place that turns a fault into an HTTP
//! problem or a gRPC status, and back.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

/// What went wrong, as far as the caller is concerned. Each kind has one HTTP status and one gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request breaks a rule its sender could have known: 400, `INVALID_ARGUMENT`.
    Invalid,
    /// No or bad credentials: 401, `UNAUTHENTICATED`.
    Unauthenticated,
    /// Known, and not allowed: 403, `PERMISSION_DENIED`.
    Forbidden,
    /// Not there, or not the caller's: 404, `NOT_FOUND`.
    NotFound,
    /// The state of things forbids it now: 409, `FAILED_PRECONDITION`.
    Conflict,
    /// The body is over its limit: 413, `OUT_OF_RANGE`.
    TooLarge,
    /// The body's media type is not one we read: 415.
    UnsupportedMedia,
    /// The caller is over a rate limit: 429, `RESOURCE_EXHAUSTED`.
    TooMany {
        /// When to come back.
        retry_after: Duration,
    },
    /// Something we depend on is away: 503, `UNAVAILABLE`.
    Unavailable {
        /// When to come back.
        retry_after: Duration,
    },
    /// Our fault: 500, `INTERNAL`.
    Internal,
}

/// One field of a request that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field as the client wrote it, for instance `shippingAddress.city`.
    pub field: String,
    /// Short stable name of the rule, for instance `length` or `required`.
    pub rule: String,
    /// What is wrong with the value and what to write instead.
    pub message: String,
}

/// A failure on its way to a client and to the log.
#[derive(Debug)]
pub struct Fault {
    kind: Kind,
    code: Cow<'static, str>,
    public: String,
    fields: Vec<FieldError>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault of `kind` with a sentence for the client and the kind's own code.
    #[must_use]
    pub fn new(kind: Kind, public: impl Into<String>) -> Self {
        Self { kind, code: default_code(kind).into(), public: public.into(), fields: Vec::new(), cause: None }
    }

    /// A request that breaks a rule.
    #[must_use]
    pub fn invalid(public: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, public)
    }

    /// One field that breaks one rule.
    #[must_use]
    pub fn invalid_field(field: &str, rule: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let fault = Self::invalid(format!("{field}: {message}"));
        fault.with_field(FieldError { field: field.to_owned(), rule: rule.to_owned(), message })
    }

    /// No or bad credentials.
    #[must_use]
    pub fn unauthenticated(public: impl Into<String>) -> Self {
        Self::new(Kind::Unauthenticated, public)
    }

    /// Known, and not allowed.
    #[must_use]
    pub fn forbidden(public: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, public)
    }

    /// Not there, or not the caller's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} not found"))
    }

    /// The state of things forbids it; `code` names the case for programs, for instance `out_of_stock`.
    #[must_use]
    pub fn conflict(code: impl Into<Cow<'static, str>>, public: impl Into<String>) -> Self {
        Self { code: code.into(), ..Self::new(Kind::Conflict, public) }
    }

    /// A dependency that is away for the moment.
    #[must_use]
    pub fn unavailable(what: &str) -> Self {
        let retry_after = Duration::from_secs(1);
        Self::new(Kind::Unavailable { retry_after }, format!("{what} is not available, try again"))
    }

    /// Our fault. The client learns nothing but that.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "Something went wrong on our side").caused_by(cause)
    }

    /// Adds what the log should know and the client should not.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds one broken field.
    #[must_use]
    pub fn with_field(mut self, field: FieldError) -> Self {
        self.fields.push(field);
        self
    }

    /// Adds broken fields.
    #[must_use]
    pub fn with_fields(mut self, fields: impl IntoIterator<Item = FieldError>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// What went wrong, as far as the caller is concerned.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Stable name of the case, for programs and metrics.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for the client.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The fields at fault.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }

    /// The whole chain of causes in one line, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let mut error: &dyn Error = self.cause.as_deref()?;
        let mut chain = error.to_string();
        while let Some(source) = error.source() {
            chain = chain + ": " + &source.to_string();
            error = source;
        }
        Some(chain)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

const fn default_code(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::Unauthenticated => "unauthenticated",
        Kind::Forbidden => "forbidden",
        Kind::NotFound => "not_found",
        Kind::Conflict => "conflict",
        Kind::TooLarge => "too_large",
        Kind::UnsupportedMedia => "unsupported_media_type",
        Kind::TooMany { .. } => "too_many_requests",
        Kind::Unavailable { .. } => "unavailable",
        Kind::Internal => "internal",
    }
}
