//! Numbers, names and shapes in error messages, each in a bounded number of characters.
//!
//! ```
//! use fm_core::message::{brief, name, number, shape};
//! assert_eq!([number(&0.5), number(&-1.0), number(&1e300)], ["0.5", "-1", "1e300"]);
//! assert_eq!(name("a name\nof two lines"), "a name of two lines");
//! assert_eq!(name(&"x".repeat(1000)).len(), 63);
//! assert_eq!(brief("an error of another library", 8), "an error...");
//! assert_eq!(shape(&[4, 2]), "[4, 2]");
//! ```

/// The maximum number of characters of a name in a message.
const LONGEST_NAME: usize = 60;

/// The maximum number of axes of a shape in a message.
const MOST_AXES: usize = 6;

/// A number in short form: scientific notation outside 1e-7 to 1e16.
pub fn number(value: &f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-7..1e16).contains(&size) || !value.is_finite() {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// The name of a type without its module path.
///
/// ```
/// struct Mine;
/// assert_eq!(fm_core::message::type_name::<Mine>(), "Mine");
/// ```
pub fn type_name<T: ?Sized>() -> String {
    let whole = std::any::type_name::<T>();
    let base = whole.split('<').next().unwrap_or(whole);
    name(base.rsplit("::").next().unwrap_or(base))
}

/// The first 60 characters of external text, on one line.
pub fn name(text: &str) -> String {
    brief(text, LONGEST_NAME)
}

/// The first `most` characters of external text, on one line.
pub fn brief(text: &str, most: usize) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = text.chars().take(most).map(line).collect();
    if text.chars().nth(most).is_some() {
        out.push_str("...");
    }
    out
}

/// The sizes of a shape's axes; those after the sixth are left out.
pub fn shape(axes: &[usize]) -> String {
    let named: Vec<String> = axes.iter().take(MOST_AXES).map(usize::to_string).collect();
    let rest = if axes.len() > MOST_AXES { ", ..." } else { "" };
    format!("[{}{rest}]", named.join(", "))
}
