//! The settings of a profile in the two files of the AWS command line, `~/.aws/credentials` and `~/.aws/config`.

use crate::failure::Failure;
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Profile unless `AWS_PROFILE` names another one.
const DEFAULT: &str = "default";

/// A file with profiles.
struct ProfileFile {
    /// Variable with its path.
    variable: &'static str,
    /// Path below the home folder.
    path: &'static str,
    /// Returns the profile of a section; `None` for a section that is none.
    profile: fn(&str) -> Option<&str>,
}

/// The file with settings of all kinds.
const CONFIG: ProfileFile =
    ProfileFile { variable: "AWS_CONFIG_FILE", path: ".aws/config", profile: of_config };

/// The file for keys.
const CREDENTIALS: ProfileFile = ProfileFile {
    variable: "AWS_SHARED_CREDENTIALS_FILE",
    path: ".aws/credentials",
    profile: of_credentials,
};

/// The settings of a profile in one file.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Returns a setting that is not empty.
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.0.get(setting).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The settings of one profile.
#[derive(Default)]
pub(super) struct Profile {
    /// Its name.
    pub(super) name: String,
    /// Its settings in `credentials`.
    pub(super) credentials: Settings,
    /// Its settings in `config`.
    pub(super) config: Settings,
}

impl Profile {
    /// Reads the profile of the user. A profile without settings is one that does not exist.
    ///
    /// # Errors
    ///
    /// Fails if a file is there and cannot be read.
    pub(super) fn of_user(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let name = variable("AWS_PROFILE").unwrap_or_else(|| DEFAULT.to_owned());
        let settings = |file: &ProfileFile| -> Result<Settings, Failure> {
            let own = variable(file.variable).map(PathBuf::from);
            let path = own.or_else(|| variable("HOME").map(|home| Path::new(&home).join(file.path)));
            let text = path.map_or_else(|| Ok(String::new()), |path| read(&path))?;
            Ok(Settings(settings_of(&text, &name, file.profile)))
        };
        let (credentials, config) = (settings(&CREDENTIALS)?, settings(&CONFIG)?);
        Ok(Self { name, credentials, config })
    }

    /// Returns a setting that is not empty, that of `credentials` if both files have it.
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.credentials.get(setting).or_else(|| self.config.get(setting))
    }

    /// Returns true if no file has the profile.
    pub(super) fn is_unknown(&self) -> bool {
        self.credentials.0.is_empty() && self.config.0.is_empty()
    }
}

/// Reads a file. One that is not there is empty.
fn read(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// Returns the profile of a section of `config`: `default`, or `profile NAME`.
fn of_config(section: &str) -> Option<&str> {
    match section.split_once(char::is_whitespace) {
        Some(("profile", name)) => Some(name.trim().trim_matches('"')),
        _ => Some(section).filter(|section| *section == DEFAULT),
    }
}

/// Returns the profile of a section of `credentials`, which is its name.
fn of_credentials(section: &str) -> Option<&str> {
    Some(section)
}

/// Returns the settings of a profile in the text of a file, without those that are nested.
fn settings_of(text: &str, name: &str, profile: fn(&str) -> Option<&str>) -> BTreeMap<String, String> {
    let (mut settings, mut is_inside) = (BTreeMap::new(), false);
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let section = section.split(']').next().unwrap_or_default().trim();
            is_inside = profile(section) == Some(name);
        } else if let Some((setting, value)) = line.split_once('=').filter(|_| is_inside && !is_nested) {
            settings.insert(setting.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# people\n[default]\nregion = eu-north-1\n[profile live]\nregion=eu-west-1\n\
                          s3 =\n  region = nested\n; end\n[profile \"of two words\"]\nRegion = us-east-1\n[live]\nregion = wrong\n\
                          [sso-session live]\nregion = wrong\n";

    #[test]
    fn a_profile_has_the_settings_of_its_section() {
        for (name, expected) in [
            ("default", Some("eu-north-1")),
            ("live", Some("eu-west-1")),
            ("of two words", Some("us-east-1")),
            ("other", None),
        ] {
            let settings = settings_of(TEXT, name, of_config);
            assert_eq!(settings.get("region").map(String::as_str), expected, "{name}");
        }
        let settings =
            settings_of("[live]\naws_access_key_id = A=B\n[other]\nx = y\n", "live", of_credentials);
        assert_eq!(
            settings.into_iter().collect::<Vec<_>>(),
            [("aws_access_key_id".to_owned(), "A=B".to_owned())]
        );
    }

    #[test]
    fn the_settings_of_both_files_are_one_profile() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".aws")).unwrap();
        fs::write(folder.path().join(".aws/config"), "[default]\nregion = a\naws_access_key_id = config\n")
            .unwrap();
        let credentials = folder.path().join("credentials");
        fs::write(&credentials, "[default]\naws_access_key_id = credentials\n").unwrap();
        let variable = |name: &str| match name {
            "HOME" => Some(folder.path().display().to_string()),
            "AWS_SHARED_CREDENTIALS_FILE" => Some(credentials.display().to_string()),
            _ => None,
        };
        let profile = Profile::of_user(&variable).unwrap();
        assert_eq!(
            (profile.get("region"), profile.get("aws_access_key_id")),
            (Some("a"), Some("credentials"))
        );
        let other = |name: &str| if name == "AWS_PROFILE" { Some("live".to_owned()) } else { variable(name) };
        assert!(Profile::of_user(&other).unwrap().is_unknown());
        assert!(Profile::of_user(&|_| None).unwrap().is_unknown(), "without a home folder");
    }
}
