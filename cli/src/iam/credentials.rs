//! AWS credentials: the keys of the environment, or else those of a profile or of the process that it names.

use super::profile::Profile;
use crate::{failure::Failure, output};
use aws_credential_types::Credentials;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Settings of profiles whose keys another service issues, which the AWS command line asks and this one does not.
const ISSUED: [&str; 7] = [
    "sso_session",
    "sso_start_url",
    "login_session",
    "role_arn",
    "source_profile",
    "credential_source",
    "web_identity_token_file",
];

/// Returns the credentials of the user. They are read once: a command that runs for longer than they are valid fails.
///
/// # Errors
///
/// Fails if there are none, or if the process of the profile fails.
pub(super) fn find(
    profile: &Profile,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Credentials, Failure> {
    if let Some(id) = variable("AWS_ACCESS_KEY_ID") {
        let Some(secret) = variable("AWS_SECRET_ACCESS_KEY") else {
            return Err(missing("AWS_SECRET_ACCESS_KEY is not set beside AWS_ACCESS_KEY_ID", profile));
        };
        return Ok(Credentials::new(id, secret, variable("AWS_SESSION_TOKEN"), None, "environment"));
    }
    let name = &profile.name;
    if let (Some(id), Some(secret)) = (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key"))
    {
        let session = profile.get("aws_session_token").map(str::to_owned);
        return Ok(Credentials::new(id, secret, session, None, "profile"));
    }
    if let Some(command) = profile.get("credential_process") {
        return of_process(command).map_err(|detail| {
            Failure::Io(format!(
                "credential_process of the AWS profile {name:?} {detail}\n  hint: run {command}"
            ))
        });
    }
    let issued = ISSUED.into_iter().find(|setting| profile.get(setting).is_some());
    Err(match issued {
        Some(setting) => missing(
            &format!(
                "the AWS profile {name:?} has no keys but {setting}, for which cutover does not ask AWS"
            ),
            profile,
        ),
        None if profile.is_unknown() => {
            missing(&format!("AWS_ACCESS_KEY_ID is not set, and there is no AWS profile {name:?}"), profile)
        }
        None => missing(
            &format!("AWS_ACCESS_KEY_ID is not set, and the AWS profile {name:?} has no keys"),
            profile,
        ),
    })
}

/// Builds the failure of missing keys, with the command that puts those of SSO, of roles and of instances into the
/// environment.
fn missing(cause: &str, Profile { name, .. }: &Profile) -> Failure {
    Failure::Usage(format!(
        "--aws-iam needs AWS keys: {cause}\n  hint: eval \"$(aws configure export-credentials --profile {name} --format env)\""
    ))
}

/// Runs a process that prints credentials as JSON (version 1 of the AWS command line). Its output is secret, and never part
/// of a message.
fn of_process(command: &str) -> Result<Credentials, String> {
    let mut process = Command::new("sh");
    // It may ask for a code, on the terminal of the user.
    process.args(["-c", command]).stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let done = process.output().map_err(|error| format!("cannot be run: {error}"))?;
    if !done.status.success() {
        return Err(format!("failed: {}", done.status));
    }
    let document: Value =
        serde_json::from_slice(&done.stdout).map_err(|_| "printed something else than JSON".to_owned())?;
    let text = |name: &str| Some(output::text(&document, name)).filter(|text| !text.is_empty());
    match (document.get("Version").and_then(Value::as_u64), text("AccessKeyId"), text("SecretAccessKey")) {
        (Some(1), Some(id), Some(secret)) => {
            Ok(Credentials::new(id, secret, text("SessionToken").map(str::to_owned), None, "process"))
        }
        (Some(1), ..) => Err("printed no AccessKeyId and SecretAccessKey".to_owned()),
        _ => Err("printed credentials of another version than 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Finds the credentials with further variables beside a file of profiles. Returns the id and the session of the keys, or
    /// the failure.
    fn found(variables: &[(&str, &str)]) -> Result<(String, Option<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let process = r#"echo '{"Version":1,"AccessKeyId":"P","SecretAccessKey":"s","SessionToken":"t"}'"#;
        let profiles = format!(
            "[default]\nregion = a\n[profile keys]\naws_access_key_id = K\naws_secret_access_key = s\n\
             [profile process]\ncredential_process = {process}\n[profile broken]\ncredential_process = echo secret; exit 3\n\
             [profile odd]\ncredential_process = echo secret\n[profile people]\nsso_session = office\n"
        );
        fs::write(&file, profiles).unwrap();
        let variable = |name: &str| {
            let given =
                variables.iter().find(|(held, _)| *held == name).map(|(_, value)| (*value).to_owned());
            given.or_else(|| (name == "AWS_CONFIG_FILE").then(|| file.display().to_string()))
        };
        let profile = Profile::of_user(&variable).unwrap();
        let credentials = find(&profile, &variable).map_err(|failure| failure.to_string())?;
        Ok((credentials.access_key_id().to_owned(), credentials.session_token().map(str::to_owned)))
    }

    #[test]
    fn keys_are_those_of_the_environment_or_of_the_profile() {
        let environment =
            [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "e")];
        for (variables, expected) in [
            (&environment[..], ("E", Some("e"))),
            (&[environment[0], environment[1], ("AWS_PROFILE", "keys")], ("E", None)),
            (&[("AWS_PROFILE", "keys")], ("K", None)),
            (&[("AWS_PROFILE", "process")], ("P", Some("t"))),
        ] {
            let (id, session) = found(variables).unwrap();
            assert_eq!((id.as_str(), session.as_deref()), expected, "{variables:?}");
        }
    }

    #[test]
    fn without_keys_the_command_that_gets_them_is_named() {
        let export = "hint: eval \"$(aws configure export-credentials --profile ";
        for (variables, cause, hint) in [
            (
                &[("AWS_PROFILE", "people")][..],
                "\"people\" has no keys but sso_session",
                "people --format env)\"",
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
    fn a_process_that_fails_is_named_without_what_it_printed() {
        for (profile, expected) in [("broken", "failed: exit status: 3"), ("odd", "something else than JSON")]
        {
            let failure = found(&[("AWS_PROFILE", profile)]).unwrap_err();
            assert!(failure.contains(expected), "{failure}");
            assert_eq!(failure.matches("secret").count(), 1, "in the command of the hint alone: {failure}");
        }
    }
}
