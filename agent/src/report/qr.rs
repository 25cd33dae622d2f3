//! A QR code as a picture of a page.

use maud::{Markup, html};
use qrcode::types::QrError;
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around a code, as the standard wants them.
const QUIET: usize = 4;

/// A text as a QR code that survives a fold of the paper (level M).
///
/// # Errors
///
/// It is too long: more than 2,331 bytes.
pub fn picture(text: &str, label: &str) -> Result<Markup, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let side = code.width() + 2 * QUIET;
    let mut path = String::new();
    for y in 0..code.width() {
        let mut x = 0;
        while x < code.width() {
            let run = (x..code.width())
                .take_while(|&x| code[(x, y)] == Color::Dark)
                .count();
            if run > 0 {
                path += &format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run + 1;
        }
    }
    Ok(html! {
        svg.qr viewBox={"0 0 " (side) " " (side)} role="img" aria-label=(label) shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{QUIET, picture};
    use qrcode::{Color, EcLevel, QrCode};

    /// The modules that a picture's path fills, by row.
    fn drawn(svg: &str, width: usize) -> Vec<Vec<bool>> {
        let mut rows = vec![vec![false; width]; width];
        let (_, path) = svg.split_once("d=\"").unwrap();
        let (path, _) = path.split_once('"').unwrap();
        for run in path.split('M').skip(1) {
            let (x, rest) = run.split_once(' ').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let (length, _) = rest.split_once('v').unwrap();
            let [x, y, length] = [x, y, length].map(|n| n.parse::<usize>().unwrap());
            rows[y - QUIET][x - QUIET..][..length].fill(true);
        }
        rows
    }

    #[test]
    fn the_picture_is_the_code() {
        for text in ["a", "线边", &"x".repeat(300)] {
            let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
            let dark: Vec<bool> = code.to_colors().iter().map(|&c| c == Color::Dark).collect();
            let svg = picture(text, "code").unwrap().into_string();
            assert_eq!(drawn(&svg, code.width()).concat(), dark, "{text}");
        }
        assert!(picture(&"x".repeat(3_000), "code").is_err());
    }
}
