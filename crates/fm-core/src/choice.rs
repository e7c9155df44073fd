//! Choices: a name with numeric parameters, such as `polynomial:n=3`.
//!
//! Paths, times, weightings, losses and sources are chosen by name, some with parameters. Flags,
//! configuration files and checkpoints share one text form: the name, then its parameters as
//! `key=value`, or as bare values in order. Omitted parameters take their defaults. A parsed value
//! is always valid: every parameter lies in its domain.
//!
//! ```
//! use fm_core::path::PathKind;
//! let path: PathKind = "polynomial:n=3".parse()?;
//! assert_eq!(path, PathKind::Polynomial { n: 3.0 });
//! assert_eq!("polynomial:3".parse::<PathKind>()?, path);
//! assert_eq!(path.to_string(), "polynomial:n=3");
//! let error = "polynomial:n=-1".parse::<PathKind>().unwrap_err();
//! assert_eq!(error.to_string(), "n is -1; path polynomial needs n above 0 and at most 100");
//! # Ok::<(), fm_core::choice::ChoiceError>(())
//! ```

use crate::message;
#[doc(hidden)]
pub use serde;
use std::fmt;

/// An enum whose variants are chosen by name; [`choice!`](crate::choice!) writes the
/// implementation.
pub trait Choice: Sized + Copy + fmt::Display + 'static {
    /// What is being chosen: "path", "time", ...
    const WHAT: &'static str;
    /// All entries: the single list from which tests, help texts and tables are generated.
    const TABLE: &'static [Entry];

    /// Reads the text form.
    ///
    /// # Errors
    /// Unknown names and parameters, and values outside their domain.
    fn parse(text: &str) -> Result<Self, ChoiceError>;

    /// The values of the parameters, in the order of the table.
    fn parameters(&self) -> Vec<f64>;

    /// The table entry of this value.
    fn entry(&self) -> &'static Entry;

    /// Checks a value that was constructed in code rather than parsed.
    ///
    /// # Errors
    /// [`ChoiceError::Domain`].
    fn validate(&self) -> Result<(), ChoiceError> {
        let entry = self.entry();
        entry.parameters.iter().zip(self.parameters()).try_for_each(|(p, v)| p.check(Self::WHAT, entry.name(), v))
    }
}

/// One name that can be chosen.
#[derive(Debug)]
pub struct Entry {
    /// The canonical name, then accepted aliases.
    pub names: &'static [&'static str],
    /// Its parameters.
    pub parameters: &'static [Parameter],
}

impl Entry {
    /// The canonical name; empty for an entry without names, which the macro never creates.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or("")
    }
}

/// A numeric parameter of a choice.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// The default value.
    pub default: f64,
    /// The valid values.
    pub domain: Domain,
}

impl Parameter {
    fn check(&self, what: &'static str, name: &'static str, value: f64) -> Result<(), ChoiceError> {
        let Self { name: parameter, domain, .. } = self;
        if domain.contains(value) {
            return Ok(());
        }
        Err(ChoiceError::Domain { what, name, parameter, domain: domain.to_string(), value })
    }
}

/// The valid values of a parameter: an interval, or the whole numbers in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Domain {
    /// The lower end.
    pub low: f64,
    /// Whether the lower end itself is valid.
    pub low_included: bool,
    /// The upper end, which is valid.
    pub high: f64,
    /// Whether only whole numbers are valid.
    pub whole: bool,
}

impl Domain {
    /// low <= x <= high.
    pub const fn within(low: f64, high: f64) -> Self {
        Self { low, low_included: true, high, whole: false }
    }

    /// low < x <= high.
    pub const fn above(low: f64, high: f64) -> Self {
        Self { low, low_included: false, high, whole: false }
    }

    /// low, low + 1, ..., high.
    pub const fn whole(low: f64, high: f64) -> Self {
        Self { low, low_included: true, high, whole: true }
    }

    /// Whether a value is valid; NaN never is.
    pub fn contains(&self, x: f64) -> bool {
        let above = if self.low_included { x >= self.low } else { x > self.low };
        above && x <= self.high && (!self.whole || x.fract() == 0.0)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = if self.low_included { "from" } else { "above" };
        let (joint, kind) = if self.low_included { ("to", "") } else { ("and at most", "") };
        let kind = if self.whole { " in whole numbers" } else { kind };
        write!(f, "{lower} {} {joint} {}{kind}", message::number(&self.low), message::number(&self.high))
    }
}

/// A text or a value that is not a valid choice.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// An unknown name.
    #[error("no {what} is called '{}'; choose one of {known}", message::name(.given))]
    Name {
        /// What was being chosen.
        what: &'static str,
        /// The name given.
        given: String,
        /// The valid names.
        known: String,
    },
    /// An unknown parameter.
    #[error("{what} {name} has no parameter '{}'; {known}", message::name(.given))]
    Parameter {
        /// What was being chosen.
        what: &'static str,
        /// The name chosen.
        name: &'static str,
        /// The parameter given.
        given: String,
        /// The valid parameters.
        known: String,
    },
    /// A parameter that is given twice.
    #[error("{what} {name} has {parameter} twice; give it once")]
    Twice {
        /// What was being chosen.
        what: &'static str,
        /// The name chosen.
        name: &'static str,
        /// The parameter.
        parameter: &'static str,
    },
    /// A text that is not a number.
    #[error("'{}' is not a number; {what} {name} needs a number for {parameter}", message::name(.given))]
    Number {
        /// What was being chosen.
        what: &'static str,
        /// The name chosen.
        name: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// The text given.
        given: String,
    },
    /// A number outside its domain.
    #[error("{parameter} is {}; {what} {name} needs {parameter} {domain}", message::number(.value))]
    Domain {
        /// What was being chosen.
        what: &'static str,
        /// The name chosen.
        name: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// Its valid values.
        domain: String,
        /// The value given.
        value: f64,
    },
}

/// Finds the entry and the parameter values that a text describes.
///
/// # Errors
/// [`ChoiceError`].
#[doc(hidden)]
pub fn read(
    what: &'static str,
    table: &'static [Entry],
    text: &str,
) -> Result<(&'static Entry, Vec<f64>), ChoiceError> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let Some(entry) = table.iter().find(|e| e.names.contains(&name.trim())) else {
        let known = table.iter().map(Entry::name).collect::<Vec<_>>().join(", ");
        return Err(ChoiceError::Name { what, given: name.into(), known });
    };
    let mut given_values: Vec<Option<f64>> = vec![None; entry.parameters.len()];
    for (position, part) in rest.split(',').filter(|p| !p.trim().is_empty()).enumerate() {
        let (index, value) = match part.split_once('=') {
            Some((key, value)) => (entry.parameters.iter().position(|p| p.name == key.trim()), value),
            None => ((position < given_values.len()).then_some(position), part),
        };
        let Some(index) = index else {
            let known = entry.parameters.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "it has none".into() } else { format!("it has {known}") };
            return Err(ChoiceError::Parameter { what, name: entry.name(), given: part.trim().into(), known });
        };
        let parameter = entry.parameters[index].name;
        let (name, given) = (entry.name(), value.trim());
        let number = given.parse().map_err(|_| ChoiceError::Number { what, name, parameter, given: given.into() })?;
        if given_values[index].replace(number).is_some() {
            return Err(ChoiceError::Twice { what, name, parameter });
        }
    }
    let default = |(p, given): (&Parameter, Option<f64>)| given.unwrap_or(p.default);
    let values: Vec<f64> = entry.parameters.iter().zip(given_values).map(default).collect();
    entry.parameters.iter().zip(&values).try_for_each(|(p, v)| p.check(what, entry.name(), *v))?;
    Ok((entry, values))
}

/// Writes the text form.
#[doc(hidden)]
pub fn write(f: &mut fmt::Formatter<'_>, entry: &Entry, values: &[f64]) -> fmt::Result {
    write!(f, "{}", entry.name())?;
    for (i, (parameter, value)) in entry.parameters.iter().zip(values).enumerate() {
        let separator = if i == 0 { ':' } else { ',' };
        write!(f, "{separator}{}={}", parameter.name, message::number(value))?;
    }
    Ok(())
}

/// Declares an enum as a [`Choice`](crate::choice::Choice):
/// `Variant = "name" | "other name" { parameter = default, domain }`.
///
/// ```
/// use fm_core::choice::{Choice, Domain};
/// fm_core::choice! {
///     /// A shape.
///     pub enum Shape("shape") {
///         /// Round.
///         Circle = "circle" | "disc" {
///             /// Its radius.
///             radius = 1.0, Domain::above(0.0, 10.0)
///         },
///         /// Nothing.
///         Point = "point",
///     }
/// }
/// assert_eq!(Shape::parse("disc:2").unwrap().to_string(), "circle:radius=2");
/// assert_eq!(Shape::TABLE.len(), 2);
/// ```
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $Name:ident($what:literal) {
        $($(#[$variant_meta:meta])* $Variant:ident = $text:literal $(| $alias:literal)* $({
            $($(#[$field_meta:meta])* $field:ident = $default:literal, $domain:expr);+ $(;)?
        })?),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        $vis enum $Name {
            $($(#[$variant_meta])* $Variant $({ $($(#[$field_meta])* $field: f64),+ })?),+
        }

        impl $crate::choice::Choice for $Name {
            const WHAT: &'static str = $what;
            const TABLE: &'static [$crate::choice::Entry] = &[$($crate::choice::Entry {
                names: &[$text $(, $alias)*],
                parameters: &[$($($crate::choice::Parameter {
                    name: stringify!($field), default: $default, domain: $domain,
                }),+)?],
            }),+];

            fn parse(text: &str) -> Result<Self, $crate::choice::ChoiceError> {
                let (entry, values) = $crate::choice::read(Self::WHAT, Self::TABLE, text)?;
                let mut values = values.into_iter();
                #[allow(unused_mut, unused_variables, reason = "a choice without parameters takes none")]
                let mut next = || values.next().unwrap_or(f64::NAN);
                $(if entry.names[0] == $text {
                    return Ok(Self::$Variant $({ $($field: next()),+ })?);
                })+
                Err($crate::choice::ChoiceError::Name { what: $what, given: text.into(), known: String::new() })
            }

            fn parameters(&self) -> Vec<f64> {
                match *self { $(Self::$Variant $({ $($field),+ })? => vec![$($($field),+)?]),+ }
            }

            fn entry(&self) -> &'static $crate::choice::Entry {
                let name = match self { $(Self::$Variant { .. } => $text),+ };
                Self::TABLE.iter().find(|e| e.names[0] == name).unwrap_or(&Self::TABLE[0])
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                use $crate::choice::Choice;
                $crate::choice::write(f, self.entry(), &self.parameters())
            }
        }

        impl std::str::FromStr for $Name {
            type Err = $crate::choice::ChoiceError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                <Self as $crate::choice::Choice>::parse(text)
            }
        }

        impl $crate::choice::serde::Serialize for $Name {
            fn serialize<S: $crate::choice::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> $crate::choice::serde::Deserialize<'de> for $Name {
            fn deserialize<D: $crate::choice::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as $crate::choice::serde::Deserialize>::deserialize(deserializer)?;
                <Self as $crate::choice::Choice>::parse(&text).map_err($crate::choice::serde::de::Error::custom)
            }
        }
    };
}
