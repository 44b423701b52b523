//! The migration Job: the service's own user at MongoDB, indexes, without which nothing is unique, and the first admin,
//! without whom nobody is one.

use anyhow::{Context as _, ensure};
use garde::Validate as _;
use secrecy::ExposeSecret as _;
use shop_config::Database;
use shop_core::World;
use shop_server::reach;

use crate::{
    config::FirstAdmin,
    domain::{Account, Fact, Token},
    hashing::Hashing,
    metrics::UserMetrics,
    store::{Logins, Store, StoreError},
};

/// Makes the service's own user, and ends the one that went before, where it is known who may do that.
pub(crate) async fn make_login(config: &Database, world: &dyn World) -> anyhow::Result<()> {
    let Some(admin_url) = &config.admin_url else { return Ok(()) };
    let logins = Logins::open(admin_url, &config.url).await?;
    let former = match &config.former_admin_url {
        Some(former_url) => Some(Logins::open(former_url, admin_url).await?),
        None => None,
    };
    let (root, former) = (&logins, former.as_ref());
    reach("mongodb", || log_in(root, former)).await?;
    // First, so that whatever is to be ended, the user that the service has is there.
    if let Some(retired) = &config.retired {
        let unknown = Token::new(world.random()).text;
        logins.retire(retired, &unknown).await.context("the previous user cannot be retired")?;
    }
    logins.ensure().await.context("the user cannot be made")
}

/// Whether `root` is let in, who gets its password if that of `former` is still the one that is good.
async fn log_in(root: &Logins, former: Option<&Logins>) -> Result<(), StoreError> {
    let former = match (root.ping().await, former) {
        (Err(_), Some(former)) => former,
        (outcome, _) => return outcome,
    };
    if let Err(error) = former.replace_password().await {
        tracing::info!(error.cause = %error, "the root user's password was not replaced");
    }
    root.ping().await
}

/// Makes what is missing.
pub(crate) async fn migrate(store: &Store, admin: Option<FirstAdmin>, world: &dyn World) -> anyhow::Result<()> {
    store.create_indexes().await.context("the indexes cannot be made")?;
    let Some(admin) = admin else {
        tracing::warn!("SHOP_ADMIN_USER__EMAIL is not set: no first admin is made");
        return Ok(());
    };
    make_admin(store, admin, world).await
}

async fn make_admin(store: &Store, admin: FirstAdmin, world: &dyn World) -> anyhow::Result<()> {
    admin.email.validate().context("the first admin's e-mail address cannot be used")?;
    ensure!(!admin.password.expose_secret().is_empty(), "the first admin's password is empty");
    // Whoever has the address keeps account and password. It gets no role either: it may be somebody who registered.
    if store.account_of(&admin.email).await?.is_some() {
        return Ok(());
    }
    let now = world.now();
    let password = Hashing::new(UserMetrics::default()).hash(admin.password, world.random()).await?;
    let account = Account {
        id: world.id(),
        email: admin.email,
        first_name: "Shop".to_owned(),
        last_name: "Admin".to_owned(),
        password,
        created_at: now,
    };
    // The account last: a migration that is cut off begins anew, and what it left belongs to nobody.
    store.establish(account.id, Fact::Verified, now).await?;
    store.establish(account.id, Fact::Admin, now).await?;
    if store.add_account(&account).await? {
        tracing::info!("made the first admin");
    }
    Ok(())
}
