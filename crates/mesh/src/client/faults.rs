//! Faults on purpose: a try comes to harm as it would by a slow, failing or dying neighbour, so that everybody can see what the
//! Shop then does. Only the Shop's own settings switch them on.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use http::Response;
use shop_config as config;
use tonic::{Code, Status, body::Body};

use super::{BoxError, dice::Dice};

/// What goes wrong, in so many of a hundred tries.
pub(super) struct Faults {
    percent: usize,
    delay: Duration,
    instead: Option<Instead>,
}

/// What comes instead of an answer.
#[derive(Clone, Copy)]
enum Instead {
    Status(Code),
    Reset,
}

impl Faults {
    pub(super) fn of(settings: config::Faults) -> Self {
        let instead = settings.error.map(|error| Instead::Status(code(error)));
        Self {
            percent: settings.percent.get().into(),
            delay: settings.delay.map_or(Duration::ZERO, |delay| delay.0),
            instead: if settings.reset { Some(Instead::Reset) } else { instead },
        }
    }

    /// What becomes of one try; `None` when it is sent after all.
    pub(super) async fn strike(&self, die: usize, dice: &Dice) -> Option<Result<Response<Body>, BoxError>> {
        if dice.below(die, 100) >= self.percent {
            return None;
        }
        tokio::time::sleep(self.delay).await;
        match self.instead? {
            Instead::Status(code) => Some(Ok(Status::new(code, "a fault on purpose").into_http())),
            Instead::Reset => {
                Some(Err(io::Error::new(ErrorKind::ConnectionReset, "a connection broken on purpose").into()))
            }
        }
    }
}

const fn code(error: config::FaultCode) -> Code {
    match error {
        config::FaultCode::Unavailable => Code::Unavailable,
        config::FaultCode::DeadlineExceeded => Code::DeadlineExceeded,
        config::FaultCode::ResourceExhausted => Code::ResourceExhausted,
        config::FaultCode::Internal => Code::Internal,
    }
}
