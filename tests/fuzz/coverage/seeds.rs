//! Writes what fuzzing begins with: small, honest inputs of each target, below a folder.

use lineside_proto::Time;
use lineside_proto::booking::sign;
use lineside_proto::evidence::sample::{FIRST_DAY_MS, Files, Plan, Sample, zip};
use lineside_proto::evidence::Manifest;
use lineside_proto::ledger::LeafBody;
use lineside_proto::ledger::tile::put_entry;
use std::collections::BTreeMap;
use std::fs;
use std::mem::discriminant;
use std::path::Path;

/// Leaves of a small ledger: a morning.
const LEAVES: usize = 48;

pub fn write(dir: &Path) {
    let mut put = |target: &str, name: &str, bytes: &[u8]| {
        let dir = dir.join(target);
        fs::create_dir_all(&dir).expect("a folder can be made");
        fs::write(dir.join(name), bytes).expect("a file can be written");
    };
    let whole = Sample::new();
    lines(&whole, &mut put);
    let mut small = Sample::new();
    small.leaves.truncate(LEAVES);
    small.cosigned.clear();
    let size = LEAVES as u64;
    let plan = Plan {
        from: Time::from_millis(FIRST_DAY_MS),
        to: Time::from_millis(FIRST_DAY_MS + 86_400_000),
        first: 0,
        end: size,
        size,
        start_size: 20,
        cosigned: vec![(40, Time::from_millis(FIRST_DAY_MS + 40_000_000))],
    };
    let (manifest, files) = small.seal(&plan).expect("honest leaves");
    let bundle = zip(&manifest, &files).expect("a bundle");
    put("bundle", "small", &bundle);
    put("sealed", "small", &chunks(&manifest, &files));
    put("trust", "sample", small.trust().as_bytes());
    put("totals", "small", &files["report.json"]);
    put("note", "end", &files["checkpoint/end"]);
    put("note", "cosigned", &files["checkpoint/cosigned/40"]);
    let text = String::from_utf8_lossy(&files["checkpoint/end"]);
    put("checkpoint", "end", text.split("\n\n").next().expect("a text").as_bytes());
    put("checkpoint", "whole", format!("{}\n", text.split("\n\n").next().expect("a text")).as_bytes());
    for (path, bytes) in &files {
        if path.starts_with("proof/") {
            put("request", &path.replace('/', "-"), bytes);
        }
    }
    let bytes = serde_json::to_vec(&manifest).expect("a manifest");
    put("manifest", "empty", &bytes);
    put("vkey", "gateway", small.keys.gateway.public().to_string().as_bytes());
    put("vkey", "witness", small.keys.witness.public().to_string().as_bytes());
    put("jwk", "public", small.keys.issuer.public().to_jwk().as_bytes());
    put("jwk", "private", small.keys.issuer.to_jwk().as_bytes());
    tokens(&whole, &mut put);
    words(&mut put);
}

fn lines(sample: &Sample, put: &mut impl FnMut(&str, &str, &[u8])) {
    let bytes: Vec<Vec<u8>> = sample.leaves.iter().map(|leaf| leaf.to_bytes().expect("a leaf")).collect();
    let mut kinds = Vec::new();
    for (place, leaf) in sample.leaves.iter().enumerate() {
        let kind = discriminant::<LeafBody>(&leaf.body);
        if !kinds.contains(&kind) {
            kinds.push(kind);
            put("leaf", &format!("kind-{}", kinds.len()), &bytes[place]);
            put("jcs", &format!("kind-{}", kinds.len()), &bytes[place]);
        }
    }
    for (turn, part) in bytes.chunks(LEAVES).take(6).enumerate() {
        put("tally", &format!("part-{turn}"), &part.join(&b'\n'));
        put("ledger", &format!("part-{turn}"), &part.join(&b'\n'));
    }
    let mut bundle = vec![2];
    for leaf in &bytes[..3] {
        put_entry(&mut bundle, leaf).expect("a leaf");
    }
    put("tile", "entries", &bundle);
    put("tile", "path", b"tile/1/x001/x234/067.p/8");
    let mut proof = 5_u64.to_le_bytes().to_vec();
    proof.extend_from_slice(&9_u64.to_le_bytes());
    proof.extend_from_slice(&[7; 96]);
    put("proof", "five-of-nine", &proof);
}

fn chunks(manifest: &Manifest, files: &Files) -> Vec<u8> {
    let mut out = b"manifest.json\n".to_vec();
    out.extend(serde_json::to_vec(manifest).expect("a manifest"));
    for (path, bytes) in files {
        out.push(0xff);
        let name = path.split('/').next().filter(|folder| ["maps", "tokens"].contains(folder));
        out.extend_from_slice(name.unwrap_or(path).as_bytes());
        out.push(b'\n');
        if path.starts_with("tile/") {
            out.extend(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
        } else {
            out.extend_from_slice(bytes);
        }
    }
    out
}

fn tokens(sample: &Sample, put: &mut impl FnMut(&str, &str, &[u8])) {
    let claims = r#"{"site":"site-01","gateway":"gateway-01","id":"bk-1","machines":["extruder-01"],"start":"2026-03-02T04:00:00.000Z","end":"2026-03-02T06:00:00.000Z","class":"EXT","org":"org-ext","org_kind":"sme","data":{"points":["speed"]},"iss":"portal","iat":1772420000,"exp":1772440000}"#;
    let check_in = r#"{"site":"site-01","gateway":"gateway-01","machines":["extruder-01"],"checkin":"bk-1","iat":1772424000,"exp":1772440000}"#;
    let message = |bookings: &str| {
        format!(r#"{{"v":1,"site":"site-01","gateway":"gateway-01","machine":"extruder-01","revision":1,"bookings":[{bookings}]}}"#)
    };
    put("claims", "booking", claims.as_bytes());
    put("claims", "check-in", check_in.as_bytes());
    put("bookings", "unsigned", message(claims).as_bytes());
    put("bookings", "check-in", check_in.as_bytes());
    let token = sign(&sample.keys.issuer, claims.as_bytes());
    put("bookings", "token", message(&format!("\"{token}\"")).as_bytes());
    put("jws", "token", token.as_bytes());
    let list = r#"{"v":1,"site":"site-01","own":["org-own"],"affiliates":["org-aff"],"iat":1772420000}"#;
    put("organisations", "list", list.as_bytes());
    put("organisations", "signed", sign(&sample.keys.issuer, list.as_bytes()).as_bytes());
}

fn words(put: &mut impl FnMut(&str, &str, &[u8])) {
    let documents: BTreeMap<&str, &str> = [
        ("availability", r#"{"v":1,"site":"s","gateway":"g","machine":"m","name":{"zh-CN":"机","en":"M"},"at":"2026-11-23T08:12:31.020Z","state":"RUN","opc":{"item":"Executing","mode":"Processing"},"rule":"RUN@2","since":"2026-11-23T08:00:00.000Z","decided_at":"2026-11-23T08:00:02.000Z","observed_at":"2026-11-23T08:12:31.004Z","reason":{"code":"rule","text":"x"},"available_now":"no","available_from":null,"warmup_s":900,"max_age_s":90,"fresh_until":"2026-11-23T08:14:01.004Z","clock":"S","session":null,"next_booking":null,"maintenance":null,"seq":1,"boot":"b","config":"sha256:0","ledger":{"size":1,"root":"r"}}"#),
        ("status", r#"{"v":1,"site":"s","gateway":"g","link":"ONLINE","boot":"b","version":"1","started":"2026-11-23T08:00:00.000Z","clock":{"status":"S","offset_ms":1},"machines":{"up":1,"down":0},"outbox":{"messages":0,"bytes":0,"oldest":null,"dropped":0},"ledger":{"size":1,"cosigned":null},"max_age_s":90,"at":"2026-11-23T08:00:00.000Z"}"#),
        ("telemetry", r#"{"v":1,"machine":"m","stream":"01J","seq":7,"frames":[{"t_ms":1795420800004,"group":"fast","values":{"speed":182.5,"n":-3,"on":true,"s":"x"},"bad":{"serial":"timeout"}}]}"#),
        ("gap", r#"{"v":1,"machine":"m","stream":"01J","kind":"field","from":"2026-11-23T08:00:00.000Z","to":"2026-11-23T08:00:01.000Z","seq_from":null,"seq_to":null,"samples":3,"reason":"x"}"#),
    ].into();
    for (name, text) in documents {
        put("document", name, text.as_bytes());
    }
    put("request", "request", br#"{"id":"1","method":"usage.bundle","params":{"from":"2026-03-01T00:00:00.000Z","to":"2026-04-01T00:00:00.000Z"}}"#);
    put("request", "answer", br#"{"id":"1","part":1,"parts":2,"result":{"first":0,"next":1,"leaves":["{}"]}}"#);
    put("request", "error", br#"{"id":"1","part":1,"parts":1,"error":{"code":"busy","text":"later"}}"#);
    put("request", "entries", br#"{"first":0,"next":1,"leaves":["{}"]}"#);
    put("request", "range", br#"{"from":0,"to":256}"#);
    put("time", "wire", b"2026-03-02T04:00:00.000Z");
    put("time", "offset", b"2026-03-02T12:00:00+08:00");
    put("time", "far", b"-009999-01-02T01:59:59.5Z");
    for (place, name) in ["extruder-01", "screw_speed", "RUN", "EXT", "platform-fault", "leaves/0000016384.jsonl", "tile/2/000.p/3", "zh-CN"].into_iter().enumerate() {
        put("name", &format!("word-{place}"), name.as_bytes());
    }
}
