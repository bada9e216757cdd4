//! The key that requests bring, compared in a time that tells nothing about how much of a guess was right.

use std::fmt;
use std::hint::black_box;

/// A secret word, as in `Authorization: Bearer WORD`.
#[derive(Clone)]
pub struct ApiKey(Vec<u8>);

impl ApiKey {
    /// The key in a file's text; spaces and line ends around it do not count. `None` where nothing is left, or what no header
    /// could carry.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let word = text.trim();
        let fits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(word.as_bytes().to_vec()))
    }

    /// Whether `guess` is the key. The time depends on the guess's length alone.
    pub(super) fn is(&self, guess: &[u8]) -> bool {
        let mut differ = u8::from(guess.len() != self.0.len());
        for (place, byte) in guess.iter().enumerate() {
            differ |= byte ^ black_box(self.0[place % self.0.len()]);
        }
        black_box(differ) == 0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_is_the_key() {
        let key = ApiKey::new(" secret\n").unwrap();
        assert!(key.is(b"secret"));
        for guess in ["", "s", "secre", "secret ", "secretsecret", "Secret"] {
            assert!(!key.is(guess.as_bytes()), "{guess:?}");
        }
        assert!(ApiKey::new("\n").is_none() && ApiKey::new("two words").is_none());
        assert_eq!(format!("{key:?}"), "ApiKey");
    }
}
