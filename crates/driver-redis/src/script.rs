//! Lua scripts: each runs in Redis as one step.

use redis::{Cmd, Script};

/// A script, called by its hash; a server that does not know it yet gets its text once.
pub struct Lua {
    hash: String,
    code: String,
}

impl Lua {
    /// Of the parts of a script: what it shares with others, and its own.
    pub fn new(parts: &[&str]) -> Self {
        let code = parts.concat();
        Self { hash: Script::new(&code).get_hash().to_owned(), code }
    }

    /// Begins a call; keys and arguments follow.
    pub fn call(&'static self, keys: &[&[u8]]) -> Invocation {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len());
        for key in keys {
            command.arg(*key);
        }
        Invocation { lua: self, command }
    }
}

/// A call of a script.
pub struct Invocation {
    lua: &'static Lua,
    command: Cmd,
}

impl Invocation {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl redis::ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds an argument to a call that is built in a loop.
    pub fn push(&mut self, argument: impl redis::ToRedisArgs) {
        self.command.arg(argument);
    }

    /// The call by hash.
    pub fn command(&self) -> &Cmd {
        &self.command
    }

    /// The call that carries the text, for a server that answered `NOSCRIPT`.
    pub fn with_text(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.lua.code);
        for argument in self.command.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        command
    }
}
