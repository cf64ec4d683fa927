//! `prism auth`: API keys in a file, for authenticators of the types `api-key` and `basic`.

use std::{
    io::{self, Read as _},
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Subcommand;
use prost_types::Timestamp;
use serde_json::json;

use super::{
    Failure, Outcome,
    output::{Format, columns, print, print_note, print_text},
};
use prism_access::keys::{KeyFile, StoredKey, generate, hash, is_id, read, update};
use prism_config::parse_duration;
use prism_frontend::time::{parse_timestamp, write_timestamp};

const EXAMPLES: &str = "\
Examples:
  prism auth key create --subject billing --group readers     print a new key; the file has only its hash
  prism auth key create --subject ada --id ada                with HTTP Basic, `ada` is the name and the secret is the password
  prism auth key create --subject ci --expires 90d
  prism auth key list
  prism auth key revoke k7m2qx9w4t1z                          a gateway that uses the file refuses the key within a second

The key is printed once, as prism_ID_SECRET. Send it as `x-api-key: KEY` or `authorization: Bearer KEY`.
How to configure authenticators: docs/security.md";

/// Arguments of `prism auth`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The subcommand.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Create a key and print it; only its hash is stored
    Create(CreateArgs),
    /// List the keys, without their secrets
    List(ListArgs),
    /// Remove a key
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Who the caller is, as policies and logs show it
    #[arg(long)]
    subject: String,
    /// The tenant of the caller
    #[arg(long)]
    tenant: Option<String>,
    /// A group of the caller; repeat it for several
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The id of the key, which is its name in HTTP Basic [default: a random one]
    #[arg(long)]
    id: Option<String>,
    /// When the key expires: a duration (90d) or a time (2027-01-31T00:00:00Z) [default: never]
    #[arg(long)]
    expires: Option<String>,
    /// Read the secret from standard input, instead of making one up
    #[arg(long)]
    secret_stdin: bool,
    /// The file with the hashes
    #[arg(long, default_value = "keys.yaml")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The file with the hashes
    #[arg(long, default_value = "keys.yaml")]
    file: PathBuf,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// The id of the key: its part between `prism_` and the next `_`
    id: String,
    /// The file with the hashes
    #[arg(long, default_value = "keys.yaml")]
    file: PathBuf,
}

/// Shortest secret that is read from standard input.
const MIN_SECRET: usize = 12;

/// Runs the subcommand.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Key(KeyCommand::Create(args)) => create(args),
        Command::Key(KeyCommand::List(args)) => list(args),
        Command::Key(KeyCommand::Revoke(args)) => revoke(args),
    }
}

fn create(args: &CreateArgs) -> Outcome {
    if let Some(id) = args.id.as_ref().filter(|id| !is_id(id)) {
        return Err(format!("`{id}` can't be an id; an id has 1 to 64 letters, digits, `-` and `.`").into());
    }
    if args.subject.is_empty() {
        return Err("`--subject` must not be empty".into());
    }
    let mut key = generate(args.id.clone());
    if args.secret_stdin {
        key.secret.clear();
        io::stdin().read_to_string(&mut key.secret)?;
        let length = key.secret.trim_end_matches(['\r', '\n']).len();
        key.secret.truncate(length);
        if length < MIN_SECRET {
            return Err(format!("the secret has {length} bytes; it must have at least {MIN_SECRET}").into());
        }
    }
    let now = SystemTime::now();
    let stored = StoredKey {
        id: key.id.clone(),
        subject: args.subject.clone(),
        tenant: args.tenant.clone(),
        groups: args.groups.clone(),
        created: Some(format_time(now)?),
        expires: args.expires.as_deref().map(|text| end_of(text, now)).transpose()?,
        hash: hash(&key.secret)?,
    };
    update(&args.file, |file| {
        if file.keys.iter().any(|known| known.id == stored.id) {
            return Err(format!("there is a key `{}` already; revoke it first, or choose another id", stored.id));
        }
        file.keys.push(stored);
        Ok(())
    })?;
    print_note(format_args!("key {} for {}; it is shown only here, and {} has its hash", key.id, args.subject, args.file.display()));
    print_text(&format!("{}\n", *key.text()))
}

fn list(args: &ListArgs) -> Outcome {
    let KeyFile { keys } = read(&args.file).map_err(|problem| format!("the file {problem}"))?;
    let without_hash = |key: &StoredKey| json!({"id": key.id, "subject": key.subject, "tenant": key.tenant, "groups": key.groups, "created": key.created, "expires": key.expires});
    let value: Vec<_> = keys.iter().map(without_hash).collect();
    print(args.output, &value, || {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let row = |key: &StoredKey| {
            let groups = if key.groups.is_empty() { "-".to_owned() } else { key.groups.join(",") };
            let (tenant, created, expires) = (key.tenant.as_deref(), key.created.as_deref(), key.expires.as_deref());
            vec![key.id.clone(), key.subject.clone(), or_dash(tenant), groups, or_dash(created), or_dash(expires)]
        };
        let head = ["ID", "SUBJECT", "TENANT", "GROUPS", "CREATED", "EXPIRES"].map(str::to_owned).to_vec();
        columns(&std::iter::once(head).chain(keys.iter().map(row)).collect::<Vec<_>>())
    })
}

fn revoke(args: &RevokeArgs) -> Outcome {
    if !args.file.exists() {
        return Err(format!("there is no file {}", args.file.display()).into());
    }
    update(&args.file, |file| {
        let before = file.keys.len();
        file.keys.retain(|key| key.id != args.id);
        if file.keys.len() == before { Err(format!("there is no key `{}`; `prism auth key list` shows all", args.id)) } else { Ok(()) }
    })?;
    print_note(format_args!("key {} is revoked", args.id));
    Ok(ExitCode::SUCCESS)
}

/// Returns the end of a key: a time, or a duration from now.
fn end_of(text: &str, now: SystemTime) -> Result<String, Failure> {
    if parse_timestamp(text).is_some() {
        return Ok(text.to_owned());
    }
    let wrong = || Failure(format!("`{text}` is no time and no duration; write 90d or 2027-01-31T00:00:00Z"));
    let duration = parse_duration(text).filter(|duration| !duration.is_zero()).ok_or_else(wrong)?;
    format_time(now.checked_add(duration).ok_or_else(wrong)?)
}

/// Formats a time without fractions of a second.
fn format_time(time: SystemTime) -> Result<String, Failure> {
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| "the clock of this machine is before 1970")?;
    let seconds = i64::try_from(since.as_secs()).map_err(|_| "the time is too far away")?;
    let mut text = String::new();
    write_timestamp(Timestamp { seconds, nanos: 0 }, &mut text).ok_or("the time is after the year 9999")?;
    Ok(text)
}
