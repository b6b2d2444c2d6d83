//! Sales: one conditional statement each, so that stock falls by exactly what was sold.
//!
//! A cart takes all of its lines or none. The statement for a cart of one product touches one row; that for several
//! products carries the condition of every line and changes all rows at once, so it needs no transaction around it
//! and no compensation behind it: the write lock lasts for one step of the engine, even when the process is
//! throttled between its own statements. PostgreSQL locks rows and looks at those of the statement's begin, so there the
//! second form first locks its rows, all in the order of their keys, and counts what they hold then.
//!
//! Sold units are counted in the product's own row, by the same statement: `inventory_count + units_sold` changes
//! only when somebody sets the stock. A ledger row per unit would cost a second table's pages in every sale's log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::pool::Pool;
use super::{LockWait, Sales, Store, StoreError, Value};

/// One line of a cart. Counts may be zero or negative; a negative one raises the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) product: i64,
    pub(crate) count: i64,
}

/// What a sale takes of one product. Lines are checked one by one, so the stock must cover the largest line only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) count: i64,
    pub(super) largest_line: i64,
}

impl Store {
    /// Sells the lines and gives the stock left of each product, or `None`, with nothing changed, when a product is
    /// unknown or its stock does not cover a line.
    pub(crate) async fn sell(
        &self,
        waits: &LockWait,
        lines: &[Line],
    ) -> Result<Option<BTreeMap<i64, i64>>, StoreError> {
        let takes = takes(lines)?;
        if takes.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        if self.sales == Sales::Racy {
            return self.sell_racy(waits, &takes).await;
        }
        let (sql, values) = statement(&takes, matches!(self.pool, Pool::Postgres(_)));
        let rows = self.rows(waits, sql, values).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let left = rows.iter().map(|row| Ok((row.get("id")?, row.get("inventory_count")?)));
        Ok(Some(left.collect::<Result<_, sqlx::Error>>()?))
    }

    /// The stock of those of `products` that exist.
    pub(crate) async fn stock(&self, waits: &LockWait, products: &[i64]) -> Result<BTreeMap<i64, i64>, StoreError> {
        if products.is_empty() {
            return Ok(BTreeMap::new());
        }
        let places: Vec<String> = (1..=products.len()).map(|place| format!("${place}")).collect();
        let sql = format!("SELECT id, inventory_count FROM product WHERE id IN ({})", places.join(", "));
        let rows = self.rows(waits, sql, products.iter().copied().map(Value::Integer).collect()).await?;
        let stock = rows.iter().map(|row| Ok((row.get("id")?, row.get("inventory_count")?)));
        Ok(stock.collect::<Result<_, sqlx::Error>>()?)
    }
}

fn takes(lines: &[Line]) -> Result<BTreeMap<i64, Take>, StoreError> {
    let mut takes: BTreeMap<i64, Take> = BTreeMap::new();
    for line in lines {
        // The genuine stock column has 32 bits.
        if line.count < i64::from(i32::MIN) {
            return Err(StoreError::OutOfRange);
        }
        let take = takes.entry(line.product).or_insert(Take { count: 0, largest_line: line.count });
        take.count = take.count.checked_add(line.count).ok_or(StoreError::OutOfRange)?;
        take.largest_line = take.largest_line.max(line.count);
    }
    Ok(takes)
}

/// The statement of a sale. With `locks_rows` it does not rely on the engine's letting one writer in at a time.
fn statement(takes: &BTreeMap<i64, Take>, locks_rows: bool) -> (String, Vec<Value>) {
    if takes.len() == 1 {
        let sql = "UPDATE product SET inventory_count = inventory_count - $1, units_sold = units_sold + $1 \
                   WHERE id = $2 AND inventory_count >= $3 RETURNING id, inventory_count";
        let values = takes.iter().flat_map(|(id, take)| [take.count, *id, take.largest_line]);
        return (sql.to_owned(), values.map(Value::Integer).collect());
    }
    let (mut counts, mut ids, mut covered) = (String::new(), String::new(), String::new());
    let mut values = Vec::with_capacity(takes.len() * 3);
    for (index, (id, take)) in takes.iter().enumerate() {
        let (id_place, count_place, line_place) = (index * 3 + 1, index * 3 + 2, index * 3 + 3);
        let (comma, or) = if index == 0 { ("", "") } else { (", ", " OR ") };
        // Writing to a String cannot fail.
        let _ = write!(counts, " WHEN ${id_place} THEN ${count_place}");
        let _ = write!(ids, "{comma}${id_place}");
        let _ = write!(covered, "{or}(other.id = ${id_place} AND other.inventory_count >= ${line_place})");
        values.extend([*id, take.count, take.largest_line].map(Value::Integer));
    }
    let (first, other) = if locks_rows {
        let locked = format!("SELECT id, inventory_count FROM product WHERE id IN ({ids}) ORDER BY id FOR UPDATE");
        (format!("WITH locked AS MATERIALIZED ({locked}) "), "locked")
    } else {
        (String::new(), "product")
    };
    let sql = format!(
        "{first}UPDATE product SET inventory_count = inventory_count - (CASE id{counts} ELSE 0 END), \
         units_sold = units_sold + (CASE id{counts} ELSE 0 END) WHERE id IN ({ids}) \
         AND (SELECT COUNT(*) FROM {other} AS other WHERE {covered}) = {} RETURNING id, inventory_count",
        takes.len()
    );
    (sql, values)
}
