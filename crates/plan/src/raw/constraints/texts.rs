//! What a text must look like.

use regex_automata::dfa::regex::Regex;

#[derive(Default)]
pub(super) struct TextRules {
    pub(super) equal_to: Option<String>,
    /// In characters.
    pub(super) length: Option<u64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) min_bytes: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) pattern: Option<(String, Regex)>,
    pub(super) prefix: Option<String>,
    pub(super) suffix: Option<String>,
    pub(super) contains: Option<String>,
    pub(super) lacks: Option<String>,
    pub(super) one_of: Vec<String>,
    pub(super) none_of: Vec<String>,
    pub(super) form: Option<Form>,
    pub(super) may_be_empty: bool,
}

/// Of HTTP headers. In their lenient forms both allow everything but NUL and line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    HeaderName,
    HeaderValue,
    OneLine,
}

impl TextRules {
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        if text.is_empty() && self.may_be_empty {
            return Ok(());
        }
        self.check_size(text)?;
        self.check_content(text)
    }

    fn check_size(&self, text: &str) -> Result<(), String> {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        // Counted only where somebody asks: nearly every rule is about emptiness.
        let characters = || u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        match self {
            Self { min_length: Some(1), .. } | Self { min_bytes: Some(1), .. } if text.is_empty() => {
                Err("must not be empty".to_owned())
            }
            Self { length: Some(length), .. } if characters() != *length => {
                Err(format!("must have exactly {length} characters"))
            }
            Self { min_length: Some(min), .. } if bytes < *min || characters() < *min => {
                Err(format!("must have at least {min} characters"))
            }
            Self { max_length: Some(max), .. } if bytes > *max && characters() > *max => {
                Err(format!("must have at most {max} characters"))
            }
            Self { bytes: Some(length), .. } if bytes != *length => {
                Err(format!("must have exactly {length} bytes"))
            }
            Self { min_bytes: Some(min), .. } if bytes < *min => {
                Err(format!("must have at least {min} bytes"))
            }
            Self { max_bytes: Some(max), .. } if bytes > *max => {
                Err(format!("must have at most {max} bytes"))
            }
            _ => Ok(()),
        }
    }

    fn check_content(&self, text: &str) -> Result<(), String> {
        match self {
            Self { equal_to: Some(only), .. } if text != only => Err(format!("must be '{only}'")),
            Self { prefix: Some(prefix), .. } if !text.starts_with(prefix) => {
                Err(format!("must begin with '{prefix}'"))
            }
            Self { suffix: Some(suffix), .. } if !text.ends_with(suffix) => {
                Err(format!("must end with '{suffix}'"))
            }
            Self { contains: Some(part), .. } if !text.contains(part) => {
                Err(format!("must contain '{part}'"))
            }
            Self { lacks: Some(part), .. } if text.contains(part) => {
                Err(format!("must not contain '{part}'"))
            }
            Self { one_of, .. } if !one_of.is_empty() && !one_of.iter().any(|one| one == text) => {
                Err(format!("must be one of '{}'", one_of.join("', '")))
            }
            Self { none_of, .. } if none_of.iter().any(|one| one == text) => {
                Err(format!("must be none of '{}'", none_of.join("', '")))
            }
            Self { pattern: Some((pattern, regex)), .. } if !regex.is_match(text) => {
                Err(format!("must match the regular expression {pattern}"))
            }
            Self { form: Some(form), .. } => form.check(text),
            _ => Ok(()),
        }
    }
}

impl Form {
    /// As protoc-gen-validate's well-known regular expressions have it.
    fn check(self, text: &str) -> Result<(), String> {
        let (holds, rule) = match self {
            Self::HeaderName => (is_header_name(text), "must be the name of an HTTP header"),
            Self::HeaderValue => {
                let allowed = |char| !matches!(char, '\0'..='\x08' | '\n'..='\x1f' | '\x7f');
                (text.chars().all(allowed), "must be the value of an HTTP header: without control characters")
            }
            Self::OneLine => {
                (!text.contains(['\0', '\n', '\r']), "must be on one line, without NUL characters")
            }
        };
        if holds { Ok(()) } else { Err(rule.to_owned()) }
    }
}

fn is_header_name(text: &str) -> bool {
    let name = text.strip_prefix(':').unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-.^_|~`".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_headers() {
        for (form, text, holds) in [
            (Form::HeaderName, "x-a", true),
            (Form::HeaderName, ":path", true),
            (Form::HeaderName, "", false),
            (Form::HeaderName, ":", false),
            (Form::HeaderName, "x a", false),
            (Form::HeaderName, "ü", false),
            (Form::HeaderValue, "a\tü", true),
            (Form::HeaderValue, "", true),
            (Form::HeaderValue, "a\nb", false),
            (Form::OneLine, "any thing\x01", true),
            (Form::OneLine, "a\rb", false),
        ] {
            assert_eq!(form.check(text).is_ok(), holds, "{form:?} {text:?}");
        }
    }

    #[test]
    fn lengths_count_characters_and_sizes_count_bytes() {
        let long = TextRules { max_length: Some(2), ..TextRules::default() };
        assert_eq!(long.check("üü"), Ok(()));
        assert_eq!(long.check("abc"), Err("must have at most 2 characters".to_owned()));
        let big = TextRules { max_bytes: Some(2), ..TextRules::default() };
        assert_eq!(big.check("üü"), Err("must have at most 2 bytes".to_owned()));
        let two = TextRules { min_length: Some(2), may_be_empty: true, ..TextRules::default() };
        assert_eq!((two.check(""), two.check("ü").is_err(), two.check("üü")), (Ok(()), true, Ok(())));
    }
}
