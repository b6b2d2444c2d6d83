//! The REST routes, the pages and the common headers, as recorded from the genuine shop.

use crate::place::{Place, on_both};
use crate::service::{Service, client};
use reqwest::Method;
use serde_json::{Value, json};

struct Shop {
    service: Service,
    client: reqwest::Client,
}

impl Shop {
    fn start(place: &Place) -> Self {
        Self { service: place.start(&[]), client: client() }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(self.service.url(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let response = self.client.request(method, self.service.url(path)).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    async fn headers(&self, method: Method, path: &str, with: &[(&str, &str)]) -> (u16, reqwest::header::HeaderMap) {
        let mut request = self.client.request(method, self.service.url(path));
        for (name, value) in with {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    }
}

async fn products_are_compact_json_field_by_field(place: Place) {
    let shop = Shop::start(&place);
    let host = &shop.service.address;
    let avocado = format!(
        r#"{{"id":4,"name":"Sparkly Avocado","description":"Never before has an avocado been as sparkly. Sure to be a star ingredient in your next salad.","price":"2.99","discount_price":"2.57","active":true,"discount_percent":14,"discount_saving":0.42,"inventory_count":42,"image":"http://{host}/media/photos/4_image.png"}}"#
    );
    assert_eq!(shop.get("/api/products/4/").await, (200, avocado.clone()));
    assert_eq!(shop.get("/api/active/product/").await, (200, avocado));
    let (status, list) = shop.get("/api/products/").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((status, list.as_array().unwrap().len()), (200, 4));
    let seeds: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|product| (product["id"].clone(), product["price"].clone(), product["inventory_count"].clone()))
        .collect();
    assert_eq!(json!(seeds), json!([[1, "25.00", 27], [2, "7.49", 4], [3, "12.49", 71], [4, "2.99", 42]]));
    assert_eq!(list[0]["discount_price"], "20.75");
    assert!(list[1].to_string().contains(r#""discount_saving":0.0,"#));
    assert_eq!(shop.get("/api/products/9/").await, (404, r#"{"detail":"No Product matches the given query."}"#.into()));
    assert_eq!(shop.get("/api/products/abc/").await, (404, r#"{"detail":"Not found."}"#.into()));
}

async fn site_config_and_testimonials(place: Place) {
    let shop = Shop::start(&place);
    let site = r##"{"active":true,"color_primary":"#B2B43F","color_secondary":"#865B53","color_action":"#FFD64F","color_action_text":"#000000","site_name":"Avocano","site_name_font":"Indie Flower","site_name_color":"#767E46","base_font":"Merriweather"}"##;
    assert_eq!(shop.get("/api/active/site_config/").await, (200, site.to_owned()));
    assert_eq!(shop.get("/api/site_config/1/").await, (200, site.to_owned()));
    assert_eq!(shop.get("/api/site_config/").await, (200, format!("[{site}]")));

    let read = |body: String| serde_json::from_str::<Vec<Value>>(&body).unwrap();
    let all = read(shop.get("/api/testimonials/").await.1);
    let of_four = read(shop.get("/api/testimonials/?product_id=4").await.1);
    assert_eq!((all.len(), of_four.len()), (20, 5));
    assert!(of_four.iter().all(|testimonial| testimonial["product_id"] == 4));
    let ratings: Vec<_> = all.iter().map(|testimonial| testimonial["rating"].as_i64().unwrap()).collect();
    assert!(ratings.is_sorted_by(|a, b| a >= b));
    let keys: Vec<_> = all[0].as_object().unwrap().keys().collect();
    let fields = ["id", "product_id", "reviewer_name", "reviewer_location", "rating", "summary", "description"];
    assert_eq!(keys, fields);
    let refused =
        r#"{"product_id":["Select a valid choice. That choice is not one of the available choices."]}"#.to_owned();
    assert_eq!(shop.get("/api/testimonials/?product_id=9").await, (400, refused.clone()));
    assert_eq!(shop.get("/api/testimonials/?product_id=x").await, (400, refused));
    assert_eq!(read(shop.get("/api/testimonials/?product_id=&limit=2").await.1).len(), 20);
}

async fn products_can_be_written_by_anybody(place: Place) {
    let shop = Shop::start(&place);
    let (status, reset) = shop.send(Method::PATCH, "/api/products/2/", &json!({"inventory_count": 500})).await;
    assert_eq!((status, &reset["inventory_count"]), (200, &json!(500)));
    let new = json!({"name": "Tin Fox", "description": "Shiny.", "price": "3.5", "active": true, "discount_percent": 50, "inventory_count": 7});
    let (status, made) = shop.send(Method::POST, "/api/products/", &new).await;
    assert_eq!(status, 201);
    assert_eq!(
        made,
        json!({"id": 5, "name": "Tin Fox", "description": "Shiny.", "price": "3.50", "discount_price": "1.75", "active": true, "discount_percent": 50, "discount_saving": 1.75, "inventory_count": 7, "image": null})
    );
    assert!(shop.get("/api/active/product/").await.1.starts_with(r#"{"id":5,"#), "only one product is active");
    assert!(shop.get("/api/products/4/").await.1.contains(r#""active":false"#));
    let taken = json!({"name": ["product with this name already exists."]});
    assert_eq!(shop.send(Method::POST, "/api/products/", &new).await, (400, taken.clone()));
    assert_eq!(shop.send(Method::PATCH, "/api/products/1/", &json!({"name": "Tin Fox"})).await, (400, taken));
    assert_eq!(shop.send(Method::PUT, "/api/products/5/", &new).await.0, 200);
    assert_eq!(shop.send(Method::PATCH, "/api/products/3/", &json!({"image": null})).await.1["image"], Value::Null);
    assert_eq!(
        shop.send(Method::PATCH, "/api/products/3/", &json!({"image": "x.png"})).await.1,
        json!({"image": ["The submitted data was not a file. Check the encoding type on the form."]})
    );
    let (status, missing) = shop.send(Method::PUT, "/api/products/5/", &json!({"price": "x", "active": null})).await;
    assert_eq!(
        (status, missing),
        (
            400,
            json!({"name": ["This field is required."], "description": ["This field is required."], "price": ["A valid number is required."], "active": ["This field may not be null."], "discount_percent": ["This field is required."], "inventory_count": ["This field is required."]})
        )
    );
    assert_eq!(shop.send(Method::DELETE, "/api/products/4/", &Value::Null).await, (204, Value::Null));
    assert_eq!(shop.get("/api/products/4/").await.0, 404);
    assert_eq!(shop.get("/api/testimonials/?product_id=4").await.0, 400, "testimonials go with their product");
    assert_eq!(shop.send(Method::DELETE, "/api/products/4/", &Value::Null).await.0, 404);
    assert_eq!(shop.send(Method::PATCH, "/api/products/4/", &json!({})).await.0, 404);
}

async fn testimonials_and_site_configs_can_be_written_by_anybody(place: Place) {
    let shop = Shop::start(&place);
    let new =
        json!({"product_id": 1, "reviewer_name": "A", "reviewer_location": "B", "summary": "C", "description": "D"});
    let (status, made) = shop.send(Method::POST, "/api/testimonials/", &new).await;
    assert_eq!((status, &made["id"], &made["rating"]), (201, &json!(21), &json!(5)));
    let path = "/api/testimonials/21/";
    assert_eq!(
        shop.send(Method::PATCH, path, &json!({"rating": 6, "product_id": 77})).await,
        (
            400,
            json!({"product_id": ["Invalid pk \"77\" - object does not exist."], "rating": ["Ensure this value is less than or equal to 5."]})
        )
    );
    assert_eq!(shop.send(Method::PATCH, path, &json!({"rating": 1})).await.1["rating"], 1);
    assert_eq!(shop.send(Method::DELETE, path, &Value::Null).await.0, 204);
    assert_eq!(shop.get(path).await.0, 404);

    let (status, made) = shop.send(Method::POST, "/api/site_config/", &json!({"site_name": "Mangano"})).await;
    assert_eq!((status, &made["site_name"], &made["color_primary"]), (201, &json!("Mangano"), &json!("#C200C2")));
    assert_eq!(made.get("id"), None);
    assert!(shop.get("/api/active/site_config/").await.1.contains("Mangano"));
    let (status, errors) = shop.send(Method::PATCH, "/api/site_config/1/", &json!({"color_action": "red"})).await;
    assert_eq!((status, errors), (400, json!({"color_action": ["Enter a valid hex color, eg. #000000"]})));
    assert_eq!(shop.send(Method::DELETE, "/api/site_config/2/", &Value::Null).await.0, 204);
    assert_eq!(shop.get("/api/active/site_config/").await.0, 404);
}

async fn a_purchase_takes_one_even_by_get(place: Place) {
    let shop = Shop::start(&place);
    let path = "/api/products/2/purchase/";
    let (status, body) = shop.get(path).await;
    assert_eq!(status, 200);
    assert!(body.contains(r#""inventory_count":3,"image":"/media/photos/2_image.png""#), "{body}");
    assert_eq!(shop.send(Method::PATCH, "/api/products/2/", &json!({"inventory_count": 1})).await.0, 200);
    assert_eq!(shop.send(Method::POST, path, &json!({})).await.0, 200);
    let soldout = shop.service.log_line(|line| line["error"] == "INVENTORY_SOLDOUT_ERROR");
    assert_eq!(soldout["product"], 2);
    let refused = r#"{"code":"405","message":"Unable to complete purchase - no inventory"}"#;
    assert_eq!(shop.get(path).await, (405, refused.to_owned()));
    let count = shop.service.log_line(|line| line["error"] == "INVENTORY_COUNT_ERROR");
    assert_eq!((&count["countRequested"], &count["countFulfilled"]), (&json!(1), &json!(0)));
    assert_eq!(shop.get("/api/products/99/purchase/").await.0, 404);
}

async fn slashes_redirect_and_unknown_paths_do_not(place: Place) {
    let shop = Shop::start(&place);
    for (path, location) in [
        ("/api/products", "/api/products/"),
        ("/api/products/4", "/api/products/4/"),
        ("/api/active/site_config", "/api/active/site_config/"),
        ("/api/testimonials?product_id=4", "/api/testimonials/?product_id=4"),
    ] {
        for method in [Method::GET, Method::POST] {
            let (status, headers) = shop.headers(method, path, &[]).await;
            assert_eq!((status, headers["location"].to_str().unwrap()), (301, location));
        }
    }
    for path in ["/nothing", "/api/schema/", "/api/checkout/", "/media/photos/4_image.png", "/admin/"] {
        let (status, headers) = shop.headers(Method::GET, path, &[]).await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (404, "text/html; charset=utf-8"));
        assert_eq!(headers["vary"], "origin");
    }
    assert_eq!(shop.headers(Method::POST, "/", &[]).await.0, 403);
    let (status, home) = shop.get("/").await;
    assert_eq!(status, 200);
    assert!(home.contains("✨🥑✨") && home.contains("/api") && home.contains("/admin"));
    let host = &shop.service.address;
    let root = format!(
        r#"{{"products":"http://{host}/api/products/","active/product":"http://{host}/api/active/product/","testimonials":"http://{host}/api/testimonials/","site_config":"http://{host}/api/site_config/","active/site_config":"http://{host}/api/active/site_config/"}}"#
    );
    assert_eq!(shop.get("/api/").await, (200, root));
}

async fn every_answer_carries_the_common_headers(place: Place) {
    let shop = Shop::start(&place);
    for (path, vary, allow) in [
        ("/api/products/", "Accept, Cookie, origin", Some("GET, POST, HEAD, OPTIONS")),
        ("/api/products/4/", "Accept, Cookie, origin", Some("GET, PUT, PATCH, DELETE, HEAD, OPTIONS")),
        ("/api/active/product/", "Accept, Cookie, origin", Some("GET, HEAD, OPTIONS")),
        ("/api/csrf_token", "Cookie, origin", None),
        ("/", "origin", None),
        ("/nothing", "origin", None),
    ] {
        let (_, headers) = shop.headers(Method::GET, path, &[("origin", "https://shop.example")]).await;
        assert_eq!(headers["vary"], vary, "{path}");
        assert_eq!(headers.get("allow").map(|allow| allow.to_str().unwrap()), allow, "{path}");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "same-origin");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert!(headers.contains_key("content-length"));
        assert_eq!(headers["access-control-allow-origin"], "https://shop.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers.get("connection"), None, "connections stay open");
    }
    for path in ["/healthy", "/ready"] {
        let (status, headers) = shop.headers(Method::GET, path, &[]).await;
        assert_eq!((status, &headers["transfer-encoding"]), (200, &"chunked".parse().unwrap()));
        assert!(!headers.contains_key("x-frame-options") && !headers.contains_key("content-length"));
        assert_eq!(shop.get(path).await.1, "ok");
    }
}

async fn preflights_are_answered_for_every_path(place: Place) {
    let shop = Shop::start(&place);
    let asked = [("origin", "https://shop.example"), ("access-control-request-method", "POST")];
    for path in ["/api/checkout", "/api/products/"] {
        let (status, headers) = shop.headers(Method::OPTIONS, path, &asked).await;
        assert_eq!((status, &headers["content-length"]), (200, &"0".parse().unwrap()));
        assert_eq!(headers["access-control-allow-origin"], "https://shop.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(
            headers["access-control-allow-headers"],
            "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with"
        );
        assert_eq!(headers["access-control-allow-methods"], "DELETE, GET, OPTIONS, PATCH, POST, PUT");
        assert_eq!(headers["access-control-max-age"], "86400");
    }
}

async fn the_errors_of_the_rest_routes(place: Place) {
    let shop = Shop::start(&place);
    let (status, body) = shop.send(Method::PUT, "/api/products/", &json!({})).await;
    assert_eq!((status, body), (405, json!({"detail": "Method \"PUT\" not allowed."})));
    assert_eq!(shop.headers(Method::GET, "/api/products/", &[("accept", "application/xml")]).await.0, 406);
    assert_eq!(shop.headers(Method::GET, "/api/products/", &[("accept", "text/html,*/*;q=0.8")]).await.0, 200);
    let post = |kind: &'static str, body: &'static str| {
        shop.client.post(shop.service.url("/api/products/")).header("content-type", kind).body(body).send()
    };
    let wrong = post("text/plain", "hello").await.unwrap();
    assert_eq!(wrong.status(), 415);
    assert_eq!(wrong.text().await.unwrap(), r#"{"detail":"Unsupported media type \"text/plain\" in request."}"#);
    let broken = post("application/json", "{\n\"a\": x}").await.unwrap();
    assert_eq!(broken.status(), 400);
    let expected = r#"{"detail":"JSON parse error - Expecting value: line 2 column 6 (char 7)"}"#;
    assert_eq!(broken.text().await.unwrap(), expected);
    let list = post("application/json", "[]").await.unwrap();
    let expected = r#"{"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}"#;
    assert_eq!(list.text().await.unwrap(), expected);
    let (status, options) = shop.send(Method::OPTIONS, "/api/products/", &json!({})).await;
    assert_eq!((status, &options["name"]), (200, &json!("Product List")));
    let (status, headers) = shop.headers(Method::HEAD, "/api/products/4/", &[]).await;
    assert_eq!(status, 200);
    assert!(headers["content-length"].to_str().unwrap().parse::<usize>().unwrap() > 100);
}

on_both! {
    products_are_compact_json_field_by_field,
    site_config_and_testimonials,
    products_can_be_written_by_anybody,
    testimonials_and_site_configs_can_be_written_by_anybody,
    a_purchase_takes_one_even_by_get,
    slashes_redirect_and_unknown_paths_do_not,
    every_answer_carries_the_common_headers,
    preflights_are_answered_for_every_path,
    the_errors_of_the_rest_routes,
}
