//! What the apps share, so that they can be thin.
//!
//! | module | idea |
//! |---|---|
//! | [`cli`] | one clear line for an error, exit code 2; Ctrl-C once to save and stop, twice to abort |
//! | [`device`], [`memory`] | one binary for CPU and CUDA; freed memory is kept |
//! | [`runtime`] | precision of products, deterministic kernels, a profile of a few steps |
//! | [`settings`] | a TOML file over defaults, with the nearest name for a key that does not exist |
//! | [`objective_args`], [`sources`], [`couplings`] | what is learned: objective, source and coupling, as flags and as configuration |
//! | [`optimizer_args`] | how it is learned: optimizer, learning rate, averages, when to stop |
//! | [`aliases`] | the names that users of other trainers type from memory |
//! | [`objective_report`] | what an objective does, as a table and a picture |
//! | [`models`], [`solvers`], [`preprocess`] | the networks, solvers and treatments of columns that users can name |
//! | [`weights`] | networks out of files of weights, ours or anybody's |
//! | [`likelihood`] | log-densities of data under a network |
//! | [`process_group`] | a program run by several processes |
//! | [`training_run`] | a training run from its directory to its last line of output |
//! | [`progress`] | progress, metrics, checkpoints and pictures of a run that trains |
//! | [`pictures`] | image grids, animations and curves |
//! | [`report`] | a run as one page |

pub mod aliases;
pub mod cli;
pub mod couplings;
pub mod device;
mod flow;
pub mod likelihood;
pub mod memory;
pub mod models;
pub mod objective_args;
pub mod objective_report;
pub mod optimizer_args;
pub mod pictures;
pub mod preprocess;
pub mod process_group;
pub mod progress;
pub mod report;
pub mod runtime;
pub mod settings;
pub mod solvers;
pub mod sources;
pub mod training_run;
pub mod weights;
