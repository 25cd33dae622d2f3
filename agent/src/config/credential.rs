//! Files by which somebody is known: passwords, private keys, certificates. What is secret is never
//! part of a report. Nothing is verified here beyond what the bytes themselves show.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::path::Path;

use super::fault::Fault;
use super::files::Files;
use super::model::Secret;
use super::section::{Said, Section};
use crate::text;
use crate::text::Text;

/// The text of a password file, without one line break at its end.
pub(super) fn password(
    section: &Section<'_>,
    files: &Files,
    path: &Path,
    said: Said<'_, &str>,
) -> Option<Secret> {
    let text = secret(section, files, path, said)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        let message = text!("the password file is empty", "密码文件为空");
        section.add(Fault::error("bad-value", said.at, message));
        return None;
    }
    guarded(section, files, path, said);
    Some(Secret(line.to_owned()))
}

/// A private key in PEM that needs no pass phrase.
pub(super) fn key(
    section: &Section<'_>,
    files: &Files,
    path: &Path,
    said: Said<'_, &str>,
) -> Option<Secret> {
    let text = secret(section, files, path, said)?;
    guarded(section, files, path, said);
    let shown = path.display();
    let is_locked = text.contains("ENCRYPTED");
    let labels = ["PRIVATE KEY", "RSA PRIVATE KEY"];
    let is_key = |label: &&str| text.contains(&format!("-----BEGIN {label}-----"));
    if !is_locked && labels.iter().any(is_key) {
        return Some(Secret(text));
    }
    let (message, hint) = if is_locked {
        (
            text!(
                "the key in {shown} needs a pass phrase, and nobody is there to enter it",
                "{shown} 中的私钥需要口令，而运行时无人输入"
            ),
            text!(
                "write it without one: openssl pkey -in {shown} -out key.pem; then chmod 600 key.pem",
                "去掉口令：openssl pkey -in {shown} -out key.pem，然后 chmod 600 key.pem"
            ),
        )
    } else {
        (
            text!(
                "{shown} holds no RSA private key in PEM",
                "{shown} 中没有 PEM 格式的 RSA 私钥"
            ),
            text!(
                "such a file has a line -----BEGIN PRIVATE KEY-----",
                "这种文件有一行 -----BEGIN PRIVATE KEY-----"
            ),
        )
    };
    section.add(Fault::error("bad-key", said.at, message).hint(hint));
    None
}

/// A certificate in DER, from a file in DER or PEM; the first of several.
pub(super) fn certificate(
    section: &Section<'_>,
    files: &Files,
    path: &Path,
    said: Said<'_, &str>,
) -> Option<Vec<u8>> {
    let bytes = match files.bytes(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            section.add(error.fault(path, said.at));
            return None;
        }
    };
    let found = first(&bytes);
    if found.is_none() {
        let shown = path.display();
        let message = text!("{shown} holds no certificate", "{shown} 中没有证书");
        section.add(Fault::error("bad-certificate", said.at, message).hint(what_is_wrong(&bytes)));
    }
    found
}

fn what_is_wrong(bytes: &[u8]) -> Text {
    let holds = |word: &str| {
        bytes
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    };
    if holds("PRIVATE KEY-----") {
        text!("it holds a private key", "其中是私钥")
    } else {
        text!(
            "a certificate is a file in DER, or in PEM with a line -----BEGIN CERTIFICATE-----",
            "证书应为 DER 文件，或带有 -----BEGIN CERTIFICATE----- 一行的 PEM 文件"
        )
    }
}

/// The first certificate in DER or PEM.
fn first(bytes: &[u8]) -> Option<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return in_der(bytes).map(<[u8]>::to_vec);
    };
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    let der = BASE64.decode(body).ok()?;
    in_der(&der).map(<[u8]>::to_vec)
}

/// The leading certificate: a sequence (X.690 8.9) whose first part is one, too, as nothing but a
/// certificate's is among the files that people confuse with it.
fn in_der(bytes: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // More than four bytes of length would be more than any file here holds.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = length
                .iter()
                .fold(0, |sum: usize, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let head = bytes.len() - rest.len();
    let is_certificate = *tag == SEQUENCE && rest.first() == Some(&SEQUENCE);
    bytes
        .get(..head.checked_add(length)?)
        .filter(|_| is_certificate)
}

fn secret(
    section: &Section<'_>,
    files: &Files,
    path: &Path,
    said: Said<'_, &str>,
) -> Option<String> {
    match files.secret(path) {
        Ok(text) => Some(text),
        Err(error) => {
            section.add(error.fault(path, said.at));
            None
        }
    }
}

/// Warns if everybody on the host can read a secret.
fn guarded(section: &Section<'_>, files: &Files, path: &Path, said: Said<'_, &str>) {
    if files.is_open_to_others(path) {
        let shown = path.display();
        let message = text!("everybody can read {shown}", "所有人都能读取 {shown}");
        let fault = Fault::warning("loose-secret", said.at, message);
        section.add(fault.hint(text!("chmod o-r {shown}", "执行 chmod o-r {shown}")));
    }
}

#[cfg(test)]
mod tests {
    use super::first;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    #[test]
    fn the_first_certificate_is_found_in_either_form() {
        // Lengths in one byte and in three; what follows belongs to another.
        let short = [0x30, 0x04, 0x30, 0x02, 0xff, 0xfe];
        let mut long = vec![0x30, 0x82, 0x01, 0x02, 0x30, 0x82];
        long.resize(4 + 0x0102, 0xff);
        for der in [short.to_vec(), long] {
            let mut chain = der.clone();
            chain.extend(short);
            assert_eq!(first(&chain).as_ref(), Some(&der));
            let body = BASE64.encode(&der);
            let (one, rest) = body.split_at(5);
            let pem = format!(
                "subject=x\n-----BEGIN CERTIFICATE-----\r\n{one}\r\n{rest}\r\n-----END CERTIFICATE-----\n"
            );
            assert_eq!(first(pem.repeat(2).as_bytes()).as_ref(), Some(&der));
        }
        for bytes in [
            b"".as_slice(),
            b"0",
            b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            // A private key: its first part is a number.
            &[0x30, 0x04, 0x02, 0x01, 0xff, 0xfe],
            // Cut short, endless, and longer than anything.
            &[0x30, 0x05, 0x30, 0x02, 0xff],
            &[0x30, 0x80, 0x30, 0xff],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30],
            &[
                0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x30,
            ],
        ] {
            assert_eq!(first(bytes), None, "{bytes:?}");
        }
    }
}
