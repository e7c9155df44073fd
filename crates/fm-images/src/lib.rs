//! Images in runs of the programs.
//!
//! | module | content |
//! |---|---|
//! | [`data`], [`classes`] | images by name, fetched if they are missing; classes by name or number |
//! | [`data_report`] | the command `data`: how a set of images is read |
//! | [`training_data`] | the data of a run: images, their latents, or a teacher's pairs, and their batches |
//! | [`sampling`], [`trajectory`] | samples in batches, and their states on the way |
//! | [`likelihood`] | bits per dimension |
//! | [`duration`] | the expected time of a training on a CPU |
//! | [`loader`] | the script that builds an exported network in PyTorch |
//! | [`latent`] | an autoencoder in use, and the latent space of a run |
//! | [`vqvae`] | the command `vqvae`: trains an autoencoder |

pub mod classes;
pub mod data;
pub mod data_report;
pub mod duration;
pub mod latent;
pub mod likelihood;
pub mod loader;
pub mod sampling;
pub mod training_data;
pub mod trajectory;
pub mod vqvae;
