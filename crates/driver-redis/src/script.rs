//! Lua scripts, which Redis runs atomically.

use redis::{Cmd, Script};

/// Declares scripts of one file each. The paths are relative to the file that declares them.
macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(static $name: std::sync::LazyLock<$crate::script::LuaScript> =
            std::sync::LazyLock::new(|| $crate::script::LuaScript::new(&[include_str!($file)]));)*
    };
}
pub(crate) use scripts;

/// A script. It is called by its hash; a server that does not know it yet gets its text once.
pub struct LuaScript {
    hash: String,
    code: String,
}

impl LuaScript {
    /// A script from its parts: those shared with other scripts, and its own.
    pub fn new(parts: &[&str]) -> Self {
        let code = parts.concat();
        Self { hash: Script::new(&code).get_hash().to_owned(), code }
    }

    /// A call with these keys. Arguments are added with [`ScriptCall::arg`] and [`ScriptCall::push`].
    pub fn call(&'static self, keys: &[&[u8]]) -> ScriptCall {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len());
        for key in keys {
            command.arg(*key);
        }
        ScriptCall { script: self, command }
    }
}

/// A call of a script.
pub struct ScriptCall {
    script: &'static LuaScript,
    command: Cmd,
}

impl ScriptCall {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl redis::ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds an argument by reference, for calls that are built in a loop.
    pub fn push(&mut self, argument: impl redis::ToRedisArgs) {
        self.command.arg(argument);
    }

    /// The command `EVALSHA`, which has the hash.
    pub fn evalsha_command(&self) -> &Cmd {
        &self.command
    }

    /// The command `EVAL`, which has the text, for a server that replied `NOSCRIPT`.
    pub fn eval_command(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.script.code);
        for argument in self.command.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        command
    }
}
