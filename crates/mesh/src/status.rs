//! The one mapping between [`Fault`] and gRPC: statuses with the details of `google/rpc/error_details.proto`, so that a
//! fault crosses a hop without losing its code, its fields or its time to come back.

use std::{collections::HashMap, time::Duration};

use shop_core::{Fault, FieldError, Kind};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

const DOMAIN: &str = "shopkeeper.dev";

/// A fault on its way out. What only the log may know is logged here, at the boundary that handles it.
#[must_use]
pub fn to_status(fault: impl Into<Fault>) -> Status {
    let fault = fault.into();
    if fault.kind() == Kind::Internal {
        tracing::error!(error.code = fault.code(), error.cause = fault.cause().unwrap_or_default(), "{fault}");
    }
    let mut details = ErrorDetails::with_error_info(fault.code(), DOMAIN, HashMap::new());
    for field in fault.fields() {
        details.add_bad_request_violation(&field.field, format!("{}: {}", field.rule, field.message));
    }
    if let Kind::TooMany { retry_after } | Kind::Unavailable { retry_after } = fault.kind() {
        details.set_retry_info(Some(retry_after));
    }
    Status::with_error_details(code(fault.kind()), fault.public(), details)
}

/// A neighbour's status as a fault of ours. `peer` names the neighbour when it could not be reached.
#[must_use]
pub fn from_status(peer: &str, status: Status) -> Fault {
    let details = status.get_error_details();
    let retry_after = details.retry_info().and_then(|info| info.retry_delay).unwrap_or(Duration::from_secs(1));
    let public = status.message().to_owned();
    let fault = match status.code() {
        Code::InvalidArgument => Fault::invalid(public),
        Code::Unauthenticated => Fault::unauthenticated(public),
        Code::PermissionDenied => Fault::forbidden(public),
        Code::NotFound => Fault::new(Kind::NotFound, public),
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => {
            let reason = details.error_info().map_or_else(|| "conflict".to_owned(), |info| info.reason.clone());
            Fault::conflict(reason, public)
        }
        Code::OutOfRange => Fault::new(Kind::TooLarge, public),
        Code::ResourceExhausted => Fault::new(Kind::TooMany { retry_after }, public),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            let public = format!("{peer} is not available, try again");
            return Fault::new(Kind::Unavailable { retry_after }, public).caused_by(status);
        }
        _ => return Fault::internal(status),
    };
    let fields = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    fault.with_fields(fields.iter().map(|violation| {
        let (rule, message) = violation.description.split_once(": ").unwrap_or(("invalid", &violation.description));
        FieldError { field: violation.field.clone(), rule: rule.to_owned(), message: message.to_owned() }
    }))
}

const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid | Kind::UnsupportedMedia => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::FailedPrecondition,
        Kind::TooLarge => Code::OutOfRange,
        Kind::TooMany { .. } => Code::ResourceExhausted,
        Kind::Unavailable { .. } => Code::Unavailable,
        Kind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_conflict_crosses_a_hop_with_its_code_and_its_lines() {
        let field = FieldError {
            field: "items[0]".into(),
            rule: "out_of_stock".into(),
            message: "3 wanted, 1 left: sorry".into(),
        };
        let sent = Fault::conflict("out_of_stock", "Not enough stock").with_field(field.clone());
        let received = from_status("product", to_status(sent));
        assert_eq!((received.kind(), received.code()), (Kind::Conflict, "out_of_stock"));
        assert_eq!(received.public(), "Not enough stock");
        assert_eq!(received.fields(), [field]);
    }

    #[test]
    fn a_neighbour_that_cannot_be_reached_is_named_and_its_transport_error_kept_for_the_log() {
        let fault = from_status("The catalog", Status::unavailable("tcp connect error"));
        assert!(matches!(fault.kind(), Kind::Unavailable { .. }));
        assert_eq!(fault.public(), "The catalog is not available, try again");
        assert!(fault.cause().unwrap().contains("tcp connect error"));
    }

    #[test]
    fn the_cause_of_an_internal_fault_stays_inside() {
        let status = to_status(Fault::internal("password=hunter2"));
        assert!(!format!("{status:?}").contains("hunter2"));
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        let retry_after = (0_u32..100_000).prop_map(|millis| Duration::from_millis(millis.into()));
        prop_oneof![
            prop::sample::select(vec![Kind::Invalid, Kind::Unauthenticated, Kind::Forbidden]),
            prop::sample::select(vec![Kind::NotFound, Kind::Conflict, Kind::TooLarge, Kind::Internal]),
            retry_after.clone().prop_map(|retry_after| Kind::TooMany { retry_after }),
            retry_after.prop_map(|retry_after| Kind::Unavailable { retry_after }),
        ]
    }

    fn fields() -> impl Strategy<Value = Vec<FieldError>> {
        let field = ("\\PC{0,20}", "[a-z_]{1,10}", "\\PC{0,50}");
        prop::collection::vec(field.prop_map(|(field, rule, message)| FieldError { field, rule, message }), 0..5)
    }

    proptest! {
        #[test]
        fn a_fault_crosses_a_hop_with_its_kind_its_fields_and_the_time_to_come_back(kind in kinds(), fields in fields()) {
            let received = from_status("order", to_status(Fault::new(kind, "so").with_fields(fields.clone())));
            prop_assert_eq!(received.kind(), kind);
            // Of what went wrong inside, and of a neighbour that is away, the client learns no more than that.
            if !matches!(kind, Kind::Internal | Kind::Unavailable { .. }) {
                prop_assert_eq!(received.public(), "so");
                prop_assert_eq!(received.fields(), fields);
            }
        }

        #[test]
        fn any_status_a_neighbour_sends_is_some_fault(code in 0..20, text in "\\PC*", details: Vec<u8>) {
            let status = Status::with_details(Code::from_i32(code), text, details.into());
            prop_assert!(!from_status("order", status).public().contains("panicked"));
        }
    }
}
