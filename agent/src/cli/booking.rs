//! `lineside booking`: keys and tokens of bookings, for whoever builds or tries a portal.

use lineside_proto::booking::IssuerSecret;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Context, Failure, Outcome};
use crate::text;

mod sign;

/// Arguments of `lineside booking`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example: lineside booking key --out portal.jwk"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// Makes a key to sign with in trials (0600), and prints its public half as a JWK
    Key(KeyArgs),
    /// Signs a booking's token; with --set a message of bookings, with --checkin a check-in
    Sign(Box<sign::Args>),
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside booking key --out portal-private.jwk > portal.jwk")]
struct KeyArgs {
    /// Where the private key goes; a file that exists is left alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The key's id (else its thumbprint)
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure::Usage`] for a file that exists, can't be read or holds no such key, and for what makes no
/// token; [`Failure::Configuration`] where site and gateway are to come from a configuration with faults.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let mut out = io::stdout().lock();
    match &args.command {
        Command::Key(args) => key(args, &mut out),
        Command::Sign(args) => sign::run(args, context, &mut out),
    }
}

fn key(args: &KeyArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let mut seed = [0; 32];
    let filled = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
    // The kernel gives up to 256 bytes at once.
    if !filled.is_ok_and(|bytes| bytes == seed.len()) {
        return Err(Failure::Other(anyhow::anyhow!(
            "the kernel gave no random bytes"
        )));
    }
    let secret = IssuerSecret::from_seed(&seed, args.kid.as_deref())
        .map_err(|error| Failure::Usage(text!("--kid: {error}", "--kid：{error}")))?;
    create(&args.out, &secret.to_jwk())?;
    writeln!(out, "{}", secret.public().to_jwk())?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// Writes a file that only its owner can read, and that was not there before.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(format!("{text}\n").as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        Failure::Usage(if error.kind() == ErrorKind::AlreadyExists {
            text!(
                "{shown} exists; name another file, or remove it if nobody trusts its key any more",
                "{shown} 已存在；请另选文件名，若其密钥已不再使用可先删除"
            )
        } else {
            text!(
                "{shown} can't be written: {error}",
                "无法写入 {shown}：{error}"
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Failure, KeyArgs, key};
    use lineside_proto::booking::{IssuerKey, IssuerSecret};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_its_public_half_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("portal.jwk");
        let mut made = Vec::new();
        for kid in [None, Some("portal")] {
            let args = KeyArgs {
                out: path.with_extension(kid.unwrap_or("none")),
                kid: kid.map(str::to_owned),
            };
            let mut out = Vec::new();
            key(&args, &mut out).unwrap();
            let public = IssuerKey::from_jwk(std::str::from_utf8(&out).unwrap()).unwrap();
            let secret = fs::read_to_string(&args.out).unwrap();
            assert_eq!(IssuerSecret::from_jwk(&secret).unwrap().public(), public);
            assert!(kid.is_none_or(|kid| kid == public.kid));
            let mode = fs::metadata(&args.out).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(matches!(key(&args, &mut out), Err(Failure::Usage(_))));
            assert_eq!(fs::read_to_string(&args.out).unwrap(), secret);
            made.push(public.key);
        }
        assert_ne!(made[0], made[1]);
        let args = KeyArgs {
            out: path,
            kid: Some("a b".into()),
        };
        assert!(matches!(
            key(&args, &mut Vec::new()),
            Err(Failure::Usage(_))
        ));
        assert!(!args.out.exists());
    }
}
