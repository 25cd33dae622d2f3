use super::{Assets, credit_code, money};
use crate::report::Rules;

const GOOD: &str = "\u{feff}设备,设备编号,名称,单位,统一社会信用代码,原值,类别,启用日期,标签,产线,网关\r\n\
    ext-01,A-7,双螺杆挤出机,\"中山 某平台, 一部\",91350100M000100Y43,\"1,250,000.50\",class-04,2026/3/1,聚合物；挤出,线一,gw-01\r\n\
    \r\n\
    ext-02,,,,,,,,,,\r\n";

fn read(text: &str) -> Result<Assets, String> {
    let rules = Rules::national().unwrap();
    Assets::read(text.as_bytes(), "a.csv", &rules).map_err(|faults| faults.to_string())
}

#[test]
fn a_list_is_read_with_chinese_or_english_names() {
    let assets = read(GOOD).unwrap();
    let [first, second] = assets.rows() else {
        panic!("{assets:?}");
    };
    assert_eq!(first.asset.unit.as_deref(), Some("中山 某平台, 一部"));
    assert_eq!(first.asset.original_value_fen, Some(125_000_050));
    assert_eq!(first.asset.start_date.as_deref(), Some("2026-03-01"));
    assert_eq!(first.start.unwrap().to_string(), "2026-02-28T16:00:00.000Z");
    assert_eq!(first.asset.tags, ["聚合物", "挤出"]);
    assert_eq!((second.line, second.asset.number.as_deref()), (4, None));
    let english = "Machine,credit_code,quota\next-01,91350100M000100Y43,1200\n";
    assert_eq!(read(english).unwrap().rows()[0].asset.quota_h, Some(1200));
}

#[test]
fn the_row_that_says_most_is_a_machine_s() {
    let text = "machine,gateway,site,number\nm,,,any\nm,,s,site\nm,g,,gateway\n";
    let assets = read(text).unwrap();
    let check = |site: &str, gateway: &str, expected: Option<&str>| {
        let found = assets.find(
            &site.parse().unwrap(),
            &gateway.parse().unwrap(),
            &"m".parse().unwrap(),
        );
        assert_eq!(found.and_then(|row| row.asset.number.as_deref()), expected);
    };
    check("s", "g", Some("gateway"));
    check("s", "h", Some("site"));
    check("t", "h", Some("any"));
    let machine = "n".parse().unwrap();
    assert!(
        assets
            .find(&"s".parse().unwrap(), &"g".parse().unwrap(), &machine)
            .is_none()
    );
}

#[test]
fn every_fault_is_told_with_line_and_column() {
    let check = |text: &str, expected: &[&str]| {
        let said = read(text).unwrap_err();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{said}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{line}");
        }
    };
    check("", &["a.csv:1:1: machine / 设备: this column is missing"]);
    check(
        "machine,colour,machine\n",
        &[
            "a.csv:1:2: colour: no such column",
            "a.csv:1:3: machine: the column stands here twice",
        ],
    );
    check(
        "machine,quota,start-date,category,original-value,credit-code\n\
         M!,0,2026-13-01,none,1.234,91350100M000100Y44\n\n,1,2026-1-1,,,\nm,,,,,,x\n",
        &[
            "a.csv:2:1: machine: \"M!\": a name",
            "a.csv:2:2: quota: \"0\": 1 to 8784",
            "a.csv:2:3: start-date: \"2026-13-01\": a date",
            "a.csv:2:4: category: \"none\": a category of the rules (class-04, general, special)",
            "a.csv:2:5: original-value: \"1.234\": an amount",
            "a.csv:2:6: credit-code: \"91350100M000100Y44\": a unified",
            "a.csv:4:1: machine: is empty",
            "a.csv:5:7: more cells",
        ],
    );
    check(
        "machine,number,credit-code\nm,1,\nm,2,\nn,1,\n",
        &[
            "a.csv:3:1: machine: stands in line 2",
            "a.csv:4:2: number: stands in line 2",
        ],
    );
    let long = format!("machine,name\nm,{}\n", "长".repeat(201));
    check(&long, &["a.csv:2:2: at most 200 characters"]);
}

#[test]
fn a_list_that_is_not_utf_8_says_so() {
    let rules = Rules::national().unwrap();
    let faults = Assets::read(b"machine,name\nm,\xbc\xb7\n", "a.csv", &rules).unwrap_err();
    assert!(
        faults
            .to_string()
            .starts_with("a.csv:2:3: the file is not UTF-8 (GBK"),
        "{faults}"
    );
    assert!(faults.said(|said| &said.zh).contains("CSV UTF-8"));
}

#[test]
fn amounts_and_codes() {
    for (text, fen) in [
        ("0", Some(0)),
        ("12", Some(1200)),
        ("1,234.5", Some(123_450)),
        ("12345.67", Some(1_234_567)),
        ("1,23", None),
        (",123", None),
        ("1234,567", None),
        ("-1", None),
        ("1.", Some(100)),
        ("1e3", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(money(text), fen, "{text}");
    }
    assert!(credit_code("91350100M000100Y43").is_some());
    for text in [
        "",
        "91350100M000100Y4",
        "91350100M000100Y4I",
        "91350100m000100y43",
    ] {
        assert!(credit_code(text).is_none(), "{text}");
    }
}
