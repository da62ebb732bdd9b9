//! What every error must be that a person may see, whatever was read.

/// No body, path or header makes an error longer than this: a sentence, with a piece of what was written.
const CHARACTERS_MAX: usize = 1024;

/// What would tell of the machine that the program was built or runs on.
const OURS: [&str; 4] = [".rs:", "src/", "/root/", ".cargo"];

/// One line, of bounded length, without control characters, that says nothing of our files unless the input did.
pub(crate) fn assert_fit_to_be_shown(error: &str, input: &[u8]) {
    assert!(!error.trim().is_empty(), "an error says nothing");
    assert!(!error.chars().any(char::is_control), "an error is one line of printable text: {error:?}");
    let length = error.chars().count();
    assert!(length <= CHARACTERS_MAX, "an error has {length} characters: {error}");
    let input = String::from_utf8_lossy(input);
    for ours in OURS {
        assert!(!error.contains(ours) || input.contains(ours), "an error tells of our files: {error}");
    }
}
