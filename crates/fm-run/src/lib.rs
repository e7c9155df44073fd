//! Runs of the programs: the parts of a run, made from options, the training run, and its report.
//!
//! | module | content |
//! |---|---|
//! | [`device`], [`process_group`] | choice of the device; programs that run as several processes |
//! | [`runtime`] | precision of f32 products, deterministic kernels, profile of a few steps |
//! | [`objective_args`], [`sources`], [`flow`] | objective, source and coupling, as flags and as configuration |
//! | [`optimizer_args`] | optimizer, learning rate, EMA and early stopping, as flags and as configuration |
//! | [`potentials`] | the potentials of a semidiscrete coupling, stored with a run |
//! | [`models`], [`weights`] | networks for tables, by name; networks from files of weights |
//! | [`solvers`], [`grids`], [`guidance`] | solvers by name, learned time grids, rules of guidance |
//! | [`host`] | values of samples on the host |
//! | [`training_run`] | a training run, from its directory to its summary |
//! | [`progress`], [`quality`] | the callback that draws the progress bar and writes logs, checkpoints and pictures; sample quality in the log |
//! | [`straightness`] | straightness and energy of the paths of a flow |
//! | [`rounds`] | reflow in rounds |
//! | [`advice`] | advice at the start of a run, on settings that seldom train well |
//! | [`artefact`] | the files of a finished run: its weights and their description |
//! | [`report`] | the command `report`: runs as one HTML page |
//! | [`objective_report`] | the command `objective`: an objective over time, as a table and a picture |
//! | [`inspect`], [`likelihood`] | the commands `inspect` and `likelihood` |

pub mod advice;
pub mod artefact;
pub mod device;
pub mod flow;
pub mod grids;
pub mod guidance;
pub mod host;
pub mod inspect;
pub mod likelihood;
pub mod models;
pub mod objective_args;
pub mod objective_report;
pub mod optimizer_args;
pub mod potentials;
pub mod process_group;
pub mod progress;
pub mod quality;
pub mod report;
pub mod rounds;
pub mod runtime;
pub mod solvers;
pub mod sources;
pub mod straightness;
mod time_animation;
pub mod training_run;
pub mod weights;
