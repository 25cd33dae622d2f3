//! `[points]`: what is read, and what it means.

use lineside_proto::PointName;

use super::address::{ADDRESS_MAX, AddressFault, Written, wire};
use super::connection::{self, Protocol};
use super::fault::{Fault, Report};
use super::group;
use super::kind;
use super::model::{Address, Connection, Kind, ModbusAddress, Point, Scaling, Table};
use super::node;
use super::section::{Section, bad_name, nearest_or_all, table, wrong_type};
use super::source::Place;
use super::tree::{Entry, Value};
use crate::machine::rule::PointKind;
use crate::text;

/// Characters of a unit.
const UNIT_CHARS_MAX: usize = 32;
/// Characters of a description: it travels in the map document.
const DESCRIPTION_CHARS_MAX: usize = 256;

/// The keys that say where a point lies; a map's own replaces a template's.
pub(super) const ADDRESS_KEYS: [&str; 5] = ["coil", "discrete", "holding", "input", "node"];

const TABLES: [(&str, Table); 4] = [
    ("coil", Table::Coil),
    ("discrete", Table::Discrete),
    ("holding", Table::Holding),
    ("input", Table::Input),
];

/// What a point refers to.
pub(super) struct Surroundings<'a> {
    pub(super) connections: &'a [connection::Draft<'a>],
    pub(super) groups: &'a [group::Draft<'a>],
    pub(super) report: &'a Report,
}

/// A point as far as it could be read.
pub(super) struct Draft<'a> {
    /// Its name as written.
    pub(super) name: &'a str,
    /// Where it is named.
    pub(super) at: &'a Place,
    /// The point, its places counted in the drafts; none if it has faults.
    pub(super) point: Option<Point>,
    /// Its group and connection, faults or not, so that these don't look unused.
    pub(super) group: Option<usize>,
    pub(super) connection: Option<usize>,
}

impl Surroundings<'_> {
    /// Reads one point.
    pub(super) fn point<'e>(&self, entry: &'e Entry) -> Draft<'e> {
        let mut draft = Draft {
            name: &entry.key,
            at: &entry.key_at,
            point: None,
            group: None,
            connection: None,
        };
        let name = entry.key.parse::<PointName>();
        if let Err(error) = &name {
            bad_name(self.report, &entry.key, &entry.key_at, error, true);
        }
        let Some(table) = table(self.report, entry) else {
            return draft;
        };
        let section = Section::new(table, &entry.key_at, self.report);
        draft.group = self.group(&section);
        draft.connection = self.connection(&section);
        let connection = draft
            .connection
            .and_then(|place| self.connections.get(place));
        let address = self.address(&section, connection);
        let scaling = scaling(&section, address.as_ref());
        let deadband = deadband(&section, address.as_ref());
        let expect = expect(&section, address.as_ref(), scaling);
        let publish = section.flag("publish").unwrap_or(false);
        let unit = section.short_text("unit", UNIT_CHARS_MAX);
        let description = section.short_text("description", DESCRIPTION_CHARS_MAX);
        section.finish();
        let place = |place: Option<usize>| place.and_then(|place| u16::try_from(place).ok());
        draft.point = (|| {
            Some(Point {
                name: name.ok()?,
                group: place(draft.group)?,
                connection: place(draft.connection)?,
                address: address?,
                scaling,
                deadband,
                expect,
                publish,
                unit: unit.map(|said| said.value.to_owned()),
                description: description.map(|said| said.value.to_owned()),
            })
        })();
        draft
    }

    fn group(&self, section: &Section<'_>) -> Option<usize> {
        let said = section.text("group");
        let Some(said) = said else {
            // The only group there is needs no mention.
            if self.groups.len() == 1 && section.entry("group").is_none() {
                return Some(0);
            }
            section.required("group", said);
            return None;
        };
        let found = self
            .groups
            .iter()
            .position(|group| group.name == said.value);
        // Without any group, that is said already.
        if found.is_none() && !self.groups.is_empty() {
            let name = said.value;
            let names: Vec<&str> = self.groups.iter().map(|group| group.name).collect();
            let message = text!("there is no group `{name}`", "没有采集组 `{name}`");
            let fault = Fault::error("unknown-group", said.at, message);
            section.add(fault.hint(nearest_or_all(name, &names)));
        }
        found
    }

    fn connection(&self, section: &Section<'_>) -> Option<usize> {
        let names = || self.connections.iter().map(|connection| connection.name);
        let Some(said) = section.text("from") else {
            if section.entry("from").is_some() {
                return None;
            }
            let main = names().position(|name| name == "main");
            let only = (self.connections.len() == 1).then_some(0);
            let found = main.or(only);
            if found.is_none() && !self.connections.is_empty() {
                section.required("from", None::<()>);
            }
            return found;
        };
        let found = names().position(|name| name == said.value);
        if found.is_none() && !self.connections.is_empty() {
            let name = said.value;
            let message = text!("there is no connection `{name}`", "没有连接 `{name}`");
            let fault = Fault::error("unknown-connection", said.at, message);
            section.add(fault.hint(nearest_or_all(name, &names().collect::<Vec<_>>())));
        }
        found
    }

    fn address(
        &self,
        section: &Section<'_>,
        connection: Option<&connection::Draft<'_>>,
    ) -> Option<Address> {
        match connection.and_then(|connection| connection.protocol) {
            Some(Protocol::OpcUa) => node::read(section).map(Address::Node),
            Some(Protocol::Modbus(_)) => {
                if node::forbid(section) {
                    return None;
                }
                self.registers(section, connection).map(Address::Modbus)
            }
            // Whatever is wrong with the connection, the point is taken as it is meant.
            None if section.entry("node").is_some() => node::read(section).map(Address::Node),
            None => self.registers(section, connection).map(Address::Modbus),
        }
    }

    fn registers(
        &self,
        section: &Section<'_>,
        connection: Option<&connection::Draft<'_>>,
    ) -> Option<ModbusAddress> {
        let base = connection.map_or(0, |connection| connection.base);
        let base = section
            .integer("base", 0..=1)
            .map_or(base, |said| said.value);
        let unit_ids = connection.map_or(0..=255, |connection| connection.unit_ids.clone());
        let unit_id = section.integer::<u8>("unit-id", unit_ids);
        let order = connection.map_or(super::model::Order::Abcd, |connection| connection.order);
        let (table, entry) = table_of(section)?;
        let kind = kind::read(section, table, order);
        let start = self.start(table, entry, base);
        let address = ModbusAddress {
            unit_id: unit_id
                .map(|said| said.value)
                .or(connection.map(|c| c.unit_id))?,
            table,
            start: start?,
            kind: kind?,
        };
        let connection = connection.and_then(|draft| draft.connection.as_ref());
        self.fits(
            &address,
            &entry.node.at,
            connection
                .and_then(Connection::modbus)
                .map(|(_, settings)| settings.max_registers),
        );
        Some(address)
    }

    fn start(&self, table: Table, entry: &Entry, base: u8) -> Option<u16> {
        let written = match &entry.node.value {
            Value::Integer { value, hex } => Written::Number {
                value: *value,
                hex: *hex,
            },
            Value::Text(text) => Written::Manual(text),
            Value::Float(_)
            | Value::Bool(_)
            | Value::Datetime
            | Value::Array(_)
            | Value::Table(_)
            | Value::Broken => {
                let wanted = text!(
                    "an address such as 100, 0x64 or \"40101\"",
                    "地址，例如 100、0x64 或 \"40101\""
                );
                wrong_type(self.report, &entry.key, &entry.node, &wanted);
                return None;
            }
        };
        let AddressFault {
            code,
            message,
            hint,
        } = match wire(table, written, base) {
            Ok(start) => return Some(start),
            Err(fault) => fault,
        };
        let fault = Fault::error(code, &entry.node.at, message);
        self.report.add(Fault { hint, ..fault });
        None
    }

    /// A point that reaches beyond the table, or is wider than a request, could never be read.
    fn fits(&self, address: &ModbusAddress, at: &Place, registers_max: Option<u16>) {
        let width = address.width();
        let end = i64::from(address.start) + i64::from(width) - 1;
        if end > ADDRESS_MAX {
            let start = address.start;
            let message = text!(
                "{width} registers from address {start} reach beyond {ADDRESS_MAX}",
                "从地址 {start} 起的 {width} 个寄存器超出 {ADDRESS_MAX}"
            );
            self.report.error("address-range", at, message);
        }
        if let Some(most) = registers_max.filter(|most| width > *most && !address.table.is_bits()) {
            let message = text!(
                "the point spans {width} registers, but a request reads at most {most}",
                "该点位占 {width} 个寄存器，而一次请求最多读取 {most} 个"
            );
            self.report
                .add(Fault::error("too-wide", at, message).hint(text!(
                    "raise `max-registers` of the connection, or shorten the point",
                    "调大连接的 `max-registers`，或缩短该点位"
                )));
        }
    }
}

fn table_of<'a>(section: &Section<'a>) -> Option<(Table, &'a Entry)> {
    let mut found: Option<(Table, &'a Entry)> = None;
    for (key, table) in TABLES {
        let Some(entry) = section.entry(key) else {
            continue;
        };
        if let Some((first, _)) = found {
            let first = first.as_str();
            let message = text!(
                "the point lies in `{first}` already and can't lie in `{key}`",
                "该点位已在 `{first}` 中，不能再写 `{key}`"
            );
            section.add(Fault::error("bad-address", &entry.key_at, message));
        } else {
            found = Some((table, entry));
        }
    }
    if found.is_none() {
        let message = text!("the point has no address", "该点位没有地址");
        section.add(
            Fault::error("missing-key", section.at(), message).hint(text!(
                "say where it lies: `coil`, `discrete`, `holding` or `input`",
                "指明位置：`coil`、`discrete`、`holding` 或 `input`"
            )),
        );
    }
    found
}

/// Whether the point is a number; else reports a key that only numbers have.
fn numeric(section: &Section<'_>, key: &'static str, address: Option<&Address>) -> bool {
    let Some(address) = address else {
        return false;
    };
    let numeric = !matches!(address.kind(), PointKind::Bool | PointKind::Text);
    if !numeric {
        if let Some(entry) = section.entry(key) {
            let word = address.type_word();
            let message = text!("a {word} can't have `{key}`", "{word} 类型不能有 `{key}`");
            section.add(
                Fault::error("no-meaning", &entry.key_at, message)
                    .hint(text!("only numbers have it", "只有数值类型才有")),
            );
        }
    }
    numeric
}

fn scaling(section: &Section<'_>, address: Option<&Address>) -> Option<Scaling> {
    let scale = section.number("scale");
    let offset = section.number("offset");
    if let Some(said) = scale.filter(|said| said.value == 0.0) {
        let message = text!(
            "a scale of 0 makes every value the same",
            "scale 为 0 会使所有值相同"
        );
        section.add(Fault::error("out-of-range", said.at, message));
    }
    let numeric = numeric(section, "scale", address) & numeric(section, "offset", address);
    (numeric && (scale.is_some() || offset.is_some())).then(|| Scaling {
        scale: scale.map_or(1.0, |said| said.value),
        offset: offset.map_or(0.0, |said| said.value),
    })
}

fn deadband(section: &Section<'_>, address: Option<&Address>) -> Option<f64> {
    let said = section.number("deadband");
    if !numeric(section, "deadband", address) {
        return None;
    }
    let said = said?;
    if said.value < 0.0 {
        let message = text!("a deadband can't be negative", "deadband 不能为负");
        section.add(Fault::error("out-of-range", said.at, message));
    }
    Some(said.value)
}

fn expect(
    section: &Section<'_>,
    address: Option<&Address>,
    scaling: Option<Scaling>,
) -> Option<(f64, f64)> {
    let said = section.pair("expect");
    if !numeric(section, "expect", address) {
        return None;
    }
    let said = said?;
    let (low, high) = said.value;
    if low > high {
        let message = text!(
            "no value lies between {low} and {high}",
            "{low} 与 {high} 之间没有任何值"
        );
        section.add(
            Fault::error("expect-order", said.at, message)
                .hint(text!("write [{high}, {low}]", "写成 [{high}, {low}]")),
        );
    } else if let Some((least, most)) = address.and_then(|address| reach(address, scaling)) {
        if high < least || low > most {
            let message = text!(
                "every value would be bad: they lie between {least} and {most}",
                "所有值都会异常：它们在 {least} 与 {most} 之间"
            );
            section.add(Fault::error("out-of-range", said.at, message));
        }
    }
    Some(said.value)
}

/// The least and the greatest value that a whole number of this type can give.
fn reach(address: &Address, scaling: Option<Scaling>) -> Option<(f64, f64)> {
    let Address::Modbus(address) = address else {
        return None;
    };
    let (least, most) = match address.kind {
        Kind::U16(_) => (0.0, f64::from(u16::MAX)),
        Kind::I16(_) => (f64::from(i16::MIN), f64::from(i16::MAX)),
        Kind::U32(_) => (0.0, f64::from(u32::MAX)),
        Kind::I32(_) => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Kind::Bcd16(_) => (0.0, 9_999.0),
        Kind::Bcd32(_) => (0.0, 99_999_999.0),
        Kind::U64(_)
        | Kind::I64(_)
        | Kind::F32(_)
        | Kind::F64(_)
        | Kind::Bool(_)
        | Kind::String { .. } => return None,
    };
    let Scaling { scale, offset } = scaling.unwrap_or(Scaling {
        scale: 1.0,
        offset: 0.0,
    });
    let (one, other) = (least * scale + offset, most * scale + offset);
    Some((one.min(other), one.max(other)))
}
