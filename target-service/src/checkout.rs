//! The plain views: the token against forged requests, and the checkout.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, VARY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::cart::{Cart, CartLine, Items, NoCart, Payment};
use crate::csrf::{self, Secret};
use crate::log::{StockError, StockLine};
use crate::shop::Call;
use crate::store::{Line, StoreError};
use crate::wire;

/// Sales that were refused although the stock read afterwards would have done: somebody raised it in between.
const TRIES: usize = 8;

/// `/api/csrf_token`
pub(crate) fn csrf_token(call: &Call) -> Response {
    if let Some(refusal) = csrf::refusal(call) {
        return refusal;
    }
    let (secret, token) = call.with_rng(|rng| {
        let secret = Secret::of(&call.request, rng);
        let token = secret.token(rng);
        (secret, token)
    });
    let mut response = wire::plain(StatusCode::OK, &json!({ "csrfToken": token }));
    secret.set_cookie(Timestamp::now(), &mut response);
    response
}

/// `/api/checkout`. Every answer but the 403 sets the cookie.
pub(crate) async fn checkout(call: &Call) -> Result<Response, StoreError> {
    if let Some(refusal) = csrf::refusal(call) {
        return Ok(refusal);
    }
    let mut response = if call.request.method == Method::POST { buy(call).await? } else { only_post() };
    let secret = call.with_rng(|rng| Secret::of(&call.request, rng));
    secret.set_cookie(Timestamp::now(), &mut response);
    response.headers_mut().insert(VARY, wire::VARY_COOKIE);
    Ok(response)
}

fn only_post() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn buy(call: &Call) -> Result<Response, StoreError> {
    let cart = match Cart::read(&call.body) {
        Ok(cart) => cart,
        Err(NoCart::NotJson) => return Ok(wire::server_error_page()),
        Err(NoCart::NotObject(errors)) => {
            return Ok(wire::plain(
                StatusCode::BAD_REQUEST,
                &json!({ "status": "validation_error", "errors": errors }),
            ));
        }
    };
    let well_formed: Option<Vec<CartLine>> = match &cart.items {
        Items::Lines(lines) => lines.iter().map(|line| line.as_ref().ok().copied()).collect(),
        Items::Malformed(_) => None,
    };
    let sellable = cart.customer_errors.is_none() && cart.payment == Payment::Collect;
    let (Some(lines), true) = (well_formed, sellable) else { return refuse(call, &cart).await };
    for _ in 0..TRIES {
        if let Some(response) = sell(call, &lines).await? {
            return Ok(response);
        }
        let judged = judge(call, &cart.items).await?;
        if judged.is_some() {
            return Ok(refusal(&cart, judged));
        }
    }
    Ok(wire::server_error_page())
}

/// Takes the lines from the stock; `None` when a line cannot be served.
async fn sell(call: &Call, lines: &[CartLine]) -> Result<Option<Response>, StoreError> {
    let Some(sale) = lines.iter().map(in_range).collect::<Result<Option<Vec<Line>>, _>>()? else { return Ok(None) };
    let Some(left) = call.shop.store.sell(&call.waits, &sale).await? else { return Ok(None) };
    for (product, left) in &left {
        let of_product = sale.iter().filter(|line| line.product == *product);
        let requested: i64 = of_product.clone().map(|line| line.count).sum();
        if *left == 0 && requested > 0 {
            let line =
                StockLine { error: StockError::SoldOut, product: *product, requested: requested.into(), fulfilled: 0 };
            call.shop.log.write(&line);
        }
        // The genuine service checks each line of its own answer against what is left by then, and complains.
        for line in of_product.filter(|line| line.count > *left) {
            insufficient(call, *product, line.count.into(), *left);
        }
    }
    let items: Vec<Json> = sale
        .iter()
        .map(|line| json!({"id": line.product, "countRequested": line.count, "countFulfilled": line.count}))
        .collect();
    Ok(Some(wire::plain(StatusCode::OK, &json!({ "items": items, "status": "complete" }))))
}

/// The line in the numbers of the store; `None` when no stock can cover it, an error when no column can hold it.
fn in_range(line: &CartLine) -> Result<Option<Line>, StoreError> {
    let count_max = i128::from(i32::MAX);
    if line.count > count_max {
        return Ok(None);
    }
    let Ok(product) = i64::try_from(line.product) else { return Ok(None) };
    let count = i64::try_from(line.count).map_err(|_| StoreError::OutOfRange)?;
    Ok(Some(Line { product, count }))
}

/// The answer to a cart that cannot be sold whatever the stock is; the stock is looked at all the same.
async fn refuse(call: &Call, cart: &Cart) -> Result<Response, StoreError> {
    let judged = judge(call, &cart.items).await?;
    if cart.payment == Payment::Malformed {
        return Ok(wire::server_error_page());
    }
    Ok(refusal(cart, judged))
}

/// The errors of the items with the status of the last faulty line, or `None` when all of them can be served.
async fn judge(call: &Call, items: &Items) -> Result<Option<(Json, &'static str)>, StoreError> {
    let lines = match items {
        Items::Malformed(errors) => return Ok(Some((errors.clone(), ""))),
        Items::Lines(lines) => lines,
    };
    let mut products: Vec<i64> = lines.iter().flatten().filter_map(|line| i64::try_from(line.product).ok()).collect();
    products.sort_unstable();
    products.dedup();
    let stock = call.shop.store.stock(&call.waits, &products).await?;
    let mut status = "";
    let mut is_good = true;
    let mut errors = Vec::with_capacity(lines.len());
    for line in lines {
        let (error, line_status) = match line {
            Err(error) => (error.clone(), None),
            Ok(line) => judge_line(call, *line, &stock),
        };
        is_good &= error == json!({});
        status = line_status.unwrap_or(status);
        errors.push(error);
    }
    Ok((!is_good).then(|| (Json::Array(errors), status)))
}

fn judge_line(call: &Call, line: CartLine, stock: &BTreeMap<i64, i64>) -> (Json, Option<&'static str>) {
    let known = i64::try_from(line.product).ok().and_then(|product| Some((product, *stock.get(&product)?)));
    let Some((product, left)) = known else {
        return (json!({"status": ["product_not_found"]}), Some("product_not_found"));
    };
    if i128::from(left) >= line.count {
        return (json!({}), None);
    }
    insufficient(call, product, line.count, left);
    let items = json!({
        "id": product.to_string(),
        "countRequested": line.count.to_string(),
        "countFulfilled": left.to_string(),
    });
    (json!({"status": ["insufficient_product"], "items": items}), Some("insufficient_product"))
}

fn insufficient(call: &Call, product: i64, requested: i128, fulfilled: i64) {
    call.shop.log.write(&StockLine { error: StockError::Insufficient, product, requested, fulfilled });
}

/// 400, or 501 when the payment is among the errors. The items' status wins over the payment's.
fn refusal(cart: &Cart, items: Option<(Json, &'static str)>) -> Response {
    let mut errors = Map::new();
    let (mut code, mut status) = (StatusCode::BAD_REQUEST, "validation_error");
    if let Some(customer) = &cart.customer_errors {
        errors.insert("customer".to_owned(), customer.clone());
    }
    if let Payment::Refused { code: payment_status, text } = &cart.payment {
        (code, status) = (StatusCode::NOT_IMPLEMENTED, payment_status);
        errors.insert("payment".to_owned(), json!({ "method": [text] }));
    }
    if let Some((items, items_status)) = items {
        status = items_status;
        errors.insert("items".to_owned(), items);
    }
    wire::plain(code, &json!({ "status": status, "errors": errors }))
}
