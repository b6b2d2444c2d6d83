//! Stock under concurrency: several processes on one file sell exactly what the stock falls by.

use crate::place::{Place, on_both};
use crate::service::{Service, checkout, client, stock, token};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
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

async fn what_is_sold_is_what_the_stock_falls_by(place: Place) {
    let services: Vec<_> = (0..4).map(|_| place.start(&[])).collect();
    let client = client();
    set_stock(&services[0], 3, 1000).await;
    let sold = buy(&services, 6, 10, r#"{"id":3,"countRequested":2}"#).await;
    assert_eq!(sold, 240, "there was enough for all");
    assert_eq!(stock(&client, &services[1], 3).await, 1000 - 480);
}

async fn the_last_unit_is_sold_once(place: Place) {
    let services: Vec<_> = (0..4).map(|_| place.start(&[])).collect();
    let client = client();
    set_stock(&services[0], 1, 50).await;
    set_stock(&services[0], 4, 70).await;
    let sold = buy(&services, 6, 5, r#"{"id":1,"countRequested":1},{"id":4,"countRequested":1}"#).await;
    assert_eq!(sold, 50, "a cart takes all of its lines or none");
    assert_eq!(stock(&client, &services[0], 1).await, 0);
    assert_eq!(stock(&client, &services[3], 4).await, 20);
}

/// What one buyer took of each product, by carts of every shape.
async fn shop_at_random(service: std::sync::Arc<Service>, seed: u64) -> [i64; 5] {
    let client = client();
    let token = token(&client, &service).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bought = [0; 5];
    for _ in 0..15 {
        if rng.random_ratio(1, 5) {
            let product = rng.random_range(1..=4);
            let url = service.url(&format!("/api/products/{product}/purchase/"));
            bought[product] += i64::from(client.get(url).send().await.unwrap().status() == 200);
            continue;
        }
        let lines = rng.random_range(0..=4);
        let lines: Vec<_> = (0..lines).map(|_| (rng.random_range(1..=4), rng.random_range(-1_i64..=4))).collect();
        let items: Vec<_> = lines.iter().map(|(id, count)| json!({"id": id, "countRequested": count})).collect();
        let body = json!({"customer": {"email": "a@b.cd"}, "payment": {"method": "collect"}, "items": items});
        let response = checkout(&client, &service, &token, body.to_string()).send().await.unwrap();
        match response.status().as_u16() {
            200 => lines.iter().for_each(|(id, count): &(usize, i64)| bought[*id] += count),
            status => assert_eq!(status, 400),
        }
    }
    bought
}

async fn carts_of_every_shape_keep_the_books(place: Place) {
    let services: Vec<_> = (0..3).map(|_| std::sync::Arc::new(place.start(&[]))).collect();
    let client = client();
    let mut before = [0; 5];
    for (product, stock_before) in (1..=4).zip(&mut before[1..]) {
        set_stock(&services[0], product, 60).await;
        *stock_before = stock(&client, &services[0], product).await;
    }
    let buyers = (0..9).map(|seed| shop_at_random(std::sync::Arc::clone(&services[seed % 3]), seed as u64));
    let taken = buyers.collect::<tokio::task::JoinSet<_>>().join_all().await;
    for product in 1..=4_u32 {
        let sum: i64 = taken.iter().map(|taken| taken[product as usize]).sum();
        assert!(sum > 0, "something was sold of {product}");
        let after = stock(&client, &services[1], product).await;
        assert_eq!(before[product as usize] - after, sum, "product {product}");
    }
    let sold = place.number("SELECT CAST(SUM(units_sold) AS BIGINT) FROM product").await;
    assert_eq!(sold, taken.iter().flatten().sum::<i64>(), "the shop's own count");
}

async fn racy_sales_lose_updates_and_count_what_they_sold(place: Place) {
    let services: Vec<_> = (0..3).map(|_| place.start(&[("STOCK_UPDATES", "racy")])).collect();
    let client = client();
    set_stock(&services[0], 3, 1000).await;
    set_stock(&services[0], 4, 1000).await;
    let mut sold = 0;
    // Two sales that meet are a matter of luck, so they are given more of it until they have.
    for _ in 0..20 {
        sold += buy(&services, 6, 5, r#"{"id":3,"countRequested":2},{"id":4,"countRequested":1}"#).await;
        if 1000 - stock(&client, &services[0], 3).await < 2 * i64::try_from(sold).unwrap() {
            break;
        }
        set_stock(&services[0], 3, 1000).await;
        set_stock(&services[0], 4, 1000).await;
        assert_eq!(place.number("UPDATE product SET units_sold = 0 WHERE id = 3 RETURNING units_sold").await, 0);
        sold = 0;
    }
    let fall = 1000 - stock(&client, &services[1], 3).await;
    let counted = place.number("SELECT units_sold FROM product WHERE id = 3").await;
    assert_eq!(counted, 2 * i64::try_from(sold).unwrap(), "every sale is counted");
    assert!(fall < counted, "{counted} units were sold and the stock fell by {fall}: no update was lost");
    assert!(fall > 0);
}

async fn a_racy_shop_that_one_customer_uses_keeps_the_books(place: Place) {
    let service = place.start(&[("STOCK_UPDATES", "racy")]);
    let services = [service];
    let sold = buy(&services, 1, 12, r#"{"id":3,"countRequested":3},{"id":4,"countRequested":1}"#).await;
    assert_eq!((sold, stock(&client(), &services[0], 3).await), (12, 71 - 36));
    let refused = buy(&services, 1, 1, r#"{"id":3,"countRequested":1},{"id":2,"countRequested":5}"#).await;
    assert_eq!((refused, stock(&client(), &services[0], 3).await), (0, 71 - 36), "a cart is checked as a whole");
}

async fn several_processes_set_one_database_up(place: Place) {
    let mut migrations: Vec<_> = (0..6).map(|_| place.command("migrate").spawn().unwrap()).collect();
    for migration in &mut migrations {
        assert!(migration.wait().unwrap().success());
    }
    let service = place.start(&[]);
    let products: Vec<serde_json::Value> =
        client().get(service.url("/api/products/")).send().await.unwrap().json().await.unwrap();
    assert_eq!(products.len(), 4);
    set_stock(&service, 2, 99).await;
    assert!(place.command("migrate").status().unwrap().success());
    assert_eq!(stock(&client(), &service, 2).await, 99, "what is there stays");
}

async fn several_shops_start_on_no_database(place: Place) {
    let services: Vec<Service> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..5).map(|_| scope.spawn(|| place.start(&[]))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    set_stock(&services[0], 2, 9).await;
    for service in &services {
        assert_eq!(stock(&client(), service, 2).await, 9, "all have the same one");
        let url = service.url("/api/testimonials/");
        let testimonials: Vec<serde_json::Value> = client().get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(testimonials.len(), 20, "seeded once");
    }
}

const ONE_STAR: &str =
    r#"{"customer":{"email":"a@b.cd"},"payment":{"method":"collect"},"items":[{"id":3,"countRequested":1}]}"#;

async fn connect(folder: &tempfile::TempDir) -> sqlx::SqliteConnection {
    let url = format!("sqlite://{}", folder.path().join("shop.db").display());
    sqlx::SqliteConnection::connect(&url).await.unwrap()
}

/// A foreign transaction on the file, which holds the write lock until it is closed.
async fn lock(folder: &tempfile::TempDir) -> sqlx::SqliteConnection {
    let mut connection = connect(folder).await;
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

#[tokio::test]
async fn the_databases_limit_of_connections_is_told_from_other_failures() {
    let Some(place) = Place::server().await else { return };
    let service = place.start(&[("DATABASE_POOL_SIZE", "5")]);
    place.limit_connections(1).await;
    let client = client();
    // The one connection is kept by the service that has it, so it goes on; the second service gets none.
    let other = place.start(&[("DATABASE_POOL_SIZE", "1")]);
    let refused = client.get(other.url("/api/products/")).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("The database takes no more connections."));
    let line = other.log_line(|line| line["error"] == "DATABASE_CONNECTION_LIMIT");
    assert_eq!((&line["severity"], &line["path"]), (&json!("ERROR"), &json!("/api/products/")));
    assert!(line["message"].as_str().unwrap().contains("DATABASE_POOL_SIZE"), "{line}");
    assert_eq!(client.get(other.url("/ready")).send().await.unwrap().status(), 500);
    assert_eq!(stock(&client, &service, 3).await, 71);
    place.limit_connections(10).await;
    assert_eq!(stock(&client, &other, 3).await, 71, "the limit is gone, and so are the refusals");
    other.terminate();
    let stopped = other.log_line(|line| line["message"] == "stopped");
    assert_eq!(stopped["process"]["connection_limit"], 2);
}

on_both! {
    racy_sales_lose_updates_and_count_what_they_sold,
    a_racy_shop_that_one_customer_uses_keeps_the_books,
    what_is_sold_is_what_the_stock_falls_by,
    the_last_unit_is_sold_once,
    carts_of_every_shape_keep_the_books,
    several_processes_set_one_database_up,
    several_shops_start_on_no_database,
}
