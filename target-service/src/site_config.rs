//! Site configurations: how the front end looks. Their ids stand in paths, never in bodies.

use axum::http::{Method, StatusCode};
use axum::response::Response;

use crate::drf::{self, View};
use crate::shop::Call;
use crate::store::{SiteConfig, StoreError, Table, Value};
use crate::validate::{Form, Presence};
use crate::wire;

const COLLECTION: View = View { name: "Site Config List", allow: drf::COLLECTION };
const ITEM: View = View { name: "Site Config Instance", allow: drf::ITEM };
const ACTIVE: View = View { name: "Active Site Config List", allow: drf::READ };
const MODEL: &str = "SiteConfig";

/// `/api/site_config/`
pub(crate) async fn collection(call: &Call) -> Result<Response, StoreError> {
    if let Some(response) = COLLECTION.preamble(call) {
        return Ok(response);
    }
    if call.request.method == Method::POST {
        return write(call, COLLECTION, None).await;
    }
    Ok(COLLECTION.ok(&call.shop.store.list::<SiteConfig>(&call.waits).await?))
}

/// `/api/site_config/{id}/`
pub(crate) async fn item(call: &Call, key: &str) -> Result<Response, StoreError> {
    if let Some(response) = ITEM.preamble(call) {
        return Ok(response);
    }
    let Some(id) = drf::id(key) else { return Ok(ITEM.not_found(MODEL, false)) };
    let store = &call.shop.store;
    if call.request.method == Method::DELETE {
        return Ok(if store.delete(&call.waits, Table::SiteConfig, id).await? {
            wire::api_empty(StatusCode::NO_CONTENT, ITEM.allow)
        } else {
            ITEM.not_found(MODEL, true)
        });
    }
    let Some(config) = store.select::<SiteConfig>(&call.waits, "id", Value::Integer(id)).await?.pop() else {
        return Ok(ITEM.not_found(MODEL, true));
    };
    if [Method::PUT, Method::PATCH].contains(&call.request.method) {
        return write(call, ITEM, Some(id)).await;
    }
    Ok(ITEM.ok(&config))
}

/// `/api/active/site_config/`
pub(crate) async fn active(call: &Call) -> Result<Response, StoreError> {
    if let Some(response) = ACTIVE.preamble(call) {
        return Ok(response);
    }
    let active = call.shop.store.select::<SiteConfig>(&call.waits, "active", Value::Boolean(true)).await?.pop();
    Ok(active.map_or_else(|| ACTIVE.not_found(MODEL, true), |config| ACTIVE.ok(&config)))
}

/// Creates a configuration, or changes the one with `id`. Every field has a default.
async fn write(call: &Call, view: View, id: Option<i64>) -> Result<Response, StoreError> {
    let body = match view.body(call) {
        Ok(body) => body,
        Err(response) => return Ok(*response),
    };
    let mut form = match Form::new(&body, true) {
        Ok(form) => form,
        Err(errors) => return Ok(view.invalid(&errors)),
    };
    form.boolean("active", Presence::Optional);
    for name in ["color_primary", "color_secondary", "color_action", "color_action_text"] {
        form.color(name, Presence::Optional);
    }
    form.text("site_name", 200, Presence::Optional);
    form.text("site_name_font", 100, Presence::Optional);
    form.color("site_name_color", Presence::Optional);
    form.text("base_font", 100, Presence::Optional);
    if !form.errors.is_empty() {
        return Ok(view.invalid(&form.errors));
    }
    let store = &call.shop.store;
    let (status, config) = match id {
        None => (StatusCode::CREATED, store.insert::<SiteConfig>(&call.waits, form.columns).await?),
        Some(id) => (StatusCode::OK, store.update::<SiteConfig>(&call.waits, id, form.columns).await?),
    };
    Ok(match config {
        Some(config) => wire::api(status, view.allow, &config),
        None => view.not_found(MODEL, true),
    })
}
