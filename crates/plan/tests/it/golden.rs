//! Folders of cases: what comes in stands beside what is expected to come out, and one command accepts what comes out.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diff::diff;

/// Set, it makes what comes out what is expected.
const UPDATE: &str = "UPDATE_CASES";

const INPUT: &str = "in.yaml";

/// A folder of cases, below `tests/`, and the files that each case has beside its input.
pub(crate) struct Golden {
    pub(crate) folder: &'static str,
    pub(crate) expected: &'static [&'static str],
}

impl Golden {
    /// `run` makes of an input what is to be found in the expected files, in their order.
    pub(crate) fn check<Input: DeserializeOwned>(&self, run: impl Fn(Input) -> Vec<Value>) {
        let mut failures = Vec::new();
        for case in self.cases() {
            let input = read(&case);
            for (name, actual) in self.expected.iter().zip(run(input)) {
                failures.extend(compare(&case.join(name), &yaml(&actual)));
            }
            failures.extend(self.orphans(&case));
        }
        accept_or_fail(&failures);
    }

    /// `run` makes of the text of an input what is to be found in one of the expected files, and names the file; the
    /// others are not there.
    pub(crate) fn check_texts(&self, run: impl Fn(&str) -> (&'static str, String)) {
        let mut failures = Vec::new();
        for case in self.cases() {
            let (name, actual) = run(&read_text(&case));
            failures.extend(compare(&case.join(name), &actual));
            for other in self.expected.iter().filter(|other| **other != name) {
                failures.extend(absent(&case.join(other)));
            }
            failures.extend(self.orphans(&case));
        }
        accept_or_fail(&failures);
    }

    /// The inputs of all cases, by name.
    pub(crate) fn inputs<Input: DeserializeOwned>(&self) -> Vec<Input> {
        self.cases().iter().map(|case| read(case)).collect()
    }

    fn cases(&self) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(self.folder);
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut cases: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        cases.sort();
        cases
    }

    /// Files that belong to no case.
    fn orphans(&self, case: &Path) -> Vec<String> {
        let files = fs::read_dir(case).unwrap().map(|entry| entry.unwrap().file_name());
        let orphans = files.filter(|file| file != INPUT && !self.expected.iter().any(|name| file == name));
        orphans.map(|file| format!("{} belongs to no case", case.join(file).display())).collect()
    }
}

/// The text that a value is expected as.
pub(crate) fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON has a YAML form")
}

fn accept_or_fail(failures: &[String]) {
    let accept = format!("To accept it: {UPDATE}=1 cargo test -p plan");
    assert!(failures.is_empty(), "{}\n{accept}", failures.join("\n"));
}

fn read<Input: DeserializeOwned>(case: &Path) -> Input {
    serde_saphyr::from_str(&read_text(case)).unwrap_or_else(|error| panic!("{}: {error}", case.display()))
}

fn read_text(case: &Path) -> String {
    let path = case.join(INPUT);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file that an earlier run expected and this one does not make.
fn absent(path: &Path) -> Option<String> {
    if !path.exists() {
        return None;
    }
    if env::var_os(UPDATE).is_some() {
        fs::remove_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return None;
    }
    Some(format!("{} is expected, and is not what comes out", path.display()))
}

fn compare(path: &Path, actual: &str) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return None;
    }
    if env::var_os(UPDATE).is_some() {
        fs::write(path, actual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return None;
    }
    Some(format!("{}\n{}", path.display(), diff(&expected, actual)))
}
