//! Pages for people who evaluate, and for those who pay: hours that a browser shows and a printer prints.
//!
//! Every page is one file that needs nothing else: no script, no font, no picture from anywhere.

pub mod chart;
pub mod csv;
pub mod evidence;
pub mod figure;
pub mod html;
pub mod paint;
pub mod qr;
pub mod receipt;
pub mod sheet;
