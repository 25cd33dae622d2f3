//! Users by the number that the kernel says.

use std::fs;

/// Bytes of the user list that are read: a gateway has few users.
const LIST_BYTES_MAX: usize = 1 << 20;

/// Characters of a user's name that are kept.
const NAME_CHARS_MAX: usize = 32;

/// The name of a user, as /etc/passwd has it; `uid:N` for one that it does not have.
pub fn name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&users, uid).unwrap_or_else(|| format!("uid:{uid}"))
}

fn named(users: &str, uid: u32) -> Option<String> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        let is_plain = !name.is_empty() && !name.chars().any(char::is_control);
        (id.parse() == Ok(uid) && is_plain).then(|| name.chars().take(NAME_CHARS_MAX).collect())
    };
    let users = users.get(..LIST_BYTES_MAX).unwrap_or(users);
    users.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::{name, named};

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n:x:7:7::/:/\nbroken\nli:x:1000:100:Li:/home/li:/bin/sh\n\
                     twin:x:1000:100::/:/bin/sh\n";
        for (uid, expected) in [(0, Some("root")), (1000, Some("li")), (7, None), (1, None)] {
            assert_eq!(named(users, uid).as_deref(), expected, "{uid}");
        }
        assert_eq!(name(0), "root");
        assert_eq!(name(4_294_967_294), "uid:4294967294");
    }
}
