//! The tables, and setting up an empty database once, however many processes start at the same time.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row, raw_sql};
use tokio::time::{Instant, sleep};

use super::database::{Database, is_locked};
use super::seeds;

/// Gives a row when the database is complete. The table is the last one made and is filled with the seeds.
pub(super) const IS_SET_UP: &str = "SELECT version FROM shop_schema";

const TABLES: &str = "
CREATE TABLE product (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    price_cents BIGINT NOT NULL,
    active BOOLEAN NOT NULL,
    discount_percent BIGINT NOT NULL,
    inventory_count BIGINT NOT NULL,
    units_sold BIGINT NOT NULL DEFAULT 0,
    image TEXT
);
CREATE TABLE testimonial (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id BIGINT NOT NULL REFERENCES product (id) ON DELETE CASCADE,
    reviewer_name TEXT NOT NULL,
    reviewer_location TEXT NOT NULL,
    rating BIGINT NOT NULL DEFAULT 5,
    summary TEXT NOT NULL,
    description TEXT NOT NULL
);
CREATE INDEX testimonial_product_id ON testimonial (product_id);
CREATE TABLE site_config (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    active BOOLEAN NOT NULL DEFAULT TRUE,
    color_primary TEXT NOT NULL DEFAULT '#C200C2',
    color_secondary TEXT NOT NULL DEFAULT '#BE0000',
    color_action TEXT NOT NULL DEFAULT '#00AFAF',
    color_action_text TEXT NOT NULL DEFAULT '#000000',
    site_name TEXT NOT NULL DEFAULT 'Simulatum',
    site_name_font TEXT NOT NULL DEFAULT 'Pacifico',
    site_name_color TEXT NOT NULL DEFAULT '#0D8645',
    base_font TEXT NOT NULL DEFAULT 'Tahoma'
);
CREATE TABLE shop_schema (version BIGINT NOT NULL);
";

/// How long setting up waits for others that do the same.
const SETUP_WAIT: Duration = Duration::from_secs(20);

/// Brings the database to the current schema. Safely repeated, and safely done by several processes at once: the
/// first to get the write lock sets up, the others find it done.
pub(super) async fn migrate(database: &Database) -> Result<(), sqlx::Error> {
    // Two processes that switch a file to WAL each hold what the other waits for. So nobody waits inside the engine:
    // whoever meets a lock lets go of everything and comes back, each process after a pause of its own.
    let options = database.options(Duration::ZERO);
    let pause = Duration::from_millis(10 + u64::from(std::process::id() % 23));
    let begin = Instant::now();
    loop {
        match migrate_once(&options).await {
            Err(error) if is_locked(&error) && begin.elapsed() < SETUP_WAIT => sleep(pause).await,
            result => return result,
        }
    }
}

async fn migrate_once(options: &SqliteConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    let result = set_up(&mut connection).await;
    let closed = connection.close().await;
    result.and(closed)
}

async fn set_up(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    raw_sql("PRAGMA journal_mode = WAL").execute(&mut *connection).await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let tables = sqlx::query("SELECT COUNT(*) FROM sqlite_master WHERE name = 'shop_schema'")
        .fetch_one(&mut *transaction)
        .await?;
    if tables.try_get::<i64, _>(0)? == 0 {
        raw_sql(TABLES).execute(&mut *transaction).await?;
        seeds::plant(&mut transaction).await?;
        raw_sql("INSERT INTO shop_schema (version) VALUES (1)").execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
