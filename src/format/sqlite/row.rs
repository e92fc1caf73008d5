//! A row of a table by its columns.

use super::record::{Field, Fields, Value};
use super::sql::Table;

/// The value of a field as its column has it; text and blobs may be cut short, anything else is whole or `None`.
pub fn value<'a>(
    table: Option<&Table>,
    rowid: i64,
    (index, field): (usize, Field),
    bytes: &'a [u8],
) -> Option<Value<'a>> {
    let value = field.value(bytes)?;
    let column = table.and_then(|table| table.columns.get(index));
    let alias = table.is_some_and(|table| table.rowid == Some(index));
    Some(match value {
        Value::Null if alias => Value::Int(rowid),
        // The engine stores them so where that is shorter.
        Value::Int(number) if column.is_some_and(|column| column.real) => Value::Real(number as f64),
        value => value,
    })
}

/// The stored values with the index of their columns. Columns that a row is too old to have are not among them; values
/// without a column come last, with indexes beyond the table's. A value that is cut short is told by its [`Field`].
pub fn values<'a>(
    table: Option<&'a Table>,
    rowid: i64,
    record: &'a [u8],
) -> impl Iterator<Item = (usize, Field, Value<'a>)> {
    let fields = Fields::of(record).into_iter().flatten().enumerate();
    fields.map_while(move |(index, field)| Some((index, field, value(table, rowid, (index, field), record)?)))
}
