//! Stock under concurrency: several processes on one file sell exactly what the stock falls by.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod service;

use reqwest::Method;
use serde_json::json;
use service::{Service, checkout, client, stock, token};

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
    let mut migrations: Vec<_> = (0..6).map(|_| service::command("migrate", folder.path()).spawn().unwrap()).collect();
    for migration in &mut migrations {
        assert!(migration.wait().unwrap().success());
    }
    let service = Service::start(folder.path(), &[]);
    let products: Vec<serde_json::Value> =
        client().get(service.url("/api/products/")).send().await.unwrap().json().await.unwrap();
    assert_eq!(products.len(), 4);
    set_stock(&service, 2, 99).await;
    assert!(service::command("migrate", folder.path()).status().unwrap().success());
    assert_eq!(stock(&client(), &service, 2).await, 99, "what is there stays");
}
