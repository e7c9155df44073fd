//! The log as TensorBoard event files of scalars and images.
//!
//! A file is a sequence of records: length (u64, little endian), its masked CRC-32C, the bytes of a
//! protocol buffer, their masked CRC-32C; the mask rotates the checksum right by 15 bits and adds
//! 0xa282ead8. The first event names the version. The second gives the step from which this file
//! replaces earlier ones: for a resumed run, TensorBoard drops the values that the interrupted run
//! had logged from that step on. Source: `tensorboard/compat/proto/{event,summary}.proto` and the
//! TFRecord format.
//!
//! ```
//! use fm_train::tensorboard::EventWriter;
//! let dir = tempfile::tempdir().unwrap();
//! let mut events = EventWriter::create(dir.path(), 1.8e9, 0)?;
//! events.scalars(1.8e9, 10, &[("train/loss", 0.5)])?;
//! let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
//! assert!(file.file_name().to_str().unwrap().starts_with("events.out.tfevents.1800000000."));
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use prost::{Message, Oneof};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Appends events to a new file.
#[derive(Debug)]
#[doc(alias = "SummaryWriter")]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Creates a file in a directory; `wall_time` is in seconds since 1970, and `step` is the
    /// number of steps done before.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn create(directory: &Path, wall_time: f64, step: u64) -> Result<Self, TrainError> {
        fs::create_dir_all(directory).map_err(TrainError::io("create", directory))?;
        let place = fs::read_dir(directory).map_err(TrainError::io("read", directory))?.count();
        // TensorBoard reads the files in the order of their names.
        let path = directory.join(format!("events.out.tfevents.{:010}.{place:06}", wall_time as u64));
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(TrainError::io("create", &path))?;
        let mut writer = Self { path, file };
        writer.append(&Event { wall_time, step: 0, what: Some(What::FileVersion("brain.Event:2".into())) })?;
        let log = SessionLog { status: START };
        writer.append(&Event {
            wall_time,
            step: (step as i64).saturating_add(1),
            what: Some(What::SessionLog(log)),
        })?;
        Ok(writer)
    }

    /// Writes values of a step with their tags.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn scalars(&mut self, wall_time: f64, step: u64, values: &[(&str, f64)]) -> Result<(), TrainError> {
        let value = |(tag, value): &(&str, f64)| Value { tag: (*tag).into(), is: Some(Is::Simple(*value as f32)) };
        self.summary(wall_time, step, values.iter().map(value).collect())
    }

    /// Writes an image of a step: a PNG of `size` (width, height).
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn image(
        &mut self,
        wall_time: f64,
        step: u64,
        tag: &str,
        size: (u32, u32),
        png: Vec<u8>,
    ) -> Result<(), TrainError> {
        let image = Image { height: size.1 as i32, width: size.0 as i32, colorspace: RGB, encoded: png };
        self.summary(wall_time, step, vec![Value { tag: tag.into(), is: Some(Is::Image(image)) }])
    }

    fn summary(&mut self, wall_time: f64, step: u64, value: Vec<Value>) -> Result<(), TrainError> {
        self.append(&Event { wall_time, step: step as i64, what: Some(What::Summary(Summary { value })) })
    }

    fn append(&mut self, event: &Event) -> Result<(), TrainError> {
        self.file.write_all(&framed(&event.encode_to_vec())).map_err(TrainError::io("append to", &self.path))
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let masked = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), bytes, &masked(bytes)].concat()
}

/// `SessionLog.SessionStatus.START`.
const START: i32 = 1;
/// `Summary.Image.colorspace` of RGB.
const RGB: i32 = 3;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Is", tags = "2, 4")]
    is: Option<Is>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Is {
    #[prost(float, tag = "2")]
    Simple(f32),
    #[prost(message, tag = "4")]
    Image(Image),
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded: Vec<u8>,
}
