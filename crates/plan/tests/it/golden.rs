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
        let accept = format!("To accept it: {UPDATE}=1 cargo test -p plan");
        assert!(failures.is_empty(), "{}\n{accept}", failures.join("\n"));
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

fn read<Input: DeserializeOwned>(case: &Path) -> Input {
    let path = case.join(INPUT);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
