//! Whom a verifier trusts: a TOML text that an evaluator writes.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::Offset;
use toml::{Table, Value};

use crate::booking::IssuerKey;
use crate::ledger::note::{KeyKind, VerifierKey};
use crate::{Identifier, Time};

/// Bytes of a trust file at most.
pub const TRUST_BYTES_MAX: usize = 4 << 20;

/// Dates mean their first moment at this distance from UTC, in hours: Asia/Shanghai.
const DATE_HOURS: i8 = 8;

/// When something that is trusted begins and ceases to be; open where nothing is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Validity {
    /// From when.
    pub from: Option<Time>,
    /// Until when; not then any more.
    pub to: Option<Time>,
}

impl Validity {
    /// Whether it holds at this time.
    pub fn holds(&self, at: Time) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// A gateway's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedGateway {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The ledger's origin.
    pub origin: String,
    /// The key.
    pub key: VerifierKey,
    /// When it may sign.
    pub valid: Validity,
}

/// A witness's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedWitness {
    /// The key.
    pub key: VerifierKey,
    /// When it may cosign.
    pub valid: Validity,
}

/// An issuer's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedIssuer {
    /// The key.
    pub key: IssuerKey,
    /// When tokens of it may be issued.
    pub valid: Validity,
}

/// A machine map that was approved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovedMap {
    /// For this machine.
    pub machine: Identifier,
    /// `sha256:` and its hash.
    pub hash: String,
    /// Only on this gateway, where it is given.
    pub gateway: Option<Identifier>,
    /// Only at this site, where it is given.
    pub site: Option<Identifier>,
}

/// Whom a verifier trusts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trust {
    /// Gateways' keys.
    pub gateways: Vec<TrustedGateway>,
    /// Witnesses' keys.
    pub witnesses: Vec<TrustedWitness>,
    /// Issuers' keys.
    pub issuers: Vec<TrustedIssuer>,
    /// Approved maps.
    pub maps: Vec<ApprovedMap>,
    /// The platforms' own organisations, as tokens name them.
    pub own: BTreeSet<String>,
    /// Their affiliates, likewise.
    pub affiliates: BTreeSet<String>,
}

/// Why a text is no trust file, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrustError {
    /// Too long.
    #[error("the trust file has {0} bytes, of {TRUST_BYTES_MAX} at most")]
    TooLong(usize),
    /// No TOML.
    #[error("the trust file is no TOML: {0}")]
    Toml(String),
    /// A field that is missing, unknown or wrong.
    #[error("trust file, {table}: `{field}` {fault}")]
    Field {
        /// The table, with its place among those of its name.
        table: String,
        /// The field.
        field: String,
        /// What is wrong, and what to write.
        fault: String,
    },
}

impl Trust {
    /// Reads a trust file.
    ///
    /// # Errors
    ///
    /// [`TrustError`] says which table and field, and what to write.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        if text.len() > TRUST_BYTES_MAX {
            return Err(TrustError::TooLong(text.len()));
        }
        let table: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
            TrustError::Toml(error.to_string().trim_end().to_owned())
        })?;
        let mut trust = Self::default();
        for (name, value) in table {
            let fields = |value| Fields::all(&name, value);
            match name.as_str() {
                "gateway" => {
                    trust.gateways = fields(value)?.map(gateway).collect::<Result<_, _>>()?
                }
                "witness" => {
                    trust.witnesses = fields(value)?.map(witness).collect::<Result<_, _>>()?
                }
                "issuer" => trust.issuers = fields(value)?.map(issuer).collect::<Result<_, _>>()?,
                "map" => trust.maps = fields(value)?.map(map).collect::<Result<_, _>>()?,
                "organisations" => {
                    let mut fields = Fields::one(&name, value)?;
                    trust.own = fields.texts("own")?;
                    trust.affiliates = fields.texts("affiliates")?;
                    fields.end(&["own", "affiliates"])?;
                }
                _ => {
                    return Err(TrustError::Field {
                        table: "at its top".to_owned(),
                        field: name,
                        fault: "is not known: there are [[gateway]], [[witness]], [[issuer]], [[map]] and \
                            [organisations]"
                            .to_owned(),
                    });
                }
            }
        }
        Ok(trust)
    }

    /// Whether a map is approved for a machine.
    pub fn approves(
        &self,
        site: &Identifier,
        gateway: &Identifier,
        machine: &Identifier,
        hash: &str,
    ) -> bool {
        self.maps.iter().any(|map| {
            map.machine == *machine
                && map.hash == hash
                && map.gateway.as_ref().is_none_or(|only| only == gateway)
                && map.site.as_ref().is_none_or(|only| only == site)
        })
    }
}

fn gateway(mut fields: Fields) -> Result<TrustedGateway, TrustError> {
    let read = TrustedGateway {
        site: fields.identifier("site")?,
        gateway: fields.identifier("gateway")?,
        origin: fields.text("origin")?,
        key: fields.key(KeyKind::Ed25519)?,
        valid: fields.valid()?,
    };
    fields.end(&["site", "gateway", "origin", "key", "from", "to"])?;
    Ok(read)
}

fn witness(mut fields: Fields) -> Result<TrustedWitness, TrustError> {
    let read = TrustedWitness {
        key: fields.key(KeyKind::Cosignature)?,
        valid: fields.valid()?,
    };
    fields.end(&["key", "from", "to"])?;
    Ok(read)
}

fn issuer(mut fields: Fields) -> Result<TrustedIssuer, TrustError> {
    let jwk = fields.text("jwk")?;
    let key = IssuerKey::from_jwk(&jwk)
        .map_err(|error| fields.fault("jwk", format!("is not the key of an issuer: {error}")))?;
    let valid = fields.valid()?;
    fields.end(&["jwk", "from", "to"])?;
    Ok(TrustedIssuer { key, valid })
}

fn map(mut fields: Fields) -> Result<ApprovedMap, TrustError> {
    let hash = fields.text("hash")?;
    let is_hash = hash
        .strip_prefix("sha256:")
        .is_some_and(super::entry::is_digest);
    if !is_hash {
        let fault = "is written sha256: and 64 small hexadecimal digits";
        return Err(fields.fault("hash", fault.to_owned()));
    }
    let read = ApprovedMap {
        machine: fields.identifier("machine")?,
        hash,
        gateway: fields.identifier_if("gateway")?,
        site: fields.identifier_if("site")?,
    };
    fields.end(&["machine", "hash", "gateway", "site"])?;
    Ok(read)
}

/// A table's fields; those that were read are gone.
struct Fields {
    table: String,
    rest: Table,
}

impl Fields {
    fn one(name: &str, value: Value) -> Result<Self, TrustError> {
        match value {
            Value::Table(rest) => Ok(Self {
                table: format!("[{name}]"),
                rest,
            }),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => Err(TrustError::Field {
                table: "at its top".to_owned(),
                field: name.to_owned(),
                fault: format!("is a table: write [{name}] before its fields"),
            }),
        }
    }

    fn all(name: &str, value: Value) -> Result<impl Iterator<Item = Self>, TrustError> {
        let fault = || TrustError::Field {
            table: "at its top".to_owned(),
            field: name.to_owned(),
            fault: format!("is a list of tables: write [[{name}]] before the fields of each"),
        };
        let Value::Array(items) = value else {
            return Err(fault());
        };
        let tables = items
            .into_iter()
            .enumerate()
            .map(|(place, item)| match item {
                Value::Table(rest) => Ok(Self {
                    table: format!("[[{name}]] {}", place + 1),
                    rest,
                }),
                Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_) => Err(fault()),
            });
        let tables: Vec<Self> = tables.collect::<Result<_, _>>()?;
        Ok(tables.into_iter())
    }

    fn fault(&self, field: &str, fault: String) -> TrustError {
        TrustError::Field {
            table: self.table.clone(),
            field: field.to_owned(),
            fault,
        }
    }

    fn text_if(&mut self, field: &str) -> Result<Option<String>, TrustError> {
        match self.rest.remove(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(field, "is a text: write it in quotes".to_owned())),
        }
    }

    fn text(&mut self, field: &str) -> Result<String, TrustError> {
        let text = self.text_if(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.fault(field, "is missing".to_owned()))
    }

    fn identifier_if(&mut self, field: &str) -> Result<Option<Identifier>, TrustError> {
        let Some(text) = self.text_if(field)? else {
            return Ok(None);
        };
        let read = text.parse::<Identifier>();
        read.map(Some)
            .map_err(|error| self.fault(field, error.to_string()))
    }

    fn identifier(&mut self, field: &str) -> Result<Identifier, TrustError> {
        let read = self.identifier_if(field)?;
        read.ok_or_else(|| self.fault(field, "is missing".to_owned()))
    }

    fn key(&mut self, kind: KeyKind) -> Result<VerifierKey, TrustError> {
        let text = self.text("key")?;
        let key = text.parse::<VerifierKey>();
        let key = key.map_err(|error| self.fault("key", format!("can't be used: {error}")))?;
        if key.kind() == kind {
            return Ok(key);
        }
        let fault = match kind {
            KeyKind::Ed25519 => "is the key of a witness: it belongs below [[witness]]",
            KeyKind::Cosignature => "is the key of a ledger: it belongs below [[gateway]]",
        };
        Err(self.fault("key", fault.to_owned()))
    }

    fn valid(&mut self) -> Result<Validity, TrustError> {
        let (from, to) = (self.time("from")?, self.time("to")?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(self.fault("to", "is not after `from`".to_owned()));
        }
        Ok(Validity { from, to })
    }

    fn time(&mut self, field: &str) -> Result<Option<Time>, TrustError> {
        let text = match self.rest.remove(field) {
            None => return Ok(None),
            Some(Value::Datetime(time)) => time.to_string(),
            Some(Value::String(text)) => text,
            Some(_) => String::new(),
        };
        let time = text.parse::<Time>().ok().or_else(|| date(&text));
        time.map(Some).ok_or_else(|| {
            let fault = "is a date (2026-01-01: its first moment in Asia/Shanghai) or a time with its distance from \
                UTC (2026-01-01T00:00:00+08:00)";
            self.fault(field, fault.to_owned())
        })
    }

    fn texts(&mut self, field: &str) -> Result<BTreeSet<String>, TrustError> {
        let fault = || "is a list of texts: [\"org-1\", \"org-2\"]".to_owned();
        let items = match self.rest.remove(field) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.fault(field, fault())),
        };
        let texts = items.into_iter().map(|item| match item {
            Value::String(text) => Ok(text),
            Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => Err(self.fault(field, fault())),
        });
        texts.collect()
    }

    /// Refuses fields that nobody knows: what somebody meant by them would not be so.
    fn end(&self, known: &[&str]) -> Result<(), TrustError> {
        let Some(field) = self.rest.keys().next() else {
            return Ok(());
        };
        Err(self.fault(
            field,
            format!("is not known here: there are {}", known.join(", ")),
        ))
    }
}

fn date(text: &str) -> Option<Time> {
    let is_date = text.len() == 10;
    let date: Date = is_date.then(|| text.parse().ok())??;
    let zone = Offset::constant(DATE_HOURS);
    let stamp = zone.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    Some(Time::from_millis(stamp.as_millisecond()))
}
