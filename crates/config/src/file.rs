//! Files of a configuration: its own, and those of its definitions.

use std::{fs::File, io::Read, path::Path};

/// Maximum size of a file. A larger file is probably the wrong one.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Reads a text file. The error is a sentence without the name of the file.
pub fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("the file can't be read: {error}"))?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("the file can't be read: {error}"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("the file has more than {MAX_FILE_BYTES} bytes; is it the right one?"));
    }
    Ok(text)
}
