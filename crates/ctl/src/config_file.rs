//! The file `~/.kumactl/config` itself: made on first use, readable by its owner alone, and written all at once, so
//! that whoever reads it meanwhile finds the old or the new one.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{configuration::Configuration, http};

const OWNER_ONLY_FILE: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;

/// A configuration and the file it came from.
pub(crate) struct ConfigFile {
    path: PathBuf,
    pub(crate) configuration: Configuration,
}

/// The texts are Kuma 0.3.0's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("Failed to access configuration file \"{}\"", .0.display())]
    Absent(PathBuf),
    #[error("Failed to read configuration file \"{}\": {reason}", .file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("Failed to parse configuration from file \"{}\": {reason}", .file.display())]
    Malformed { file: PathBuf, reason: String },
    #[error("Failed to load invalid configuration from file \"{}\": {reason}", .file.display())]
    Invalid { file: PathBuf, reason: String },
    #[error("Failed to write configuration file \"{}\": {reason}", .file.display())]
    Unwritable { file: PathBuf, reason: String },
    #[error("the home folder is not known. Set HOME, or name a file with --config-file")]
    NoHome,
}

impl ConfigFile {
    /// Reads `named`, which has to be there; without it the file in `home`, which is made on first use.
    pub(crate) fn open(named: Option<&Path>, home: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(path) = named {
            return Self::load(path);
        }
        let path = home.ok_or(ConfigError::NoHome)?.join(".kumactl").join("config");
        match Self::load(&path) {
            Err(ConfigError::Absent(_)) => {
                let file = Self { path, configuration: Configuration::first() };
                file.save()?;
                tracing::info!(file = %file.path.display(), "made a configuration");
                Ok(file)
            }
            other => other,
        }
    }

    fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = || path.to_owned();
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ConfigError::Absent(file()),
            _ => ConfigError::Unreadable { file: file(), reason: http::io_reason(&error) },
        })?;
        let configuration =
            Configuration::parse(&text).map_err(|reason| ConfigError::Malformed { file: file(), reason })?;
        configuration.check().map_err(|reason| ConfigError::Invalid { file: file(), reason })?;
        Ok(Self { path: file(), configuration })
    }

    pub(crate) fn save(&self) -> Result<(), ConfigError> {
        let unwritable = |reason| ConfigError::Unwritable { file: self.path.clone(), reason };
        let text = self.configuration.print().map_err(unwritable)?;
        replace(&self.path, &text).map_err(|error| unwritable(http::io_reason(&error)))
    }
}

/// Writes beside the file, then renames. A link stays a link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY_FOLDER).create(folder)?;
    }
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}.tmp", std::process::id()));
    let written = write_new(Path::new(&beside), text).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // What is left of it helps nobody; why it failed is what matters.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY_FILE).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_use_makes_a_configuration_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let made = ConfigFile::open(None, Some(home.path())).unwrap();
        assert_eq!(mode(&home.path().join(".kumactl")), 0o700);
        assert_eq!(mode(&home.path().join(".kumactl/config")), 0o600);
        let read = ConfigFile::open(None, Some(home.path())).unwrap();
        assert_eq!(read.configuration, made.configuration);
        assert_eq!(read.configuration.active_name(), Some("local"));
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        assert!(matches!(ConfigFile::open(Some(&path), None), Err(ConfigError::Absent(_))));
        assert!(!path.exists());
    }

    #[test]
    fn to_save_closes_the_file_to_others_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "{}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();

        ConfigFile::open(Some(&link), None).unwrap().save().unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
