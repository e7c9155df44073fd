//! Number types of NumPy, and their conversion.

use half::f16;

/// A number type of an array, with its byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumberType {
    kind: Kind,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

/// A number of a file, without loss.
#[derive(Debug, Clone, Copy, PartialEq)]
#[doc(hidden)]
pub enum Value {
    /// A whole number, or 0 and 1 for false and true.
    Int(i128),
    /// A number of a floating-point type.
    Float(f64),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(i) => i.fmt(f),
            Self::Float(x) => write!(f, "{x:?}"),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i64 {}
    impl Sealed for u8 {}
}

/// A type that arrays can be read as: `f32`, `f64`, `i64` or `u8`.
///
/// A number that the type does not hold is an error: whole numbers must be kept exactly, and a
/// finite number must stay finite. Only floating-point numbers read as a narrower floating-point
/// type are rounded, to the nearest.
pub trait Number: Copy + sealed::Sealed {
    /// NumPy's name of the type.
    #[doc(hidden)]
    const NAME: &'static str;

    /// The number in this type, if the type holds it.
    #[doc(hidden)]
    fn of(value: Value) -> Option<Self>;
}

macro_rules! float {
    ($T:ty, $name:literal) => {
        impl Number for $T {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn of(value: Value) -> Option<Self> {
                match value {
                    Value::Int(i) => Some(i as $T).filter(|x| *x as i128 == i),
                    Value::Float(x) => Some(x as $T).filter(|y| y.is_finite() || !x.is_finite()),
                }
            }
        }
    };
}

macro_rules! integer {
    ($T:ty, $name:literal) => {
        impl Number for $T {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn of(value: Value) -> Option<Self> {
                match value {
                    Value::Int(i) => i.try_into().ok(),
                    // The bounds of 128 bits are far beyond those of the type.
                    Value::Float(x) if x.fract() == 0.0 => (x as i128).try_into().ok(),
                    Value::Float(_) => None,
                }
            }
        }
    };
}

float!(f32, "float32");
float!(f64, "float64");
integer!(i64, "int64");
integer!(u8, "uint8");

impl NumberType {
    /// Parses `descr`, such as `<f4`; otherwise the problem and its remedy.
    pub(super) fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        let (order, name) = match text.chars().next() {
            Some(order @ ('<' | '>' | '|' | '=')) => (order, &text[1..]),
            _ => ('=', text),
        };
        let kind = match name {
            "b1" | "?" => Kind::Bool,
            "i1" | "b" => Kind::I8,
            "i2" => Kind::I16,
            "i4" => Kind::I32,
            "i8" => Kind::I64,
            "u1" | "B" => Kind::U8,
            "u2" => Kind::U16,
            "u4" => Kind::U32,
            "u8" => Kind::U64,
            "f2" => Kind::F16,
            "f4" => Kind::F32,
            "f8" => Kind::F64,
            _ => return Err(refused(text, name)),
        };
        let big_endian = order == '>' || order != '<' && cfg!(target_endian = "big");
        Ok(Self { kind, big_endian })
    }

    /// Bytes per number.
    pub(super) fn size(self) -> usize {
        match self.kind {
            Kind::Bool | Kind::I8 | Kind::U8 => 1,
            Kind::I16 | Kind::U16 | Kind::F16 => 2,
            Kind::I32 | Kind::U32 | Kind::F32 => 4,
            Kind::I64 | Kind::U64 | Kind::F64 => 8,
        }
    }

    /// NumPy's name of the type.
    pub(super) fn name(self) -> &'static str {
        match self.kind {
            Kind::Bool => "bool",
            Kind::I8 => "int8",
            Kind::I16 => "int16",
            Kind::I32 => "int32",
            Kind::I64 => "int64",
            Kind::U8 => "uint8",
            Kind::U16 => "uint16",
            Kind::U32 => "uint32",
            Kind::U64 => "uint64",
            Kind::F16 => "float16",
            Kind::F32 => "float32",
            Kind::F64 => "float64",
        }
    }

    /// Whether the type is bool.
    pub(super) fn is_bool(self) -> bool {
        self.kind == Kind::Bool
    }

    /// Whether the type is a floating-point type.
    pub(super) fn is_float(self) -> bool {
        matches!(self.kind, Kind::F16 | Kind::F32 | Kind::F64)
    }

    /// Whether f32 holds every number of the type.
    pub(super) fn fits_f32(self) -> bool {
        self.size() < 4 || self.kind == Kind::F32
    }

    /// Appends the numbers to `out` as `T`; otherwise the first number that `T` does not hold.
    pub(super) fn decode<T>(
        self,
        bytes: &[u8],
        out: &mut Vec<T>,
        of: impl Fn(Value) -> Option<T>,
    ) -> Result<(), Value> {
        let (big, of) = (self.big_endian, &of);
        match self.kind {
            Kind::Bool => each(bytes, big, out, |[b]| Value::Int((b != 0).into()), of),
            Kind::I8 => each(bytes, big, out, |b| Value::Int(i8::from_le_bytes(b).into()), of),
            Kind::I16 => each(bytes, big, out, |b| Value::Int(i16::from_le_bytes(b).into()), of),
            Kind::I32 => each(bytes, big, out, |b| Value::Int(i32::from_le_bytes(b).into()), of),
            Kind::I64 => each(bytes, big, out, |b| Value::Int(i64::from_le_bytes(b).into()), of),
            Kind::U8 => each(bytes, big, out, |[b]| Value::Int(b.into()), of),
            Kind::U16 => each(bytes, big, out, |b| Value::Int(u16::from_le_bytes(b).into()), of),
            Kind::U32 => each(bytes, big, out, |b| Value::Int(u32::from_le_bytes(b).into()), of),
            Kind::U64 => each(bytes, big, out, |b| Value::Int(u64::from_le_bytes(b).into()), of),
            Kind::F16 => each(bytes, big, out, |b| Value::Float(f16::from_le_bytes(b).into()), of),
            Kind::F32 => each(bytes, big, out, |b| Value::Float(f32::from_le_bytes(b).into()), of),
            Kind::F64 => each(bytes, big, out, |b| Value::Float(f64::from_le_bytes(b)), of),
        }
    }
}

#[inline(always)]
fn each<const N: usize, T>(
    bytes: &[u8],
    big_endian: bool,
    out: &mut Vec<T>,
    decode: impl Fn([u8; N]) -> Value,
    of: &impl Fn(Value) -> Option<T>,
) -> Result<(), Value> {
    for number in bytes.as_chunks::<N>().0 {
        let mut number = *number;
        if big_endian {
            number.reverse();
        }
        let value = decode(number);
        out.push(of(value).ok_or(value)?);
    }
    Ok(())
}

/// The problem and the remedy for a type that does not hold real numbers.
fn refused(text: &str, name: &str) -> (String, &'static str) {
    let (what, remedy) = match name.chars().next() {
        Some('c') => ("complex numbers", "save the real and the imaginary parts, x.real and x.imag"),
        Some('O') => ("Python objects", "convert it before saving: numpy.save(f, x.astype('float64'))"),
        Some('S' | 'U' | 'a') => ("texts", "number them before saving: numpy.unique(x, return_inverse=True)[1]"),
        Some('M' | 'm') => ("dates or durations", "convert it before saving: numpy.save(f, x.astype('int64'))"),
        Some('V') => ("raw bytes or bfloat16", "convert it before saving: numpy.save(f, x.astype('float32'))"),
        _ => ("of an unsupported type", "convert it before saving: numpy.save(f, x.astype('float64'))"),
    };
    (format!("its values are {what} ('{text}')"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_or_refused() {
        let (int, float) = (Value::Int, Value::Float);
        assert_eq!((u8::of(int(255)), u8::of(int(256)), u8::of(int(-1))), (Some(255), None, None));
        assert_eq!((u8::of(float(7.0)), u8::of(float(7.5)), u8::of(float(f64::NAN))), (Some(7), None, None));
        assert_eq!((i64::of(int(1 << 63)), i64::of(float(1e30))), (None, None));
        assert_eq!((i64::of(float(-3.0)), i64::of(float(f64::INFINITY))), (Some(-3), None));
        assert_eq!((f32::of(int(1 << 24)), f32::of(int((1 << 24) + 1))), (Some(16_777_216.0), None));
        assert_eq!((f64::of(int(i64::MAX.into())), f64::of(int(1 << 63))), (None, Some(9_223_372_036_854_775_808.0)));
        assert_eq!((f32::of(float(0.1)), f32::of(float(1e39))), (Some(0.1), None));
        assert!(f32::of(float(f64::NAN)).is_some_and(f32::is_nan));
        assert_eq!(f32::of(float(f64::INFINITY)), Some(f32::INFINITY));
    }

    #[test]
    fn other_types_have_a_remedy() {
        for (text, says) in [
            ("|O", "astype('float64')"),
            ("<c16", "x.real"),
            ("<U9", "numpy.unique"),
            ("|S3", "numpy.unique"),
            ("<M8[ns]", "astype('int64')"),
            ("<V2", "astype('float32')"),
            ("<f16", "astype('float64')"),
            ("", "astype('float64')"),
            ("é", "astype('float64')"),
        ] {
            let (problem, remedy) = NumberType::parse(text).unwrap_err();
            assert!(remedy.contains(says) && problem.contains(text), "{problem}; {remedy}");
        }
    }
}
