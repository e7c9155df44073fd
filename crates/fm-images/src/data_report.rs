//! The command `data`: how a set of images is read.

use crate::data;
use fm_cli::outputs;
use fm_data::{ImageSet, ImageSource, folder};
use fm_pictures::{Grid, save_picture};
use fm_terminal::println;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Classes whose counts are listed, and rows of the picture.
const SHOWN: usize = 16;
/// Images per row of the picture.
const COLUMNS: usize = 8;

/// The flags of the command.
#[derive(Debug, clap::Args)]
pub struct DataArgs {
    /// Images, as for `train --data`: digits, cifar10, cifar10:DIR, folder:DIR, IMAGES.npy, ...
    data: String,
    /// Height and width to which images are resized and cropped (default: their own size; 32 for
    /// folders whose images are not equal squares).
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    image_size: Option<u32>,
    /// Draw the first images of each class.
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), help_heading = "Output")]
    picture: Option<PathBuf>,
}

/// Prints how the images are read, and draws some.
///
/// # Errors
/// Images that cannot be read, and a picture that cannot be written.
pub fn run(args: &DataArgs) -> anyhow::Result<ExitCode> {
    let size = args.image_size.map_or_else(|| own_size(&args.data), Ok)?;
    let name = data::at_size(&args.data, args.image_size);
    let set = data::open(&name, size)?;
    describe(&name, &set);
    if let Some(path) = &args.picture {
        picture(path, &set)?;
        println!("wrote     {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The size at which a folder is shown: that of its images if they are equal squares, otherwise 32.
fn own_size(name: &str) -> anyhow::Result<u32> {
    let Ok(ImageSource::Folder(folder)) = name.parse() else { return Ok(0) };
    let sizes = folder::list(&folder)?.sizes()?;
    println!("sizes     {sizes}");
    Ok(sizes.square().filter(|side| *side <= data::LARGEST_OWN_SIZE).unwrap_or(32))
}

fn describe(name: &str, set: &ImageSet) {
    let [channels, height, width] = set.shape();
    println!("data      {name}: {} images of {channels} x {height} x {width}, values 0..={}", set.len(), set.levels);
    let (least, most) = set.pixels.iter().fold((u8::MAX, 0), |(least, most), p| (least.min(*p), most.max(*p)));
    let mean = set.pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / set.pixels.len().max(1) as f64;
    println!(
        "values    from {least} to {most}, mean {mean:.2}; a network sees 2 p / {} - 1, of deviation {:.4}",
        set.levels,
        data::deviation(set)
    );
    if set.classes.is_empty() {
        println!("classes   none");
        return;
    }
    let mut counts = vec![0usize; set.classes.len()];
    for label in &set.labels {
        counts[usize::from(*label)] += 1;
    }
    println!("classes   {}", set.classes.len());
    for (k, (name, count)) in set.classes.iter().zip(&counts).enumerate().take(SHOWN) {
        println!("  {k:<7} {name}: {count}");
    }
    if counts.len() > SHOWN {
        let (least, most) = (counts.iter().min(), counts.iter().max());
        println!(
            "  ...     {} more; from {} to {} images a class",
            counts.len() - SHOWN,
            least.unwrap_or(&0),
            most.unwrap_or(&0)
        );
    }
}

/// A row of images per class, or rows of the first images.
fn picture(path: &Path, set: &ImageSet) -> anyhow::Result<()> {
    let rows: Vec<Vec<usize>> = if set.classes.len() > 1 {
        let of = |class: usize| (0..set.len()).filter(move |i| usize::from(set.labels[*i]) == class).take(COLUMNS);
        (0..set.classes.len()).map(|class| of(class).collect()).filter(|row: &Vec<_>| !row.is_empty()).collect()
    } else {
        (0..set.len()).collect::<Vec<_>>().chunks(COLUMNS).map(<[usize]>::to_vec).collect()
    };
    let rows = &rows[..rows.len().min(SHOWN)];
    let blank = vec![0; set.dim()];
    let image = |row: &[usize], k: usize| row.get(k).map_or(blank.as_slice(), |i| set.image(*i)).to_vec();
    let pixels: Vec<u8> = rows.iter().flat_map(|row| (0..COLUMNS).flat_map(move |k| image(row, k))).collect();
    let name = |row: &Vec<usize>| set.classes.get(usize::from(set.labels[row[0]])).cloned().unwrap_or_default();
    let row_names = if set.classes.len() > 1 { rows.iter().map(name).collect() } else { Vec::new() };
    let grid = Grid { shape: set.shape(), levels: set.levels, columns: COLUMNS, row_names };
    save_picture(path, &grid.draw(&pixels)?)
}
