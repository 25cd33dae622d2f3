//! A report to the byte: what other programs may rely on is in `testdata/report`.

use super::build::{EXAMPLE, assets, bookings, brought, bundle, machine, made};
use crate::report::{ListFile, ListKind, Report, Rules};
use crate::schema;

fn example() -> Report {
    let rules = Rules::read(EXAMPLE.as_bytes(), "example-university.toml").unwrap();
    let list = "machine,number,name,unit,credit-code,original-value,category,start-date,tags,line,income-inside,income-outside\n\
        m,A-1,双螺杆挤出机,某中试平台,91350100M000100Y43,1000000,class-04,2026-03-01,聚合物,一线,10000,20000\n";
    let slots =
        "machine,booking,organisation,start,end\nm,B-7,=某公司,2026-03-03 16:00,2026-03-03 21:00\n";
    let mut brought = bookings(assets(brought(rules), list), slots);
    let file = |kind, name: &str| ListFile {
        kind,
        file: name.to_owned(),
        sha256: "00".repeat(32),
    };
    brought.lists = vec![
        file(ListKind::Assets, "assets.csv"),
        file(ListKind::Bookings, "bookings.csv"),
    ];
    made(
        vec![bundle("2026-03.zip", 0, 100, vec![machine("m")])],
        &brought,
    )
}

#[test]
fn a_report_is_what_it_was() {
    let golden = include_str!("../../../testdata/report/report.json");
    let report = example();
    assert_eq!(serde_json::from_str::<Report>(golden).unwrap(), report);
    let text = serde_json::to_string_pretty(&report).unwrap();
    assert_eq!(text, golden.trim_end());
}

#[test]
fn the_schema_names_every_field_of_it() {
    let schema = schema::schema("report").unwrap();
    let value = serde_json::to_value(example()).unwrap();
    let fields = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(fields(&schema["properties"]), fields(&value));
    let machine = &schema["$defs"]["MachineReport"]["properties"];
    assert_eq!(fields(machine), fields(&value["machines"][0]));
    let figure = &schema["$defs"]["Figure"]["required"];
    for field in ["hundredths", "unit", "coverage", "basis"] {
        assert!(
            figure.as_array().unwrap().contains(&field.into()),
            "{field}"
        );
    }
}
