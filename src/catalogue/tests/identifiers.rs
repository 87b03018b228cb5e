//! Every row of the table of identifiers: shape, check characters and dates.

use super::super::csv;
use super::*;
use crate::terms::{CaseNo, CreditCode, Day, ImplementationCode, LicenceId, ResidentId};

#[test]
fn every_row_of_the_identifier_table() {
    let text = include_str!("../data/vectors-identifiers.csv");
    let today = Day::from_ymd(2026, 11, 25).unwrap();
    let (mut rows, mut mistakes) = (0, Mistakes::default());
    csv::rows("vectors-identifiers.csv", text, &["kind", "value", "valid", "note"], &mut mistakes, |row, _| {
        let value = row.text(1);
        let valid = match row.text(0) {
            "resident_id" => ResidentId::parse_on(value, today).is_ok(),
            "uscc" => value.parse::<CreditCode>().is_ok(),
            "licence_id" => value.parse::<LicenceId>().is_ok_and(|id| id.check_matches()),
            "task_code" => value.parse::<ImplementationCode>().is_ok(),
            "case_no" => value.parse::<CaseNo>().is_ok(),
            other => panic!("{other}"),
        };
        assert_eq!(valid.to_string(), row.text(2), "{value}: {}", row.text(3));
        rows += 1;
    });
    assert!(mistakes.is_empty(), "{mistakes}");
    assert_eq!(rows, 31);
}
