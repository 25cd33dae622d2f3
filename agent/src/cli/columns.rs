//! Cells under one another, by the width that a terminal gives each character.

use unicode_width::UnicodeWidthStr;

/// Lines of rows whose cells stand two spaces apart.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |row: &[String; N]| {
        let cells = widths.iter().zip(row).map(|(width, cell)| {
            let pad = width.saturating_sub(cell.width());
            format!("{cell}{:pad$}  ", "")
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [["连接", "a"], ["x", ""], ["long", "b"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), ["连接  a", "x", "long  b"]);
    }
}
