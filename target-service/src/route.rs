//! Paths: which route a path names, and which path lacks nothing but its slash.

/// The route a path names. A key is what stands in the path: it need not be a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Home,
    ApiRoot,
    Products,
    Product(String),
    Purchase(String),
    ActiveProduct,
    Testimonials,
    Testimonial(String),
    SiteConfigs,
    SiteConfig(String),
    ActiveSiteConfig,
    CsrfToken,
    Checkout,
}

impl Route {
    /// The route of an exact path; slashes count.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/" => return Some(Self::Home),
            "/api/" => return Some(Self::ApiRoot),
            "/api/csrf_token" => return Some(Self::CsrfToken),
            "/api/checkout" => return Some(Self::Checkout),
            _ => {}
        }
        let inner = path.strip_prefix("/api/")?.strip_suffix('/')?;
        match inner.split('/').collect::<Vec<_>>().as_slice() {
            ["products"] => Some(Self::Products),
            ["products", key] => key_of(key).map(Self::Product),
            ["products", key, "purchase"] => key_of(key).map(Self::Purchase),
            ["active", "product"] => Some(Self::ActiveProduct),
            ["testimonials"] => Some(Self::Testimonials),
            ["testimonials", key] => key_of(key).map(Self::Testimonial),
            ["site_config"] => Some(Self::SiteConfigs),
            ["site_config", key] => key_of(key).map(Self::SiteConfig),
            ["active", "site_config"] => Some(Self::ActiveSiteConfig),
            _ => None,
        }
    }

    /// The path with names in the place of keys.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Home => "/",
            Self::ApiRoot => "/api/",
            Self::Products => "/api/products/",
            Self::Product(_) => "/api/products/{id}/",
            Self::Purchase(_) => "/api/products/{id}/purchase/",
            Self::ActiveProduct => "/api/active/product/",
            Self::Testimonials => "/api/testimonials/",
            Self::Testimonial(_) => "/api/testimonials/{id}/",
            Self::SiteConfigs => "/api/site_config/",
            Self::SiteConfig(_) => "/api/site_config/{id}/",
            Self::ActiveSiteConfig => "/api/active/site_config/",
            Self::CsrfToken => "/api/csrf_token",
            Self::Checkout => "/api/checkout",
        }
    }

    /// Whether the path names no route but would with a slash behind it.
    pub(crate) fn lacks_slash(path: &str) -> bool {
        !path.ends_with('/') && Self::of(path).is_none() && Self::of(&format!("{path}/")).is_some()
    }
}

/// A key is one or more characters without a dot (a dot would begin a format suffix).
fn key_of(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('.')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_its_own_route() {
        for path in ["/", "/api/", "/api/products/7/purchase/", "/api/site_config/7/", "/api/checkout"] {
            let route = Route::of(path).unwrap();
            let again = Route::of(&route.template().replace("{id}", "7"));
            assert_eq!(again, Some(route), "{path}");
        }
    }

    #[test]
    fn slashes_decide() {
        assert_eq!(Route::of("/api/products/4/"), Some(Route::Product("4".to_owned())));
        assert_eq!(Route::of("/api/products/4"), None);
        assert!(Route::lacks_slash("/api/products/4"));
        assert!(Route::lacks_slash("/api/products/4/purchase"));
        assert!(Route::lacks_slash("/api/active/site_config"));
        assert!(Route::lacks_slash("/api"));
        assert_eq!(Route::of("/api/checkout"), Some(Route::Checkout));
        assert_eq!(Route::of("/api/checkout/"), None);
        assert!(!Route::lacks_slash("/api/checkout"));
        assert!(!Route::lacks_slash("/api/nothing"));
        assert_eq!(Route::of("/api/schema/"), None);
        assert_eq!(Route::of("/api/api-auth/login/"), None);
        assert_eq!(Route::of("/admin/"), None);
        assert_eq!(Route::of("/api/products//"), None);
    }
}
