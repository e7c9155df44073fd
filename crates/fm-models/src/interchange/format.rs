//! Detection of the format of a file by its first bytes.

use super::legacy;
use super::safetensors::is_safetensors;
use std::path::Path;

/// How a file is read.
#[derive(Debug, PartialEq)]
pub(super) enum Format {
    /// PyTorch's zip archive.
    Zip,
    /// A pickle, or several.
    Pickle,
    Safetensors,
    /// A list of the shards of one set of weights.
    Index,
    /// Anything else: what it is, and the remedy.
    Other(String),
}

const PYTORCH: &str = "name PyTorch's or safetensors' weights of the network";
const UNPACK: &str = "unpack it, and name the file of weights in it";

/// Formats by their first bytes: name, and remedy.
const BEGINNINGS: [(&[u8], &str, &str); 27] = [
    (b"version https://git-lfs", "a Git LFS pointer, without the weights", "run `git lfs pull` in its repository"),
    (b"GGUF", "a GGUF file of a quantised model", PYTORCH),
    (b"ggml", "a GGML file of a quantised model", PYTORCH),
    (b"tjgg", "a GGML file of a quantised model", PYTORCH),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras weights, or a MATLAB file)", PYTORCH),
    (b"\x93NUMPY", "a NumPy array (.npy)", PYTORCH),
    (b"model_checkpoint_path", "the index of a TensorFlow checkpoint", PYTORCH),
    (b"\x1f\x8b", "compressed with gzip", UNPACK),
    (b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK),
    (b"BZh", "compressed with bzip2", UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"\x78\x01", "compressed with zlib (joblib files are)", "load it in Python and save it with torch.save"),
    (b"\x78\x5e", "compressed with zlib (joblib files are)", "load it in Python and save it with torch.save"),
    (b"\x78\x9c", "compressed with zlib (joblib files are)", "load it in Python and save it with torch.save"),
    (b"\x78\xda", "compressed with zlib (joblib files are)", "load it in Python and save it with torch.save"),
    (b"\x89PNG", "a PNG picture", PYTORCH),
    (b"\xff\xd8\xff", "a JPEG picture", PYTORCH),
    (b"%PDF", "a PDF document", PYTORCH),
    (b"\x7fELF", "a program or library", PYTORCH),
    (b"PAR1", "a Parquet table", PYTORCH),
    (b"ARROW1", "an Arrow table", PYTORCH),
    (b"MATLAB", "a MATLAB file", PYTORCH),
    (b"PK\x05\x06", "an empty zip archive", "save the weights with torch.save"),
    (b"#!", "a script", PYTORCH),
];

/// The format of a file. Formats without fixed first bytes are identified by the name `path`.
pub(super) fn identify(bytes: &[u8], path: &Path) -> Format {
    let other = |what: &str, remedy: &str| Format::Other(format!("it is {what}; {remedy}"));
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if bytes.is_empty() {
        return other("empty", "fetch or save it again");
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Format::Zip;
    }
    if is_safetensors(bytes) && bytes.get(8) == Some(&b'{') {
        return Format::Safetensors;
    }
    if let Some((_, what, remedy)) = BEGINNINGS.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return other(what, remedy);
    }
    let marked = bytes.starts_with(b"\x80") && bytes.get(1).is_some_and(|protocol| *protocol <= 5);
    if marked || legacy::is_legacy(bytes) {
        return Format::Pickle;
    }
    if bytes.iter().take(1 << 16).all(|b| *b == 0) {
        return other("only zeros, as interrupted downloads are", "fetch it again");
    }
    if bytes.get(257..262) == Some(b"ustar") {
        let old = ["sys_info", "storages", "tensors", "pickle"].iter().any(|n| bytes.starts_with(n.as_bytes()));
        let save = "load it with PyTorch and save it with torch.save";
        return if old { other("PyTorch's format before 0.2 (a tar)", save) } else { other("a tar archive", UNPACK) };
    }
    if let Some(content) = text(bytes, &name) {
        return content;
    }
    binary(bytes, &name)
}

/// Texts: web pages and JSON.
fn text(bytes: &[u8], name: &str) -> Option<Format> {
    let other = |what: &str, remedy: &str| Some(Format::Other(format!("it is {what}; {remedy}")));
    let start: String = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).trim_start_matches('\u{feff}').into();
    let start = start.trim_start().to_lowercase();
    if start.starts_with('<') {
        return other("a web page (a login or error page, often)", "fetch the file itself, with its direct address");
    }
    if start.starts_with('{') {
        let index = name.ends_with(".index.json") || bytes.windows(12).take(1 << 16).any(|w| w == b"\"weight_map\"");
        let remedy = "name the file of weights beside it";
        return if index { Some(Format::Index) } else { other("JSON, not weights", remedy) };
    }
    if start.starts_with("(d") || start.starts_with("(l") || start.starts_with("ccollections") {
        return Some(Format::Pickle);
    }
    let printable = bytes.iter().take(512).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
    if printable { other("a text", PYTORCH) } else { None }
}

/// Formats whose beginning is short, or elsewhere.
fn binary(bytes: &[u8], name: &str) -> Format {
    let other = |what: &str, remedy: &str| Format::Other(format!("it is {what}; {remedy}"));
    if bytes.ends_with(b"\x57\xfb\x80\x8b\x24\x75\x47\xdb") || name.contains(".data-00000-of-") {
        return other("a part of a TensorFlow checkpoint", PYTORCH);
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return other("a TensorFlow Lite model", PYTORCH);
    }
    // ONNX begins with the fields ir_version (a small number) and producer, or the graph.
    let onnx = bytes[0] == 8 && bytes.get(1).is_some_and(|v| (1..32).contains(v));
    if name.ends_with(".onnx") || onnx && matches!(bytes.get(2), Some(0x12 | 0x1a | 0x22 | 0x3a | 0x42)) {
        return other("an ONNX model", PYTORCH);
    }
    if name.ends_with(".pb") {
        return other("a TensorFlow graph", PYTORCH);
    }
    if name.ends_with(".msgpack") {
        return other("a Flax checkpoint", PYTORCH);
    }
    if bytes.get(512..520) == Some(b"\x89HDF\r\n\x1a\n") {
        return other("an HDF5 file", PYTORCH);
    }
    if bytes.len() < 8 {
        return other("too short for weights", "fetch or save it again");
    }
    // A wrong length of the header, so that the reader can name the damage.
    if is_safetensors(bytes) || bytes[8..].starts_with(b"{") || name.ends_with(".safetensors") {
        return Format::Safetensors;
    }
    other("neither safetensors nor a file of torch.save", "save it with safetensors or torch.save, or fetch it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_for_what_they_are() {
        let padded = |start: &[u8]| [start, &[7; 600]].concat();
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        let mut old = tar.clone();
        old[..8].copy_from_slice(b"sys_info");
        let table = [vec![9; 40], b"\x57\xfb\x80\x8b\x24\x75\x47\xdb".to_vec()].concat();
        for (bytes, name, what) in [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n".to_vec(), "m.pt", "git lfs pull"),
            (b"\n <!DOCTYPE html><html>".to_vec(), "m.pt", "web page"),
            (b"\xef\xbb\xbf<html>".to_vec(), "m.pt", "web page"),
            (b"<?xml version=\"1.0\"?><Error>AccessDenied".to_vec(), "m.pt", "web page"),
            (padded(b"GGUF\x03"), "m.gguf", "GGUF"),
            (padded(b"\x08\x07\x12\x07pytorch"), "m", "ONNX"),
            (padded(b"\x89HDF\r\n\x1a\n"), "m.h5", "HDF5"),
            (table, "ckpt.index", "TensorFlow checkpoint"),
            (padded(b"\x01\x02\x03"), "ckpt.data-00000-of-00001", "TensorFlow checkpoint"),
            (padded(b"\x93NUMPY"), "m.npy", "NumPy"),
            (padded(b"\x1f\x8b\x08"), "m.pt.gz", "gzip"),
            (padded(b"\xfd7zXZ\0"), "m.xz", "xz"),
            (padded(b"\x28\xb5\x2f\xfd"), "m.zst", "zstd"),
            (padded(b"\x78\x9c"), "m.pkl", "zlib"),
            (tar, "m.tar", "tar archive"),
            (old, "m.pt", "before 0.2"),
            (vec![0; 100], "m.pt", "only zeros"),
            (b"{\"a\": 1}".to_vec(), "config.json", "JSON, not weights"),
            (b"hello world, this is text".to_vec(), "m.pt", "a text"),
            (vec![], "m.pt", "empty"),
            (vec![1, 2, 3], "m.pt", "too short"),
            (padded(b"\x01\x02\x03\x04\x05\x06"), "m.pt", "neither safetensors nor"),
        ] {
            let Format::Other(text) = identify(&bytes, Path::new(name)) else { panic!("{name}: {what}") };
            assert!(text.contains(what) && text.contains("; ") && text.len() < 200, "{text}");
        }
        assert_eq!(identify(b"{\"weight_map\": {}}", Path::new("x.json")), Format::Index);
        assert_eq!(identify(b"PK\x03\x04", Path::new("x")), Format::Zip);
        assert_eq!(identify(b"\x80\x02}.", Path::new("x")), Format::Pickle);
        assert_eq!(identify(b"\x02\0\0\0\0\0\0\0{}", Path::new("x")), Format::Safetensors);
    }
}
