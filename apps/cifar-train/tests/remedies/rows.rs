//! Commands that fail, and the same after the remedy of their message.

/// A command that fails, a part of its message, and the command after the remedy.
pub(crate) type Row = (&'static str, &'static str, &'static str);

pub(crate) const TRAINING: &[Row] = &[
    ("TRAIN --random-rotation 200", "choose 0 to 180 degrees", "TRAIN --random-rotation 20"),
    ("TRAIN --random-crop 8", "cannot augment the images (--random-crop", "TRAIN --random-crop 7"),
    (
        "TRAIN --pairs {d}/pairs --coupling independent --random-crop 1",
        "so their images cannot be augmented; drop --random-crop",
        "TRAIN --pairs {d}/pairs --coupling independent",
    ),
    (
        "TRAIN --random-crop 1 --data-on-device always",
        "augmented images are made on the CPU; use --data-on-device never",
        "TRAIN --random-crop 1 --data-on-device never",
    ),
    (
        "TRAIN --task lsd --checkpoint-activations true",
        "give a --micro-batch-size",
        "TRAIN --task lsd --micro-batch-size 4",
    ),
    (
        "TRAIN --random-crop 1 --excess-loss true --coupling independent --conditional false",
        "the least loss on augmented images is not known; drop --excess-loss",
        "TRAIN --random-crop 1 --coupling independent --conditional false",
    ),
    ("TRAIN --hold-out 2", "choose a share in [0, 1) (--hold-out)", "TRAIN --hold-out 0.1"),
    (
        "TRAIN --pairs {d}/pairs --coupling independent --quality-every 1 --log-every 1",
        "has no data to compare samples with; drop --quality-every",
        "TRAIN --pairs {d}/pairs --coupling independent --log-every 1",
    ),
    (
        "TRAIN --monitor quality --keep-best 1",
        "which is not measured; pass --quality-every STEPS, or monitor another value",
        "TRAIN --monitor quality --keep-best 1 --quality-every 1 --quality-samples 2 --log-every 1",
    ),
    (
        "TRAIN --pairs {d}/pairs --coupling independent --hold-out 0.1",
        "pairs of a teacher are not held out; drop --hold-out",
        "TRAIN --pairs {d}/pairs --coupling independent",
    ),
    (
        "train --preset cifar10-tiny --dry-run --out {d}/new",
        "cargo xtask fetch-cifar10, or give --data digits",
        "train --preset cifar10-tiny --dry-run --data digits --out {d}/new",
    ),
    ("TRAIN --steps 0", "give at least one (--steps)", "TRAIN --steps 1"),
    ("TRAIN --batch-size 0", "give at least one image per step (--batch-size)", "TRAIN --batch-size 1"),
    ("TRAIN --log-every 0", "give at least 1 (--log-every)", "TRAIN --log-every 1"),
    ("TRAIN --image-size 0", "choose 1 to 4096 (--image-size)", "TRAIN --image-size 8"),
    ("TRAIN --num-workers 65", "choose at most 64 (--num-workers)", "TRAIN --num-workers 64"),
    ("TRAIN --label-drop 2", "choose a share in [0, 1] (--label-drop)", "TRAIN --label-drop 0.1"),
    ("TRAIN --lr=-1", "choose a learning rate above 0 (--lr)", "TRAIN --lr 1"),
    ("TRAIN --weight-decay=-1", "choose it from 0 (--weight-decay)", "TRAIN --weight-decay 0"),
    (
        "TRAIN --monitor excess",
        "pass --excess-loss true, or monitor another value",
        "TRAIN --monitor excess --excess-loss true --coupling independent --conditional false",
    ),
    (
        "train --config {d}/tiny.toml --steps 1 --save-every 0 --excess-loss true --out {d}/excess",
        "and no classes; drop --excess-loss",
        "train --config {d}/tiny.toml --steps 1 --save-every 0 --out {d}/excess",
    ),
    ("TRAIN --dist-timeout 0", "choose 1 to 1000000 seconds", "TRAIN --dist-timeout 1"),
    ("TRAIN --epochs 18446744073709551615", "too many for a number of steps; give fewer", "TRAIN --epochs 1"),
    (
        "TRAIN --pairs {d}/pairs --path vp --time-clip 0.001 --coupling independent",
        "and the path is",
        "TRAIN --pairs {d}/pairs --path linear --coupling independent",
    ),
    ("TRAIN --pairs {d}/pairs", "choose --coupling independent", "TRAIN --pairs {d}/pairs --coupling independent"),
    (
        "TRAIN --pairs {d}/pairs --coupling independent --horizontal-flip true",
        "drop --horizontal-flip",
        "TRAIN --pairs {d}/pairs --coupling independent",
    ),
    (
        "TRAIN --pairs {d}/pairs --coupling independent --label-drop 0.1",
        "leave --label-drop at 0",
        "TRAIN --pairs {d}/pairs --coupling independent --label-drop 0",
    ),
    (
        "TRAIN --pairs {d}/pairs --coupling independent --excess-loss true",
        "the least loss on pairs is not known; drop --excess-loss",
        "TRAIN --pairs {d}/pairs --coupling independent",
    ),
    (
        "distill --num-steps 1 --steps 1 --batch-size 4 --dry-run --out {d}/new",
        "give --pairs DIR",
        "distill --num-steps 1 --pairs {d}/pairs --steps 1 --batch-size 4 --dry-run --out {d}/new",
    ),
    (
        "distill --num-steps 0 --pairs {d}/pairs --steps 1 --dry-run --out {d}/new",
        "choose 1 to 1000 Euler steps",
        "distill --num-steps 1 --pairs {d}/pairs --steps 1 --dry-run --out {d}/new",
    ),
    ("TRAIN --data folder:{d}/mixed", "give --image-size PIXELS", "TRAIN --data folder:{d}/mixed --image-size 8"),
    ("TRAIN --model dit --channels-last true", "drop it, or use --model unet", "TRAIN --channels-last true"),
    ("train --resume --dry-run", "give --out DIR", "train --resume --out {d}/run --steps 2"),
    (
        "train --config {d}/tiny.toml --steps 2 --out {d}/run",
        "pass --resume to continue it, or another --out",
        "train --resume --out {d}/run --steps 2",
    ),
    (
        "train --resume --batch-size 4 --out {d}/run",
        "drop the flag, or start a new run with another --out",
        "train --resume --out {d}/run --steps 2",
    ),
    (
        "TRAIN --latent {d}/run",
        "train one with `cifar-train vqvae`",
        "vqvae --data digits --codes 16 --channels 32 --channel-mult 1,1 --steps 1 --batch-size 8 --save-every 0 --out {d}/vq-again",
    ),
    (
        "vqvae --data digits --lr=-1 --out {d}/vq-new",
        "choose a learning rate above 0 (--lr)",
        "vqvae --data digits --codes 16 --channels 32 --channel-mult 1,1 --steps 1 --batch-size 8 --save-every 0 --lr 0.1 --out {d}/vq-new",
    ),
    ("vqvae --resume --out {d}/run", "give the --out of an autoencoder", "vqvae --resume --out {d}/vq"),
    ("TRAIN --dit Q/2", "has no such size; give ", "TRAIN --dit S/2"),
    ("TRAIN --device cuda:9", "(--device cpu works)", "TRAIN --device cpu"),
];

pub(crate) const SAMPLES: &[Row] = &[
    (
        "convert {d}/run {d}/turned.safetensors --output-time-direction data-to-noise",
        "write a .pt with --output-time-direction",
        "convert {d}/run {d}/turned.pt --output-time-direction data-to-noise",
    ),
    (
        "sample --checkpoint {d}/vq/checkpoints/step-1/model.safetensors --out {d}/s.png",
        "it is an autoencoder, which `--latent` takes",
        "TRAIN --latent {d}/vq",
    ),
    (
        "convert {d}/two.safetensors {d}/net.pt",
        "choose one with --part",
        "convert {d}/two.safetensors {d}/net.pt --part model",
    ),
    (
        "convert {d}/sets.safetensors {d}/net.pt --raw-weights",
        "--raw-weights, --ema-decay and --ema-sigma are for runs; choose a file's weights with --part NAME",
        "convert {d}/sets.safetensors {d}/net.pt --part ema_model",
    ),
    (
        "sample --checkpoint {d}/sets.safetensors --num-steps 1 --num-samples 2 --out {d}/s.png --raw-weights",
        "--raw-weights, --ema-decay and --ema-sigma are for runs; choose a file's weights with --part NAME",
        "sample --checkpoint {d}/sets.safetensors --num-steps 1 --num-samples 2 --out {d}/s.png --part ema_model",
    ),
    (
        "SAMPLE --trajectory {d}/t.npy --sde sigma",
        "a stochastic path has no states between its steps; drop --sde",
        "SAMPLE --trajectory {d}/t.npy",
    ),
    (
        "SAMPLE --trajectory {d}/t.npy --trajectory-times 1",
        "--trajectory-times is ",
        "SAMPLE --trajectory {d}/t.npy --trajectory-times 2",
    ),
    (
        "SAMPLE --trajectory {d}/t.npy --batch-size 0",
        "or --batch-size is 0; both must be",
        "SAMPLE --trajectory {d}/t.npy",
    ),
    ("SAMPLE --batch-size 0", "--batch-size is 0; give at least one", "SAMPLE --batch-size 1"),
    (
        "sample --checkpoint {d}/plain --num-steps 1 --out {d}/s.png --class-grid",
        "drop --class-grid and --class-label",
        "sample --checkpoint {d}/plain --num-steps 1 --num-samples 2 --out {d}/s.png",
    ),
    (
        "sample --checkpoint {d}/plain --num-steps 1 --num-samples 2 --out {d}/s.png --cfg-scale 2",
        "; drop --cfg-scale, or give --guide-with a weaker model",
        "sample --checkpoint {d}/plain --num-steps 1 --num-samples 2 --out {d}/s.png",
    ),
    ("GRID --samples-per-class 0", "--samples-per-class is 0; give at least one", "GRID --samples-per-class 1"),
    ("SAMPLE --cfg-scale inf", "; give a finite number, 1 for no guidance", "SAMPLE --cfg-scale 1"),
    (
        "SAMPLE --guide-with step-2",
        "--guide-with has no default scale; give --cfg-scale",
        "SAMPLE --guide-with step-2 --cfg-scale 2",
    ),
    ("SAMPLE --cfg-interval 0.8,0.2", "two rising times from 0 to 1, such as", "SAMPLE --cfg-interval 0.2,0.8"),
    (
        "sample --checkpoint {d}/run --num-samples 2 --out {d}/s.png --sde sigma --solver heun",
        "give --sde-method, not --solver",
        "SAMPLE --sde sigma --sde-method heun",
    ),
    (
        "sample --checkpoint {d}/run --num-samples 2 --out {d}/s.png --times 0.5,1",
        "--times must rise from 0 to 1, both included",
        "sample --checkpoint {d}/run --num-samples 2 --out {d}/s.png --times 0,1",
    ),
    ("sample --checkpoint {d}/run --num-steps 0 --num-samples 2 --out {d}/s.png", "; choose 1 to", "SAMPLE"),
    (
        "sample --checkpoint {d}/run --num-samples 2 --out {d}/s.png --solver dopri5 --grid uniform",
        "chooses its own steps; give --num-steps with --grid",
        "SAMPLE --solver dopri5 --grid uniform",
    ),
    ("SAMPLE --part model", "this is a run, which knows them; drop them", "SAMPLE"),
    (
        "sample --checkpoint {d}/net.safetensors --num-steps 1 --num-samples 2 --out {d}/s.png --set nonsense",
        "give KEY=VALUE as in TOML",
        "sample --checkpoint {d}/net.safetensors --num-steps 1 --num-samples 2 --out {d}/s.png --set dropout=0.0",
    ),
    (
        "sample --checkpoint {d}/net.safetensors --num-steps 1 --num-samples 2 --out {d}/s.png --set kind='dit'",
        "drop --set kind",
        "sample --checkpoint {d}/net.safetensors --num-steps 1 --num-samples 2 --out {d}/s.png",
    ),
    (
        "sample --checkpoint {d}/net.safetensors --num-steps 1 --num-samples 2 --out {d}/s.png --set dropout='x'",
        "--set gives a value that does not fit its key",
        "inspect {d}/net.safetensors",
    ),
    (
        "likelihood --checkpoint {d}/run --num-images 0",
        "--num-images or --batch-size is 0; both must be at least 1",
        "likelihood --checkpoint {d}/run --num-images 1 --probes 1 --tolerance 0.1",
    ),
    (
        "likelihood --checkpoint {d}/run --num-images 1 --tolerance 0",
        "give a number above 0",
        "likelihood --checkpoint {d}/run --num-images 1 --probes 1 --tolerance 0.1",
    ),
    ("VELOCITY --at 2", "give times from 0 (noise) to 1 (data)", "VELOCITY --at 0.5"),
    (
        "VELOCITY --at 0.1,0.2,0.3",
        "--at has another number of times; give one, or one for each of the",
        "VELOCITY --at 0.1,0.2",
    ),
    ("VELOCITY --at 0.5 --classes 99,0", "give a name or a number from 0 to", "VELOCITY --at 0.5 --classes 9,0"),
    (
        "velocity {d}/x.npy --checkpoint {d}/no-null --out {d}/v.npy --at 0.5",
        "this network has classes and no null class; give --classes",
        "velocity {d}/x.npy --checkpoint {d}/no-null --out {d}/v.npy --at 0.5 --classes 9,0",
    ),
    ("VELOCITY --at 0.5 --classes 9", "give one class for each of the", "VELOCITY --at 0.5 --classes 9,0"),
    (
        "velocity {d}/x.npy --checkpoint {d}/plain --out {d}/v.npy --at 0.5 --classes 1,0",
        "this network has no classes; drop --classes",
        "velocity {d}/x.npy --checkpoint {d}/plain --out {d}/v.npy --at 0.5",
    ),
    ("inspect {d}/run --part model", "and this is a run; drop --part", "inspect {d}/two.safetensors --part model"),
    (
        "train --config {d}/tiny.toml --steps 1 --init {d}/two.safetensors --out {d}/again",
        "write one to a file: cifar-train convert",
        "convert {d}/two.safetensors {d}/one.safetensors --part model",
    ),
    ("report {d}/pairs", "give the --out directory of a run", "report {d}/run"),
    (
        "sample --checkpoint {d}/vq --num-steps 1 --num-samples 4 --out {d}/s.png",
        "give a run of this program",
        "SAMPLE",
    ),
];

pub(crate) const EVALUATION: &[Row] = &[
    (
        "reflow --rounds 1 --out {d}/rounds",
        "reflow needs a model that makes the pairs; give --teacher RUN",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --num-pairs 8 --num-samples 4 --out {d}/rounds",
    ),
    (
        "reflow --teacher {d}/run --rounds 1",
        "reflow needs a directory for its rounds; give --out DIR",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --num-pairs 8 --num-samples 4 --out {d}/rounds",
    ),
    (
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --num-pairs 8 --num-samples 4 --resume --out {d}/rounds",
        "rounds continue by repeating their command; drop --resume",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --num-pairs 8 --num-samples 4 --out {d}/rounds",
    ),
    (
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --num-pairs 8 --num-samples 4 --pairs {d}/pairs --out {d}/own",
        "each round makes its own pairs; drop --pairs",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --num-pairs 8 --num-samples 4 --out {d}/own",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --num-steps 2 --metrics kid-pixels --sweep cfg=inf",
        "give finite guidance scales as cfg=",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --num-steps 2 --metrics kid-pixels --sweep cfg=0,1,1.5,2",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep nfe=1 --num-steps 3",
        "a sweep over evaluations sets the steps itself; drop --num-steps",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep nfe=1",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/no-null --num-samples 8 --num-steps 2 --metrics kid-pixels --sweep cfg=1",
        "so its samples have one scale; drop --sweep cfg=",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/no-null --num-samples 8 --num-steps 2 --metrics kid-pixels",
    ),
    (
        "evaluate --samples digits --statistics {d}/st.npz --metrics kid-pixels --cache {d}/cache",
        "there are no images to compare with; name them by --data",
        "evaluate --samples digits --data digits --num-samples 64 --metrics kid-pixels --cache {d}/cache",
    ),
    (
        "evaluate --samples digits --statistics {d}/none.npz --metrics fd-pixels --cache {d}/cache",
        "give a file that `numpy.savez` wrote",
        "evaluate --samples digits --statistics {d}/st.npz --metrics fd-pixels --cache {d}/cache",
    ),
    (
        "evaluate --data folder:{d}/mixed --samples folder:{d}/mixed --metrics nn --cache {d}/cache",
        "differ in size; give --image-size",
        "evaluate --data folder:{d}/mixed --samples folder:{d}/mixed --metrics nn --cache {d}/cache --image-size 8",
    ),
    (
        "evaluate --data digits --cache {d}/tiny.toml --samples digits --num-samples 64 --metrics kid-pixels --metrics nn",
        "choose another place with --cache",
        "IMAGES",
    ),
    (
        "evaluate --data digits --cache {d}/cache --samples digits --num-samples 0 --metrics kid-pixels",
        "--num-samples is 0; ask for at least one sample",
        "IMAGES",
    ),
    (
        "evaluate --data digits --cache {d}/cache --samples digits --num-samples 64 --metrics nll",
        "nll is the likelihood under a model; give --checkpoint",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --num-steps 1 --metrics nll --nll-images 1",
    ),
    (
        "IMAGES --save-statistics {d}/st.npz",
        "ask for fd or fid too",
        "evaluate --data digits --cache {d}/cache --samples digits --metrics fd-pixels --save-statistics {d}/st.npz",
    ),
    (
        "evaluate --data digits --cache {d}/cache --samples digits --num-samples 64 --metrics kidd-pixels",
        "A metric may name its features: kid-pixels",
        "IMAGES",
    ),
    (
        "evaluate --data digits --cache {d}/cache --samples digits --num-samples 64 --metrics kid-inception",
        "or take fd-resnet20 (32 x 32 colour images) or fd-pixels",
        "evaluate --data digits --cache {d}/cache --samples digits --metrics fd-pixels",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep nfe=1 --sde sigma",
        "a sweep is over solvers of the ODE; drop --sde",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep nfe=1",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics nll --sweep nfe=1",
        "ask for it without --sweep",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --num-steps 1 --metrics nll --nll-images 1",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep nfe=1 --sweep-solvers rk4",
        "give numbers that their evaluations per step divide",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep nfe=4 --sweep-solvers rk4",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep 1",
        "give whole numbers of evaluations above 0 as nfe=1,2,4,8",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --metrics kid-pixels --sweep nfe=1",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --num-steps 1 --metrics nll --nll-images 0",
        "--nll-images is 0; give at least one",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --num-steps 1 --metrics nll --nll-images 1",
    ),
    (
        "reflow compare {d}/run --num-samples 1 --trajectories 8 --nfe 1",
        "--num-samples or --trajectories is below 2; both must be at least 2",
        "COMPARE",
    ),
    ("reflow compare {d}/run --num-samples 8 --trajectories 8 --nfe 0", "--nfe is 0; choose 1 to 1000000", "COMPARE"),
    (
        "PAIRS --num-pairs 0 --out {d}/p0",
        "--num-pairs or --shard-size is 0; both must be at least 1",
        "PAIRS --num-pairs 2 --out {d}/p0",
    ),
    (
        "PAIRS --num-pairs 2 --batch-size 0 --out {d}/p1",
        "--batch-size is 0; give at least one",
        "PAIRS --num-pairs 2 --batch-size 1 --out {d}/p1",
    ),
    (
        "PAIRS --num-pairs 2 --sde sigma --out {d}/p2",
        "does not lead each noise to a sample of its own; drop --sde",
        "PAIRS --num-pairs 2 --out {d}/p2",
    ),
];

/// As [`Row`], with environment variables in place of the command that fails.
pub(crate) const VARIABLES: &[Row] = &[
    ("RANK=3 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=29500", "set it, or unset it", "TRAIN"),
    ("HOME= XDG_CACHE_HOME=", "there is no home to keep features in; give --cache DIR", "IMAGES"),
];
