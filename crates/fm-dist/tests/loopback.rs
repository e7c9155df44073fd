//! Groups of processes on this machine: what they compute, and what the others say when one is
//! lost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use fm_dist::{DistError, ProcessGroup, group::Reduce};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(8);

/// What one process of a group does; started by the tests below, each time in processes of its own.
#[test]
#[ignore = "a part of the other tests"]
fn member() {
    let group = ProcessGroup::from_env(TIMEOUT);
    let said = match group.and_then(|group| act(&group, &std::env::var("ACT").unwrap())) {
        Ok(()) => "good".into(),
        Err(error) => error.to_string(),
    };
    println!("said: {said}");
}

fn act(group: &ProcessGroup, what: &str) -> Result<(), DistError> {
    let rank = group.rank();
    match what {
        "collectives" => return collectives(group),
        "reference" => return reference(group),
        _ => {}
    }
    for round in 0..1000 {
        if round == 5 && rank == 1 {
            match what {
                "die" => std::process::abort(),
                "stop" => drop(Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status()),
                "sleep" => std::thread::sleep(2 * TIMEOUT),
                "leave" => {
                    group.leave("the disk is full");
                    return Ok(());
                }
                _ => {}
            }
        }
        match (what, rank) {
            ("die first", 0) if round == 5 => std::process::abort(),
            // Rank 0 serves the store, and the others come to hear of it late.
            ("leave first", 0) if round == 5 => {
                group.leave("the disk is full");
                return Ok(());
            }
            ("leave first", _) if round == 5 => std::thread::sleep(Duration::from_secs(1)),
            _ => {}
        }
        group.all_reduce(&mut [Tensor::ones([1000], (Kind::Float, Device::Cpu))], Reduce::Sum)?;
    }
    Ok(())
}

fn collectives(group: &ProcessGroup) -> Result<(), DistError> {
    let (rank, n) = (group.rank() as i64, group.world_size() as i64);
    let of = |tensor: &Tensor| Vec::<f64>::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap();
    // Several at once, of several kinds, one of them not contiguous and one empty.
    let grid = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]).transpose(0, 1);
    let whole = Tensor::from_slice(&[rank, 7]);
    let brain = Tensor::from_slice(&[0.5 + rank as f64]).to_kind(Kind::BFloat16);
    let mut all = [grid * (rank + 1), whole, brain, Tensor::zeros([0], (Kind::Float, Device::Cpu))];
    assert!(!all[0].is_contiguous());
    group.all_reduce(&mut all, Reduce::Sum)?;
    let triangle = (n * (n - 1) / 2) as f64;
    assert_eq!(of(&all[0]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0].map(|x| x * (triangle + n as f64)));
    assert_eq!(of(&all[1]), [triangle, 7.0 * n as f64]);
    assert_eq!(of(&all[2]), [triangle + 0.5 * n as f64]);
    let mut largest = [Tensor::from_slice(&[-rank, rank])];
    group.all_reduce(&mut largest, Reduce::Max)?;
    assert_eq!(of(&largest[0]), [0.0, (n - 1) as f64]);
    let mut mean = [Tensor::from_slice(&[rank as f64])];
    group.all_reduce(&mut mean, Reduce::Mean)?;
    assert!((of(&mean[0])[0] - triangle / n as f64).abs() < 1e-15);
    let mut told = Tensor::from_slice(&[rank as f64; 3]);
    group.broadcast(&mut told, (n - 1) as usize)?;
    assert_eq!(of(&told), [(n - 1) as f64; 3]);
    let text = group.broadcast_bytes(format!("from {rank}").as_bytes(), 1)?;
    assert_eq!(text, b"from 1");
    let rows = group.all_gather(&Tensor::from_slice(&[rank, rank * rank]))?;
    assert_eq!(rows.size(), [n, 2]);
    assert_eq!(of(&rows), (0..n).flat_map(|r| [r as f64, (r * r) as f64]).collect::<Vec<_>>());
    group.barrier()
}

/// The numbers of torch.distributed, to the bit.
fn reference(group: &ProcessGroup) -> Result<(), DistError> {
    let text = include_str!("reference/all_reduce.json");
    let found: serde_json::Value = serde_json::from_str(text).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
    };
    let own = numbers(&found["values"][group.rank()]);
    for (name, kind) in [("f32", Kind::Float), ("bf16", Kind::BFloat16)] {
        for (operation, how) in [("sum", Reduce::Sum), ("max", Reduce::Max)] {
            let mut tensor = [Tensor::from_slice(&own).to_kind(kind)];
            group.all_reduce(&mut tensor, how)?;
            let got = Vec::<f32>::try_from(tensor[0].to_kind(Kind::Float)).unwrap();
            assert_eq!(got, numbers(&found[group.world_size().to_string()][format!("{name} {operation}")]), "{name}");
        }
    }
    Ok(())
}

/// Runs the started ranks of a world; what each said at its end.
fn world(act: &str, size: usize, started: &[usize], address: (&str, u16)) -> Vec<String> {
    let begun = Instant::now();
    let start = |rank: &usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "member", "--ignored", "--nocapture"]);
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", size.to_string()).env("ACT", act);
        command.env("MASTER_ADDR", address.0).env("MASTER_PORT", address.1.to_string()).env("OMP_NUM_THREADS", "1");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut members: Vec<_> = started.iter().map(start).collect();
    let hung = if ["stop", "sleep"].contains(&act) { started.iter().position(|rank| *rank == 1) } else { None };
    let end = |(k, member): (usize, std::process::Child)| {
        let output = member.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let noise = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(noise, "", "errors are values, not output");
        let said = text.lines().find_map(|l| l.split_once("said: ")).map(|(_, said)| said.to_owned());
        if Some(k) != hung {
            let within = begun.elapsed();
            assert!(within < TIMEOUT + Duration::from_secs(7), "{act}: it took {within:?} to end");
        }
        said.unwrap_or_else(|| format!("nothing; {}", output.status))
    };
    let mut last = hung.map(|k| members.remove(k));
    let said =
        members.into_iter().enumerate().map(|(k, m)| end((if Some(k) == hung { usize::MAX } else { k }, m))).collect();
    if let Some(stopped) = &mut last {
        stopped.kill().unwrap();
        stopped.wait().unwrap();
    }
    said
}

fn local(act: &str, size: usize, started: &[usize]) -> Vec<String> {
    world(act, size, started, ("127.0.0.1", free_port()))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn assert_told(said: &[String], wanted: &str) {
    assert!(!said.is_empty() && said.iter().all(|s| s.contains(wanted)), "wanted {wanted:?} of everyone: {said:#?}");
}

#[test]
fn collectives_of_two_and_three_give_everyone_the_same() {
    assert_told(&local("collectives", 2, &[0, 1]), "good");
    assert_told(&local("collectives", 3, &[0, 1, 2]), "good");
    assert_told(&local("reference", 2, &[0, 1]), "good");
    assert_told(&local("reference", 3, &[0, 1, 2]), "good");
}

#[test]
fn a_killed_rank_is_named_by_all_others() {
    let said = local("die", 3, &[0, 1, 2]);
    assert!(said[1].starts_with("nothing"), "{said:?}");
    assert_told(&[said[0].clone(), said[2].clone()], "lost rank 1: ended without a message");
}

#[test]
fn rank_0_killed_takes_the_store_along_and_is_named() {
    let said = local("die first", 3, &[0, 1, 2]);
    assert_told(&said[1..], "lost rank 0: the store at 127.0.0.1:");
}

#[test]
fn a_rank_that_is_stopped_or_busy_elsewhere_is_named_in_time() {
    assert_told(&local("stop", 3, &[0, 1, 2]), "lost rank 1: ended without a message, or no longer responds");
    assert_told(&local("sleep", 3, &[0, 1, 2]), "lost rank 1: alive, but did not come to exchange data");
}

#[test]
fn a_rank_that_ends_by_an_error_is_quoted() {
    let said = local("leave", 3, &[0, 1, 2]);
    assert_told(&[said[0].clone(), said[2].clone()], "rank 1 failed: the disk is full");
    assert_told(&local("leave first", 3, &[0, 1, 2])[1..], "rank 0 failed: the disk is full");
}

#[test]
fn a_rank_that_never_comes_is_named() {
    assert_told(&local("collectives", 3, &[0, 2]), "rank 1 of 3 did not connect");
}

#[test]
fn a_port_in_use_and_a_place_where_nobody_serves_are_told() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = world("collectives", 2, &[0], ("127.0.0.1", port));
    assert_told(&said, &format!("rank 0 cannot serve at 127.0.0.1:{port}"));
    assert_told(&said, "address already in use");
    // Something else accepts connections there, and never answers.
    let said = world("collectives", 2, &[1], ("127.0.0.1", port));
    assert_told(&said, &format!("rank 1 cannot reach rank 0 at 127.0.0.1:{port}"));
    assert_told(&said, "does not answer");
    let said = world("collectives", 2, &[1], ("127.0.0.1", free_port()));
    assert_told(&said, "rank 1 cannot reach rank 0 at 127.0.0.1:");
    let said = world("collectives", 2, &[1], ("no-such-host.invalid", 29500));
    assert_told(&said, "rank 1 cannot reach rank 0 at no-such-host.invalid:29500");
}

/// Where there is no GPU, NCCL is an error and not the end of the process.
#[cfg(feature = "nccl")]
#[test]
fn nccl_without_a_gpu_is_told() {
    let (master, port) = ("127.0.0.1".to_owned(), free_port());
    let place = fm_dist::place::Rendezvous {
        rank: 0,
        world_size: 1,
        local_rank: 0,
        master,
        port,
        restarts: 0,
        served: false,
        interface: None,
    };
    let group = ProcessGroup::open(&place, TIMEOUT).unwrap();
    match group.use_device(Device::Cuda(0)) {
        Ok(()) => assert!(tch::Cuda::is_available()),
        Err(error) => assert!(error.to_string().starts_with("NCCL cannot be used ("), "{error}"),
    }
}
