//! Pictures: grids of images, animations and curves. Text is drawn in an embedded font, so no system font is needed.

mod curve;
mod grid;

pub use curve::{Panel, curve, panels, scatter};
pub use grid::{Grid, save_gif, save_png};

use plotters::style::{FontStyle, register_font};

/// Makes the embedded font known under the name that charts ask for.
fn use_embedded_font() {
    // Registering twice, or a font that does not parse, only costs the text.
    let _ = register_font("sans-serif", FontStyle::Normal, fonts::HACK_REGULAR);
}
