//! Sales as the genuine service makes them: read the stock, subtract, write the whole row back, in autocommit.
//!
//! Two sales that read the same stock both write it less their own share, and the second one undoes the first. The
//! count of sold units is kept exactly all the same, as the genuine service keeps a row for each, so that
//! `units_sold` and the fall of the stock tell how much was lost.

use std::collections::BTreeMap;

use super::record::Record;
use super::sale::Take;
use super::{LockWait, Product, Store, StoreError, Value};

impl Store {
    /// Sells as [`Store::sell`] does, but loses updates. The stock is checked before the first product is touched.
    pub(super) async fn sell_racy(
        &self,
        waits: &LockWait,
        takes: &BTreeMap<i64, Take>,
    ) -> Result<Option<BTreeMap<i64, i64>>, StoreError> {
        let products: Vec<i64> = takes.keys().copied().collect();
        let stock = self.stock(waits, &products).await?;
        let covers = |(product, take): (&i64, &Take)| stock.get(product).is_some_and(|left| *left >= take.largest_line);
        if !takes.iter().all(covers) {
            return Ok(None);
        }
        let mut left = BTreeMap::new();
        for (id, take) in takes {
            let Some(mut product) = self.select::<Product>(waits, "id", Value::Integer(*id)).await?.pop() else {
                continue;
            };
            product.inventory_count = product.inventory_count.checked_sub(take.count).ok_or(StoreError::OutOfRange)?;
            left.insert(*id, product.inventory_count);
            self.save(waits, product, take.count).await?;
        }
        Ok(Some(left))
    }

    /// Writes every column as it was read, whatever has become of the row since.
    async fn save(&self, waits: &LockWait, product: Product, sold: i64) -> Result<(), StoreError> {
        if product.active {
            let sql = format!("UPDATE {} SET active = FALSE WHERE active AND id <> $1", Product::TABLE.name());
            self.rows(waits, sql, vec![Value::Integer(product.id)]).await?;
        }
        let sql = "UPDATE product SET name = $1, description = $2, price_cents = $3, active = $4, \
                   discount_percent = $5, inventory_count = $6, image = $7, units_sold = units_sold + $8 WHERE id = $9";
        let values = vec![
            Value::Text(product.name),
            Value::Text(product.description),
            Value::Integer(product.price_cents),
            Value::Boolean(product.active),
            Value::Integer(product.discount_percent),
            Value::Integer(product.inventory_count),
            product.image.map_or(Value::Null, Value::Text),
            Value::Integer(sold),
            Value::Integer(product.id),
        ];
        self.rows(waits, sql, values).await.map(|_| ())
    }
}
