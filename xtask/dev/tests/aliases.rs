//! Names of other libraries that a user searches the Rust documentation for: each is the name or an
//! alias of a public item.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const NAMES: [(&str, &str); 11] = [
    (
        "POT",
        "emd emd2 emd_1d sinkhorn sinkhorn2 sinkhorn_log sinkhorn_unbalanced sinkhorn_knopp_unbalanced \
         partial_wasserstein entropic_partial_wasserstein sliced_wasserstein_distance wasserstein_1d dist unif",
    ),
    (
        "SciPy",
        "linear_sum_assignment solve_ivp odeint RK45 RK23 DOP853 dense_output t_eval t_events y_events nfev OdeResult \
         OdeSolution wasserstein_distance energy_distance cdist distance_matrix cKDTree norm.ppf norm.cdf sqrtm",
    ),
    (
        "torchcfm",
        "ConditionalFlowMatcher ExactOptimalTransportConditionalFlowMatcher TargetConditionalFlowMatcher \
         SchrodingerBridgeConditionalFlowMatcher VariancePreservingConditionalFlowMatcher OTPlanSampler sample_plan \
         sample_map sample_trajectory sample_location_and_conditional_flow UNetModelWrapper torch_wrapper sample_moons \
         eight_normal_sample wasserstein",
    ),
    (
        "flow_matching",
        "CondOTProbPath AffineProbPath CondOTScheduler ConvexScheduler PolynomialConvexScheduler VPScheduler \
         LinearVPScheduler CosineScheduler ScheduleTransformedModel ODESolver PathSample ModelWrapper \
         compute_likelihood MixturePathLoss velocity_to_epsilon epsilon_to_velocity target_to_velocity",
    ),
    (
        "diffrax",
        "diffeqsolve PIDController ConstantStepSize AdaptiveStepSizeController StepTo SaveAt Tsit5 Dopri5 Dopri8 Heun \
         Midpoint Euler Bosh3 ODETerm Event AbstractSolver DenseInterpolation",
    ),
    ("torchdiffeq", "odeint odeint_event dopri5 dopri8 adaptive_heun bosh3 explicit_adams fixed_adams rtol atol"),
    (
        "PyTorch",
        "AdamW Adam Muon clip_grad_norm_ ExponentialMovingAverage AveragedModel DataLoader Dataset TensorDataset \
         DistributedDataParallel DDP CosineAnnealingLR LinearLR LambdaLR SummaryWriter manual_seed autocast state_dict \
         load_state_dict torch.save torch.load jvp RandomSampler init_process_group all_reduce all_gather broadcast \
         barrier HuberLoss MSELoss GroupNorm register_full_backward_hook profile set_float32_matmul_precision \
         use_deterministic_algorithms pin_memory no_grad num_workers checkpoint_sequential",
    ),
    (
        "diffusers",
        "UniPCMultistepScheduler DPMSolverMultistepScheduler FlowMatchEulerDiscreteScheduler guidance_scale \
         guidance_rescale use_karras_sigmas UNet2DModel DiTTransformer2DModel VQModel EMAModel ClassifierFreeGuidance \
         AutoGuidance AdaptiveProjectedGuidance get_scheduler from_pretrained",
    ),
    (
        "scikit-learn",
        "StandardScaler MinMaxScaler QuantileTransformer fit_transform inverse_transform make_moons load_digits \
         NearestNeighbors KNeighborsClassifier PCA pairwise_distances",
    ),
    ("metrics", "fid FrechetInceptionDistance kid KernelInceptionDistance InceptionScore prdc mmd polynomial_mmd"),
    ("torchvision", "CIFAR10 ImageFolder RandomHorizontalFlip RandomCrop RandomRotation RandomAffine"),
];

/// Rustdoc's search ignores case and underscores.
fn key(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

/// Names and aliases of the public items, fields and variants of a file.
fn names(text: &str, found: &mut BTreeSet<String>) {
    for line in text.lines().map(str::trim) {
        if let Some(alias) = line.strip_prefix("#[doc(alias = \"").and_then(|rest| rest.strip_suffix("\")]")) {
            found.insert(key(alias));
        }
        let item = line.strip_prefix("pub ").map(|rest| rest.trim_start_matches("const ")).unwrap_or_default();
        let name =
            ["fn ", "struct ", "enum ", "trait ", "type ", "mod "].iter().find_map(|kind| item.strip_prefix(kind));
        // Variants of enums, and constants.
        let name = name.or_else(|| Some(line).filter(|line| line.starts_with(char::is_uppercase))).unwrap_or(item);
        found.insert(key(name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()));
    }
}

fn read(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            names(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

#[test]
fn well_known_names_are_found() {
    let mut found = BTreeSet::new();
    for krate in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates")).unwrap() {
        read(&krate.unwrap().path().join("src"), &mut found);
    }
    let mut count = 0;
    let mut missing = Vec::new();
    for (library, names) in NAMES {
        for name in names.split_whitespace() {
            count += 1;
            if !found.contains(&key(name)) {
                missing.push(format!("{library}: {name}"));
            }
        }
    }
    assert!(missing.is_empty() && count >= 150, "{count} names, not found: {missing:?}");
    assert!(!found.contains(&key("NoSuchName")));
}
