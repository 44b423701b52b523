//! Who users are and what they may do.

use jiff::Timestamp;
use shop_auth::Role;
use tokio::try_join;
use uuid::Uuid;

use crate::{
    app::Accounts,
    domain::{Account, Email, Fact, Facts},
    error::Error,
    store::Page,
};

/// A user as users and admins see one.
pub(crate) struct Member {
    pub id: Uuid,
    pub email: Email,
    pub first_name: String,
    pub last_name: String,
    pub created_at: Timestamp,
    pub verified: bool,
    pub roles: Vec<Role>,
}

impl Member {
    fn new(account: Account, facts: &Facts) -> Self {
        let Account { id, email, first_name, last_name, password: _, created_at } = account;
        Self { id, email, first_name, last_name, created_at, verified: facts.verified(), roles: facts.roles() }
    }
}

/// A page of users.
pub(crate) struct Listing {
    pub members: Vec<Member>,
    pub total: u64,
    /// The last id of a page that is full: the next one begins after it.
    pub next: Option<Uuid>,
}

impl Accounts {
    /// One user.
    pub async fn member(&self, id: Uuid) -> Result<Member, Error> {
        let (account, facts) = try_join!(self.store.account(id), self.store.facts(id))?;
        Ok(Member::new(account.ok_or(Error::NoSuchUser)?, &facts))
    }

    /// A page of users.
    pub async fn members(&self, page: &Page) -> Result<Listing, Error> {
        let (accounts, total) = self.store.accounts(page).await?;
        let ids: Vec<Uuid> = accounts.iter().map(|account| account.id).collect();
        let facts = self.store.facts_of(&ids).await?;
        let full = i64::try_from(ids.len()).is_ok_and(|found| found == page.limit);
        let members = accounts.into_iter().map(|account| {
            let own = facts.iter().filter(|(user, _)| *user == account.id).map(|(_, fact)| *fact);
            let own = Facts(own.collect());
            Member::new(account, &own)
        });
        Ok(Listing { members: members.collect(), total, next: ids.last().copied().filter(|_| full) })
    }

    /// Grants a role for good; again is as good.
    pub async fn grant(&self, id: Uuid, fact: Fact) -> Result<(), Error> {
        self.store.account(id).await?.ok_or(Error::NoSuchUser)?;
        Ok(self.store.establish(id, fact, self.host.world.now()).await?)
    }
}
