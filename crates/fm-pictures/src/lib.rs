//! Pictures: grids of images, animations, line charts, and points, paths and fields in the plane.
//! Text in bitmaps is drawn in an embedded font, so no system font is needed.

mod chart;
mod curve;
mod font;
mod grid;
mod plane;

pub use chart::{Chart, svg};
pub use curve::{Curves, Panel, panels};
pub use fm_cli::outputs::save_picture;
pub use grid::{Grid, save_gif};
pub use plane::{Layer, Plane, Point, around, ink, reach, scatter, side_by_side};
