use std::cmp::Ordering;

use super::header::{Encoding, Header};
use super::order::{Collation, Part, compare};
use super::page::{BtreePage, PageType};
use super::record::{Fields, Value, varint};
use super::sql::{Table, index, table};

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn varints() {
    assert_eq!(varint(&[0x7f]), Some((127, 1)));
    assert_eq!(varint(&[0x81, 0x00, 9]), Some((128, 2)));
    assert_eq!(varint(&[0xff; 9]), Some((u64::MAX, 9)));
    assert_eq!(varint(&[0x81; 8]), None);
    assert_eq!(varint(&[]), None);
}

#[test]
fn records() {
    // NULL, 1, -2 in three bytes, 1.5, "ab", x'00', and 0.
    let record = [8, 0, 9, 3, 7, 17, 14, 8, 0xff, 0xff, 0xfe, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, b'a', b'b', 0];
    let fields = Fields::of(&record).unwrap();
    assert_eq!(fields.measure(), Some((22, 7)));
    let values: Vec<_> = fields.filter_map(|field| field.value(&record)).collect();
    let expected = [
        Value::Null,
        Value::Int(1),
        Value::Int(-2),
        Value::Real(1.5),
        Value::Text(b"ab"),
        Value::Blob(&[0]),
        Value::Int(0),
    ];
    assert_eq!(values, expected);
    let cut: Vec<_> = fields.map(|field| field.value(&record[..20])).collect();
    assert_eq!(cut[4..], [Some(Value::Text(b"a")), Some(Value::Blob(&[])), Some(Value::Int(0))]);
    assert_eq!(Fields::of(&[3, 10, 0]).unwrap().measure(), None);
    assert!(Fields::of(&[9, 0, 0]).is_none());
}

#[test]
fn columns_of_tables() {
    let read = |sql: &str| table(sql).unwrap();
    let plain =
        read("CREATE TABLE t(a INTEGER PRIMARY KEY, \"b c\" TEXT DEFAULT(1,2), [d] DOUBLE PRECISION, e)");
    assert_eq!(names(&plain), ["a", "b c", "d", "e"]);
    assert_eq!(plain.rowid, Some(0));
    assert_eq!(plain.columns.iter().map(|c| c.real).collect::<Vec<_>>(), [false, false, true, false]);
    assert_eq!(read("CREATE TABLE t(a INTEGER PRIMARY KEY DESC)").rowid, None);
    assert_eq!(read("CREATE TABLE t(a INT PRIMARY KEY)").rowid, None);
    assert_eq!(read("CREATE TABLE t(b, a integer, CONSTRAINT k PRIMARY KEY(A DESC))").rowid, Some(1));
    assert_eq!(read("CREATE TABLE t(b, a INTEGER, PRIMARY KEY(a, b))").rowid, None);
    let comments = read("CREATE /* x( */ TABLE \"t(\" -- (\n (a 'it''s' CHECK(a > (1)), `b``b` FLOAT)");
    assert_eq!(names(&comments), ["a", "b`b"]);
    assert!(table("CREATE VIEW v AS SELECT 1").is_none());
    assert!(table("CREATE TABLE t(a, b").is_none());
    assert!(table("").is_none());
}

#[test]
fn columns_that_are_not_stored() {
    let made = table(
        "CREATE TABLE t(a, b GENERATED ALWAYS AS (a + 1) VIRTUAL, c REAL AS (a) STORED, d AS (a), e INTEGER PRIMARY KEY)",
    );
    let made = made.unwrap();
    assert_eq!(names(&made), ["a", "c", "e"]);
    assert_eq!(made.rowid, Some(2));
}

#[test]
fn keys_come_first_without_rowid() {
    let made =
        table("CREATE TABLE t(a, b COLLATE NOCASE, c, PRIMARY KEY(c DESC, b, c)) WITHOUT  rowid").unwrap();
    assert!(made.without_rowid);
    assert_eq!(names(&made), ["c", "b", "a"]);
    let part = |collation, desc| Part { collation, desc };
    assert_eq!(made.key, [part(Collation::Binary, true), part(Collation::NoCase, false)]);
}

#[test]
fn terms_of_indexes() {
    let of = table("CREATE TABLE t(a COLLATE RTRIM, b)").unwrap();
    let read = |sql: &str| index(sql, &of.columns).unwrap();
    let plain = read("CREATE UNIQUE INDEX i ON t(a, b COLLATE nocase DESC)");
    let part = |collation, desc| Part { collation, desc };
    assert_eq!(plain.key, [part(Collation::RTrim, false), part(Collation::NoCase, true)]);
    assert!(plain.plain && !plain.partial);
    let other = read("CREATE INDEX i ON t(b, lower(a), a) WHERE b > (1)");
    assert_eq!(other.key.len(), 1);
    assert!(!other.plain && other.partial);
}

#[test]
fn records_in_order() {
    let text = |text: &[u8]| [&[2, 13 + 2 * text.len() as u8][..], text].concat();
    let int = |byte: u8| vec![2, 1, byte];
    let real = |number: f64| [&[2, 7][..], &number.to_be_bytes()].concat();
    let by = |collation, desc, a: &[u8], b: &[u8]| compare(a, b, &[Part { collation, desc }], Encoding::Utf8);
    let (less, equal) = (Some(Ordering::Less), Some(Ordering::Equal));
    assert_eq!(by(Collation::Binary, false, &[2, 0], &int(0x80)), less);
    assert_eq!(by(Collation::Binary, false, &int(5), &real(5.5)), less);
    assert_eq!(by(Collation::Binary, false, &real(-5.5), &int(0xfb)), less);
    assert_eq!(by(Collation::Binary, false, &int(5), &real(5.0)), equal);
    assert_eq!(by(Collation::Binary, false, &int(5), &real(f64::INFINITY)), less);
    assert_eq!(by(Collation::Binary, false, &real(1e300), &text(b"")), less);
    assert_eq!(by(Collation::Binary, true, &text(b"b"), &text(b"a")), less);
    assert_eq!(by(Collation::NoCase, false, &text(b"aB"), &text(b"Ab")), equal);
    assert_eq!(by(Collation::RTrim, false, &text(b"a  "), &text(b"a")), equal);
    assert_eq!(by(Collation::Other, false, &text(b"a"), &text(b"b")), None);
    assert_eq!(by(Collation::Binary, false, &text(b"abcd")[..4], &text(b"abce")), None);
}

#[test]
fn pages_that_map_others() {
    let mut page = vec![0; 512];
    page[..16].copy_from_slice(super::header::MAGIC);
    page[16..24].copy_from_slice(&[2, 0, 1, 1, 0, 64, 32, 32]);
    let header = Header::of(&page).unwrap();
    assert_eq!(header.page_bytes, 512);
    // 102 entries of five bytes each.
    assert_eq!(
        [1, 2, 3, 104, 105, 207].map(|page| header.map_of(page)),
        [None, Some(2), Some(2), Some(2), Some(105), Some(105)]
    );
    let lock = header.lock_page();
    assert_eq!(lock, (1 << 21) + 1);
    page[20] = 33;
    assert_eq!(Header::of(&page), None);
}

#[test]
fn pages_by_their_looks() {
    let mut page = vec![0; 512];
    assert_eq!(PageType::guess(7, &page, 0).word(), "overflow or free");
    page[..10].copy_from_slice(&[13, 0, 0, 0, 1, 1, 0xfb, 0, 1, 0xfb]);
    page[507..].copy_from_slice(&[3, 1, 2, 1, 7]);
    let cell = BtreePage::of(7, &page, 512).unwrap().cell(0).unwrap();
    assert_eq!((cell.rowid, cell.len, cell.payload.unwrap().local), (1, 5, &[2, 1, 7][..]));
    assert_eq!(PageType::guess(7, &page, 0).word(), "table leaf");
    page[507] = 4;
    assert_eq!(PageType::guess(7, &page, 0).word(), "overflow or free");
}
