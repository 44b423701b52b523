//! A server that is gone without a word: nothing ends the connection, and nothing comes back on it.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use shop_config::{Database, Postgres};
use shop_testing::{TestDatabase, eventually};
use sqlx::migrate::Migrator;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The way to a server. Connections that are open when it falls silent stay open and carry nothing; later ones are as good as
/// ever. Ends with the value.
struct Way {
    silences: watch::Sender<()>,
    accepting: JoinHandle<()>,
    address: String,
}

impl Way {
    async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (silences, silent) = watch::channel(());
        let accepting = tokio::spawn(accept(listener, server.to_owned(), silent));
        Self { silences, accepting, address }
    }

    fn fall_silent(&self) {
        self.silences.send_replace(());
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: String, silences: watch::Receiver<()>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (server, mut silences) = (server.clone(), silences.clone());
        silences.mark_unchanged();
        tokio::spawn(async move {
            let mut server = TcpStream::connect(server).await.expect("the server answers");
            let is_silent = tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => false,
                silence = silences.changed() => silence.is_ok(),
            };
            if is_silent {
                // Until nobody can ask for another silence: the test is over.
                while silences.changed().await.is_ok() {}
            }
        });
    }
}

#[tokio::test]
async fn a_connection_that_carries_nothing_any_more_is_given_up_and_the_pool_goes_on_with_another() {
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    let url = database.config.database.url.expose_secret();
    let (before, rest) = url.split_once('@').expect("the URL has a user");
    let (server, name) = rest.split_once('/').expect("the URL has a database");
    let way = Way::to(server).await;
    let config = Postgres { database: Database::from(format!("{before}@{}/{name}", way.address)), pool: 1 };
    let pool = shop_db::Pool::new(&config, "test").expect("the URL is good");
    shop_db::ping(pool.clone()).await.expect("the server answers");

    way.fall_silent();
    let unanswered = shop_db::within(Duration::from_millis(50), shop_db::ping(pool.clone())).await;
    assert!(matches!(unanswered, Err(sqlx::Error::Io(_))), "{unanswered:?}");
    eventually("the only connection of the pool is another one", || async {
        shop_db::ping(pool.clone()).await.map_err(|error| error.to_string())
    })
    .await;
}
