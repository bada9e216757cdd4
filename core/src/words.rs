//! Sentences made of pieces: words, numbers, and things that have words.
//!
//! `core::fmt` would do the same, at the price of a twentieth of what a browser downloads: its padding, precision and tables come along
//! with the first number. Types here say their words themselves, and `Display` passes them on.

use alloc::string::String;

/// What has words.
pub trait Words {
    /// Appends them.
    fn say(&self, out: &mut String);

    /// A string of them.
    fn words(&self) -> String {
        let mut out = String::new();
        self.say(&mut out);
        out
    }
}

/// Says one piece after the other.
macro_rules! say {
    ($out:expr, $($piece:expr),+ $(,)?) => {{ $($crate::words::Words::say(&$piece, $out);)+ }};
}
pub(crate) use say;

/// `Display` by the words of a type.
macro_rules! display {
    ($($type:ty),+) => {$(
        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(&$crate::words::Words::words(self))
            }
        }
    )+};
}
pub(crate) use display;

impl Words for str {
    #[inline(never)] // once in a download
    fn say(&self, out: &mut String) {
        out.push_str(self);
    }
}

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

impl<T: Words + ?Sized> Words for &T {
    #[inline]
    fn say(&self, out: &mut String) {
        (**self).say(out);
    }
}

impl Words for u64 {
    /// In decimal.
    #[inline(never)]
    fn say(&self, out: &mut String) {
        let mut power = 1;
        while self / power >= 10 {
            power *= 10;
        }
        while power > 0 {
            DIGITS[(self / power % 10) as usize].say(out);
            power /= 10;
        }
    }
}

impl Words for usize {
    #[inline]
    fn say(&self, out: &mut String) {
        (*self as u64).say(out);
    }
}

impl Words for u32 {
    #[inline]
    fn say(&self, out: &mut String) {
        u64::from(*self).say(out);
    }
}

impl Words for u16 {
    #[inline]
    fn say(&self, out: &mut String) {
        u64::from(*self).say(out);
    }
}

impl Words for bool {
    fn say(&self, out: &mut String) {
        if *self { "true" } else { "false" }.say(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn numbers_are_spelled_as_the_standard_library_spells_them() {
        let near = |power: u32| 10u64.checked_pow(power).into_iter().flat_map(|ten| [ten - 1, ten, ten + 1]);
        for number in (0..20).flat_map(near).chain([u64::MAX, u64::MAX - 1, 0, 7]) {
            assert_eq!(number.words(), number.to_string());
        }
        assert_eq!((3usize.words(), 4u32.words(), 5u16.words()), ("3".into(), "4".into(), "5".into()));
    }

    #[test]
    fn pieces_follow_each_other() {
        let (mut out, number, word) = (String::from("> "), 12u32, "words");
        say!(&mut out, number, " ", word, ", ", true, " or ", false);
        assert_eq!(out, format!("> {number} {word}, {} or {}", true, false));
    }
}
