//! The embedded font.

use plotters::style::{FontStyle, register_font};

/// Registers the embedded font under the name that charts use.
pub(super) fn use_embedded_font() {
    // Registering twice, or a font that does not parse, only costs the text.
    let _ = register_font("sans-serif", FontStyle::Normal, fonts::HACK_REGULAR);
}
