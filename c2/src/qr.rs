// SPDX-License-Identifier: Apache-2.0 OR MIT
//! QR codes (ISO/IEC 18004), for screens and terminals.

use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::domain::{Error, Result};

fn code(text: &str) -> Result<QrCode> {
    // A screen is not torn: little correction keeps the code small.
    QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|_| Error::invalid("code", "is too long for a QR code"))
}

/// A picture for a page, black on white, with the margin that readers need.
///
/// # Errors
/// [`Error::Invalid`] for a text that is too long.
pub fn svg(text: &str) -> Result<Zeroizing<String>> {
    let code = code(text)?;
    let picture = code
        .render::<svg::Color<'_>>()
        .quiet_zone(true)
        .dark_color(svg::Color("#000"))
        .light_color(svg::Color("#fff"))
        .build();
    Ok(Zeroizing::new(picture))
}

/// Lines for a terminal of light letters on a dark ground; readers take the other way as well.
///
/// # Errors
/// [`Error::Invalid`] for a text that is too long.
pub fn terminal(text: &str) -> Result<Zeroizing<String>> {
    let code = code(text)?;
    let lines = code
        .render::<unicode::Dense1x2>()
        .quiet_zone(true)
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build();
    Ok(Zeroizing::new(lines))
}
