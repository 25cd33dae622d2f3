//! Booking tokens between ours and joserfc: what either signs, the other verifies; what neither should take,
//! neither takes.

use anyhow::{Context, Result, ensure};
use lineside_proto::booking::{Book, IssuerKey, Received, Trust};
use lineside_proto::{ClockStatus, Identifier, RefusalCode, Time};
use lineside_tests::agent::command;
use lineside_tests::subscriber::{peer, python};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Has joserfc do some tasks.
fn jose(tasks: &Value) -> Result<Vec<Value>> {
    let mut child = Command::new(python()?)
        .arg(peer("jose.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(tasks.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn text(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("no {key} in {value}"))?
        .to_owned())
}

fn at(value: &Value, key: &str) -> Value {
    value.get(key).cloned().unwrap_or_default()
}

fn key(curve: &str) -> Result<Value> {
    let mut keys = jose(&json!([{"do": "key", "curve": curve, "kid": "portal"}]))?;
    keys.pop().context("no key")
}

fn signed(key: &Value, header: &Value, payload: &Value) -> Result<String> {
    let payload = payload.to_string();
    let tasks = json!([{"do": "sign", "key": key, "header": header, "payload": payload}]);
    let answers = jose(&tasks)?;
    text(answers.first().context("no answer")?, "token")
}

fn name(text: &str) -> Result<Identifier> {
    Ok(text.parse()?)
}

/// A gateway that trusts this key.
fn book(public: &Value) -> Result<Book> {
    let trust = Trust {
        keys: vec![IssuerKey::from_jwk(&public.to_string())?],
        ..Trust::default()
    };
    Ok(Book::new(name("s")?, name("g")?, trust))
}

fn receive(book: &mut Book, payload: &str) -> Result<Received> {
    let now: Time = "2026-11-23T08:00:00.000Z".parse()?;
    Ok(book.receive(&name("m")?, payload.as_bytes(), now, ClockStatus::S))
}

fn claims() -> Value {
    json!({
        "site": "s", "gateway": "g", "id": "bk-1", "machines": ["m"], "class": "EXT", "org": "组织-7",
        "start": "2026-11-23T08:00:00Z", "end": "2026-11-23T18:00:00.000+08:00", "data": "all",
        "iat": 1_795_420_000, "exp": 1_795_430_000,
    })
}

fn message(revision: u64, tokens: &[String]) -> Value {
    json!({"v": 1, "site": "s", "gateway": "g", "machine": "m", "revision": revision, "bookings": tokens})
}

#[test]
fn what_joserfc_signs_is_taken() -> Result<()> {
    let portal = key("Ed25519")?;
    let public = &portal["public"];
    let made = IssuerKey::from_jwk(&public.to_string())?;
    let thumbprint = lineside_proto::booking::thumbprint(&made.key);
    ensure!(portal["thumbprint"] == thumbprint, "{portal} {thumbprint}");
    ensure!(IssuerKey::from_jwk(&portal["private"].to_string()).is_err());
    let header = json!({"alg": "EdDSA", "kid": "portal", "typ": "JWT"});
    let token = signed(&portal["private"], &header, &claims())?;
    let all = signed(&portal["private"], &header, &message(1, &[token]))?;
    let mut book = book(public)?;
    let received = receive(&mut book, &all)?;
    ensure!(received.ack.accepted == ["bk-1"], "{received:?}");
    let check_in = json!({
        "site": "s", "gateway": "g", "machines": ["m"], "checkin": "bk-1", "iat": 1_795_420_000,
        "exp": 1_795_430_000,
    });
    let check_in = signed(&portal["private"], &header, &check_in)?;
    let received = receive(&mut book, &check_in)?;
    ensure!(received.check_in.is_some(), "{received:?}");
    Ok(())
}

#[test]
fn other_algorithms_and_headers_are_refused() -> Result<()> {
    let portal = key("Ed25519")?;
    let (private, public) = (&portal["private"], &portal["public"]);
    let elliptic = key("P-256")?;
    // The public key as a secret, as whoever knows it could try.
    let shared = json!({"kty": "oct", "k": public["x"]});
    let check = |key: &Value, header: &Value, code: RefusalCode| -> Result<()> {
        let token = signed(key, header, &message(1, &[]))?;
        let received = receive(&mut book(public)?, &token)?;
        let first = received.ack.refused.first().context("taken")?;
        ensure!(first.code == code, "{header}: {first:?}");
        Ok(())
    };
    let with = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    check(
        &elliptic["private"],
        &with("ES256", "portal"),
        RefusalCode::Algorithm,
    )?;
    check(&shared, &with("HS256", "portal"), RefusalCode::Algorithm)?;
    check(private, &with("EdDSA", "other"), RefusalCode::UnknownKey)?;
    check(
        &key("Ed25519")?["private"],
        &with("EdDSA", "portal"),
        RefusalCode::BadSignature,
    )?;
    check(private, &json!({"alg": "EdDSA"}), RefusalCode::Malformed)?;
    let more = json!({"alg": "EdDSA", "kid": "portal", "jwk": public});
    check(private, &more, RefusalCode::Malformed)
}

/// What the binary prints.
fn printed(arguments: &[&str]) -> Result<String> {
    let output = command(arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

fn sign(key: &Path, more: &[&str]) -> Result<String> {
    let key = key.display().to_string();
    let always = [
        "booking",
        "sign",
        "--site",
        "s",
        "--gateway",
        "g",
        "--machine",
        "m",
        "--key",
        &key,
    ];
    printed(&[&always, more].concat())
}

#[test]
fn what_lineside_signs_joserfc_verifies() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let own = dir.path().join("portal.jwk");
    let public: Value = serde_json::from_str(&printed(&[
        "booking",
        "key",
        "--out",
        &own.display().to_string(),
    ])?)?;
    let thumbprint = jose(&json!([{"do": "thumbprint", "key": public}]))?;
    ensure!(
        thumbprint[0]["thumbprint"] == public["kid"],
        "{thumbprint:?}"
    );
    // And with a private key that joserfc made.
    let theirs = key("Ed25519")?;
    let other = dir.path().join("theirs.jwk");
    fs::write(&other, theirs["private"].to_string())?;
    judged(&own, &public)?;
    judged(&other, &theirs["public"])
}

/// Signs everything with the private key in a file, and has joserfc and a gateway judge it.
fn judged(file: &Path, public: &Value) -> Result<()> {
    let times = [
        "--start",
        "2026-11-23T08:00:00Z",
        "--end",
        "2026-11-23T10:00:00Z",
        "--now",
        "2026-11-23T07:00:00Z",
    ];
    let token = sign(
        file,
        &[
            &["--class", "EXT", "--org", "组织-7", "--id", "bk-1"],
            &times[..],
        ]
        .concat(),
    )?;
    let all = sign(file, &["--set", "--revision", "1", &token])?;
    let check_in = sign(
        file,
        &["--checkin", "bk-1", "--now", "2026-11-23T07:59:00Z"],
    )?;
    let mut torn = token.clone();
    let last = if torn.pop() == Some('A') { 'Q' } else { 'A' };
    torn.push(last);
    let task = |token: &str| json!({"do": "verify", "key": public, "token": token});
    let answers = jose(&json!([
        task(&token),
        task(&all),
        task(&check_in),
        task(&torn)
    ]))?;
    let [said, wrapped, checked, torn] = answers.as_slice() else {
        anyhow::bail!("{answers:?}");
    };
    ensure!(
        at(said, "header") == json!({"alg": "EdDSA", "kid": at(public, "kid")}),
        "{said}"
    );
    let claims: Value = serde_json::from_str(&text(said, "payload")?)?;
    ensure!(
        at(&claims, "org") == "组织-7" && at(&claims, "data") == "none",
        "{claims}"
    );
    ensure!(
        at(&claims, "iat") == 1_795_417_200 && at(&claims, "exp") == 1_795_514_400,
        "{claims}"
    );
    let message: Value = serde_json::from_str(&text(wrapped, "payload")?)?;
    ensure!(at(&message, "bookings") == json!([token]), "{message}");
    let check: Value = serde_json::from_str(&text(checked, "payload")?)?;
    ensure!(at(&check, "checkin") == "bk-1", "{check}");
    ensure!(at(torn, "error") == "BadSignatureError", "{torn}");
    let mut book = book(public)?;
    ensure!(receive(&mut book, &all)?.ack.accepted == ["bk-1"]);
    ensure!(receive(&mut book, &check_in)?.check_in.is_some());
    Ok(())
}

#[test]
fn wrong_usage_of_booking_ends_as_such() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("key").display().to_string();
    let check = |arguments: &[&str], code: i32, word: &str| -> Result<()> {
        let output = command(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(code) && said.contains(word),
            "{output:?}"
        );
        Ok(())
    };
    let sign = [
        "booking",
        "sign",
        "--key",
        &file,
        "--machine",
        "m",
        "--checkin",
        "a",
    ];
    check(
        &[&sign[..], &["--site", "s", "--gateway", "g"]].concat(),
        2,
        "booking key",
    )?;
    check(&["booking"], 2, "Usage")?;
    printed(&["booking", "key", "--out", &file])?;
    check(&["booking", "key", "--out", &file], 2, "exists")?;
    check(
        &[&sign[..], &["-c", "/nowhere.toml"]].concat(),
        3,
        "/nowhere.toml",
    )
}
