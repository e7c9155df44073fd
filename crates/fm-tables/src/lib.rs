//! Tables in runs of the programs.
//!
//! | module | content |
//! |---|---|
//! | [`data`] | tables by name, and how their files are read; sources by name |
//! | [`data_report`] | the command `data`: how a table is read |
//! | [`training_data`] | the rows of a run, held out or in the units of the network |
//! | [`draw`] | samples of a model, in the units of the table |
//! | [`likelihood`] | log-densities in the units of the table |
//! | [`fields`] | velocities of a model of two columns, as arrows |
//! | [`few_steps`] | the quality of a model in few steps |
//! | [`moments`] | means and covariances of samples during a run |
//! | [`source_rows`] | the rows of a source, carried by a file of weights |
//! | [`loader`] | the script that builds an exported network in PyTorch |
//! | [`couple`] | the command `couple`: couplings of tables |
//! | [`solve`] | the command `solve`: a solver on a field with a known solution |

pub mod couple;
pub mod data;
pub mod data_report;
pub mod draw;
pub mod few_steps;
pub mod fields;
pub mod likelihood;
pub mod loader;
pub mod moments;
pub mod solve;
pub mod source_rows;
pub mod training_data;
