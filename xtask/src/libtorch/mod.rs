//! `cargo xtask fetch-libtorch`: puts libtorch 2.11.0 into `libtorch/`, from any available source.
//!
//! | module | content |
//! |---|---|
//! | [`place`] | the version, and its directory |
//! | [`parts`] | the files of a libtorch, and which of them are needed |
//! | [`plan`] | which sources to try, in which order, for a platform and a variant |
//! | [`sources`] | finding or downloading one of them |
//! | [`tree`] | creating `libtorch/` from it, complete or not at all, and checking it |

mod archive;
mod parts;
mod place;
mod plan;
mod sources;
mod tree;

use anyhow::{anyhow, ensure};
use clap::Args;
use fm_terminal::println;
use place::VERSION;
use plan::{Platform, Source, Variant};
pub(crate) use tree::{Manifest, installed, verify};
pub(crate) use xtask_shell::libtorch as home;

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Variant: cpu, or a CUDA build as published for PyTorch 2.11: cu126, cu128, cu130.
    #[arg(long, default_value = "cpu")]
    variant: Variant,
    /// Source: auto, env (LIBTORCH), python (an installed PyTorch), official (the project's
    /// archive), index (the Python package index, through pip), or a PATH to an unpacked libtorch,
    /// a .zip or a .whl.
    #[arg(long, default_value = "auto")]
    from: String,
    /// Print the plan and exit.
    #[arg(long)]
    dry_run: bool,
}

/// Fetches libtorch if it is missing.
pub(crate) fn fetch(args: &FetchArgs) -> anyhow::Result<()> {
    let platform = Platform::current();
    let sources = plan::sources(&args.from, args.variant, platform)?;
    if args.dry_run {
        println!("libtorch {VERSION} {} for {platform} into {}; tried in this order:", args.variant, home().display());
        sources.iter().enumerate().for_each(|(i, s)| println!("  {}. {s}: {}", i + 1, s.detail()));
        return Ok(());
    }
    let explicit = args.from != "auto";
    match installed(&home()) {
        Ok(manifest) if manifest.variant == args.variant.to_string() && !explicit => {
            println!("libtorch {} {} is there already, from {}", manifest.version, manifest.variant, manifest.source);
            return Ok(());
        }
        Ok(manifest) => {
            println!("replacing libtorch {} {} from {}", manifest.version, manifest.variant, manifest.source)
        }
        Err(_) => {}
    }
    let mut tried = Vec::new();
    for source in &sources {
        match try_source(source, args.variant) {
            Ok((manifest, checked)) => {
                println!(
                    "libtorch {} {} from {}: {} files{}, in {}",
                    manifest.version,
                    manifest.variant,
                    manifest.source,
                    manifest.files.len(),
                    if checked { ", verified" } else { "" },
                    home().display()
                );
                return Ok(());
            }
            Err(error) => {
                println!("  not from {source}: {error:#}");
                tried.push(source.to_string());
            }
        }
    }
    Err(anyhow!(
        "libtorch {VERSION} {} could not be had from: {}; connect to the network, install PyTorch {VERSION} (pip install torch=={VERSION}), \
         or download an archive elsewhere and pass --from PATH",
        args.variant,
        tried.join(", ")
    ))
}

/// Installs libtorch from one source; also whether all files were compared with published hashes.
fn try_source(source: &Source, variant: Variant) -> anyhow::Result<(Manifest, bool)> {
    let parts = sources::obtain(source, variant)?;
    ensure!(parts.version == VERSION, "its version is {}; this project needs {VERSION}", parts.version);
    let manifest = tree::install(&home(), &parts, variant, &source.to_string())?;
    place::clean()?;
    Ok((manifest, parts.checked))
}

/// Fetches the CPU libtorch unless a usable one exists; the first step of `quickstart` and `test`.
pub(crate) fn ensure_present() -> anyhow::Result<()> {
    if std::env::var_os("LIBTORCH").is_some_and(|dir| dir != home()) || installed(&home()).is_ok() {
        return Ok(());
    }
    println!("libtorch is missing: fetching it");
    fetch(&FetchArgs { variant: Variant::Cpu, from: "auto".into(), dry_run: false })
}
