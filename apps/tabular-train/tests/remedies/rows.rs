//! The rows of this test.

/// A command that fails, a part of its message, and the command after the remedy.
pub(crate) type Row = (&'static str, &'static str, &'static str);

pub(crate) const TRAINING: &[Row] = &[
    (
        "reflow --teacher {d}/run --steps 1 --teacher-steps 1 --batch-size 8 --init {d}/run --out {new}",
        "a student starts from the weights of its teacher; drop --init",
        "reflow --teacher {d}/run --steps 1 --teacher-steps 1 --batch-size 8 --out {new}",
    ),
    ("TRAIN --init {d}/absent", "give another --init, or drop it", "TRAIN --steps 1"),
    ("TRAIN --init {d}/run --widths 9", "has another network; give another --init, or drop it", "TRAIN --widths 9"),
    (
        "TRAIN --task split --excess-loss true --rows 50",
        "the least loss of a flow map is not known; drop --excess-loss, or take --task flow",
        "TRAIN --task flow --excess-loss true --rows 50",
    ),
    (
        "TRAIN --model transformer --widths 8",
        "give --window ROWS or an array (N, L, C), or another --model",
        "TRAIN --data ecg --window 8 --model transformer --widths 8 --heads 2",
    ),
    (
        "TRAIN --data ecg --window 8 --model transformer --widths 8,16 --heads 2",
        "the blocks of a transformer have one width; give equal --widths",
        "TRAIN --data ecg --window 8 --model transformer --widths 8,8 --heads 2",
    ),
    (
        "TRAIN --data ecg --window 8 --stride 0",
        "give at least one row between windows (--stride)",
        "TRAIN --data ecg --window 8 --stride 1",
    ),
    ("TRAIN --min-delta=-1", "give an improvement of 0 or more (--min-delta)", "TRAIN --min-delta 0"),
    (
        "reflow --teacher {d}/run --rounds 1 --resume --out {new}",
        "rounds continue by repeating their command; drop --resume",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {new}",
    ),
    (
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {d}/run",
        " holds files of something else; choose another --out",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {new}",
    ),
    (
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 2 --batch-size 8 --out {d}/rounds",
        " holds rounds of another teacher or other settings; repeat that command, or choose another --out",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {d}/rounds",
    ),
    (
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {d}/torn",
        " is damaged; choose another --out",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {new}",
    ),
    (
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {d}/unread",
        ", the settings of the rounds; choose another --out",
        "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {new}",
    ),
    (
        "TRAIN --validate-every 7 --log-every 5 --hold-out 0.1",
        "choose a multiple of ",
        "TRAIN --validate-every 10 --log-every 5 --hold-out 0.1",
    ),
    (
        "TRAIN --validate-every 10 --log-every 5",
        "no rows are held out; pass --hold-out 0.1",
        "TRAIN --validate-every 10 --log-every 5 --hold-out 0.1",
    ),
    (
        "TRAIN --monitor val_loss",
        "which is not measured; pass --validate-every STEPS and --hold-out 0.1",
        "TRAIN --monitor val_loss --validate-every 5 --log-every 5 --hold-out 0.1",
    ),
    (
        "TRAIN --monitor quality",
        "which is not measured; pass --quality-every STEPS, or monitor another value",
        "TRAIN --monitor quality --quality-every 5 --log-every 5",
    ),
    (
        "TRAIN --monitor coupling_gain",
        "which is not measured; pass --coupling exact, or monitor another value",
        "TRAIN --monitor coupling_gain --coupling exact",
    ),
    ("TRAIN --rows 0 --monitor epoch_loss", "these data have no epochs; monitor another value", "TRAIN --monitor loss"),
    ("TRAIN --quality-samples 1", "give at least 2 (--quality-samples)", "TRAIN --quality-samples 2"),
    (
        "reflow --teacher {d}/run --steps 1 --log-every 1 --hold-out 0.5 --validate-every 1 --out {new}",
        "the pairs of a teacher; drop --validate-every",
        "reflow --teacher {d}/run --steps 1 --teacher-steps 1 --batch-size 8 --save-every 0 --sample-every 0 --hold-out 0.5 --out {new}",
    ),
    ("TRAIN --data {d}/three.csv --preprocess log1p", " with --preprocess ", "TRAIN --data {d}/three.csv"),
    (
        "train --resume --steps 2 --out {d}/grown",
        "pass --allow-changed-data",
        "train --resume --steps 2 --allow-changed-data --out {d}/grown",
    ),
    ("TRAIN --steps 0", "give at least one (--steps)", "TRAIN --steps 1"),
    ("TRAIN --batch-size 0", "give at least one row per step (--batch-size)", "TRAIN --batch-size 1"),
    ("TRAIN --rows 0 --excess-loss true", "give --rows, or drop --excess-loss", "TRAIN --rows 50 --excess-loss true"),
    (
        "TRAIN --model mlp --layer concat",
        "choose --model concat-squash, or drop --layer and --degree",
        "TRAIN --model concat-squash --layer concat",
    ),
    ("convert {d}/run {d}/net.txt", "end it in .safetensors or .pt", "convert {d}/run {d}/net.pt"),
    ("inspect {d}/run --part model", "and this is a run; drop --part", "inspect {d}/run"),
    (
        "sample --checkpoint {d}/run --from moons --num-samples 0 --out {d}/s.csv",
        "it has no rows, or --num-samples is 0; give at least one",
        "sample --checkpoint {d}/run --from moons --num-samples 2 --num-steps 1 --out {d}/s.csv",
    ),
    ("TRAIN --log-every 0", "give at least 1 (--log-every)", "TRAIN --log-every 1"),
    ("TRAIN --hold-out 2", "choose a share below 1 (--hold-out)", "TRAIN --hold-out 0.5"),
    ("TRAIN --hold-out 0.999", "give a smaller --hold-out", "TRAIN --hold-out 0.5"),
    ("TRAIN --clip-outliers 0.5", "share from 0 to below 0.5 (--clip-outliers)", "TRAIN --clip-outliers 0.01"),
    ("TRAIN --label-drop 2", "choose a share in [0, 1] (--label-drop)", "TRAIN --label-drop 0"),
    (
        "TRAIN --data {d}/t.csv --ignore kind --label-drop 0.1",
        "label_drop drops labels, and there are none; give --labels",
        "TRAIN --data {d}/t.csv --labels kind --label-drop 0.1",
    ),
    ("TRAIN --lr=-1", "choose a learning rate above 0 (--lr)", "TRAIN --lr 0.1"),
    ("TRAIN --trainable-source true --source 8gaussians", "source; drop --source", "TRAIN --trainable-source true"),
    (
        "TRAIN --trainable-source true --coupling exact",
        "cannot be paired before it is known; drop --coupling",
        "TRAIN --trainable-source true",
    ),
    (
        "TRAIN --trainable-source true --excess-loss true",
        "the least loss is known for a fixed source; drop --excess-loss",
        "TRAIN --trainable-source true",
    ),
    ("TRAIN --coupling exact --excess-loss true", "and no classes; drop --excess-loss", "TRAIN --coupling exact"),
    (
        "TRAIN --monitor excess",
        "pass --excess-loss true, or monitor another value",
        "TRAIN --monitor excess --excess-loss true",
    ),
    ("TRAIN --ignore a", "--ignore names columns of a CSV file", "TRAIN --rows 50"),
    ("TRAIN --labels a", "--labels names a column of a CSV file", "TRAIN --rows 50"),
    ("TRAIN --data genes --labels x", "give --labels cell_type or none", "TRAIN --data genes --labels cell_type"),
    (
        "train --data moons --rows 50 --widths 8 --steps 2 --batch-size 8 --save-every 0 --sample-every 0 --log-every 1 --out {d}/run",
        "pass --resume to continue it, or another --out",
        "train --resume --out {d}/run",
    ),
    (
        "train --resume --batch-size 4 --out {d}/run",
        "drop the flag, or start a new run with another --out",
        "train --resume --out {d}/run",
    ),
    (
        "couple {d}/one.csv {d}/one.csv --coupling c2ot --classes {d}/half.csv",
        "which is no class; give whole numbers",
        "couple {d}/one.csv {d}/one.csv --coupling c2ot --classes {d}/classes.csv",
    ),
    (
        "couple {d}/one.csv {d}/one.csv --coupling semidiscrete:draws=1 --classes {d}/classes.csv",
        "have no classes to choose within; drop --classes",
        "couple {d}/one.csv {d}/one.csv --coupling semidiscrete:draws=1",
    ),
    (
        "couple {d}/one.csv {d}/one.csv {d}/one.csv --coupling semidiscrete:draws=1",
        " tables by semidiscrete; give two",
        "couple {d}/one.csv {d}/one.csv --coupling semidiscrete:draws=1",
    ),
    (
        "couple moons moons moons --rows 9 --picture {d}/pairs.png",
        " tables; give two, or drop --picture",
        "couple moons moons moons --rows 9",
    ),
    (
        "couple {d}/classes.csv {d}/classes.csv --picture {d}/pairs.png",
        " columns; give two columns, or drop --picture",
        "couple {d}/classes.csv {d}/classes.csv",
    ),
    (
        "couple moons {d}/one.csv --rows 9 --picture {d}/pairs.png",
        "; give tables of one length, or drop --picture",
        "couple moons {d}/one.csv --rows 9",
    ),
    (
        "train --data moons --rows 0 --batch-size 8 --steps 1 --coupling semidiscrete:draws=1 --out {new}",
        "give their number (--rows 10000)",
        "train --data moons --rows 100 --batch-size 8 --steps 1 --coupling semidiscrete:draws=1 --out {new}",
    ),
    (
        "couple {d}/one.csv {d}/one.csv {d}/one.csv --coupling c2ot --classes {d}/classes.csv",
        "--classes belong to the second of two tables; give two",
        "couple {d}/one.csv {d}/one.csv --coupling c2ot --classes {d}/classes.csv",
    ),
    (
        "reflow --teacher {d}/run --steps 1 --batch-size 8 --teacher-steps 0 --out {d}/student",
        "--teacher-steps is 0; choose 1 to 1000000",
        "reflow --teacher {d}/run --steps 1 --batch-size 8 --save-every 0 --sample-every 0 --teacher-steps 1 --out {d}/student",
    ),
    (
        "reflow --teacher {d}/run --steps 1 --preset spiral --out {d}/student-2",
        "a student learns what its teacher does; drop --preset",
        "reflow --teacher {d}/run --steps 1 --batch-size 8 --save-every 0 --sample-every 0 --teacher-steps 1 --out {d}/student-2",
    ),
    (
        "reflow --teacher {d}/run --steps 1 --widths 8,8 --out {d}/student-3",
        "drop what changes it, or pass --fresh",
        "reflow --teacher {d}/run --steps 1 --batch-size 8 --save-every 0 --sample-every 0 --teacher-steps 1 --widths 8,8 --fresh --out {d}/student-3",
    ),
];

pub(crate) const SAMPLES: &[Row] = &[
    ("GUIDED --cfg-rescale 2", "--cfg-rescale is ", "GUIDED --cfg-rescale 0"),
    (
        "sample --checkpoint {d}/dropped --num-steps 1 --num-samples 4 --out {d}/s.csv --guidance apg",
        " has no effect at scale 1, the model without guidance; give --cfg-scale 2",
        "GUIDED --guidance apg",
    ),
    (
        "GUIDED --cfg-interval 3,4",
        "; give two rising times from 0 to 1, such as 0.2,0.8",
        "GUIDED --cfg-interval 0.2,0.8",
    ),
    ("GUIDED --guide-with step-7", "; give --guide-with one of ", "GUIDED --guide-with step-1"),
    (
        "GUIDED --guide-with {d}/run",
        "; give --guide-with a model that was trained alike",
        "GUIDED --guide-with {d}/dropped",
    ),
    (
        "sample --checkpoint {d}/run/model.safetensors --num-samples 4 --out {d}/s.csv --cfg-scale 2 --guide-with step-1",
        ", a file of weights; give the run itself by --checkpoint",
        "SAMPLE --cfg-scale 2 --guide-with step-2",
    ),
    (
        "sample --checkpoint {d}/noise --num-samples 4 --out {d}/s.csv --cfg-scale 2 --guidance cfg-zero",
        ": its formula is of velocities; give --guidance apg or cfg",
        "sample --checkpoint {d}/noise --num-samples 4 --out {d}/s.csv --cfg-scale 2 --guidance apg",
    ),
    (
        "sample --checkpoint {d}/bridge --num-steps 1 --num-samples 4 --out {d}/s.csv --cfg-scale 2 --sde sigma --guidance apg",
        "; give --guidance cfg without --cfg-rescale and --guide-with, or drop --sde",
        "sample --checkpoint {d}/bridge --num-steps 1 --num-samples 4 --out {d}/s.csv --cfg-scale 2 --sde sigma --guidance cfg",
    ),
    ("LEARN --times 0,1", "; give --num-steps, without --grid and --times", "LEARN --num-steps 2"),
    (
        "grid --checkpoint {d}/run --num-steps 2 --out {d}/none/g.json",
        " is not a directory; create it, or choose another --out",
        "LEARN --num-steps 2",
    ),
    (
        "sample --checkpoint {d}/run --num-samples 4 --out {d}/s.csv --sde sigma --pace per-batch",
        "drop it, or give --rtol without --num-steps and --times",
        "sample --checkpoint {d}/run --num-samples 4 --out {d}/s.csv --sde sigma --pace per-batch --rtol 0.1",
    ),
    (
        "sample --checkpoint {d}/run --num-samples 4 --out {d}/s.csv --sde churn --rtol 0.1",
        "only heun without churn has an error estimate; use that, or give a number of steps",
        "sample --checkpoint {d}/run --num-samples 4 --out {d}/s.csv --sde sigma --sde-method heun --rtol 0.1",
    ),
    (
        "sample --checkpoint {d}/run --solver map --num-samples 4 --out {d}/s.csv",
        "this model is a flow; give another --solver, or train with --task split",
        "TRAIN --task split",
    ),
    (
        "sample --checkpoint {d}/map --solver map --num-samples 4 --out {d}/s.csv --schedule trigonometric",
        ": a flow map jumps on its own path, by plain guidance only; ",
        "sample --checkpoint {d}/map --solver map --num-samples 4 --out {d}/s.csv",
    ),
    (
        "sample --checkpoint {d}/map --solver map --num-samples 4 --out {d}/s.csv --cfg-scale 2 --guide-with step-1",
        ": a flow map jumps on its own path, by plain guidance only; drop --guide-with",
        "sample --checkpoint {d}/map --solver map --num-samples 4 --out {d}/s.csv --cfg-scale 1",
    ),
    (
        "SAMPLE --cfg-scale 2 --guide-with step-7",
        "; train with a smaller --save-every, and for images --keep-checkpoints 0",
        "TRAIN --save-every 1",
    ),
    ("LEARN --num-steps 2 --sde sigma", "a grid is learned for steps of the ODE; drop --sde", "LEARN --num-steps 2"),
    ("LEARN --num-steps 101", "; learn a grid of 1 to 100 steps", "LEARN --num-steps 2"),
    ("LEARN --num-steps 2 --grid-rows 0", "--grid-rows is ", "LEARN --num-steps 2 --grid-rows 1"),
    ("LEARN --num-steps 2 --fine-steps 3", "--fine-steps is ", "LEARN --num-steps 2 --fine-steps 4"),
    (
        "sample --checkpoint {d}/run --num-samples 4 --out {d}/s.csv --times none.json",
        "; give times such as 0,0.3,1, or a file of the command grid",
        "sample --checkpoint {d}/run --num-samples 4 --out {d}/s.csv --times 0,0.3,1",
    ),
    (
        "sample --checkpoint {d}/run --num-steps 1 --num-samples 4 --source gaussian --out {d}/s.csv",
        "this is a run, which knows its source; drop it",
        "sample --checkpoint {d}/run --num-steps 1 --num-samples 4 --out {d}/s.csv",
    ),
    (
        "sample --checkpoint {d}/dropped --num-steps 1 --num-samples 4 --out {d}/s.csv --cfg-scale inf",
        "give a finite number, 1 for no guidance",
        "sample --checkpoint {d}/dropped --num-steps 1 --num-samples 4 --out {d}/s.csv --cfg-scale 1",
    ),
    ("SAMPLE --cfg-scale 2", "; drop --cfg-scale, or give --guide-with a weaker model", "SAMPLE"),
    (
        "sample --checkpoint {d}/run --num-steps 1 --num-samples 0 --out {d}/s.csv",
        "--num-samples is 0; ask for at least one row",
        "SAMPLE",
    ),
    ("SAMPLE --class x", "this model was trained without classes; drop --class", "SAMPLE"),
    (
        "evaluate --checkpoint {d}/run --num-samples 20 --num-steps 1 --directions 0",
        "--directions or --components is 0; both must be at least 1",
        "evaluate --checkpoint {d}/run --num-samples 20 --num-steps 1 --directions 4",
    ),
    (
        "likelihood --checkpoint {d}/three --picture {d}/l.png",
        "columns; drop --picture",
        "likelihood {d}/three.csv --checkpoint {d}/three",
    ),
    (
        "likelihood --checkpoint {d}/run --picture {d}/l.png --resolution 1",
        "choose 2 to 1000",
        "likelihood --checkpoint {d}/run --picture {d}/l.png --resolution 2",
    ),
    (
        "likelihood --checkpoint {d}/labelled --picture {d}/l.png --resolution 2",
        "give --class CLASS, or --labels COLUMN of the rows",
        "likelihood --checkpoint {d}/labelled --picture {d}/l.png --resolution 2 --class x",
    ),
    (
        "likelihood {d}/three.csv --checkpoint {d}/normal",
        "and for their logarithms; train such a model: --preprocess standardize",
        "train --data {d}/three.csv --preprocess standardize --widths 8 --steps 1 --batch-size 8 --save-every 0 --sample-every 0 --out {new}",
    ),
    (
        "likelihood {d}/points.csv --checkpoint {d}/run --class 0",
        "trained without classes; drop --class and --labels",
        "likelihood {d}/points.csv --checkpoint {d}/run",
    ),
    (
        "likelihood {d}/points.csv --checkpoint {d}/run --tolerance 0",
        "give a number above 0",
        "likelihood {d}/points.csv --checkpoint {d}/run --tolerance 0.1",
    ),
    (
        "sample --checkpoint {d}/run/model.safetensors --raw-weights --num-samples 2 --out {d}/s.csv",
        "--raw-weights, --ema-decay and --ema-sigma are for runs; choose a file's weights with --part NAME",
        "sample --checkpoint {d}/run/model.safetensors --num-samples 2 --out {d}/s.csv",
    ),
    (
        "picture --checkpoint {d}/run/model.safetensors --num-samples 8 --num-steps 2 --untrained --out {d}/pictures",
        "give the run, or drop --untrained",
        "picture --checkpoint {d}/run --num-samples 8 --num-steps 2 --untrained --out {d}/pictures",
    ),
    (
        "objective --time uniform --gif {d}/times.gif",
        "has no parameter to animate; choose another, such as --time warp",
        "objective --time warp --gif {d}/times.gif",
    ),
    (
        "picture --checkpoint {d}/run --num-samples 8 --num-steps 2 --at 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0 --out {d}/pictures",
        " times; give at most ",
        "picture --checkpoint {d}/run --num-samples 8 --num-steps 2 --at 0,1 --out {d}/pictures",
    ),
    (
        "picture --checkpoint {d}/run --num-samples 8 --num-steps 2 --at 2 --out {d}/pictures",
        "give times from 0 (noise) to 1 (data)",
        "picture --checkpoint {d}/run --num-samples 8 --num-steps 2 --at 0.5 --out {d}/pictures",
    ),
    ("SOLVE --deviation 0", "give a width above 0", "SOLVE --deviation 1"),
    (
        "solve {d}/points.csv --num-samples 4 --out {d}/e.csv --times 0.5,1",
        "--times must rise from 0 to 1, both included",
        "solve {d}/points.csv --num-samples 4 --out {d}/e.csv --times 0,1",
    ),
    (
        "velocity {d}/points.csv --checkpoint {d}/labelled --out {d}/v.csv",
        "draw from it with sample --class",
        "sample --checkpoint {d}/labelled --num-steps 1 --num-samples 4 --out {d}/s.csv --class x",
    ),
];
