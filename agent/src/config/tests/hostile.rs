//! Garbage never panics, and large maps are quick.

use super::{GATEWAY, HEAD, folder, load_files, write};
use crate::config::load;
use crate::text::Language;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use std::fmt::Write;
use std::time::{Duration, Instant};

const SHEET: &str = "point,table,address,type,order,bit,length,scale,offset,unit,group,deadband,description\n\
    a,holding,100,f32,CDAB,,,0.1,,rpm,fast,0.5,\"x, y\"\nb,coil,1,,,,,,,,fast,,温度\n";

fn map() -> String {
    let head = HEAD.replacen(
        "[connection]",
        "name = { zh-CN = \"双螺杆\" }\ntemplate = \"t.toml\"\npoints-file = \"p.csv\"\n[connection]",
        1,
    );
    format!(
        "{head}x = {{ holding = \"40101\", type = \"f32\", expect = [0, 400], deadband = 0.5 }}\n\
         s = {{ input = 0x10, type = \"string\", length = 8 }}\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"x > 5.0 && changed(x, '60s')\"\nenter = \"2s\"\n"
    )
}

/// Puts a piece of text, cut from somewhere else or not, over a stretch of the file.
fn mutate(text: &str, at: usize, length: usize, piece: &[u8]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let start = at % (bytes.len() + 1);
    let end = (start + length).min(bytes.len());
    bytes.splice(start..end, piece.iter().copied());
    bytes
}

const PIECES: [&str; 16] = [
    "\"", "'''", "[", "]]", "{", "}", "=", "\n", "#", "-1", "1e999", "0x", "\u{1b}", "温",
    "\u{feff}", "\\u0000",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_valid_configuration_panics(
        file in 0_usize..4,
        at in any::<usize>(),
        length in 0_usize..24,
        piece in prop::sample::select(PIECES.as_slice()),
        noise in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let template = "[points]\ny = { coil = 3 }\n[groups]\nslow = { interval = \"5s\" }\n";
        let map = map();
        let files = [
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", &map),
            ("machines/p.csv", SHEET),
            ("t.toml", template),
        ];
        let folder = folder(&files);
        let (path, text) = files[file];
        let piece = if noise.is_empty() { piece.as_bytes() } else { noise.as_slice() };
        write(folder.path(), path, &mutate(text, at, length, piece));
        if let Err(faults) = load(&folder.path().join("gateway.toml")) {
            assert!(!faults.is_empty());
            for language in [Language::En, Language::ZhCn] {
                assert!(faults.render(language, false, 80).lines().count() > 1);
            }
        }
    }
}

#[test]
fn keys_nested_without_end_are_refused() {
    for text in [
        "a.".repeat(100_000) + "a = 1\n",
        "a = ".to_owned() + &"[".repeat(100_000),
    ] {
        let faults = load_files(&[("gateway.toml", &text)]).unwrap_err();
        assert!(faults.iter().any(|fault| fault.code == "syntax"));
    }
}

#[test]
fn two_thousand_points_load_well_within_a_second() {
    let mut map = HEAD.to_owned();
    for n in 0..2000 {
        let register = 2 * n;
        writeln!(map, "point_{n} = {{ holding = {register}, type = \"f32\", unit = \"rpm\", deadband = 0.5, description = \"温度 {n}\" }}").unwrap();
    }
    for n in 0..40 {
        write!(
            map,
            "[[state.rules]]\nstate = \"RUN\"\nwhen = \"point_{n} > {n}.0 && point_{} < 5.0\"\n",
            n + 1
        )
        .unwrap();
    }
    let map = map.replacen("when = \"true\"", "when = \"point_1 > 7.0\"", 1);
    let files = [("gateway.toml", GATEWAY), ("machines/m.toml", map.as_str())];
    let start = Instant::now();
    let loaded = load_files(&files).unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
    assert_eq!(loaded.config.machines[0].points.len(), 2000);
    let faulty = map.replace("unit", "unti");
    let faults =
        load_files(&[("gateway.toml", GATEWAY), ("machines/m.toml", &faulty)]).unwrap_err();
    assert!(faults.render(Language::ZhCn, false, 100).lines().count() > 2000);
    let elapsed = start.elapsed();
    // Both together, on a busy machine: what is quadratic takes far longer.
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}
