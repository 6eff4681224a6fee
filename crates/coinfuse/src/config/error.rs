//! What is wrong with a file, for the person who wrote it.

use core::ops::Range;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used. The text says file, line, key, what was found and what is
/// expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{}, line {line}{at}: {problem}", .file.display(), at = at(.key))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The key that the value belongs to, where there is one.
        key: Option<String>,
        /// What was found and what is expected.
        problem: String,
    },
}

fn at(key: &Option<String>) -> String {
    key.as_ref()
        .map(|key| format!(", `{key}`"))
        .unwrap_or_default()
}

pub(super) fn load<T: DeserializeOwned>(file: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
        file: file.to_owned(),
        source,
    })?;
    parse(file, &text)
}

pub(super) fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        ConfigError::Invalid {
            file: file.to_owned(),
            line: line_of(text, span.start),
            key: key_of(text, &span),
            problem: error.message().lines().collect::<Vec<_>>().join(", "),
        }
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The key on the line where `span` begins, or on the nearest one before it: arrays span lines.
fn key_of(text: &str, span: &Range<usize>) -> Option<String> {
    let end = text[..]
        .get(span.start..)?
        .find('\n')
        .map_or(text.len(), |end| span.start + end);
    text.get(..end)?
        .lines()
        .rev()
        .map(str::trim)
        .find_map(|line| {
            let table = line.starts_with('[') && line.ends_with(']');
            let name = if table {
                line
            } else {
                line.split_once('=')?.0.trim()
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
            (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
        })
}
