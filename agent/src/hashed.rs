//! Texts that are known by their hash, and the names of their files.

use sha2::{Digest, Sha256};

/// The 64 lower-case hexadecimal digits behind `sha256:`; none of any other text, so that no text from outside becomes
/// part of a path.
pub fn digits(hash: &str) -> Option<&str> {
    let digits = hash.strip_prefix("sha256:")?;
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == 64 && digits.bytes().all(is_digit)).then_some(digits)
}

/// `sha256:` and the hash of some bytes.
pub fn of(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    let digits = digits.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("sha256:".to_owned())
        .chain(digits)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn only_a_hash_has_digits() {
        let good = "0a".repeat(32);
        assert_eq!(digits(&format!("sha256:{good}")), Some(good.as_str()));
        for text in [
            String::new(),
            good.clone(),
            format!("sha256:{}", good.to_uppercase()),
            format!("sha256:{good}0"),
            format!("sha256:{}/", &good[..63]),
            format!("sha256:../{}", &good[..61]),
        ] {
            assert_eq!(digits(&text), None, "{text}");
        }
    }
}
