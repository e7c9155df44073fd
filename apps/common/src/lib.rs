//! Code shared by the programs `cifar-train` and `tabular-train`.
//!
//! | module | content |
//! |---|---|
//! | [`cli`] | the command line, one-line error messages, exit codes |
//! | [`help`] | `--help` with the options that most runs need, `--help-all` with all |
//! | [`device`], [`memory`] | choice of the device; memory use, and an allocator that keeps freed memory |
//! | [`runtime`] | precision of f32 products, deterministic kernels, profile of a few steps |
//! | [`settings`] | TOML files over defaults; an unknown key is an error that suggests the nearest one |
//! | [`mod@options`] | options declared once: configuration, default, flag and help |
//! | [`objective_args`], [`sources`] | objective, source and coupling, as flags and as configuration |
//! | [`optimizer_args`] | optimizer, learning rate, EMA and early stopping, as flags and as configuration |
//! | [`every`] | intervals in steps or epochs |
//! | [`aliases`] | configuration keys and flags of other trainers |
//! | [`objective_report`] | the command `objective`: an objective over time, as a table and a picture |
//! | [`models`], [`solvers`] | networks for tables, and solvers, by name |
//! | [`weights`] | networks from files of weights |
//! | [`grids`] | learned time grids and their files |
//! | [`guidance`] | guidance of samples: rules, scale, a weaker model |
//! | [`likelihood`] | log-densities of data under a network |
//! | [`process_group`] | programs that run as several processes |
//! | [`advice`] | advice at the start of a run |
//! | [`rounds`] | reflow in rounds |
//! | [`training_run`] | a training run, from its directory to its summary |
//! | [`artefact`] | the files of a finished run: its weights and their description |
//! | [`quality`] | the energy distance of samples during training |
//! | [`potentials`] | the potentials of a semidiscrete coupling, beside a run |
//! | [`progress`] | progress bar, logs, checkpoints and pictures of a training run |
//! | [`outputs`] | files that commands write, in the formats that their names end in |
//! | [`pictures`] | image grids, animations and curves |
//! | [`report`] | the command `report`: a run as one HTML page |

pub mod advice;
pub mod aliases;
pub mod artefact;
pub mod cli;
pub mod device;
pub mod every;
pub mod flow;
pub mod grids;
pub mod guidance;
pub mod help;
pub mod inspect;
pub mod likelihood;
pub mod memory;
pub mod models;
pub mod objective_args;
pub mod objective_report;
pub mod optimizer_args;
pub mod options;
pub mod outputs;
pub mod pictures;
pub mod potentials;
pub mod process_group;
pub mod progress;
pub mod quality;
pub mod report;
pub mod rounds;
pub mod runtime;
pub mod settings;
pub mod solvers;
pub mod sources;
mod spinning;
mod time_animation;
pub mod training_run;
pub mod weights;
