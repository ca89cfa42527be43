//! keepalived's configuration, as the importer takes it.

use outrider::config::{Config, Faults};
use outrider::import::{Options, file, text};
use std::path::Path;

/// The first byte chooses how it is read and written, the rest is the file. One that includes others can only include
/// itself.
pub fn run(data: &[u8]) {
    let [choice, bytes @ ..] = data else { return };
    let options = Options {
        toml: choice & 1 == 1,
        instance: (choice & 2 == 2).then(|| "VI_1".to_owned()),
        config_id: (choice & 4 == 4).then(|| "lb1".to_owned()),
    };
    let imported = if bytes.windows(7).any(|word| word == b"include") {
        // No way out of the folder, which is this process's own.
        let bytes: Vec<u8> = bytes.iter().map(|byte| if *byte == b'/' { b'_' } else { *byte }).collect();
        let folder = std::env::temp_dir().join(format!("outrider-fuzz-{}", std::process::id()));
        let path = folder.join("keepalived.conf");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&path, bytes))
            .expect("a temporary folder");
        let imported = file(&path, &options);
        std::fs::remove_dir_all(&folder).expect("a temporary folder can be removed");
        imported
    } else {
        text(Path::new("keepalived.conf"), bytes, &options)
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for line in imported.text.lines() {
        assert!(is_line(line, options.toml), "neither a remark nor a setting: {line:?}\n{}", imported.text);
    }
    let settings = assignments(&imported.text);
    if !options.toml && !settings.is_empty() {
        let faults = Config::load(settings).err().map(|Faults(faults)| faults).unwrap_or_default();
        let judged = imported.faults == faults
            || imported.faults.iter().any(|fault| fault.contains("has no vrrp_instance"));
        assert!(judged, "judged by something else: {:?}, not {faults:?}\n{}", imported.faults, imported.text);
    }
}

/// As a shell reads them.
fn assignments(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let unquoted = |value: &str| match value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        Some(inside) => inside.replace(r"'\''", "'"),
        None => value.to_owned(),
    };
    pairs.map(|(name, value)| (name.to_owned(), unquoted(value))).collect()
}

fn is_line(line: &str, toml: bool) -> bool {
    if line.is_empty() || line.starts_with('#') || toml && line == "[[router]]" {
        return true;
    }
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match line.split_once('=') {
        Some((key, _)) if toml => is_name(key.trim_end()),
        Some((variable, _)) => variable.starts_with("OUTRIDER_") && is_name(variable),
        None => false,
    }
}
