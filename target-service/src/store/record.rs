//! The records of the store, as rows and as JSON on the wire.

use serde::Serialize;

use super::pool::Row;

/// The tables that clients can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Product,
    Testimonial,
    SiteConfig,
}

impl Table {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Testimonial => "testimonial",
            Self::SiteConfig => "site_config",
        }
    }
}

/// A row of a table.
pub(crate) trait Record: Sized + Send + 'static {
    const TABLE: Table;
    /// The order of a listing.
    const ORDER: &'static str;

    fn from_row(row: &Row) -> Result<Self, sqlx::Error>;
    fn id(&self) -> i64;
    /// Whether it is the active one; `None` where a table knows no such thing.
    fn active(&self) -> Option<bool>;
}

/// A product; money is in cents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) price_cents: i64,
    pub(crate) active: bool,
    pub(crate) discount_percent: i64,
    pub(crate) inventory_count: i64,
    pub(crate) image: Option<String>,
}

impl Record for Product {
    const TABLE: Table = Table::Product;
    const ORDER: &'static str = "id";

    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            description: row.get("description")?,
            price_cents: row.get("price_cents")?,
            active: row.get("active")?,
            discount_percent: row.get("discount_percent")?,
            inventory_count: row.get("inventory_count")?,
            image: row.get("image")?,
        })
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn active(&self) -> Option<bool> {
        Some(self.active)
    }
}

impl Product {
    /// What the discount saves, in units of money, rounded to cents. It is a number on the wire, so the arithmetic is
    /// that of doubles: a half cent goes the way the nearest double lies.
    pub(crate) fn discount_saving(&self) -> f64 {
        let price = self.price_cents as f64 / 100.0;
        let saving = price * (self.discount_percent as f64 / 100.0);
        format!("{saving:.2}").parse().unwrap_or(0.0)
    }

    /// The price less the saving, in cents.
    pub(crate) fn discount_price_cents(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "prices have at most ten digits")]
        let saving_cents = (self.discount_saving() * 100.0).round() as i64;
        self.price_cents.saturating_sub(saving_cents)
    }
}

/// Cents as a decimal with two places.
pub(crate) fn cents_text(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// What a customer said of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Testimonial {
    pub(crate) id: i64,
    pub(crate) product_id: i64,
    pub(crate) reviewer_name: String,
    pub(crate) reviewer_location: String,
    pub(crate) rating: i64,
    pub(crate) summary: String,
    pub(crate) description: String,
}

impl Record for Testimonial {
    const TABLE: Table = Table::Testimonial;
    const ORDER: &'static str = "rating DESC, id";

    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.get("id")?,
            product_id: row.get("product_id")?,
            reviewer_name: row.get("reviewer_name")?,
            reviewer_location: row.get("reviewer_location")?,
            rating: row.get("rating")?,
            summary: row.get("summary")?,
            description: row.get("description")?,
        })
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn active(&self) -> Option<bool> {
        None
    }
}

/// How the site looks; the id stays off the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SiteConfig {
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) active: bool,
    pub(crate) color_primary: String,
    pub(crate) color_secondary: String,
    pub(crate) color_action: String,
    pub(crate) color_action_text: String,
    pub(crate) site_name: String,
    pub(crate) site_name_font: String,
    pub(crate) site_name_color: String,
    pub(crate) base_font: String,
}

impl Record for SiteConfig {
    const TABLE: Table = Table::SiteConfig;
    const ORDER: &'static str = "id";

    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.get("id")?,
            active: row.get("active")?,
            color_primary: row.get("color_primary")?,
            color_secondary: row.get("color_secondary")?,
            color_action: row.get("color_action")?,
            color_action_text: row.get("color_action_text")?,
            site_name: row.get("site_name")?,
            site_name_font: row.get("site_name_font")?,
            site_name_color: row.get("site_name_color")?,
            base_font: row.get("base_font")?,
        })
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn active(&self) -> Option<bool> {
        Some(self.active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(price_cents: i64, discount_percent: i64) -> Product {
        Product {
            id: 1,
            name: String::new(),
            description: String::new(),
            price_cents,
            active: false,
            discount_percent,
            inventory_count: 0,
            image: None,
        }
    }

    #[test]
    fn discounts_are_those_of_the_seeds() {
        let price = |cents, percent| cents_text(product(cents, percent).discount_price_cents());
        assert_eq!(price(2500, 17), "20.75");
        assert_eq!(price(299, 14), "2.57");
        assert_eq!(price(749, 0), "7.49");
        assert_eq!(product(299, 14).discount_saving(), 0.42);
    }

    #[test]
    fn cents_keep_two_places() {
        assert_eq!(cents_text(5), "0.05");
        assert_eq!(cents_text(-1205), "-12.05");
    }
}
