//! The embedded font.

use plotters::style::{FontStyle, register_font};

/// Makes the embedded font known under the name that charts ask for.
pub(super) fn use_embedded_font() {
    // Registering twice, or a font that does not parse, only costs the text.
    let _ = register_font("sans-serif", FontStyle::Normal, fonts::HACK_REGULAR);
}
