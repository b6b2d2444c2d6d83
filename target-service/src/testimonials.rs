//! Testimonials, best rated first, of all products or of one.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use crate::drf::{self, View};
use crate::shop::Call;
use crate::store::{Product, StoreError, Table, Testimonial, Value};
use crate::validate::{Form, Presence};
use crate::wire;

const COLLECTION: View = View { name: "Testimonial List", allow: drf::COLLECTION };
const ITEM: View = View { name: "Testimonial Instance", allow: drf::ITEM };
const MODEL: &str = "Testimonial";

/// `/api/testimonials/`
pub(crate) async fn collection(call: &Call) -> Result<Response, StoreError> {
    if let Some(response) = COLLECTION.preamble(call) {
        return Ok(response);
    }
    if call.request.method == Method::POST {
        return write(call, COLLECTION, None).await;
    }
    let store = &call.shop.store;
    let Some(product) = product_filter(call.request.uri.query().unwrap_or_default()) else {
        return Ok(COLLECTION.ok(&store.list::<Testimonial>(&call.waits).await?));
    };
    let id = drf::id(product).unwrap_or(-1);
    let testimonials = store.select::<Testimonial>(&call.waits, "product_id", Value::Integer(id)).await?;
    if testimonials.is_empty() && !exists(call, id).await? {
        let text = "Select a valid choice. That choice is not one of the available choices.";
        return Ok(wire::api(StatusCode::BAD_REQUEST, COLLECTION.allow, &json!({ "product_id": [text] })));
    }
    Ok(COLLECTION.ok(&testimonials))
}

/// `/api/testimonials/{id}/`
pub(crate) async fn item(call: &Call, key: &str) -> Result<Response, StoreError> {
    if let Some(response) = ITEM.preamble(call) {
        return Ok(response);
    }
    let Some(id) = drf::id(key) else { return Ok(ITEM.not_found(MODEL, false)) };
    let store = &call.shop.store;
    if call.request.method == Method::DELETE {
        return Ok(if store.delete(&call.waits, Table::Testimonial, id).await? {
            wire::api_empty(StatusCode::NO_CONTENT, ITEM.allow)
        } else {
            ITEM.not_found(MODEL, true)
        });
    }
    let Some(testimonial) = store.select::<Testimonial>(&call.waits, "id", Value::Integer(id)).await?.pop() else {
        return Ok(ITEM.not_found(MODEL, true));
    };
    if [Method::PUT, Method::PATCH].contains(&call.request.method) {
        return write(call, ITEM, Some(id)).await;
    }
    Ok(ITEM.ok(&testimonial))
}

/// The last `product_id` of the query; an empty one filters nothing.
fn product_filter(query: &str) -> Option<&str> {
    let mut values = query.split('&').filter_map(|pair| pair.strip_prefix("product_id="));
    values.next_back().filter(|value| !value.is_empty())
}

async fn exists(call: &Call, product: i64) -> Result<bool, StoreError> {
    Ok(!call.shop.store.select::<Product>(&call.waits, "id", Value::Integer(product)).await?.is_empty())
}

/// Creates a testimonial, or changes the one with `id`.
async fn write(call: &Call, view: View, id: Option<i64>) -> Result<Response, StoreError> {
    let body = match view.body(call) {
        Ok(body) => body,
        Err(response) => return Ok(*response),
    };
    let columns = match columns(call, &body).await? {
        Ok(columns) => columns,
        Err(errors) => return Ok(view.invalid(&errors)),
    };
    let store = &call.shop.store;
    let (status, testimonial) = match id {
        None => (StatusCode::CREATED, store.insert::<Testimonial>(&call.waits, columns).await?),
        Some(id) => (StatusCode::OK, store.update::<Testimonial>(&call.waits, id, columns).await?),
    };
    Ok(match testimonial {
        Some(testimonial) => wire::api(status, view.allow, &testimonial),
        None => view.not_found(MODEL, true),
    })
}

type Columns = Vec<(&'static str, Value)>;

async fn columns(call: &Call, body: &Json) -> Result<Result<Columns, Map<String, Json>>, StoreError> {
    let mut form = match Form::new(body, call.request.method == Method::PATCH) {
        Ok(form) => form,
        Err(errors) => return Ok(Err(errors)),
    };
    form.related("product_id", Presence::Required);
    if let Some(Value::Integer(product)) = form.column("product_id").cloned()
        && !exists(call, product).await?
    {
        form.error("product_id", &format!("Invalid pk \"{product}\" - object does not exist."));
    }
    form.text("reviewer_name", 64, Presence::Required);
    form.text("reviewer_location", 100, Presence::Required);
    form.bounded_integer("rating", (1, 5), Presence::Optional);
    form.text("summary", 1000, Presence::Required);
    form.text("description", 5000, Presence::Required);
    Ok(if form.errors.is_empty() { Ok(form.columns) } else { Err(form.errors) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_filled_product_id_filters() {
        assert_eq!(product_filter("product_id=4"), Some("4"));
        assert_eq!(product_filter("limit=3&product_id=4"), Some("4"));
        assert_eq!(product_filter("product_id="), None);
        assert_eq!(product_filter("limit=3"), None);
    }
}
