//! The state file: the last good reading, for a start while the service is away.
//!
//! It holds the answers, not what was made of them: read back, they pass the same checks as fresh ones, so a
//! file of another host or for another label means nothing.

use super::model::answer::Reading;
use anyhow::{Context, Result, anyhow, ensure};
use nix::unistd::geteuid;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What no honest state file reaches.
const MAX_SIZE: u64 = 64 << 20;

/// The reading kept in the file; none: there is no file yet.
pub async fn load(path: PathBuf) -> Result<Option<Reading>> {
    tokio::task::spawn_blocking(move || read(&path)).await?
}

/// Replaces the file in one step. Its directory must be writable.
pub async fn save(path: PathBuf, reading: &Reading) -> Result<()> {
    let mut text = serde_json::to_vec(reading)?;
    text.push(b'\n');
    tokio::task::spawn_blocking(move || write(&path, &text).map_err(|error| explain(error, &path))).await?
}

fn read(path: &Path) -> Result<Option<Reading>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot open it"),
    };
    ensure!(file.metadata()?.is_file(), "it is not a file");
    let mut text = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut text).context("cannot read it")?;
    Ok(Some(serde_json::from_slice(&text).context("it is not a state file of outrider")?))
}

/// The directory is mostly root's, and we are root no more.
fn explain(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let denied =
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied);
    match path.parent() {
        Some(directory) if denied => {
            let (user, directory) = (geteuid(), directory.display());
            anyhow!("user {user} may not write to its directory; run: chown {user} {directory}")
        }
        _ => error,
    }
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    let mut name = path.file_name().context("it has no file name")?.to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // A left-over may have another mode, or be a link.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written =
        file.write_all(text).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // A full disk must not stay full because of us.
        let _ = fs::remove_file(&beside);
    }
    Ok(written?)
}
