//! Users at the stores of somebody else, as those make and remove them who look after the stores.

use http::{Method, StatusCode};
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use shopkeeper_testing::SHOP;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::stores::Stores;

/// The password of those who look after the stores.
pub const ADMIN: &str = "walnuts-under-the-roots";
/// The database at MongoDB.
pub const MARKET: &str = "market";
/// The port at which they ask Redis in plain text.
pub const REDIS_ADMIN: u16 = 6380;

/// Who a Shop is at the stores.
pub struct User {
    pub name: &'static str,
    pub password: &'static str,
}

impl Stores {
    /// Lets a user in, who may do what `kubectl explain` asks for and no more.
    pub async fn let_in(&self, user: &User) {
        let (name, password) = (user.name, user.password);
        self.sql(format!("CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'")).await;
        self.sql(take_over(name)).await;
        let roles = doc! {"role": "readWrite", "db": MARKET};
        self.mongodb(doc! {"createUser": name, "pwd": password, "roles": [roles]}).await;
        let rights = "~cart:* ~user:* &cart:* &user:* +@all -@admin -@dangerous";
        self.redis(&format!("ACL SETUSER {name} on >{password} {rights}"), "+OK").await;
        self.rabbitmq(Method::PUT, &format!("users/{name}"), json!({"password": password, "tags": ""})).await;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.rabbitmq(Method::PUT, &format!("permissions/%2F/{name}"), all).await;
    }

    /// Lets nobody in any more under this name.
    pub async fn forget(&self, user: &User) {
        let name = user.name;
        self.sql(format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
        self.mongodb(doc! {"dropUser": name}).await;
        self.redis(&format!("ACL DELUSER {name}"), ":1").await;
        self.rabbitmq(Method::DELETE, &format!("users/{name}"), Value::Null).await;
    }

    async fn sql(&self, statements: String) {
        let url = format!("postgres://postgres:{ADMIN}@{}:5432/postgres?sslmode=require", self.address);
        let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL answers");
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.expect("it obeys");
        connection.close().await.expect("a farewell");
    }

    async fn mongodb(&self, command: Document) {
        // Whether the certificate is the right one the services ask.
        let options = "authSource=admin&tls=true&tlsAllowInvalidCertificates=true";
        let url = format!("mongodb://root:{ADMIN}@{}:27017/?{options}", self.address);
        let client = mongodb::Client::with_uri_str(url).await.expect("an address");
        client.database("admin").run_command(command).await.expect("MongoDB obeys");
    }

    async fn redis(&self, command: &str, answer: &str) {
        let mut connection = TcpStream::connect((self.address.as_str(), REDIS_ADMIN)).await.expect("Redis is there");
        let commands = format!("AUTH {ADMIN}\r\n{command}\r\nQUIT\r\n");
        connection.write_all(commands.as_bytes()).await.expect("it listens");
        let mut answers = String::new();
        connection.read_to_string(&mut answers).await.expect("it answers");
        assert_eq!(answers, format!("+OK\r\n{answer}\r\n+OK\r\n"), "{command}");
    }

    async fn rabbitmq(&self, method: Method, path: &str, body: Value) {
        let url = format!("http://{}:15672/api/{path}", self.address);
        let request = reqwest::Client::new().request(method, url).basic_auth("test", Some(ADMIN)).json(&body);
        let status = request.send().await.expect("RabbitMQ answers").status();
        assert!(matches!(status, StatusCode::CREATED | StatusCode::NO_CONTENT), "{path}: {status}");
    }
}

/// What a user needs for the roles that the one before made: since PostgreSQL 16 nobody else may change them.
fn take_over(name: &str) -> String {
    format!(
        "DO $$ DECLARE made text; BEGIN \
         FOR made IN SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE '{SHOP}-%' LOOP \
         EXECUTE 'GRANT ' || made || ' TO {name} WITH ADMIN OPTION'; END LOOP; END $$"
    )
}
