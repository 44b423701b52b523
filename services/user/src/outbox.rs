//! Sends the mails that were asked for. They wait in the database, so none is lost with a process, and any number of
//! replicas may send: each attempt belongs to one.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{app::Accounts, error::Error};

/// How late a mail is found that another replica was asked for and did not live to send.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While the mail server is away it is asked less and less often, and for a few mails only.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Conversations with the mail server at once.
const AT_ONCE: u8 = 4;

/// Sends until `shutdown`; mails that are on their way then arrive.
pub(crate) async fn run(accounts: Arc<Accounts>, shutdown: CancellationToken) {
    let mut pause = LOOK_EVERY;
    while !shutdown.is_cancelled() {
        match round(&accounts).await {
            Ok(true) => continue,
            Ok(false) => pause = LOOK_EVERY,
            Err(error) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
                tracing::warn!(error.cause = %error, "mails wait for {pause:?}");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = accounts.mail_waits.notified(), if pause == LOOK_EVERY => {}
            () = sleep(pause) => {}
        }
    }
}

/// Tries a few mails; `true` when there may be more.
async fn round(accounts: &Accounts) -> Result<bool, Error> {
    let due = accounts.due_mails(AT_ONCE.into()).await?;
    let outcomes = join_all(due.iter().map(|request| accounts.deliver(request))).await;
    outcomes.into_iter().collect::<Result<(), Error>>()?;
    Ok(due.len() == usize::from(AT_ONCE))
}
