//! Bookings of a city whose portal signs nothing yet: a claim of whoever wrote the file, worth grade D and no more.

use super::InputFaults;
use super::shanghai;
use super::sheet::{Bounds, Column, Row, Sheet};
use crate::text::Text;
use crate::{Identifier, Time};

/// Its bounds: a year of a city's pilot platforms.
const BOUNDS: Bounds = Bounds {
    bytes: 64 << 20,
    rows: 500_000,
    cell_chars: 200,
};

/// A booking lasts no longer: a month.
const SLOT_MS_MAX: i64 = 31 * 24 * 3_600_000;

/// A session may begin so long before its slot, and end so long after it: as for bookings that are signed.
const EARLY_MS: i64 = 30 * 60_000;
const LATE_MS: i64 = 5 * 60_000;

const fn column(is_needed: bool, names: &'static [&'static str]) -> Column {
    Column { names, is_needed }
}

const COLUMNS: [Column; 7] = [
    column(false, &["site", "站点"]),
    column(false, &["gateway", "网关"]),
    column(true, &["machine", "设备"]),
    column(true, &["booking", "预约号"]),
    column(true, &["organisation", "organization", "预约单位"]),
    column(true, &["start", "开始时间"]),
    column(true, &["end", "结束时间"]),
];

const SITE: usize = 0;
const GATEWAY: usize = 1;
const MACHINE: usize = 2;
const BOOKING: usize = 3;
const ORGANISATION: usize = 4;
const START: usize = 5;
const END: usize = 6;

/// A list of bookings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bookings {
    rows: Vec<ListedBooking>,
}

/// A booking that somebody listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedBooking {
    /// Its line in the file.
    pub line: u64,
    /// The site; none: any.
    pub site: Option<Identifier>,
    /// The gateway; none: any.
    pub gateway: Option<Identifier>,
    /// The machine.
    pub machine: Identifier,
    /// The booking's number.
    pub booking: String,
    /// Who booked, as the file calls it.
    pub organisation: String,
    /// Its begin.
    pub start: Time,
    /// Its end.
    pub end: Time,
}

impl Bookings {
    /// Reads a list of bookings: CSV in UTF-8 with a first line of column names; times with an offset, or of Asia/Shanghai.
    ///
    /// # Errors
    ///
    /// Every fault with its line and column.
    pub fn read(bytes: &[u8], file: &str) -> Result<Self, InputFaults> {
        let (mut sheet, rows) = Sheet::read(bytes, file, &COLUMNS, &BOUNDS)?;
        let mut read: Vec<_> = rows.iter().filter_map(|row| one(&mut sheet, row)).collect();
        sheet.done()?;
        read.sort_by(|one, other| {
            (&one.machine, one.start, one.line).cmp(&(&other.machine, other.start, other.line))
        });
        Ok(Self { rows: read })
    }

    /// The bookings, by machine and begin.
    pub fn rows(&self) -> &[ListedBooking] {
        &self.rows
    }

    /// The bookings of a machine, by begin.
    pub fn of<'a>(
        &'a self,
        site: &'a Identifier,
        gateway: &'a Identifier,
        machine: &'a Identifier,
    ) -> impl Iterator<Item = &'a ListedBooking> {
        let from = self.rows.partition_point(|row| row.machine < *machine);
        let mine = self.rows.get(from..).unwrap_or_default().iter();
        mine.take_while(move |row| row.machine == *machine)
            .filter(move |row| row.site.as_ref().is_none_or(|named| named == site))
            .filter(move |row| row.gateway.as_ref().is_none_or(|named| named == gateway))
    }
}

impl ListedBooking {
    /// Whether a session lies in its slot: it begins at most half an hour before, and ends at most five minutes after.
    pub fn holds(&self, from: Time, to: Time) -> bool {
        from >= self.start.plus_millis(-EARLY_MS)
            && from < self.end
            && to > self.start
            && to <= self.end.plus_millis(LATE_MS)
    }
}

fn one(sheet: &mut Sheet, row: &Row) -> Option<ListedBooking> {
    let name = (
        "a name of a-z, 0-9, _ and -",
        "由 a-z、0-9、_、- 组成的名称",
    );
    let text = ("a text", "文字");
    let moment = (
        "a time such as 2026-11-29 08:30 (Asia/Shanghai) or 2026-11-29T08:30:00+08:00",
        "形如 2026-11-29 08:30（北京时间）或 2026-11-29T08:30:00+08:00 的时间",
    );
    let identifier = |text: &str| text.parse::<Identifier>().ok();
    let owned = |text: &str| Some(text.to_owned());
    let site = sheet.parse(row, SITE, name, identifier);
    let gateway = sheet.parse(row, GATEWAY, name, identifier);
    let machine = sheet.need(row, MACHINE, name, identifier);
    let booking = sheet.need(row, BOOKING, text, owned);
    let organisation = sheet.need(row, ORGANISATION, text, owned);
    let start = sheet.need(row, START, moment, shanghai::written);
    let end = sheet.need(row, END, moment, shanghai::written);
    let (start, end) = start.zip(end)?;
    let length = end.as_millis().saturating_sub(start.as_millis());
    if !(1..=SLOT_MS_MAX).contains(&length) {
        sheet.tell(
            row.line,
            END,
            Text::new(
                "an end after the start, at most 31 days later, is wanted",
                "结束时间应晚于开始时间，且不超过 31 天",
            ),
        );
    }
    Some(ListedBooking {
        line: row.line,
        site,
        gateway,
        machine: machine?,
        booking: booking?,
        organisation: organisation?,
        start,
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::Bookings;

    #[test]
    fn bookings_are_read_and_hold_sessions() {
        let text = "设备,预约号,预约单位,开始时间,结束时间\n\
            m,B-2,某公司,2026-11-29 13:00,2026-11-29 15:00\n\
            m,B-1,某公司,2026-11-29T00:00:00Z,2026-11-29 12:00\n\
            n,B-3,某公司,2026/11/29 8:00,2026/11/29 9:00\n";
        let bookings = Bookings::read(text.as_bytes(), "b.csv").unwrap();
        let (site, gateway) = ("s".parse().unwrap(), "g".parse().unwrap());
        let machine = "m".parse().unwrap();
        let mine: Vec<_> = bookings.of(&site, &gateway, &machine).collect();
        let names: Vec<&str> = mine.iter().map(|row| row.booking.as_str()).collect();
        assert_eq!(names, ["B-1", "B-2"]);
        let check = |from: &str, to: &str, expected: bool| {
            let held = mine[0].holds(from.parse().unwrap(), to.parse().unwrap());
            assert_eq!(held, expected, "{from} {to}");
        };
        check("2026-11-28T23:30:00Z", "2026-11-29T04:05:00Z", true);
        check("2026-11-28T23:29:59Z", "2026-11-29T04:00:00Z", false);
        check("2026-11-29T01:00:00Z", "2026-11-29T04:05:01Z", false);
        check("2026-11-28T23:40:00Z", "2026-11-28T23:59:00Z", false);
        check("2026-11-29T04:00:00Z", "2026-11-29T04:04:00Z", false);
    }

    #[test]
    fn every_fault_is_told_with_line_and_column() {
        let text = "machine,booking,organisation,start,end\n\
            m,,org,2026-11-29 13:00,2026-11-29 12:00\n\
            m,b,org,yesterday,\n";
        let faults = Bookings::read(text.as_bytes(), "b.csv").unwrap_err();
        let said = faults.to_string();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 4, "{said}");
        for (line, expected) in lines.iter().zip([
            "b.csv:2:2: booking: is empty",
            "b.csv:2:5: end: an end after the start",
            "b.csv:3:4: start: \"yesterday\": a time such as",
            "b.csv:3:5: end: is empty",
        ]) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert!(Bookings::read(b"machine\n", "b.csv").is_err());
        assert!(Bookings::read(b"\xff", "b.csv").is_err());
    }
}
