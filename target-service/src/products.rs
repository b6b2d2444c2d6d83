//! Products: listing, reading, writing, the active one, and buying one unit.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::drf::{self, View};
use crate::log::{StockError, StockLine};
use crate::shop::Call;
use crate::store::{Line, Product, StoreError, Table, Value, cents_text};
use crate::validate::{Form, Presence};
use crate::wire;

const COLLECTION: View = View { name: "Product List", allow: drf::COLLECTION };
const ITEM: View = View { name: "Product Instance", allow: drf::ITEM };
const PURCHASE: View = View { name: "Purchase", allow: drf::COLLECTION };
const ACTIVE: View = View { name: "Active Product List", allow: drf::READ };
const MODEL: &str = "Product";
const NAME_TAKEN: &str = "product with this name already exists.";

/// A product as it stands on the wire.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: i64,
    name: &'a str,
    description: &'a str,
    price: String,
    discount_price: String,
    active: bool,
    discount_percent: i64,
    discount_saving: f64,
    inventory_count: i64,
    image: Option<String>,
}

impl<'a> Shown<'a> {
    /// `base` stands before the path of the image: the origin, or nothing.
    fn new(product: &'a Product, base: &str) -> Self {
        Self {
            id: product.id,
            name: &product.name,
            description: &product.description,
            price: cents_text(product.price_cents),
            discount_price: cents_text(product.discount_price_cents()),
            active: product.active,
            discount_percent: product.discount_percent,
            discount_saving: product.discount_saving(),
            inventory_count: product.inventory_count,
            image: product.image.as_ref().map(|image| format!("{base}/media/{image}")),
        }
    }
}

/// `/api/products/`
pub(crate) async fn collection(call: &Call) -> Result<Response, StoreError> {
    if let Some(response) = COLLECTION.preamble(call) {
        return Ok(response);
    }
    if call.request.method == Method::POST {
        return create(call).await;
    }
    let products: Vec<Product> = call.shop.store.list(&call.waits).await?;
    let origin = call.origin();
    Ok(COLLECTION.ok(&products.iter().map(|product| Shown::new(product, &origin)).collect::<Vec<_>>()))
}

/// `/api/products/{id}/`
pub(crate) async fn item(call: &Call, key: &str) -> Result<Response, StoreError> {
    if let Some(response) = ITEM.preamble(call) {
        return Ok(response);
    }
    let Some(id) = drf::id(key) else { return Ok(ITEM.not_found(MODEL, false)) };
    let store = &call.shop.store;
    let product = match call.request.method {
        Method::DELETE => {
            return Ok(if store.delete(&call.waits, Table::Product, id).await? {
                wire::api_empty(StatusCode::NO_CONTENT, ITEM.allow)
            } else {
                ITEM.not_found(MODEL, true)
            });
        }
        Method::PUT | Method::PATCH => return change(call, id).await,
        _ => store.select::<Product>(&call.waits, "id", Value::Integer(id)).await?.pop(),
    };
    Ok(shown(call, ITEM, product.as_ref()))
}

/// `/api/active/product/`
pub(crate) async fn active(call: &Call) -> Result<Response, StoreError> {
    if let Some(response) = ACTIVE.preamble(call) {
        return Ok(response);
    }
    let product = call.shop.store.select::<Product>(&call.waits, "active", Value::Boolean(true)).await?.pop();
    Ok(shown(call, ACTIVE, product.as_ref()))
}

/// `/api/products/{id}/purchase/`: takes one unit, even on GET.
pub(crate) async fn purchase(call: &Call, key: &str) -> Result<Response, StoreError> {
    if let Some(response) = PURCHASE.preamble(call) {
        return Ok(response);
    }
    let Some(id) = drf::id(key) else { return Ok(PURCHASE.not_found(MODEL, false)) };
    let (store, waits) = (&call.shop.store, &call.waits);
    let sold = store.sell(waits, &[Line { product: id, count: 1 }]).await?;
    let Some(mut product) = store.select::<Product>(waits, "id", Value::Integer(id)).await?.pop() else {
        return Ok(PURCHASE.not_found(MODEL, true));
    };
    let log = |error, fulfilled| call.shop.log.write(&StockLine { error, product: id, requested: 1, fulfilled });
    let Some(left) = sold.and_then(|left| left.get(&id).copied()) else {
        log(StockError::Count, product.inventory_count);
        let body = json!({"code": "405", "message": "Unable to complete purchase - no inventory"});
        return Ok(wire::api(StatusCode::METHOD_NOT_ALLOWED, PURCHASE.allow, &body));
    };
    if left == 0 {
        log(StockError::SoldOut, left);
    }
    // The answer shows what this sale left, not what later ones did.
    product.inventory_count = left;
    Ok(PURCHASE.ok(&Shown::new(&product, "")))
}

fn shown(call: &Call, view: View, product: Option<&Product>) -> Response {
    match product {
        Some(product) => view.ok(&Shown::new(product, &call.origin())),
        None => view.not_found(MODEL, true),
    }
}

async fn create(call: &Call) -> Result<Response, StoreError> {
    let body = match COLLECTION.body(call) {
        Ok(body) => body,
        Err(response) => return Ok(*response),
    };
    let columns = match columns(call, &body, None).await? {
        Ok(columns) => columns,
        Err(errors) => return Ok(COLLECTION.invalid(&errors)),
    };
    match call.shop.store.insert::<Product>(&call.waits, columns).await {
        Ok(product) => {
            let product = product.as_ref().map(|product| Shown::new(product, ""));
            Ok(wire::api(StatusCode::CREATED, COLLECTION.allow, &product))
        }
        Err(error) if error.is_unique_violation() => Ok(COLLECTION.invalid(&name_taken())),
        Err(error) => Err(error),
    }
}

async fn change(call: &Call, id: i64) -> Result<Response, StoreError> {
    let store = &call.shop.store;
    let body = match ITEM.body(call) {
        Ok(body) => body,
        Err(response) => return Ok(*response),
    };
    if store.select::<Product>(&call.waits, "id", Value::Integer(id)).await?.is_empty() {
        return Ok(ITEM.not_found(MODEL, true));
    }
    let columns = match columns(call, &body, Some(id)).await? {
        Ok(columns) => columns,
        Err(errors) => return Ok(ITEM.invalid(&errors)),
    };
    match store.update::<Product>(&call.waits, id, columns).await {
        Ok(product) => Ok(shown(call, ITEM, product.as_ref())),
        Err(error) if error.is_unique_violation() => Ok(ITEM.invalid(&name_taken())),
        Err(error) => Err(error),
    }
}

type Columns = Vec<(&'static str, Value)>;
type Errors = serde_json::Map<String, Json>;

/// The columns a body writes; `id` is the product it changes, if there is one.
async fn columns(call: &Call, body: &Json, id: Option<i64>) -> Result<Result<Columns, Errors>, StoreError> {
    let mut form = match Form::new(body, call.request.method == Method::PATCH) {
        Ok(form) => form,
        Err(errors) => return Ok(Err(errors)),
    };
    form.text("name", 64, Presence::Required);
    if let Some(name) = form.column("name").cloned() {
        let others = call.shop.store.select::<Product>(&call.waits, "name", name).await?;
        if others.iter().any(|other| Some(other.id) != id) {
            form.error("name", NAME_TAKEN);
        }
    }
    form.text("description", 1000, Presence::Required);
    form.price("price", "price_cents", Presence::Required);
    form.boolean("active", Presence::Required);
    form.integer("discount_percent", Presence::Required);
    form.integer("inventory_count", Presence::Required);
    form.no_file("image");
    Ok(if form.errors.is_empty() { Ok(form.columns) } else { Err(form.errors) })
}

fn name_taken() -> Errors {
    Errors::from_iter([("name".to_owned(), Json::from(vec![NAME_TAKEN]))])
}
