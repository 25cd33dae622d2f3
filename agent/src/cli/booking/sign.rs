//! `lineside booking sign`: tokens as a portal signs them.

use lineside_proto::booking::{
    Allowed, Book, BookingsMessage, CheckInClaims, Claims, IssuerSecret, MESSAGE_BYTES_MAX, Trust,
    sign,
};
use lineside_proto::{Class, ClockStatus, Identifier, Time};
use serde::Serialize;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::super::{Context, Failure, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::text;
use crate::text::Text;

/// How long after its end a booking's token may be presented, unless it is said: the gateway may have been
/// without a network.
const AFTER_END_MS: i64 = 86_400_000;
/// How long a check-in's token may be presented, unless it is said.
const CHECK_IN_MS: i64 = 3_600_000;

/// Arguments of `lineside booking sign`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Example:
  lineside booking sign --key portal.jwk --machine extruder-01 --class EXT --org org-7 \\
    --start 2026-11-23T16:00:00+08:00 --end 2026-11-23T18:00:00+08:00 > token
  lineside booking sign --key portal.jwk --machine extruder-01 --set --revision 1 < token")]
pub(super) struct Args {
    /// The issuer's private key, a JWK
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A machine that is booked; may be given several times
    #[arg(long = "machine", value_name = "NAME", required = true, value_parser = identifier)]
    machines: Vec<Identifier>,
    /// The site (else the configuration's)
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    site: Option<Identifier>,
    /// The gateway (else the configuration's)
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    gateway: Option<Identifier>,
    /// When it begins, such as 2026-11-23T16:00:00+08:00
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present_any = ["set", "checkin"])]
    start: Option<Time>,
    /// When it ends
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present_any = ["set", "checkin"])]
    end: Option<Time>,
    /// The class: EXT, OWN, AFF, TRN or MNT
    #[arg(long, value_parser = class, required_unless_present_any = ["set", "checkin"])]
    class: Option<Class>,
    /// The organisation, a pseudonym; EXT needs one
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// What kind of organisation it is, in the portal's words
    #[arg(long, value_name = "WORD")]
    org_kind: Option<String>,
    /// Where the organisation is, in the portal's words
    #[arg(long, value_name = "WORD")]
    org_region: Option<String>,
    /// The person, a pseudonym
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The booking's id (else a new one)
    #[arg(long)]
    id: Option<String>,
    /// What may be published of process values: none, all, or points with commas between
    #[arg(long, default_value = "none", value_parser = data)]
    data: Allowed,
    /// Until when the token may be presented (else a day after the end; a check-in: for an hour)
    #[arg(long, value_name = "TIME", value_parser = time)]
    exp: Option<Time>,
    /// Who issues it
    #[arg(long, value_name = "NAME")]
    iss: Option<String>,
    /// When it is issued (else now)
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Time>,
    /// Sign a message for bookings/{machine} with the given tokens
    #[arg(long, requires = "revision", conflicts_with_all = ["start", "end", "class", "checkin"])]
    set: bool,
    /// The message's revision; each must be higher than the one before
    #[arg(long, value_name = "N", requires = "set", conflicts_with = "checkin")]
    revision: Option<u64>,
    /// Sign a check-in for this booking
    #[arg(long, value_name = "ID", conflicts_with_all = ["start", "end", "class"])]
    checkin: Option<String>,
    /// Tokens of the message (else standard input, one a line)
    #[arg(value_name = "TOKEN", requires = "set", conflicts_with = "checkin")]
    tokens: Vec<String>,
}

fn identifier(text: &str) -> Result<Identifier, Text> {
    text.parse()
        .map_err(|error| text!("the name {error}", "名称无效（{error}）"))
}

fn time(text: &str) -> Result<Time, Text> {
    text.parse().map_err(|_| {
        text!(
            "a time with its zone is wanted, such as 2026-11-23T08:00:00Z",
            "应为带时区的时间，例如 2026-11-23T08:00:00Z"
        )
    })
}

fn class(text: &str) -> Result<Class, Text> {
    let mut all = Class::ALL.into_iter();
    let found = all.find(|class| class.as_str() == text && *class != Class::Unb);
    found.ok_or_else(|| {
        text!(
            "EXT, OWN, AFF, TRN or MNT is wanted",
            "应为 EXT、OWN、AFF、TRN 或 MNT"
        )
    })
}

fn data(text: &str) -> Result<Allowed, Text> {
    match text {
        "none" => Ok(Allowed::None),
        "all" => Ok(Allowed::All),
        points => {
            let points = points.split(',').map(|name| name.trim().parse());
            let points: Result<_, _> = points.collect();
            points.map(Allowed::Points).map_err(|error| {
                text!(
                    "none, all, or names of points with commas between are wanted: one {error}",
                    "应为 none、all 或以逗号分隔的点位名（{error}）"
                )
            })
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let signer = Signer {
        secret: secret(args)?,
        place: place(args, context)?,
        now: args.now.unwrap_or_else(|| SystemClock.now().wall),
    };
    let token = if args.set {
        let input = &mut io::stdin().lock();
        signer.set(args, input)?
    } else if let Some(booking) = &args.checkin {
        signer.check_in(args, booking)?
    } else {
        signer.booking(args)?
    };
    if let Some(why) = signer.doubt(args, &token) {
        let line = text!(
            "warning: the gateway would refuse it: {why}",
            "警告：网关会拒绝它：{why}"
        );
        writeln!(io::stderr(), "{}", line.say(context.language))?;
    }
    writeln!(out, "{token}")?;
    out.flush()?;
    Ok(Outcome::Done)
}

fn secret(args: &Args) -> Result<IssuerSecret, Failure> {
    let shown = args.key.display();
    let text = fs::read_to_string(&args.key).map_err(|error| {
        Failure::Usage(text!(
            "{shown} can't be read: {error}; `lineside booking key --out {shown}` makes one",
            "无法读取 {shown}：{error}；可用 `lineside booking key --out {shown}` 生成"
        ))
    })?;
    IssuerSecret::from_jwk(&text).map_err(|error| {
        Failure::Usage(text!(
            "{shown} holds {error}; an Ed25519 private key as a JWK is wanted",
            "{shown} 中没有所需的密钥（{error}）；应为 Ed25519 私钥的 JWK"
        ))
    })
}

fn place(args: &Args, context: &Context) -> Result<(Identifier, Identifier), Failure> {
    if let (Some(site), Some(gateway)) = (&args.site, &args.gateway) {
        return Ok((site.clone(), gateway.clone()));
    }
    let gateway = context.load()?.config.gateway;
    Ok((
        args.site.clone().unwrap_or(gateway.site),
        args.gateway.clone().unwrap_or(gateway.id),
    ))
}

/// Who signs, for which gateway, and when.
struct Signer {
    secret: IssuerSecret,
    place: (Identifier, Identifier),
    now: Time,
}

impl Signer {
    fn booking(&self, args: &Args) -> Result<String, Failure> {
        let (Some(start), Some(end), Some(class)) = (args.start, args.end, args.class) else {
            return Err(Failure::Usage(text!(
                "--start, --end and --class are wanted",
                "需要 --start、--end 和 --class"
            )));
        };
        let new_id = || format!("bk-{}", ulid::Ulid::new().to_string().to_lowercase());
        self.signed(&Claims {
            site: self.place.0.clone(),
            gateway: self.place.1.clone(),
            id: args.id.clone().unwrap_or_else(new_id),
            machines: args.machines.clone(),
            start,
            end,
            class,
            org: args.org.clone(),
            org_kind: args.org_kind.clone(),
            org_region: args.org_region.clone(),
            user: args.user.clone(),
            data: args.data.clone(),
            iss: args.iss.clone(),
            iat: seconds(self.now),
            exp: seconds(args.exp.unwrap_or(end.plus_millis(AFTER_END_MS))),
        })
    }

    fn check_in(&self, args: &Args, booking: &str) -> Result<String, Failure> {
        self.signed(&CheckInClaims {
            site: self.place.0.clone(),
            gateway: self.place.1.clone(),
            machines: args.machines.clone(),
            checkin: booking.to_owned(),
            iss: args.iss.clone(),
            iat: seconds(self.now),
            exp: seconds(args.exp.unwrap_or(self.now.plus_millis(CHECK_IN_MS))),
        })
    }

    fn set(&self, args: &Args, input: &mut dyn Read) -> Result<String, Failure> {
        let [machine] = args.machines.as_slice() else {
            return Err(Failure::Usage(text!(
                "a message is for one machine: give --machine once",
                "一条消息只针对一台设备：--machine 只能给出一次"
            )));
        };
        let mut tokens = args.tokens.clone();
        if tokens.is_empty() {
            let mut text = String::new();
            let most = u64::try_from(MESSAGE_BYTES_MAX).unwrap_or(u64::MAX);
            input.take(most).read_to_string(&mut text)?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            tokens.extend(lines.map(str::to_owned));
        }
        let message = self.signed(&BookingsMessage {
            v: 1,
            site: self.place.0.clone(),
            gateway: self.place.1.clone(),
            machine: machine.clone(),
            revision: args.revision.unwrap_or_default(),
            bookings: tokens.into_iter().map(Into::into).collect(),
        })?;
        let bytes = message.len();
        if bytes > MESSAGE_BYTES_MAX {
            return Err(Failure::Usage(text!(
                "the message has {bytes} bytes, and a gateway takes {MESSAGE_BYTES_MAX}",
                "消息为 {bytes} 字节，网关最多接受 {MESSAGE_BYTES_MAX} 字节"
            )));
        }
        Ok(message)
    }

    fn signed(&self, payload: &impl Serialize) -> Result<String, Failure> {
        let payload = serde_json::to_vec(payload).map_err(anyhow::Error::from)?;
        Ok(sign(&self.secret, &payload))
    }

    /// Why a gateway with this key would not take it now, as far as that can be said here: what it has
    /// accepted before is not known, nor who its own organisations are.
    fn doubt(&self, args: &Args, token: &str) -> Option<String> {
        if args.checkin.is_some() {
            return None;
        }
        let machine = args.machines.first()?;
        let (site, gateway) = &self.place;
        let trust = Trust {
            keys: vec![self.secret.public()],
            ..Trust::default()
        };
        let mut book = Book::new(site.clone(), gateway.clone(), trust);
        let message = if args.set {
            token.to_owned()
        } else {
            let message = BookingsMessage {
                v: 1,
                site: site.clone(),
                gateway: gateway.clone(),
                machine: machine.clone(),
                revision: 1,
                bookings: vec![token.into()],
            };
            self.signed(&message).ok()?
        };
        let received = book.receive(machine, message.as_bytes(), self.now, ClockStatus::S);
        let refused = received.ack.refused.first()?;
        let id = refused.id.as_deref().unwrap_or("-");
        Some(format!("{id}: {}", refused.text))
    }
}

fn seconds(time: Time) -> i64 {
    time.as_millis().div_euclid(1000)
}

#[cfg(test)]
mod tests;
