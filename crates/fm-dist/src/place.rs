//! Rank and rendezvous address of a process, from the environment variables of its launcher.
//!
//! | value | torchrun, `cargo xtask launch` | Slurm | default |
//! |---|---|---|---|
//! | rank in 0..world size | `RANK` | `SLURM_PROCID` | |
//! | world size | `WORLD_SIZE` | `SLURM_NTASKS` | |
//! | rank on this machine | `LOCAL_RANK` | `SLURM_LOCALID` | the rank |
//! | address of rank 0's store | `MASTER_ADDR`, `MASTER_PORT` | the same | port 29500 |
//! | number of restarts | `TORCHELASTIC_RESTART_COUNT` | `SLURM_RESTART_COUNT` | 0 |
//! | network interface | `GLOO_SOCKET_IFNAME` | the same | the interface of this machine's host name |
//! | whether the launcher serves the store | `TORCHELASTIC_USE_AGENT_STORE` | | no |
//!
//! Slurm's variables are used only if `MASTER_ADDR` is set too, because Slurm sets the others for
//! any command of a job.
//!
//! ```
//! use fm_dist::place::Rendezvous;
//! let slurm = [("SLURM_PROCID", "5"), ("SLURM_NTASKS", "8"), ("SLURM_LOCALID", "1"), ("MASTER_ADDR", "node1")];
//! let place = Rendezvous::read(|name| slurm.iter().find(|v| v.0 == name).map(|v| v.1.to_owned()))?.unwrap();
//! assert_eq!((place.rank, place.world_size, place.local_rank), (5, 8, 1));
//! assert_eq!(place.address(), "node1:29500");
//! assert_eq!(Rendezvous::read(|_| None)?, None);
//! # Ok::<(), fm_dist::DistError>(())
//! ```

use crate::DistError;
use std::str::FromStr;

/// The place of a process in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// The rank of this process.
    pub rank: usize,
    /// The number of processes.
    pub world_size: usize,
    /// The rank among the processes on this machine.
    pub local_rank: usize,
    /// The host of rank 0.
    pub master: String,
    /// The port of rank 0.
    pub port: u16,
    /// How often the launcher has restarted the processes.
    pub restarts: u32,
    /// Whether the launcher, rather than rank 0, serves the store at that address.
    pub served: bool,
    /// The network interface to use, if it is not the one of this machine's host name.
    pub interface: Option<String>,
}

const PORT: u16 = 29500;

/// The largest group: Gloo and NCCL keep a table of all ranks in each process.
const MOST: usize = 1 << 16;

impl Rendezvous {
    /// Reads the variables; `None` if no launcher has set them.
    ///
    /// # Errors
    /// [`DistError::Variable`] with the name of a variable that is missing or invalid.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, DistError> {
        let variables = Variables(&variable);
        let is_there = |name| variable(name).is_some();
        let slurm = is_there("SLURM_PROCID") && is_there("MASTER_ADDR");
        let names = match is_there("RANK") || is_there("WORLD_SIZE") {
            true => ["RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT"],
            false if slurm => ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_RESTART_COUNT"],
            false => return Ok(None),
        };
        let (rank, world_size) = (variables.number(names[0])?, variables.number(names[1])?);
        if rank >= world_size {
            return Err(problem(names[0], rank, &format!("there are ranks 0 to {} only", world_size as i64 - 1)));
        }
        if world_size > MOST {
            return Err(problem(names[1], world_size, &format!("at most {MOST} processes can form a group")));
        }
        let master = match variable("MASTER_ADDR") {
            Some(master) if !master.is_empty() => master,
            _ if world_size == 1 => "127.0.0.1".into(),
            _ => return Err(problem("MASTER_ADDR", "", "the host of rank 0 is needed")),
        };
        Ok(Some(Self {
            rank,
            world_size,
            local_rank: variables.optional(names[2])?.unwrap_or(rank),
            master,
            port: variables.optional("MASTER_PORT")?.unwrap_or(PORT),
            restarts: variables.optional(names[3])?.unwrap_or(0),
            served: variable("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|v| v == "True"),
            interface: variable("GLOO_SOCKET_IFNAME").filter(|name| !name.is_empty()),
        }))
    }

    /// Reads the variables from this process's environment.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_env() -> Result<Option<Self>, DistError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Host and port of rank 0.
    pub fn address(&self) -> String {
        format!("{}:{}", self.master, self.port)
    }
}

struct Variables<'v>(&'v dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, DistError> {
        let parse = |text: String| text.parse().map_err(|_| problem(name, text, "not a number in its range"));
        (self.0)(name).map(parse).transpose()
    }

    fn number(&self, name: &str) -> Result<usize, DistError> {
        self.optional(name)?.ok_or_else(|| problem(name, "", "it is missing, though its companions are set"))
    }
}

fn problem(name: &str, value: impl ToString, problem: &str) -> DistError {
    DistError::Variable { name: name.into(), value: value.to_string(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Rendezvous>, DistError> {
        Rendezvous::read(|name| variables.iter().find(|v| v.0 == name).map(|v| v.1.to_owned()))
    }

    #[test]
    fn torchrun_comes_before_slurm_and_slurm_alone_is_not_enough() {
        let both =
            [("RANK", "1"), ("WORLD_SIZE", "2"), ("SLURM_PROCID", "0"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "7")];
        let place = read(&both).unwrap().unwrap();
        assert_eq!((place.rank, place.world_size, place.local_rank, place.port), (1, 2, 1, 7));
        assert_eq!(read(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")]), Ok(None));
        assert_eq!(read(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap().unwrap().master, "127.0.0.1");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let told = |variables: &[_]| read(variables).unwrap_err().to_string();
        assert!(told(&[("RANK", "two"), ("WORLD_SIZE", "4")]).starts_with("RANK=two: not a number"));
        assert!(told(&[("RANK", "4"), ("WORLD_SIZE", "4")]).starts_with("RANK=4: there are ranks 0 to 3 only"));
        assert!(told(&[("RANK", "0")]).starts_with("WORLD_SIZE=: it is missing"));
        let many = told(&[("RANK", "0"), ("WORLD_SIZE", "65537"), ("MASTER_ADDR", "a")]);
        assert!(many.starts_with("WORLD_SIZE=65537: at most 65536 processes"), "{many}");
        assert!(read(&[("RANK", "0"), ("WORLD_SIZE", "65536"), ("MASTER_ADDR", "a")]).is_ok());
        assert!(told(&[("RANK", "0"), ("WORLD_SIZE", "2")]).starts_with("MASTER_ADDR=: the host of rank 0"));
        let port = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "99999")];
        assert!(told(&port).starts_with("MASTER_PORT=99999: not a number in its range"));
    }
}
