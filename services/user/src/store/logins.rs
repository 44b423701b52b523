//! The users of MongoDB as which the service logs in. Two of them take turns while passwords are replaced.

use bson::{Document, doc};
use mongodb::{
    Client, Database,
    error::{Error, ErrorKind},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{StoreError, answer, database_of, options};

/// Where MongoDB keeps users, unless an address says otherwise.
const USERS: &str = "admin";
/// The server's code for a user that is not there.
const NOT_FOUND: i32 = 11;
/// The server's code for a user that is there already.
const ALREADY_THERE: i32 = 51_003;

/// Makes users, and takes their way in away, as somebody who may.
pub struct Logins {
    /// The database that keeps them.
    keeper: Database,
    login: Login,
}

/// A user that an address names.
struct Login {
    user: String,
    password: SecretString,
    /// The one database in which it may do anything.
    database: String,
}

impl Logins {
    /// Connects as `admin_url` says, later, to make the user of `url`.
    pub async fn open(admin_url: &SecretString, url: &SecretString) -> Result<Self, StoreError> {
        let wanted = options(url).await?;
        let database = database_of(&wanted);
        let credential = wanted.credential.ok_or(StoreError::Nobody)?;
        let (Some(user), Some(password)) = (credential.username, credential.password) else {
            return Err(StoreError::Nobody);
        };
        let keeper = credential.source.unwrap_or_else(|| USERS.to_owned());
        let keeper = Client::with_options(options(admin_url).await?)?.database(&keeper);
        Ok(Self { keeper, login: Login { user, password: password.into(), database } })
    }

    /// Whether the server answers, and lets in who may make users.
    pub async fn ping(&self) -> Result<(), StoreError> {
        answer("ping", self.keeper.run_command(doc! { "ping": 1 })).await.map(|_| ())
    }

    /// Makes the user; one that is there gets password and role.
    pub async fn ensure(&self) -> Result<(), StoreError> {
        match answer("createUser", self.keeper.run_command(self.login.command("createUser"))).await {
            Err(StoreError::Refused(error)) if is(&error, ALREADY_THERE) => {
                answer("updateUser", self.keeper.run_command(self.login.command("updateUser"))).await.map(|_| ())
            }
            outcome => outcome.map(|_| ()),
        }
    }

    /// Gives the user the password of its address, and leaves what it may do.
    pub async fn replace_password(&self) -> Result<(), StoreError> {
        self.set_password(&self.login.user, self.login.password.expose_secret()).await
    }

    /// Leaves a user with a password that nobody knows: sessions that are open go on, which those of a user who is dropped
    /// do not. One that is not there has no way in either.
    pub async fn retire(&self, user: &str, password: &str) -> Result<(), StoreError> {
        match self.set_password(user, password).await {
            Err(StoreError::Refused(error)) if is(&error, NOT_FOUND) => Ok(()),
            outcome => outcome,
        }
    }

    async fn set_password(&self, user: &str, password: &str) -> Result<(), StoreError> {
        let command = doc! { "updateUser": user, "pwd": password };
        answer("updateUser", self.keeper.run_command(command)).await.map(|_| ())
    }
}

impl Login {
    fn command(&self, verb: &str) -> Document {
        let Self { user, password, database } = self;
        doc! {
            verb: user,
            "pwd": password.expose_secret(),
            "roles": [{ "role": "readWrite", "db": database }],
        }
    }
}

fn is(error: &Error, code: i32) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if command.code == code)
}
