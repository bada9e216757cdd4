//! The words after a task's name. Flags and values are taken out one by one; what is left over is a mistake that is named.

use anyhow::{Context as _, Result, bail};

/// Arguments not yet taken.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self(words)
    }

    /// Takes `name` out; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() != before
    }

    /// Takes `name VALUE` or `name=VALUE` out.
    ///
    /// # Errors
    /// When the value is missing.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        if let Some(at) = self.0.iter().position(|word| word == name) {
            if at + 1 == self.0.len() {
                bail!("{name} wants a value");
            }
            self.0.remove(at);
            return Ok(Some(self.0.remove(at)));
        }
        let found = self.0.iter().position(|word| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
        Ok(found.map(|at| self.0.remove(at)[name.len() + 1..].to_owned()))
    }

    /// Like [`Self::value`], as a number.
    ///
    /// # Errors
    /// When the value is missing or no number in range.
    pub(crate) fn number<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        self.value(name)?.map(|text| text.parse().ok().with_context(|| format!("{name} wants a number, found {text}"))).transpose()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Names the first word that no one took.
    pub(crate) fn end(&self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some(word) => bail!("unknown argument {word}; `--help` shows what there is"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_values_and_words_are_taken_once() {
        let mut arguments = Arguments::new(["--full", "--port", "80", "--only=x"].map(str::to_owned).to_vec());
        assert!(arguments.flag("--full"));
        assert!(!arguments.flag("--full"));
        assert_eq!(arguments.value("--port").unwrap().as_deref(), Some("80"));
        assert_eq!(arguments.value("--only").unwrap().as_deref(), Some("x"));
        assert!(arguments.end().is_ok());
    }

    #[test]
    fn what_no_one_took_is_named() {
        let arguments = Arguments::new(vec!["--fulll".to_owned()]);
        assert!(arguments.end().unwrap_err().to_string().contains("--fulll"));
    }
}
