//! Where in the program its functions lie: those that a start and everyday calls run through, `build/start.txt`, lie side by side.
//!
//! A kernel brings code into memory in pieces of sixteen pages or more. The functions that run are a quarter of the program; as the
//! compiler scatters them, they would bring three quarters of it with them. `scripts/layout` makes the list.
//!
//! Nothing depends on it: a linker that can't do it, or a list that is out of date, makes a program that takes more memory.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// The probe's name.
const PROBE: &str = "layout_probe";

/// Tells the linker of release builds, if it understands.
pub fn write(out: &Path) -> Result<(), Box<dyn Error>> {
    if env::var("PROFILE")? != "release" || env::var("CARGO_CFG_TARGET_OS")? != "linux" {
        return Ok(());
    }
    let script = out.join("layout.ld");
    fs::write(&script, self::script(&fs::read_to_string("build/start.txt")?)?)?;
    let argument = format!("-Wl,-T,{}", script.display());
    if understood(out, &argument) {
        println!("cargo:rustc-link-arg-bins={argument}");
    } else {
        println!("cargo:warning=this linker can't arrange functions; the program will take some ten megabytes more of memory");
    }
    Ok(())
}

/// A linker script that adds to the linker's own. Behind the functions of the list come those that differ from one of them in nothing but
/// the hash at the end of their names: another compiler, or another version of a dependency, gives another hash.
fn script(list: &str) -> Result<String, Box<dyn Error>> {
    let names: Vec<_> = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let alike: BTreeSet<_> = names.iter().filter_map(|name| name.rfind("17h").and_then(|hash| name.get(..hash + 3))).collect();
    // The linker's own statement of `.text` follows this one, and brings all others.
    let mut script = String::from("SECTIONS {\n  .text : {\n");
    for (names, end) in [(&names, ""), (&alike.into_iter().collect(), "*")] {
        script.push_str("    *(\n");
        for name in names {
            // What is rarely called has a section of another name.
            writeln!(script, "      .text.{name}{end} .text.unlikely.{name}{end}")?;
        }
        script.push_str("    )\n");
    }
    script.push_str("  }\n} INSERT BEFORE .init;\n");
    Ok(script)
}

/// Whether a program can be linked so. What the linker says is of no interest.
fn understood(out: &Path, argument: &str) -> bool {
    let source = out.join("layout_probe.rs");
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let mut probe = Command::new(variable("RUSTC"));
    probe.arg("--target").arg(variable("TARGET")).arg("--crate-name").arg(PROBE);
    probe.args(variable("CARGO_ENCODED_RUSTFLAGS").split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        probe.arg(format!("-Clinker={linker}"));
    }
    probe.arg(format!("-Clink-arg={argument}")).arg("-o").arg(out.join(PROBE)).arg(source);
    probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
