//! Commands of clients and tools, which must end.

use std::{
    io::{Error, ErrorKind, Read, Result},
    os::unix::process::CommandExt,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// How long a command may run. Much more than any needs on a busy machine: it ends a client that waits for something that never comes, and
/// shows what it has printed, instead of stopping the whole run.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a command to its end and returns what it printed, as [`Command::output`] does.
///
/// # Errors
///
/// The command could not be started, or was still running after ten minutes. It is ended then, with all processes that it has started, and
/// the error contains what it has printed.
pub fn output(command: &mut Command) -> Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let group = child.id();
    let (sender, ended) = channel::<()>();
    let watch = thread::spawn(move || {
        if ended.recv_timeout(LIMIT) != Err(RecvTimeoutError::Timeout) {
            return false;
        }
        // Processes that it has started hold the pipes open, so all of the group must end.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status();
        true
    });
    let began = Instant::now();
    let collected = collect(&mut child);
    drop(sender);
    let was_ended = watch.join().unwrap_or(true);
    let output = collected?;
    if !was_ended {
        return Ok(output);
    }
    let text = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    Err(Error::new(
        ErrorKind::TimedOut,
        format!("{command:?} had not ended after {} s, and has printed:\n{text}", began.elapsed().as_secs()),
    ))
}

/// Reads both streams at once, because a process waits when one of its pipes is full.
fn collect(child: &mut Child) -> Result<Output> {
    let mut errors = child.stderr.take();
    let reader = thread::spawn(move || read(errors.as_mut()));
    let stdout = read(child.stdout.as_mut());
    let stderr = reader.join().unwrap_or_default();
    Ok(Output { status: child.wait()?, stdout, stderr })
}

fn read(source: Option<&mut impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        // What was read before an error is still worth showing.
        let _ = source.read_to_end(&mut bytes);
    }
    bytes
}
