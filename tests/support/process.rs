//! The program as a process, and a server that runs as one. Knows nothing of what is asked of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The program with these arguments and no environment but what finds other programs.
pub fn gateway(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jumpstarter-gateway"));
    command.args(args).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// A server that ends with its value.
pub struct Server {
    pub process: Child,
    pub address: String,
}

impl Server {
    /// On a port that the system chooses.
    pub fn start(args: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", args)
    }

    pub fn start_at(address: &str, args: &[&str]) -> Self {
        let args = [&["serve", "--listen", address], args].concat();
        let mut process = gateway(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once("REST and gRPC")?;
            Some(address.trim().split_once("://")?.1.to_owned())
        });
        Self {
            process,
            address: address.expect("the start-up message says where"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
