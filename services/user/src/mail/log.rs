//! Mail for development: lines on stdout.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use futures::future::{BoxFuture, FutureExt as _};
use serde::Serialize;

use super::{Mail, MailError, Mailer};

/// Writes each mail as one line of JSON, for development.
pub struct LogMailer<W>(Mutex<W>);

impl<W: Write + Send> LogMailer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self(Mutex::new(out))
    }

    fn write(&self, mail: &Mail) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            mail: bool,
            #[serde(flatten)]
            content: &'a Mail,
        }
        let mut line = serde_json::to_vec(&Line { mail: true, content: mail })?;
        line.push(b'\n');
        // One write: a log line of another thread must not come between.
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line)?;
        out.flush()
    }
}

impl<W: Write + Send> Mailer for LogMailer<W> {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
        let outcome = self.write(mail).map_err(|error| MailError::Away(error.to_string()));
        futures::future::ready(outcome).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Email;

    #[tokio::test]
    async fn a_mail_is_one_line_of_json_with_reader_subject_and_url() {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let mail = Mail {
            id: Uuid::nil(),
            at: Timestamp::UNIX_EPOCH,
            to: Email::from("a@b.example".to_owned()),
            subject: "Hello",
            text: "Read this.",
            url: "http://s/?token=t".to_owned(),
        };
        LogMailer::new(lines.clone()).send(&mail).await.unwrap();
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "{\"mail\":true,\"to\":\"a@b.example\",\"subject\":\"Hello\",\"url\":\"http://s/?token=t\"}\n"
        );
    }
}
