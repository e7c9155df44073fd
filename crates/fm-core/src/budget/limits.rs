//! The limits of each kind of file that is read; the table of SECURITY.md shows the same numbers.

/// A number of bytes that follows from the length n of a file: `fixed + n * times / over`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Bytes for any file.
    pub fixed: u64,
    /// Numerator of the bytes per byte of the file.
    pub times: u64,
    /// Denominator of the bytes per byte of the file.
    pub over: u64,
}

impl Line {
    /// `fixed + times * n`.
    pub const fn new(fixed: u64, times: u64) -> Self {
        Self { fixed, times, over: 1 }
    }

    /// The bytes for a file of this length.
    pub const fn of(&self, length: u64) -> u64 {
        (length.saturating_mul(self.times) / self.over).saturating_add(self.fixed)
    }
}

/// The limits of a kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The expected kind of file, as in "more work than weights of its size needs".
    pub kind: &'static str,
    /// The longest file that is read, in bytes.
    pub longest: u64,
    /// Memory for the described or unpacked content.
    pub bytes: Line,
    /// Bytes that may be scanned.
    pub work: Line,
    /// The largest number of parts, and their name.
    pub parts: (u64, &'static str),
    /// The remedy for a file beyond these limits.
    pub remedy: &'static str,
}

const ANY: u64 = u64::MAX;
/// Deflate packs at most 1032 bytes into one.
pub const DEFLATE: u64 = 1032;

/// Weights: `.pt` as zip and as pickles, and `.safetensors`, in one file or in shards. An entry of
/// a zip costs more memory than its bytes in the file.
pub const WEIGHTS: Limits = Limits {
    kind: "weights",
    longest: ANY,
    bytes: Line::new(40 << 20, 2),
    work: Line::new(40 << 20, 8),
    parts: (60_000, "entries"),
    remedy: "save only the state_dict",
};

/// The header of a `.safetensors` file.
pub const WEIGHTS_HEADER: Limits = Limits {
    kind: "a header of weights",
    longest: 12 << 20,
    bytes: Line::new(1 << 20, 3),
    work: Line::new(1 << 20, 4),
    parts: (50_000, "tensors"),
    remedy: "save only the state_dict",
};

/// The description of a network in a `.safetensors` file, and a folder's `config.json`.
pub const DESCRIPTION: Limits = Limits {
    kind: "a description of a network",
    longest: 1 << 20,
    bytes: Line::new(8 << 20, 8),
    work: Line::new(1 << 20, 4),
    parts: (1 << 17, "values"),
    remedy: "convert it with the program that wrote it",
};

/// A list of shards.
pub const SHARD_LIST: Limits = Limits {
    kind: "a list of shards",
    longest: 8 << 20,
    bytes: Line::new(1 << 20, 4),
    work: Line::new(1 << 20, 4),
    parts: (1000, "shards"),
    remedy: "fetch it again",
};

/// A `.npy` file: its numbers must be in it.
pub const ARRAY: Limits = Limits {
    kind: "an array",
    longest: ANY,
    bytes: Line::new(1 << 16, 1),
    work: Line::new(1 << 16, 2),
    parts: (64, "axes"),
    remedy: "give a file that numpy.save wrote",
};

/// A `.npz` file, whose members may be packed.
pub const ARRAYS: Limits = Limits {
    kind: "an archive of arrays",
    longest: ANY,
    bytes: Line::new(DEFLATE, DEFLATE),
    work: Line::new(4 << 20, 4),
    parts: (60_000, "arrays"),
    remedy: "give a file that numpy.savez wrote",
};

/// Statistics of features. Random numbers do not pack, and the covariances of 1,400 features fit
/// into the fixed part.
pub const STATISTICS: Limits = Limits {
    kind: "a file of statistics",
    longest: ANY,
    bytes: Line { fixed: 16 << 20, times: 5, over: 4 },
    work: Line::new(4 << 20, 4),
    parts: (100, "arrays"),
    remedy: "make it again with evaluate --save-statistics",
};

/// An image: pixels, decoders and two copies. Deflate and the codes of other formats pack about a
/// thousand bytes into one.
pub const IMAGE: Limits = Limits {
    kind: "an image",
    longest: ANY,
    bytes: Line::new(48 << 20, 4096),
    // Pixels of all passes of a progressive image.
    work: Line::new(1 << 26, 4096),
    parts: (1 << 26, "pixels"),
    remedy: "remove or replace the file",
};

/// A table, which may be packed by gzip.
pub const TABLE: Limits = Limits {
    kind: "a table",
    longest: ANY,
    bytes: Line::new(DEFLATE, DEFLATE),
    work: Line::new(1 << 20, 2 * DEFLATE),
    parts: (1 << 18, "columns"),
    remedy: "give a table as CSV",
};

/// A batch of CIFAR-10.
pub const CIFAR10: Limits = Limits {
    kind: "a batch of CIFAR-10",
    longest: 1 << 30,
    bytes: Line::new(0, 1),
    work: Line::new(0, 2),
    parts: (349_525, "images"),
    remedy: "fetch it again",
};

/// `meta.json`, `pairs.json`, and other texts of JSON of a run. A value takes about 100 bytes;
/// there is room for the statistics of 100,000 columns.
pub const META: Limits = Limits {
    kind: "a description of a run",
    longest: 1 << 26,
    bytes: Line::new(1 << 26, 2),
    work: Line::new(1 << 20, 8),
    parts: (1 << 19, "values"),
    remedy: "give one that this program wrote",
};

/// The header of a checkpoint's tensors.
pub const CHECKPOINT_HEADER: Limits =
    Limits { kind: "a header of a checkpoint", longest: 1 << 21, remedy: "use another checkpoint", ..WEIGHTS_HEADER };

/// The header of a shard of pairs; three tensors need much less.
pub const PAIRS_HEADER: Limits =
    Limits { kind: "a header of pairs", longest: 1 << 16, remedy: "make the pairs again", ..WEIGHTS_HEADER };

/// A log of JSON lines; parsed lines take up to 8 times their text.
pub const LOG: Limits = Limits {
    kind: "a log",
    longest: 1 << 30,
    bytes: Line::new(1 << 20, 8),
    work: Line::new(1 << 20, 8),
    parts: (1 << 28, "lines"),
    remedy: "move it away",
};

/// A configuration in TOML.
pub const CONFIG: Limits = Limits {
    kind: "a configuration",
    longest: 1 << 18,
    bytes: Line::new(16 << 20, 64),
    work: Line::new(1 << 20, 64),
    parts: (1 << 16, "values"),
    remedy: "give the config.toml of a run",
};

/// The settings of rounds of reflow, and small tables of results.
pub const TABLE_OF_RESULTS: Limits = Limits { kind: "a table of results", longest: 1 << 20, ..META };

/// A picture that is shown in a report or a log of TensorBoard; it is not decoded.
pub const PICTURE: Limits = Limits {
    kind: "a picture",
    longest: 64 << 20,
    bytes: Line::new(0, 1),
    work: Line::new(0, 1),
    parts: (1, "pictures"),
    remedy: "remove it",
};

/// Rows of numbers in the cache of an evaluation; they are read in blocks.
pub const CACHE: Limits = Limits {
    kind: "a cache of rows",
    longest: 1 << 40,
    bytes: Line::new(1 << 20, 2),
    work: Line::new(1 << 20, 17),
    parts: (1 << 32, "rows"),
    remedy: "remove it",
};

/// RECORD of a wheel; that of PyTorch has 2 MB.
pub const RECORD: Limits = Limits {
    kind: "a RECORD",
    longest: 4 << 20,
    bytes: Line::new(1 << 20, 4),
    work: Line::new(1 << 20, 4),
    parts: (100_000, "files"),
    remedy: "fetch it again",
};

/// Archives of libtorch.
pub const LIBTORCH: Limits = Limits {
    kind: "an archive of libtorch",
    longest: ANY,
    bytes: Line::new(1 << 30, 100),
    work: Line::new(4 << 20, 4),
    parts: (100_000, "files"),
    remedy: "fetch it again",
};

/// Archives of CIFAR-10: photographs pack to no less than half.
pub const CIFAR10_ARCHIVE: Limits = Limits {
    kind: "an archive of CIFAR-10",
    longest: ANY,
    bytes: Line::new(32 << 20, 2),
    work: Line::new(64 << 20, 4),
    parts: (16, "batches"),
    remedy: "fetch it again",
};

/// All limits.
pub const ALL: [&Limits; 21] = [
    &WEIGHTS,
    &WEIGHTS_HEADER,
    &DESCRIPTION,
    &SHARD_LIST,
    &ARRAY,
    &ARRAYS,
    &STATISTICS,
    &IMAGE,
    &TABLE,
    &CIFAR10,
    &META,
    &CHECKPOINT_HEADER,
    &PAIRS_HEADER,
    &LOG,
    &CONFIG,
    &TABLE_OF_RESULTS,
    &PICTURE,
    &CACHE,
    &RECORD,
    &LIBTORCH,
    &CIFAR10_ARCHIVE,
];
