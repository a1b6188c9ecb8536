// SPDX-License-Identifier: Apache-2.0 OR MIT
//! New files for secrets: whole or not at all, mode 0600.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::super::failure::Failure;

/// A file that gets its name when it is complete. It is made before the call whose answer it
/// takes, so that an answer that is given once has a place.
pub struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
    force: bool,
}

impl NewFile {
    /// Makes it, without a name. One that exists is overwritten with `force` alone.
    pub fn reserve(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.exists() && !force {
            return Err(exists(path));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // A temporary file is made with mode 0600.
        let file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")));
        let file = file.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self { file, path: path.into(), force })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let done = self.file.write_all(bytes);
        done.map_err(|error| Failure::new(format!("{}: {error}", self.path.display())))
    }

    /// Gives it its name.
    pub fn finish(self) -> Result<(), Failure> {
        let fail = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(&self.path),
            _ => Failure::new(format!("{}: {error}", self.path.display())),
        };
        self.file.as_file().sync_all().map_err(fail)?;
        match self.force {
            true => self.file.persist(&self.path).map_err(|error| fail(error.error))?,
            false => self.file.persist_noclobber(&self.path).map_err(|error| fail(error.error))?,
        };
        Ok(())
    }
}

/// A file that is not overwritten.
pub fn exists(path: &Path) -> Failure {
    Failure::new(format!("{} exists", path.display()))
        .hint("give another name, or --force to overwrite the file that is there")
}
