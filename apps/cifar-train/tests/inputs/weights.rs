//! Files of weights: those that PyTorch's `make.py` of fm-models made, and changes of them.

use super::page::Part;
use super::{common::succeed, made, told};
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Input, file, and what the program says.
type Row = (&'static str, &'static str, &'static str);

const READ: [Row; 19] = [
    ("`_use_new_zipfile_serialization=False`: PyTorch before 1.6", "old.pt", "parameters"),
    ("the same with pickle protocol 1", "old-protocol1.pt", "parameters"),
    ("the same of a whole module", "old-module.pt", "parameters"),
    ("the same with optimizer, paths, enums and NumPy arrays beside the weights", "old-objects.pt", "part"),
    ("`{\"model\": sd, \"ema\": AveragedModel(net).state_dict()}`", "averaged-model.pt", "part"),
    ("the same under names that do not tell averages", "averaged-by-counter.pt", "part"),
    ("Lightning, `state_dict.net.*`", "lightning.pt", "part"),
    ("Lightning with `ema.module.*` beside `model.*`", "lightning-ema.pt", "part"),
    ("`_fsdp_wrapped_module.` at two levels", "fsdp.pt", "parameters"),
    ("`_orig_mod.module.`: compiled, then DistributedDataParallel", "compiled.pt", "parameters"),
    ("`EMAModel` of diffusers, a list `shadow_params`", "shadow-diffusers.pt", "part"),
    ("torch_ema, beside the optimizer's copy", "shadow-torch-ema.pt", "part"),
    ("`LitEma`, names without dots", "lit-ema.pt", "part"),
    ("ema-pytorch, with `online_model` beside `ema_model`", "ema-pytorch.pt", "part"),
    ("`MultiStepLR`, `functools.partial`, `pathlib._local.PosixPath` beside the weights", "objects.pt", "part"),
    ("all tensors are views of one buffer", "views.pt", "parameters"),
    ("float16, bfloat16 and float64, with counters beside", "mixed.pt", "parameters"),
    ("`nn.Parameter` with attributes", "tagged.pt", "parameters"),
    ("a sparse mask beside the weights", "sparse-beside.pt", "part"),
];

const REFUSED: [Row; 22] = [
    ("pickle protocol 0, which PyTorch does not load either", "protocol0.pt", "protocol 0"),
    ("the same before PyTorch 1.6", "old-protocol0.pt", "protocol 0"),
    ("two networks of one kind", "two.pt", "--part"),
    ("two averages", "two-averages.pt", "--part"),
    ("averages of a part of the network", "shadow-short.pt", "--part"),
    ("averages without names, alone", "list.pt", "state_dict"),
    ("`list(net.named_parameters())`", "named-list.pt", "state_dict"),
    ("`weight_norm`", "weight-norm.pt", "merge it"),
    ("`parametrizations.weight_norm`", "parametrized.pt", "merge it"),
    ("pruned layers", "pruned.pt", "merge it"),
    ("a low-rank adapter", "adapter.pt", "merge it"),
    ("a sparse weight", "sparse-inside.pt", "to_dense"),
    ("a sparse weight in rows", "csr.pt", "to_dense"),
    ("a quantized weight", "quantized.pt", "dequantize"),
    ("a complex weight", "complex.pt", "complex"),
    ("a weight on the meta device", "meta.pt", "meta device"),
    ("a float8 weight", "float8.pt", "float32"),
    ("an int8 weight", "integers.pt", "Int8"),
    ("a weight that is an object", "object-inside.pt", "functools.partial"),
    ("`pickle.dump` of a state_dict", "dumped.pkl", "torch.save"),
    ("a pickle of NumPy arrays", "numpy.pkl", "torch.from_numpy"),
    ("an `.npz` archive", "arrays.npz", "torch.save"),
];

pub(super) fn weights(part: &mut Part, d: &Path) {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/fm-models/tests/reference/wrapped");
    for (input, file, says) in READ.into_iter().chain(REFUSED) {
        fs::copy(made.join(file), d.join(file)).unwrap();
        part.row(input, d, told(&format!("inspect {}/{file}", d.display())), says);
    }
    foreign(part, d);
    shards(part, d);
    assumed(part, d);
}

/// Files that are not weights.
fn foreign(part: &mut Part, d: &Path) {
    let old = fs::read(d.join("old.pt")).unwrap();
    let zip = fs::read(d.join("lightning.pt")).unwrap();
    let files: [(&str, &str, &[u8], &str); 8] = [
        (
            "a Git LFS pointer",
            "pointer.pt",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "LFS",
        ),
        ("a web page", "page.safetensors", b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        ("a gzip file", "packed.pt", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
        ("an HDF5 file", "keras.h5", b"\x89HDF\r\n\x1a\n........", "HDF5"),
        ("zeros", "zeros.pt", &[0; 4096], "zeros"),
        ("nothing", "nothing.pt", b"", "empty"),
        ("two thirds of a file before PyTorch 1.6", "old-cut.pt", &old[..old.len() * 2 / 3], "cut short"),
        ("two thirds of a file", "cut.pt", &zip[..zip.len() * 2 / 3], "cut short"),
    ];
    for (input, name, bytes, says) in files {
        fs::write(d.join(name), bytes).unwrap();
        part.row(input, d, told(&format!("inspect {}/{name}", d.display())), says);
    }
    fs::create_dir(d.join("distributed")).unwrap();
    for name in [".metadata", "__0_0.distcp"] {
        fs::write(d.join("distributed").join(name), "x").unwrap();
    }
    let words = format!("inspect {}/distributed", d.display());
    part.row("a folder of `torch.distributed.checkpoint`", d, told(&words), "dcp_to_torch");
}

fn save(path: &Path, tensors: &std::collections::BTreeMap<String, tch::Tensor>) {
    fs::write(path, interchange::safetensors(tensors, &About::default()).unwrap()).unwrap();
}

fn shards(part: &mut Part, d: &Path) {
    let tensors = interchange::read(&d.join("mixed.pt"), None).unwrap().tensors;
    let folder = d.join("shards");
    fs::create_dir(&folder).unwrap();
    let mut map = serde_json::Map::new();
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        let file = format!("model-{:05}-of-{:05}.safetensors", i + 1, tensors.len());
        save(&folder.join(&file), &[(name.clone(), tensor.shallow_clone())].into());
        map.insert(name.clone(), file.into());
    }
    fs::write(folder.join("model.safetensors.index.json"), json!({ "weight_map": map }).to_string()).unwrap();
    let inspect = |name: &str| told(&format!("inspect {}/shards{name}", d.display()));
    part.row("a folder of shards with `model.safetensors.index.json`", d, inspect(""), "parameters");
    part.row("its list of shards", d, inspect("/model.safetensors.index.json"), "parameters");
    part.row("its first shard", d, inspect("/model-00001-of-00004.safetensors"), "parameters");
    fs::remove_file(folder.join("model-00002-of-00004.safetensors")).unwrap();
    part.row("the same without its second shard", d, inspect(""), "missing");
}

/// A file with the network of a configuration, without metadata.
fn network(d: &Path, name: &str, config: Value) {
    let config: ModelConfig = serde_json::from_value(config).unwrap();
    let (store, _) = made::build(&config);
    save(&d.join(name), &interchange::named(&store));
}

fn assumed(part: &mut Part, d: &Path) {
    let dit = json!({"kind": "dit", "image_channels": 4, "image_size": [8, 8], "patch": 2, "width": 32, "depth": 1,
        "heads": 2});
    network(d, "latents.safetensors", dit);
    let sigma = json!({"kind": "unet", "image_size": [8, 8], "channels": 32, "channel_mult": [1], "res_blocks": 1,
        "attention_at": [], "head_channels": 32, "learn_sigma": true});
    network(d, "sigma.safetensors", sigma);
    let at = d.display();
    let sample = |file: &str, flags: &str| {
        told(&format!("sample --checkpoint {at}/{file} --num-steps 1 --num-samples 1 {flags}"))
    };
    let inspect = |file: &str| told(&format!("inspect {at}/{file}"));
    part.row("a DiT with 4 channels, which are latents", d, inspect("latents.safetensors"), "latents ");
    part.row("a picture of its samples", d, sample("latents.safetensors", &format!("--out {at}/x.png")), "--npy");
    part.row(
        "its samples as an array",
        d,
        sample("latents.safetensors", &format!("--npy {at}/x.npy --out {at}/y.png")),
        "x.npy: values",
    );
    part.row("a U-Net with a learned variance, as of DDPM", d, inspect("sigma.safetensors"), "prediction");
    part.row("the same: its direction of time", d, inspect("sigma.safetensors"), "time_direction");
    part.row("the same: its path", d, inspect("sigma.safetensors"), "path ");
    let config = super::common::tiny_config(d);
    succeed(&format!("train --config {config} --data digits --steps 1 --out {at}/w"));
    succeed(&format!("convert {at}/w {at}/w.pt"));
    let convert = format!("convert {at}/w.pt {at}/data.safetensors --set image_size=[8,8] --prediction data");
    part.row("`convert --prediction data`", d, told(&convert), "time_clip");
    let drawn = sample("data.safetensors", &format!("--out {at}/z.png"));
    part.row("`sample` of the result, whose velocity is singular at the data", d, drawn, "wrote");
}
