//! The file pointer: `production/<model>/current.json` names what serves. Written atomically,
//! fenced, read by any server that can read a file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use afresh_core::id::ModelName;
use afresh_core::model::Deployment;
use serde::{Deserialize, Serialize};

use crate::port::{ServeError, Serving};

/// A directory of pointers.
#[derive(Clone, Debug)]
pub struct Pointer {
    directory: PathBuf,
    artifacts: PathBuf,
    shelf: Option<String>,
}

/// The content of a pointer file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// What answers.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// Directory of the version's artifact, relative to the pointer's directory where possible.
    pub artifact: Option<PathBuf>,
    /// Directory of the canary's artifact.
    pub canary_artifact: Option<PathBuf>,
    /// Where the version is kept for whoever does not share this disk: `s3://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_url: Option<String>,
    /// Where the canary is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_artifact_url: Option<String>,
}

impl Pointer {
    /// Pointers below `directory` to versions below `artifacts/<model>/v<number>`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, artifacts: impl Into<PathBuf>) -> Pointer {
        Pointer { directory: directory.into(), artifacts: artifacts.into(), shelf: None }
    }

    /// Pointers that also name versions below `shelf`, a location on S3.
    #[must_use]
    pub fn on_shelf(self, shelf: Option<&str>) -> Pointer {
        let shelf = shelf.map(|shelf| shelf.trim_end_matches('/').to_owned());
        Pointer { shelf, ..self }
    }

    /// Where `model`'s pointer stands.
    #[must_use]
    pub fn path(&self, model: &ModelName) -> PathBuf {
        self.directory.join(model.as_str()).join("current.json")
    }

    fn read(path: &Path) -> Result<Option<Current>, ServeError> {
        let broken = |source| ServeError::Broken { place: path.display().to_string(), source };
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| broken(io::Error::new(io::ErrorKind::InvalidData, source))),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(broken(source)),
        }
    }

    fn write(&self, model: &ModelName, deployment: Deployment) -> Result<(), ServeError> {
        let path = self.path(model);
        let broken = |source| ServeError::Broken { place: path.display().to_string(), source };
        let directory = path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(directory).map_err(broken)?;
        // Reading the fence and replacing the file are one step for all processes.
        let lock = File::create(directory.join("current.lock")).map_err(broken)?;
        lock.lock().map_err(broken)?;
        if let Some(current) = Pointer::read(&path)? {
            let (taken, offered) = (current.deployment.fence, deployment.fence);
            if offered < taken {
                return Err(ServeError::Fenced { refused: offered.0, taken: taken.0 });
            }
            if current.deployment == deployment {
                return Ok(());
            }
        }
        let artifact = |version| self.artifacts.join(model.as_str()).join(format!("{version}"));
        let canary = deployment.canary.map(|canary| canary.version);
        let url = |version| {
            let shelf = self.shelf.as_ref()?;
            Some(format!("{shelf}/versions/{model}/{version}"))
        };
        let current = Current {
            deployment,
            artifact: deployment.version.map(artifact),
            canary_artifact: canary.map(artifact),
            artifact_url: deployment.version.and_then(url),
            canary_artifact_url: canary.and_then(url),
        };
        let write = || -> io::Result<()> {
            let temporary = directory.join("current.json.tmp");
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(&current)?)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(broken)
    }
}

impl Serving for Pointer {
    async fn serve(&self, model: &ModelName, deployment: Deployment) -> Result<(), ServeError> {
        let (pointer, model) = (self.clone(), model.clone());
        let place = self.directory.display().to_string();
        tokio::task::spawn_blocking(move || pointer.write(&model, deployment))
            .await
            .map_err(|source| ServeError::Broken { place, source: io::Error::other(source) })?
    }

    async fn serving(&self, model: &ModelName) -> Result<Option<Deployment>, ServeError> {
        let path = self.path(model);
        let place = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || Pointer::read(&path))
            .await
            .map_err(|source| ServeError::Broken { place, source: io::Error::other(source) })??;
        Ok(read.map(|current| current.deployment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afresh_core::id::{Fence, VersionId};

    fn deployment(fence: u64, version: u64) -> Deployment {
        Deployment { fence: Fence(fence), version: Some(VersionId(version)), canary: None }
    }

    #[tokio::test]
    async fn lower_fence_is_refused_and_the_same_is_taken_again() {
        let place = tempfile::tempdir().unwrap();
        let pointer = Pointer::new(place.path().join("production"), place.path().join("versions"));
        let model = ModelName::new("shop/churn").unwrap();
        assert_eq!(pointer.serving(&model).await.unwrap(), None);
        pointer.serve(&model, deployment(2, 7)).await.unwrap();
        pointer.serve(&model, deployment(2, 7)).await.unwrap();
        let late = pointer.serve(&model, deployment(1, 6)).await.unwrap_err();
        assert!(matches!(late, ServeError::Fenced { refused: 1, taken: 2 }));
        assert_eq!(pointer.serving(&model).await.unwrap(), Some(deployment(2, 7)));
    }

    #[tokio::test]
    async fn unwritable_directory_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("production");
        fs::write(&file, "in the way").unwrap();
        let pointer = Pointer::new(&file, place.path());
        let model = ModelName::new("m").unwrap();
        let error = pointer.serve(&model, deployment(1, 1)).await.unwrap_err();
        assert!(error.to_string().contains("production"), "{error}");
    }
}
