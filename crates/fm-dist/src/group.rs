//! A group of processes and its collectives.
//!
//! Host tensors always use Gloo, so a lost rank is detected even if device tensors use NCCL. A
//! failure closes the group: the call that failed, and every later one, returns the same error,
//! which names the rank and the cause.

use crate::DistError;
use crate::ffi::{Group, Store, Thrown, Work};
use crate::place::Rendezvous;
use crate::roll_call::FailureDetector;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tch::{Device, Kind, Tensor, no_grad};

/// The reduction of an all-reduce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their maximum.
    Max,
}

/// A group of processes, as seen from one of them.
pub struct ProcessGroup {
    rank: usize,
    world_size: usize,
    local_rank: usize,
    links: Option<Connection>,
}

/// The connections of a group with several processes. Fields are dropped in this order: connections
/// before the store that created them.
struct Connection {
    open: Mutex<Result<Backends, DistError>>,
    roll_call: FailureDetector,
    store: Arc<Store>,
    /// Timeout of a collective, in milliseconds.
    patience: i64,
}

struct Backends {
    host: Group,
    cuda: Option<Group>,
}

impl Backends {
    /// Starts a collective on a tensor, or on a copy if the backend cannot use the tensor directly.
    fn start(
        &self,
        tensor: &Tensor,
        collective: &impl Fn(&Group, &Tensor) -> Result<Work, Thrown>,
    ) -> Result<Started, Thrown> {
        let cuda = self.cuda.as_ref().filter(|_| tensor.device().is_cuda());
        let direct = tensor.is_contiguous() && (cuda.is_some() || tensor.device() == Device::Cpu);
        let sent = match (direct, cuda) {
            (true, _) => tensor.shallow_clone(),
            (false, Some(_)) => tensor.contiguous(),
            (false, None) => tensor.to_device(Device::Cpu).contiguous(),
        };
        let work = collective(cuda.unwrap_or(&self.host), &sent)?;
        Ok(Started { work: Some(work), tensor: tensor.shallow_clone(), copy: (!direct).then_some(sent) })
    }
}

/// A collective in progress; dropping it waits until it ends.
pub struct Started {
    work: Option<Work>,
    tensor: Tensor,
    copy: Option<Tensor>,
}

impl Started {
    fn wait(mut self) -> Result<(), Thrown> {
        if let Some(work) = self.work.take() {
            work.wait()?;
        }
        if let Some(copy) = &self.copy {
            no_grad(|| self.tensor.copy_(copy));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").field("tensor", &self.tensor).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ProcessGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessGroup").field("rank", &self.rank).field("world_size", &self.world_size).finish()
    }
}

impl ProcessGroup {
    /// The group of a single process: every collective is the identity.
    pub fn alone() -> Self {
        Self { rank: 0, world_size: 1, local_rank: 0, links: None }
    }

    /// The group that the launcher's environment variables describe (see [`Rendezvous`]). Without
    /// them, or with only one process, [`alone`](Self::alone).
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`DistError::Variable`].
    pub fn from_env(timeout: Duration) -> Result<Self, DistError> {
        match Rendezvous::from_env()? {
            Some(place) if place.world_size > 1 => Self::open(&place, timeout),
            Some(place) => Ok(Self { local_rank: place.local_rank, ..Self::alone() }),
            None => Ok(Self::alone()),
        }
    }

    /// Connects to the other processes within `timeout`, which is also the timeout of all later
    /// calls.
    ///
    /// # Errors
    /// [`DistError::Port`] and [`DistError::Unreachable`] if there is no store at the address;
    /// [`DistError::Absent`] if a process does not arrive.
    #[doc(alias = "init_process_group")]
    pub fn open(place: &Rendezvous, timeout: Duration) -> Result<Self, DistError> {
        let grace = (timeout / 4).min(Duration::from_secs(10));
        let patience = timeout.saturating_sub(2 * grace).as_millis().min(i64::MAX as u128) as i64;
        let server = place.rank == 0 && !place.served;
        let prefix = format!("fm-dist/{}", place.restarts);
        let at = place.clone();
        // c10d waits without limit for the first answer of a server that accepts connections.
        let met = within(timeout, move || {
            let store = Store::open((&at.master, at.port), server, at.world_size, patience, &prefix)?;
            store.peek("alarm").map(|_| Arc::new(store))
        });
        let store = met.map_err(|reason| not_met(place, server, &reason))?;
        let joined = FailureDetector::join(store.clone(), place, grace);
        let roll_call = joined.map_err(|reason| not_met(place, false, &reason))?;
        let local = place.master == "localhost" || place.master.starts_with("127.");
        let (interface, host) = (place.interface.as_deref(), local.then_some("127.0.0.1"));
        let opened = Group::gloo(&store, (place.rank, place.world_size), patience, interface, host);
        let host = opened.map_err(|reason| roll_call.call(&brief(&reason)))?;
        let links = Connection { open: Mutex::new(Ok(Backends { host, cuda: None })), roll_call, store, patience };
        Ok(Self { rank: place.rank, world_size: place.world_size, local_rank: place.local_rank, links: Some(links) })
    }

    /// Uses NCCL for tensors on a CUDA device from now on, if this crate was built with it;
    /// libtorch's CUDA half must be loaded first. All ranks must call it. Does nothing for other
    /// devices.
    ///
    /// # Errors
    /// [`DistError::Nccl`].
    pub fn use_device(&self, device: Device) -> Result<(), DistError> {
        let Some(links) = self.links.as_ref().filter(|_| device.is_cuda() && cfg!(feature = "nccl")) else {
            return Ok(());
        };
        let opened = nccl(&links.store, (self.rank, self.world_size), links.patience);
        let cuda = opened.map_err(|reason| DistError::Nccl { reason: brief(&reason) })?;
        if let Ok(wires) = &mut *links.open.lock().unwrap_or_else(PoisonError::into_inner) {
            wires.cuda = Some(cuda);
        }
        Ok(())
    }

    /// The rank of this process, 0 to `world_size() - 1`.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whether this is the group of a single process, without connections. A group of one that was
    /// [opened](Self::open) has connections.
    pub fn is_alone(&self) -> bool {
        self.links.is_none()
    }

    /// The number of processes.
    pub fn world_size(&self) -> usize {
        self.world_size
    }

    /// The rank of this process among those on the same machine: the index of its GPU.
    pub fn local_rank(&self) -> usize {
        self.local_rank
    }

    /// Reduces each tensor over all ranks, in place; all tensors are in progress at the same time.
    ///
    /// # Errors
    /// The mean of integer tensors; the errors of a lost group, see the [module](self).
    pub fn all_reduce(&self, tensors: &mut [Tensor], how: Reduce) -> Result<(), DistError> {
        if let (Reduce::Mean, Some(other)) = (how, tensors.iter().find(|t| !t.is_floating_point())) {
            let problem = format!("a tensor is {:?}; convert it to floats, or sum", other.kind());
            return Err(DistError::Argument { action: "average tensors", problem });
        }
        self.exchange(tensors, |group, tensor| group.all_reduce(tensor, how == Reduce::Max))?;
        if how == Reduce::Mean && self.world_size > 1 {
            let share = 1.0 / self.world_size as f64;
            no_grad(|| tensors.iter_mut().for_each(|tensor| drop(tensor.g_mul_scalar_(share))));
        }
        Ok(())
    }

    /// Overwrites a tensor with the tensor of rank `root`.
    ///
    /// # Errors
    /// A rank that does not exist; the errors of a lost group.
    pub fn broadcast(&self, tensor: &mut Tensor, root: usize) -> Result<(), DistError> {
        self.known(root)?;
        self.exchange(std::slice::from_mut(tensor), |group, tensor| group.broadcast(tensor, root))
    }

    /// Broadcasts bytes of any length from rank `root`; the bytes of the other ranks are ignored.
    ///
    /// # Errors
    /// A rank that does not exist; the errors of a lost group.
    pub fn broadcast_bytes(&self, bytes: &[u8], root: usize) -> Result<Vec<u8>, DistError> {
        self.known(root)?;
        if self.links.is_none() {
            return Ok(bytes.to_vec());
        }
        let mut length = Tensor::from(bytes.len() as i64);
        self.broadcast(&mut length, root)?;
        let mut sent = match self.rank == root {
            true => Tensor::from_slice(bytes),
            false => Tensor::zeros([length.int64_value(&[])], (Kind::Uint8, Device::Cpu)),
        };
        self.broadcast(&mut sent, root)?;
        let unread = |e: tch::TchError| DistError::Argument { action: "broadcast bytes", problem: e.to_string() };
        Vec::try_from(sent).map_err(unread)
    }

    fn known(&self, root: usize) -> Result<(), DistError> {
        if root < self.world_size {
            return Ok(());
        }
        let problem = format!("there is no rank {root}; ranks go from 0 to {}", self.world_size - 1);
        Err(DistError::Argument { action: "broadcast", problem })
    }

    /// Gathers the tensors of all ranks, of equal shape, as the rows of one tensor.
    ///
    /// # Errors
    /// The errors of a lost group.
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Tensor, DistError> {
        let rows = tensor.contiguous().unsqueeze(0);
        if self.links.is_none() || tensor.numel() == 0 {
            return Ok(rows.repeat([vec![self.world_size as i64], vec![1; tensor.dim()]].concat()));
        }
        let mut shape = rows.size();
        shape[0] = self.world_size as i64;
        let mut gathered = [Tensor::zeros(shape, (tensor.kind(), tensor.device()))];
        self.exchange(&mut gathered, |group, gathered| {
            let own = tensor.to_device(gathered.device()).contiguous();
            group.all_gather(&own, gathered)
        })?;
        let [gathered] = gathered;
        Ok(gathered)
    }

    /// Waits until every rank has called it.
    ///
    /// # Errors
    /// The errors of a lost group.
    pub fn barrier(&self) -> Result<(), DistError> {
        self.with(|wires| wires.host.barrier()?.wait())
    }

    /// Reports the cause to the other ranks before this rank ends with an error, so that they can
    /// show it. Call it once.
    pub fn leave(&self, cause: &str) {
        if let Some(links) = &self.links {
            let gone = DistError::Failed { rank: self.rank, cause: cause.into() };
            let mut open = links.open.lock().unwrap_or_else(PoisonError::into_inner);
            let was_open = std::mem::replace(&mut *open, Err(gone)).is_ok();
            drop(open);
            if was_open {
                links.roll_call.leave(cause);
            }
        }
    }

    /// Starts a collective on every tensor, then waits for all. Tensors that the backend cannot use
    /// directly are copied.
    fn exchange(
        &self,
        tensors: &mut [Tensor],
        start: impl Fn(&Group, &Tensor) -> Result<Work, Thrown>,
    ) -> Result<(), DistError> {
        self.with(|wires| {
            let mut under_way = Vec::new();
            for tensor in tensors.iter_mut().filter(|t| t.numel() > 0) {
                under_way.push(wires.start(tensor, &start)?);
            }
            under_way.into_iter().try_for_each(Started::wait)
        })
    }

    /// Starts to sum a tensor over the ranks, in place; [`finish`](Self::finish) waits for it. All
    /// ranks must start the same sums in the same order.
    ///
    /// # Errors
    /// The errors of a lost group.
    pub fn start_sum(&self, tensor: &Tensor) -> Result<Started, DistError> {
        let mut started = Started { work: None, tensor: tensor.shallow_clone(), copy: None };
        self.with(|wires| {
            started = wires.start(tensor, &|group: &Group, tensor: &Tensor| group.all_reduce(tensor, false))?;
            Ok(())
        })?;
        Ok(started)
    }

    /// Waits until a sum is complete.
    ///
    /// # Errors
    /// The errors of a lost group.
    pub fn finish(&self, started: Started) -> Result<(), DistError> {
        self.with(|_| started.wait())
    }

    /// Runs `run` on the group. A failure closes the group, so that the other ranks detect it, and
    /// its cause is determined.
    fn with(&self, run: impl FnOnce(&Backends) -> Result<(), Thrown>) -> Result<(), DistError> {
        let Some(links) = &self.links else { return Ok(()) };
        let mut open = links.open.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match &*open {
            Ok(wires) => run(wires),
            Err(error) => return Err(error.clone()),
        };
        outcome.map_err(|reason| {
            // Close the connections, which also ends the waiting of other ranks. NCCL may hang
            // while it closes, so it stays open until the process ends.
            if let Ok(Backends { cuda, .. }) = &mut *open {
                std::mem::forget(cuda.take());
            }
            *open = Err(DistError::Exchange { world_size: self.world_size, reason: String::new() });
            let error = links.roll_call.call(&brief(&reason));
            *open = Err(error.clone());
            error
        })
    }
}

/// NCCL, from the shared object that was built with this crate or is in the program's directory.
fn nccl(store: &Store, member: (usize, usize), timeout_ms: i64) -> Result<Group, Thrown> {
    const NAME: &str = "libfm_nccl.so";
    let built = std::path::PathBuf::from(option_env!("FM_NCCL").unwrap_or(NAME));
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name(NAME));
    let library = beside.filter(|path| path.exists()).unwrap_or(built);
    Group::nccl(&library, store, member, timeout_ms)
}

/// Runs a call that may never return, on a thread that is abandoned after `time`.
fn within<T: Send + 'static>(
    time: Duration,
    call: impl FnOnce() -> Result<T, Thrown> + Send + 'static,
) -> Result<T, Thrown> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(call()));
    receiver.recv_timeout(time).unwrap_or_else(|_| Err("it accepts connections and does not answer".into()))
}

fn not_met(place: &Rendezvous, server: bool, reason: &str) -> DistError {
    let (address, reason) = (place.address(), brief(reason));
    match server {
        true => DistError::Port { address, reason },
        false => DistError::Unreachable { rank: place.rank, address, reason },
    }
}

/// The first line of a C++ error, without the position in the C++ sources.
fn brief(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix('[').and_then(|l| l.split_once("] ")).map_or(line, |(_, rest)| rest);
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectives_without_a_meaning_are_refused_even_alone() {
        let alone = ProcessGroup::alone();
        let mut whole = [Tensor::from_slice(&[1i64, 2])];
        let error = alone.all_reduce(&mut whole, Reduce::Mean).map_err(|e| e.to_string());
        assert_eq!(error, Err("cannot average tensors: a tensor is Int64; convert it to floats, or sum".into()));
        assert_eq!(alone.all_reduce(&mut whole, Reduce::Sum), Ok(()));
        assert!(alone.broadcast(&mut whole[0], 1).is_err_and(|e| e.to_string().contains("no rank 1")));
        assert!(alone.broadcast_bytes(b"x", 7).is_err());
    }
}
