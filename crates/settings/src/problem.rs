//! Problems with settings.

use std::fmt;

/// A problem with one setting. It never contains the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// Path of the setting in its backend or pattern, as `tls.ca_file`. Empty: the settings as a whole.
    pub setting: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The value is wrong. Holds what it must be, as `a whole number from 1 to 64`.
    Expected(String),
    /// The value is not one of these words.
    UnknownChoice(Vec<&'static str>),
    /// There is no such setting. Holds the settings that exist here.
    UnknownSetting(Vec<&'static str>),
    /// The setting is required.
    Missing,
    /// Anything else. Holds the sentence that follows the name of the setting, as `needs a password`.
    Other(String),
}

impl SettingProblem {
    /// The value of `setting` is wrong; `expected` completes "must be".
    pub fn expected(setting: &str, expected: impl Into<String>) -> Self {
        Self { setting: setting.to_owned(), kind: ProblemKind::Expected(expected.into()) }
    }

    /// Any other problem; `sentence` follows the name of the setting.
    pub fn other(setting: &str, sentence: impl Into<String>) -> Self {
        Self { setting: setting.to_owned(), kind: ProblemKind::Other(sentence.into()) }
    }

    /// Last part of the path: the name of the setting in its section.
    pub fn name(&self) -> &str {
        self.setting.rsplit('.').next().unwrap_or_default()
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(expected) => write!(f, "must be {expected}"),
            Self::UnknownChoice(choices) => write!(f, "must be one of {}", choices.join(", ")),
            Self::UnknownSetting(known) => write!(f, "is not a setting; there are: {}", known.join(", ")),
            Self::Missing => f.write_str("is missing"),
            Self::Other(sentence) => f.write_str(sentence),
        }
    }
}
