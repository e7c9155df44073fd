//! A reader, and how its inputs are made.

/// A format that is read from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and of its folder in `corpus/`.
    pub name: &'static str,
    /// Valid inputs that others are made of.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format that changes insert.
    pub words: &'static [&'static str],
    /// What is done to an input so that changes reach what lies behind a checksum.
    pub finish: Finish,
    /// Reads an input; returns whether it was accepted.
    pub read: fn(&[u8]) -> bool,
}

/// A step between a changed input and its reader.
#[derive(Debug, Clone, Copy)]
pub enum Finish {
    /// None.
    Nothing,
    /// Repairs checksums. Seeds are whole files.
    Repair(fn(&[u8]) -> Vec<u8>),
    /// Packs a content. Seeds are contents.
    Pack(fn(&[u8]) -> Vec<u8>),
}

impl Finish {
    /// The finished input.
    pub fn apply(self, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => bytes,
            Self::Repair(finish) | Self::Pack(finish) => finish(&bytes),
        }
    }
}
