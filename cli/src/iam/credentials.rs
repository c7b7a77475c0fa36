//! AWS credentials: the keys of the environment, or else those of a profile or of the process that it names, in the order of
//! the AWS command line.

use super::{
    process,
    profile::{Profile, Settings},
};
use crate::failure::Failure;
use aws_credential_types::Credentials;
use std::time::Duration;

/// Settings of profiles whose keys AWS issues. The AWS command line obeys them before it looks for keys in the files, and this
/// one does not ask AWS.
const ISSUED: [&str; 4] = ["role_arn", "web_identity_token_file", "sso_session", "sso_start_url"];

/// Setting of profiles that are signed in with a browser. Keys in `credentials` go before it.
const SIGNED_IN: &str = "login_session";

/// Names of the two parts of a key.
const PARTS: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// Returns the credentials of the user. They are read once: a command that runs for longer than they are valid fails. The
/// process of the profile is killed after `process_limit`, and is not run at all without one.
///
/// # Errors
///
/// Fails if there are none, or if the process of the profile fails, does not end or may not be run.
pub(super) fn find(
    profile: &Profile,
    variable: &dyn Fn(&str) -> Option<String>,
    process_limit: Option<Duration>,
) -> Result<Credentials, Failure> {
    if let Some(id) = variable("AWS_ACCESS_KEY_ID") {
        let Some(secret) = variable("AWS_SECRET_ACCESS_KEY") else {
            return Err(missing("AWS_SECRET_ACCESS_KEY is not set beside AWS_ACCESS_KEY_ID", profile));
        };
        return Ok(Credentials::new(id, secret, variable("AWS_SESSION_TOKEN"), None, "environment"));
    }
    if let Some(setting) = ISSUED.into_iter().find(|setting| profile.get(setting).is_some()) {
        return Err(issued(setting, profile));
    }
    if let Some(credentials) = of_file(&profile.credentials) {
        return Ok(credentials);
    }
    if profile.get(SIGNED_IN).is_some() {
        return Err(issued(SIGNED_IN, profile));
    }
    if let Some(command) = profile.get("credential_process") {
        return of_process(command, profile, process_limit);
    }
    of_file(&profile.config).ok_or_else(|| absent(profile))
}

/// Returns the keys in one file. Their parts are never those of two files, which may be about two accounts.
fn of_file(settings: &Settings) -> Option<Credentials> {
    let [id, secret] = PARTS.map(|part| settings.get(part));
    let session = settings.get("aws_session_token").map(str::to_owned);
    Some(Credentials::new(id?, secret?, session, None, "profile"))
}

/// Returns the keys that the process of a profile prints.
fn of_process(command: &str, profile: &Profile, limit: Option<Duration>) -> Result<Credentials, Failure> {
    let name = &profile.name;
    let Some(limit) = limit else {
        let cause =
            format!("the credential_process of the AWS profile {name:?} may ask, and is not run here");
        return Err(missing(&cause, profile));
    };
    // The command itself may have a secret.
    process::run(command, limit).map_err(|detail| {
        Failure::Io(format!(
            "credential_process of the AWS profile {name:?} {detail}\n  hint: try it alone: aws sts get-caller-identity \
             --profile {name}"
        ))
    })
}

/// Builds the failure of a profile without keys of its own.
fn absent(profile: &Profile) -> Failure {
    let name = &profile.name;
    let cause = if profile.is_unknown() {
        format!("there is no AWS profile {name:?}")
    } else if PARTS.iter().any(|part| profile.get(part).is_some()) {
        let [id, secret] = PARTS;
        format!("the AWS profile {name:?} has no file with both {id} and {secret}")
    } else {
        format!("the AWS profile {name:?} has no keys")
    };
    missing(&format!("AWS_ACCESS_KEY_ID is not set, and {cause}"), profile)
}

/// Builds the failure of a profile whose keys AWS issues.
fn issued(setting: &str, profile: &Profile) -> Failure {
    let name = &profile.name;
    missing(
        &format!("the AWS profile {name:?} has its keys from {setting}, for which cutover does not ask AWS"),
        profile,
    )
}

/// Builds the failure of missing keys, with the command that puts those of SSO, of roles and of instances into the
/// environment.
fn missing(cause: &str, Profile { name, .. }: &Profile) -> Failure {
    Failure::Usage(format!(
        "--aws-iam needs AWS keys: {cause}\n  hint: eval \"$(aws configure export-credentials --profile {name} --format env)\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, time::Instant};

    /// Output of a process with the key `P`.
    const PROCESS: &str =
        r#"echo '{"Version":1,"AccessKeyId":"P","SecretAccessKey":"s","SessionToken":"t"}'"#;

    const CONFIG: &str = "[default]\nregion = a\n[profile keys]\naws_access_key_id = K\naws_secret_access_key = s\n\
        [profile process]\ncredential_process = PROCESS\n[profile broken]\ncredential_process = echo secret; exit 3\n\
        [profile odd]\ncredential_process = echo secret\n[profile people]\nsso_session = office\n\
        [profile slow]\ncredential_process = exec sleep 60 # secret\n\
        [profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\n\
        [profile halves]\naws_secret_access_key = s\n\
        [profile both]\naws_access_key_id = K\naws_secret_access_key = s\naws_session_token = k\ncredential_process = PROCESS\n\
        [profile signed]\nlogin_session = arn\ncredential_process = PROCESS\n\
        [profile named]\naws_access_key_id = K\naws_secret_access_key = s\ncredential_process = PROCESS\n";

    const CREDENTIALS: &str = "[role]\naws_access_key_id = C\naws_secret_access_key = s\n\
        [people]\naws_access_key_id = C\naws_secret_access_key = s\n\
        [halves]\naws_access_key_id = C\n\
        [both]\naws_access_key_id = C\naws_secret_access_key = s\n";

    /// Finds the credentials with further variables beside the files of profiles. Returns the id and the session of the keys,
    /// or the failure.
    fn found_within(
        limit: Option<Duration>,
        variables: &[(&str, &str)],
    ) -> Result<(String, Option<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        let (config, credentials) = (folder.path().join("config"), folder.path().join("credentials"));
        fs::write(&config, CONFIG.replace("PROCESS", PROCESS)).unwrap();
        fs::write(&credentials, CREDENTIALS).unwrap();
        let variable = |name: &str| {
            let given =
                variables.iter().find(|(held, _)| *held == name).map(|(_, value)| (*value).to_owned());
            given.or_else(|| match name {
                "AWS_CONFIG_FILE" => Some(config.display().to_string()),
                "AWS_SHARED_CREDENTIALS_FILE" => Some(credentials.display().to_string()),
                _ => None,
            })
        };
        let profile = Profile::of_user(&variable).unwrap();
        let credentials = find(&profile, &variable, limit).map_err(|failure| failure.to_string())?;
        Ok((credentials.access_key_id().to_owned(), credentials.session_token().map(str::to_owned)))
    }

    fn found(variables: &[(&str, &str)]) -> Result<(String, Option<String>), String> {
        found_within(Some(Duration::from_secs(30)), variables)
    }

    #[test]
    fn keys_are_those_of_the_environment_or_of_the_profile() {
        let environment =
            [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "e")];
        for (variables, expected) in [
            (&environment[..], ("E", Some("e"))),
            (&[environment[0], environment[1], ("AWS_PROFILE", "keys")], ("E", None)),
            (&[environment[0], environment[1], ("AWS_PROFILE", "role")], ("E", None)),
            (&[("AWS_PROFILE", "keys")], ("K", None)),
            (&[("AWS_PROFILE", "process")], ("P", Some("t"))),
            // Those of `credentials`, then those of the process, then those of `config`; without the session of another file.
            (&[("AWS_PROFILE", "both")], ("C", None)),
            (&[("AWS_PROFILE", "named")], ("P", Some("t"))),
        ] {
            let (id, session) = found(variables).unwrap();
            assert_eq!((id.as_str(), session.as_deref()), expected, "{variables:?}");
        }
    }

    #[test]
    fn without_keys_the_command_that_gets_them_is_named() {
        let export = "hint: eval \"$(aws configure export-credentials --profile ";
        for (variables, cause, hint) in [
            // Also if the other file has keys, which may be of another account.
            (&[("AWS_PROFILE", "people")][..], "has its keys from sso_session", "people --format env)\""),
            (&[("AWS_PROFILE", "role")], "has its keys from role_arn", "role --format env)\""),
            (&[("AWS_PROFILE", "signed")], "has its keys from login_session", "signed --format env)\""),
            (
                &[("AWS_PROFILE", "halves")],
                "has no file with both aws_access_key_id",
                "halves --format env)\"",
            ),
            (&[("AWS_PROFILE", "nobody")], "there is no AWS profile \"nobody\"", "nobody --format env)\""),
            (&[], "the AWS profile \"default\" has no keys", "default --format env)\""),
            (&[("AWS_ACCESS_KEY_ID", "E")], "AWS_SECRET_ACCESS_KEY is not set", "default --format env)\""),
        ] {
            let failure = found(variables).unwrap_err();
            assert!(failure.contains(cause), "{variables:?}: {failure}");
            assert!(failure.ends_with(&format!("{export}{hint}")), "{variables:?}: {failure}");
        }
    }

    #[test]
    fn a_process_that_fails_is_named_without_its_command_and_its_output() {
        for (profile, expected) in [("broken", "failed: exit status: 3"), ("odd", "something else than JSON")]
        {
            let failure = found(&[("AWS_PROFILE", profile)]).unwrap_err();
            assert!(failure.contains(expected), "{failure}");
            assert!(
                failure.ends_with(&format!("aws sts get-caller-identity --profile {profile}")),
                "{failure}"
            );
            assert!(!failure.contains("secret"), "{failure}");
        }
    }

    #[test]
    fn a_process_that_does_not_end_is_killed() {
        let begun = Instant::now();
        let slow = [("AWS_PROFILE", "slow")];
        let failure = found_within(Some(Duration::from_secs(1)), &slow).unwrap_err();
        assert!(failure.contains("\"slow\" did not end within 1 s"), "{failure}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_process_is_run_only_where_it_may_ask() {
        let failure = found_within(None, &[("AWS_PROFILE", "slow")]).unwrap_err();
        assert!(failure.contains("may ask, and is not run here"), "{failure}");
        assert_eq!(found_within(None, &[("AWS_PROFILE", "keys")]).unwrap(), ("K".to_owned(), None));
    }
}
