//! Stock under concurrency: several processes on one file sell exactly what the stock falls by.

use crate::service::{Service, checkout, client, stock, token};
use reqwest::Method;
use serde_json::json;
use sqlx::Connection;

/// Sends `clients` × `each` checkouts to every service at once and gives the number of 200 answers.
async fn buy(services: &[Service], clients: usize, each: usize, items: &'static str) -> usize {
    let mut buyers = tokio::task::JoinSet::new();
    for service in services {
        let client = client();
        let token = token(&client, service).await;
        for _ in 0..clients {
            let body = format!(
                r#"{{"customer":{{"email":"foo@bar.com"}},"payment":{{"method":"collect"}},"items":[{items}]}}"#
            );
            let requests: Vec<_> = (0..each).map(|_| checkout(&client, service, &token, body.clone())).collect();
            buyers.spawn(async move {
                let mut sold = 0;
                for request in requests {
                    match request.send().await.unwrap().status().as_u16() {
                        200 => sold += 1,
                        400 => {}
                        other => panic!("neither sold nor refused: {other}"),
                    }
                }
                sold
            });
        }
    }
    buyers.join_all().await.into_iter().sum()
}

async fn set_stock(service: &Service, product: u32, count: i64) {
    let url = service.url(&format!("/api/products/{product}/"));
    let body = json!({"inventory_count": count});
    assert_eq!(client().request(Method::PATCH, url).json(&body).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_is_sold_is_what_the_stock_falls_by() {
    let folder = tempfile::tempdir().unwrap();
    let services: Vec<_> = (0..4).map(|_| Service::start(folder.path(), &[])).collect();
    let client = client();
    set_stock(&services[0], 3, 1000).await;
    let sold = buy(&services, 6, 10, r#"{"id":3,"countRequested":2}"#).await;
    assert_eq!(sold, 240, "there was enough for all");
    assert_eq!(stock(&client, &services[1], 3).await, 1000 - 480);
}

#[tokio::test]
async fn the_last_unit_is_sold_once() {
    let folder = tempfile::tempdir().unwrap();
    let services: Vec<_> = (0..4).map(|_| Service::start(folder.path(), &[])).collect();
    let client = client();
    set_stock(&services[0], 1, 50).await;
    set_stock(&services[0], 4, 70).await;
    let sold = buy(&services, 6, 5, r#"{"id":1,"countRequested":1},{"id":4,"countRequested":1}"#).await;
    assert_eq!(sold, 50, "a cart takes all of its lines or none");
    assert_eq!(stock(&client, &services[0], 1).await, 0);
    assert_eq!(stock(&client, &services[3], 4).await, 20);
}

#[tokio::test]
async fn several_processes_set_one_database_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut migrations: Vec<_> =
        (0..6).map(|_| crate::service::command("migrate", folder.path()).spawn().unwrap()).collect();
    for migration in &mut migrations {
        assert!(migration.wait().unwrap().success());
    }
    let service = Service::start(folder.path(), &[]);
    let products: Vec<serde_json::Value> =
        client().get(service.url("/api/products/")).send().await.unwrap().json().await.unwrap();
    assert_eq!(products.len(), 4);
    set_stock(&service, 2, 99).await;
    assert!(crate::service::command("migrate", folder.path()).status().unwrap().success());
    assert_eq!(stock(&client(), &service, 2).await, 99, "what is there stays");
}

const ONE_STAR: &str =
    r#"{"customer":{"email":"a@b.cd"},"payment":{"method":"collect"},"items":[{"id":3,"countRequested":1}]}"#;

/// A foreign transaction on the file, which holds the write lock until it is dropped.
async fn lock(folder: &tempfile::TempDir) -> sqlx::SqliteConnection {
    let url = format!("sqlite://{}", folder.path().join("shop.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn waiting_for_a_lock_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("DATABASE_POOL_SIZE", "1")]);
    let client = client();
    let token = token(&client, &service).await;
    let lock = lock(&folder).await;
    let sale = tokio::spawn(checkout(&client, &service, &token, ONE_STAR).send());
    // Another request gets the only connection while the sale waits, and proves that the sale is under way.
    let waiting = service.url("/api/products/3/");
    for _ in 0..20 {
        assert_eq!(client.get(&waiting).send().await.unwrap().status(), 200);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(!sale.is_finished(), "the lock is held");
    lock.close().await.unwrap();
    assert_eq!(sale.await.unwrap().unwrap().status(), 200);
    let line = service.log_line(|line| line["httpRequest"]["requestMethod"] == "POST");
    let waited = line["lock_wait_ms"].as_f64().unwrap();
    assert!(waited >= 10.0, "waited {waited} ms");
    service.terminate();
    let stopped = service.log_line(|line| line["message"] == "stopped");
    assert!(stopped["process"]["lock_wait_ms"].as_f64().unwrap() >= waited);
}

// Waiting for the log blocks a thread of the test, and closing the abandoned connection needs another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_whose_client_has_gone_is_finished_whole() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    let client = client();
    let token = token(&client, &service).await;
    let lock = lock(&folder).await;
    let sale = checkout(&client, &service, &token, ONE_STAR);
    let abandoned = sale.timeout(std::time::Duration::from_millis(300)).send().await;
    assert!(abandoned.unwrap_err().is_timeout());
    service.log_line(|line| line["abandoned"] == true);
    lock.close().await.unwrap();
    // The statement still runs, and nothing stays open behind it: another process can write.
    let other = Service::start(folder.path(), &[]);
    while stock(&client, &other, 3).await == 71 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(stock(&client, &other, 3).await, 70);
    set_stock(&other, 3, 5).await;
    assert_eq!(stock(&client, &service, 3).await, 5);
}
