//! The sources to try, as a value: printed by `--dry-run`, and testable for other platforms.

use super::place::VERSION;
use anyhow::bail;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A build of libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Cpu,
    /// CUDA 12.6, 12.8 or 13.0, as 126, 128 or 130.
    Cuda(u32),
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Variant::Cpu),
            "cu126" => Ok(Variant::Cuda(126)),
            "cu128" => Ok(Variant::Cuda(128)),
            "cu130" => Ok(Variant::Cuda(130)),
            other => Err(format!("PyTorch {VERSION} is not published as '{other}'; choose cpu, cu126, cu128 or cu130")),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Cpu => write!(f, "cpu"),
            Variant::Cuda(version) => write!(f, "cu{version}"),
        }
    }
}

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    LinuxX64,
    LinuxArm64,
    MacArm64,
    Other,
}

impl Platform {
    pub(crate) fn current() -> Self {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Platform::LinuxX64,
            ("linux", "aarch64") => Platform::LinuxArm64,
            ("macos", "aarch64") => Platform::MacArm64,
            _ => Platform::Other,
        }
    }

    /// The platform tag of its wheels.
    fn wheel_tag(self) -> Option<&'static str> {
        match self {
            Platform::LinuxX64 => Some("manylinux_2_28_x86_64"),
            Platform::LinuxArm64 => Some("manylinux_2_28_aarch64"),
            Platform::MacArm64 => Some("macosx_11_0_arm64"),
            Platform::Other => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Platform::LinuxX64 => "Linux x86-64",
            Platform::LinuxArm64 => "Linux arm64",
            Platform::MacArm64 => "macOS arm64",
            Platform::Other => "this platform",
        })
    }
}

/// A source of libtorch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The directory that LIBTORCH names.
    Env,
    /// The PyTorch that `python3` imports.
    Python,
    /// An archive at an address.
    Archive(String),
    /// Wheels from the Python package index: pip's requirements and the platform tag of the wheels.
    Index { requirements: Vec<String>, tag: &'static str },
    /// A directory, .zip or .whl on this machine.
    Path(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Env => write!(f, "the directory in LIBTORCH"),
            Source::Python => write!(f, "the installed PyTorch"),
            Source::Archive(_) => write!(f, "the official archive"),
            Source::Index { .. } => write!(f, "the Python package index"),
            Source::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    /// A description of the files to take from the source.
    pub(crate) fn detail(&self) -> String {
        match self {
            Source::Archive(url) => url.clone(),
            Source::Index { requirements, tag } => format!("pip download {} ({tag})", requirements.join(" ")),
            Source::Env | Source::Python | Source::Path(_) => "linked to where it is".into(),
        }
    }
}

/// The base URL of the official archives; a test or a mirror may set another one.
fn official_base() -> String {
    std::env::var("FM_LIBTORCH_URL").unwrap_or_else(|_| "https://download.pytorch.org/libtorch".into())
}

/// The official archive, if one is published.
fn archive(variant: Variant, platform: Platform) -> Option<Source> {
    let base = official_base();
    match platform {
        Platform::LinuxX64 => {
            Some(Source::Archive(format!("{base}/{variant}/libtorch-shared-with-deps-{VERSION}%2B{variant}.zip")))
        }
        Platform::MacArm64 if variant == Variant::Cpu => {
            Some(Source::Archive(format!("{base}/cpu/libtorch-macos-arm64-{VERSION}.zip")))
        }
        _ => None,
    }
}

/// Wheels. The Linux wheel is built for CUDA 13.0. The CPU variant needs only its CPU half and the
/// two small runtime libraries that this half loads; a CUDA variant takes the whole wheel and its
/// NVIDIA dependencies.
fn index(variant: Variant, platform: Platform) -> Option<Source> {
    let torch = format!("torch=={VERSION}");
    let requirements = match (platform, variant) {
        (Platform::MacArm64, Variant::Cpu) => vec![torch],
        (Platform::LinuxX64 | Platform::LinuxArm64, Variant::Cpu) => {
            vec![torch, "nvidia-cuda-runtime==13.0.96".into(), "nvidia-cuda-cupti==13.0.85".into()]
        }
        (Platform::LinuxX64 | Platform::LinuxArm64, Variant::Cuda(130)) => {
            let nvidia = [
                "nvidia-cuda-runtime==13.0.96",
                "nvidia-cuda-cupti==13.0.85",
                "nvidia-cuda-nvrtc==13.0.88",
                "nvidia-cublas==13.1.0.3",
                "nvidia-cufft==12.0.0.61",
                "nvidia-cufile==1.15.1.6",
                "nvidia-curand==10.4.0.35",
                "nvidia-cusolver==12.0.4.66",
                "nvidia-cusparse==12.6.3.3",
                "nvidia-nvjitlink==13.0.88",
                "nvidia-nvtx==13.0.85",
                "nvidia-cudnn-cu13==9.19.0.56",
                "nvidia-cusparselt-cu13==0.8.0",
                "nvidia-nccl-cu13==2.28.9",
                "nvidia-nvshmem-cu13==3.4.5",
                // Only headers, for code that is compiled against NCCL.
                "nvidia-cuda-crt==13.0.88",
                "nvidia-cuda-cccl==13.0.85",
            ];
            std::iter::once(torch).chain(nvidia.map(String::from)).collect()
        }
        _ => return None,
    };
    Some(Source::Index { requirements, tag: platform.wheel_tag()? })
}

/// The sources that `--from` names, in the order to try them.
pub(crate) fn sources(from: &str, variant: Variant, platform: Platform) -> anyhow::Result<Vec<Source>> {
    let missing = |what: &str| {
        format!(
            "there is no {what} of libtorch {VERSION} {variant} for {platform}; try --from auto, or another --variant"
        )
    };
    let sources: Vec<Source> = match from {
        "auto" => {
            let local = [Some(Source::Env), Some(Source::Python)];
            local.into_iter().chain([archive(variant, platform), index(variant, platform)]).flatten().collect()
        }
        "env" => vec![Source::Env],
        "python" => vec![Source::Python],
        "official" => vec![archive(variant, platform).ok_or_else(|| anyhow::anyhow!(missing("official archive")))?],
        "index" => vec![index(variant, platform).ok_or_else(|| anyhow::anyhow!(missing("wheel")))?],
        path => vec![Source::Path(path.into())],
    };
    if platform == Platform::Other && from == "auto" {
        bail!("nothing is published for {platform}; build libtorch {VERSION} and pass its directory with --from PATH");
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(variant: &str, platform: Platform) -> Vec<String> {
        sources("auto", variant.parse().unwrap(), platform)
            .unwrap()
            .iter()
            .map(|s| format!("{s}: {}", s.detail()))
            .collect()
    }

    #[test]
    fn each_platform_has_its_own_archives_and_wheels() {
        let linux = plan("cpu", Platform::LinuxX64);
        assert!(linux[0].starts_with("the directory in LIBTORCH") && linux[1].starts_with("the installed PyTorch"));
        assert!(linux[2].ends_with("/libtorch/cpu/libtorch-shared-with-deps-2.11.0%2Bcpu.zip"), "{linux:?}");
        assert!(linux[3].contains("torch==2.11.0 nvidia-cuda-runtime") && linux[3].contains("manylinux_2_28_x86_64"));
        // PyTorch publishes no archive for Linux on arm64, so the wheel is used.
        let arm = plan("cpu", Platform::LinuxArm64);
        assert_eq!(arm.len(), 3);
        assert!(arm[2].contains("manylinux_2_28_aarch64"), "{arm:?}");
        let mac = plan("cpu", Platform::MacArm64);
        assert!(mac[2].ends_with("libtorch-macos-arm64-2.11.0.zip") && mac[3].contains("macosx_11_0_arm64"), "{mac:?}");
        assert!(!mac[3].contains("nvidia"));
    }

    #[test]
    fn cuda_wheels_bring_their_requirements_and_other_cudas_only_an_archive() {
        let cu130 = plan("cu130", Platform::LinuxX64);
        assert!(cu130[2].contains("cu130/libtorch-shared") && cu130[3].contains("nvidia-cudnn-cu13==9.19.0.56"));
        assert_eq!(plan("cu126", Platform::LinuxX64).len(), 3);
        assert!(sources("index", Variant::Cuda(126), Platform::LinuxX64).is_err());
        assert!(sources("official", Variant::Cuda(130), Platform::MacArm64).is_err());
        assert!("cu118".parse::<Variant>().is_err());
    }
}
