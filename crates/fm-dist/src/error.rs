//! What can go wrong between processes, with the remedy.

/// A group that cannot be opened, or has lost a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DistError {
    /// A launcher's variable that cannot be used.
    #[error("{name}={value}: {problem}; let torchrun, srun or `cargo xtask launch` set it, or unset it")]
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong.
        problem: String,
    },
    /// Rank 0 cannot serve at the address.
    #[error("rank 0 cannot serve at {address} ({reason}); choose another MASTER_PORT")]
    Port {
        /// Where.
        address: String,
        /// The system's reason.
        reason: String,
    },
    /// The meeting place cannot be reached.
    #[error(
        "rank {rank} cannot reach rank 0 at {address} ({reason}); check MASTER_ADDR and MASTER_PORT, and that rank 0 has been started"
    )]
    Unreachable {
        /// Who tried.
        rank: usize,
        /// Where.
        address: String,
        /// The reason.
        reason: String,
    },
    /// Tensors or ranks without a meaning for a collective.
    #[error("cannot {action}: {problem}")]
    Argument {
        /// The collective.
        action: &'static str,
        /// What is wrong, with the remedy.
        problem: String,
    },
    /// Some ranks have not come or have gone without a word.
    #[error("lost {ranks}: {reason}")]
    Lost {
        /// Which, as text: `rank 2` or `ranks 2, 3`.
        ranks: String,
        /// What is known.
        reason: String,
    },
    /// A rank has said why it ends.
    #[error("rank {rank} failed: {cause}")]
    Failed {
        /// Which.
        rank: usize,
        /// Its own words.
        cause: String,
    },
    /// All ranks are there, and yet they could not speak.
    #[error(
        "the {world_size} ranks could not exchange data ({reason}); check the network, or set GLOO_SOCKET_IFNAME to the right interface"
    )]
    Exchange {
        /// How many.
        world_size: usize,
        /// The reason.
        reason: String,
    },
    /// NCCL is not to be had.
    #[error("NCCL cannot be used ({reason}); build without the feature nccl to exchange data through the host")]
    Nccl {
        /// The reason.
        reason: String,
    },
}
