//! S3: how a bucket is opened from the environment, and what its errors mean.
//!
//! Variables are named in messages, their values never. Profile files are not read.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;

/// What locations on S3 begin with.
pub(crate) const SCHEME: &str = "s3://";

/// A location on S3, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) bucket: &'a str,
    /// Without a slash at its start; may be empty, and may hold wildcards.
    pub(crate) key: &'a str,
}

/// Why S3 did not do what it was asked, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Trouble {
    kind: Kind,
    /// The server's own words, or the connection's.
    words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The server does not know or trust these credentials.
    Credentials,
    /// The server knows them, and they may not do this.
    Denied,
    /// The two clocks are too far apart.
    Clock,
    NoBucket,
    NoKey,
    Region,
    /// Nobody answers.
    Unreachable,
    /// Somebody answered, and the connection broke or stalled.
    Cut,
    /// Too much is asked, or the server has a fault of its own.
    Busy,
    Other,
}

/// Names of the variables that are set and that reading S3 may need.
#[must_use]
pub fn variables() -> Vec<String> {
    if !cfg!(feature = "s3") {
        return Vec::new();
    }
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("AWS_") || CONNECTING.contains(&name.as_str())).collect()
}

/// Variables beside those of AWS that say how a server is reached.
const CONNECTING: [&str; 8] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Whether a path as errors write it is one of S3.
pub(crate) fn is_remote(path: &str) -> bool {
    path.starts_with(SCHEME)
}

/// `None` for a location without a scheme; the error says what to write instead.
pub(crate) fn parse(location: &str) -> Result<Option<Address<'_>>, String> {
    let Some((scheme, rest)) = location.split_once("://") else { return Ok(None) };
    if scheme != "s3" {
        let write = "write a path, or `s3://BUCKET/PREFIX/*.parquet`";
        return Err(format!("`{scheme}://` is not read: {write}"));
    }
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("it names no bucket: write `s3://BUCKET/PREFIX/*.parquet`".to_owned());
    }
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if !bucket.chars().all(fits) {
        let letters = "a bucket's name holds letters, digits, `-` and `.` only";
        return Err(format!("`{bucket}` names no bucket: {letters}"));
    }
    if !cfg!(feature = "s3") {
        let build = "build it with `cargo install --path crates/afresh --features s3`";
        return Err(format!("this build has no S3: {build}"));
    }
    Ok(Some(Address { bucket, key: key.trim_start_matches('/') }))
}

/// The bucket, with credentials, region and endpoint from the environment.
#[cfg(feature = "s3")]
pub(crate) fn open(bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
    use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    environment(&set)?;
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: limits::RETRY_FIRST,
            max_backoff: limits::RETRY_WAIT_MAX,
            ..BackoffConfig::default()
        },
        max_retries: limits::RETRIES_MAX,
        retry_timeout: limits::RETRY_TIME_MAX,
    };
    let mut builder = AmazonS3Builder::from_env();
    for (key, variable, limit) in [
        (ClientConfigKey::ConnectTimeout, "AWS_CONNECT_TIMEOUT", limits::CONNECT_MAX),
        (ClientConfigKey::Timeout, "AWS_TIMEOUT", limits::REQUEST_MAX),
    ] {
        if set(variable).is_none() {
            builder = builder.with_config(AmazonS3ConfigKey::Client(key), limit);
        }
    }
    let store = builder
        .with_retry(retry)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_bucket_name(bucket)
        .build();
    // The builder's own words never hold a value of a secret variable.
    store.map(|store| Arc::new(store) as Arc<dyn ObjectStore>).map_err(|error| error.to_string())
}

/// Without the feature no location gets this far.
#[cfg(not(feature = "s3"))]
pub(crate) fn open(bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
    Err(format!("this build has no S3 to look for `{bucket}`"))
}

/// How long and how often a request is tried.
#[cfg(feature = "s3")]
mod limits {
    use std::time::Duration;

    /// Tries after the first.
    pub(super) const RETRIES_MAX: usize = 5;
    /// Wait before the second try; later ones wait longer.
    pub(super) const RETRY_FIRST: Duration = Duration::from_millis(100);
    pub(super) const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
    /// No try begins after this.
    pub(super) const RETRY_TIME_MAX: Duration = Duration::from_secs(60);
    /// Until a connection stands; `AWS_CONNECT_TIMEOUT` says otherwise.
    pub(super) const CONNECT_MAX: &str = "5s";
    /// One request with its whole answer; `AWS_TIMEOUT` says otherwise.
    pub(super) const REQUEST_MAX: &str = "120s";
}

/// Whether the environment, as `value` gives it, says who asks and whom.
#[cfg(any(feature = "s3", test))]
fn environment(value: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let set = |name: &str| value(name).is_some();
    match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
        (true, true) => {}
        (true, false) => {
            return Err("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY: set both".into());
        }
        (false, true) => {
            return Err("AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID: set both".into());
        }
        // Another way to credentials, or none wanted.
        (false, false) if OTHER_WAYS.iter().any(|name| set(name)) => {}
        (false, false) => {
            let profile = if set("AWS_PROFILE") {
                "; AWS_PROFILE is set, and profile files are not read: \
                 `aws configure export-credentials --format env` prints what to set"
            } else {
                ""
            };
            return Err(format!(
                "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                 AWS_SKIP_SIGNATURE=true for a public bucket{profile}"
            ));
        }
    }
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        let plain = value(name).is_some_and(|url| url.starts_with("http://"));
        if plain && !value("AWS_ALLOW_HTTP").is_some_and(|allow| truth(&allow)) {
            return Err(format!(
                "{name} begins with http://, which sends everything in the clear: write https://, \
                 or set AWS_ALLOW_HTTP=true"
            ));
        }
    }
    Ok(())
}

/// Variables that stand for credentials found elsewhere, or for none.
#[cfg(any(feature = "s3", test))]
const OTHER_WAYS: [&str; 5] = [
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_METADATA_ENDPOINT",
];

#[cfg(any(feature = "s3", test))]
fn truth(text: &str) -> bool {
    ["1", "true", "t", "yes", "y", "on"].contains(&text.to_ascii_lowercase().as_str())
}

impl Trouble {
    /// What an error of the store means.
    #[must_use]
    pub fn of(error: &object_store::Error) -> Trouble {
        let text = chain(error);
        let status = number_after(&text, "status code: ");
        let code = between(&text, "<Code>", "</Code>");
        let kind = match (code, status) {
            (Some(code), _) if CREDENTIALS.contains(&code) => Kind::Credentials,
            (Some("RequestTimeTooSkewed"), _) => Kind::Clock,
            (Some("NoSuchBucket"), _) => Kind::NoBucket,
            (Some("AuthorizationHeaderMalformed" | "PermanentRedirect"), _)
            | (None, Some(301 | 307)) => Kind::Region,
            (Some("SlowDown"), _) | (_, Some(429 | 500..)) => Kind::Busy,
            (_, Some(401)) => Kind::Credentials,
            (_, Some(403)) => Kind::Denied,
            (_, Some(404)) => Kind::NoKey,
            (_, Some(_)) => Kind::Other,
            (_, None) => without_answer(error, &text),
        };
        let message = between(&text, "<Message>", "</Message>");
        let words = match (status, code, message) {
            (Some(status), Some(code), Some(message)) => format!("{status} {code}: {message}"),
            (Some(status), Some(code), None) => format!("{status} {code}"),
            (Some(status), None, _) => format!("status {status}"),
            (None, ..) => last_cause(error),
        };
        Trouble { kind, words }
    }

    /// Whether the bucket is there and the object is not.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        self.kind == Kind::NoKey
    }

    /// Whether trying again later can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Unreachable | Kind::Cut | Kind::Busy)
    }
}

/// Codes of S3 for credentials that cannot be right.
const CREDENTIALS: [&str; 7] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
    "InvalidSecurity",
    "CredentialsNotSupported",
];

/// Words by which the client tells that nobody listens.
const NOBODY: [&str; 5] =
    ["connection refused", "connect error", "dns error", "error trying to connect", "unreachable"];

fn without_answer(error: &object_store::Error, text: &str) -> Kind {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the crate's list is open")]
    match error {
        object_store::Error::NotFound { .. } => Kind::NoKey,
        object_store::Error::PermissionDenied { .. } => Kind::Denied,
        object_store::Error::Unauthenticated { .. } => Kind::Credentials,
        object_store::Error::JoinError { .. } => Kind::Cut,
        object_store::Error::Generic { .. } => {
            let lower = text.to_ascii_lowercase();
            if lower.contains("redirect") && lower.contains("region") {
                Kind::Region
            } else if NOBODY.iter().any(|words| lower.contains(words)) {
                Kind::Unreachable
            } else {
                Kind::Cut
            }
        }
        _ => Kind::Other,
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = &self.words;
        match self.kind {
            Kind::Credentials => write!(
                f,
                "the server refuses the credentials ({words}): check {}",
                set_or_not(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
            ),
            Kind::Denied => write!(
                f,
                "the server denies access ({words}): grant s3:ListBucket, s3:GetObject and, to \
                 keep versions there, s3:PutObject and s3:DeleteObject; the credentials came from {}",
                set_or_not(&["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"])
            ),
            Kind::Clock => write!(f, "the clocks differ ({words}): set this machine's clock"),
            Kind::NoBucket => write!(
                f,
                "the bucket does not exist ({words}): check its name and {}",
                set_or_not(&ENDPOINTS)
            ),
            Kind::NoKey => write!(f, "there is no such object ({words})"),
            Kind::Region => write!(
                f,
                "the bucket lies in another region ({words}): check {}",
                set_or_not(&["AWS_REGION", "AWS_DEFAULT_REGION"])
            ),
            Kind::Unreachable => {
                write!(f, "nobody answers ({words}): check {}", set_or_not(&ENDPOINTS))
            }
            Kind::Cut => write!(f, "the connection was cut ({words}): try again"),
            Kind::Busy => write!(f, "the server is busy or at fault ({words}): try again later"),
            Kind::Other => f.write_str(words),
        }
    }
}

const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"];

/// Names of variables and whether they are set; never what they hold.
fn set_or_not(names: &[&str]) -> String {
    let set = |name: &&str| {
        let set = std::env::var_os(*name).is_some_and(|value| !value.is_empty());
        format!("{name} ({})", if set { "set" } else { "not set" })
    };
    names.iter().map(set).collect::<Vec<_>>().join(", ")
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inner, _)| inner)
}

fn number_after(text: &str, before: &str) -> Option<u16> {
    let (_, rest) = text.split_once(before)?;
    rest.get(..3)?.parse().ok()
}

/// The words of an error and all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn last_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    fn answered(status: u16, code: &str) -> object_store::Error {
        generic(&format!(
            "Error performing GET http://s3/b in 1ms - Server returned non-2xx status code: \
             {status} Whatever: <?xml?><Error><Code>{code}</Code><Message>As it is.</Message></Error>"
        ))
    }

    #[test]
    fn errors_of_s3_say_what_to_do_and_whether_to_try_again() {
        for (error, part, transient) in [
            (answered(403, "InvalidAccessKeyId"), "check AWS_ACCESS_KEY_ID (", false),
            (answered(403, "SignatureDoesNotMatch"), "AWS_SECRET_ACCESS_KEY (", false),
            (answered(400, "ExpiredToken"), "refuses the credentials", false),
            (answered(403, "AccessDenied"), "grant s3:ListBucket", false),
            (answered(403, "RequestTimeTooSkewed"), "clock", false),
            (answered(404, "NoSuchBucket"), "the bucket does not exist (404 NoSuchBucket", false),
            (answered(404, "NoSuchKey"), "there is no such object", false),
            (answered(400, "AuthorizationHeaderMalformed"), "AWS_REGION", false),
            (answered(503, "SlowDown"), "busy", true),
            (answered(500, "InternalError"), "at fault", true),
            (generic("tcp connect error: Connection refused (os error 111)"), "nobody", true),
            (generic("dns error: failed to lookup address"), "AWS_ENDPOINT_URL (", true),
            (generic("connection closed before message completed"), "was cut", true),
            (generic("operation timed out"), "try again", true),
            (generic("redirect without LOCATION, incorrectly configured region"), "region", false),
        ] {
            let trouble = Trouble::of(&error);
            assert!(trouble.to_string().contains(part), "{trouble}");
            assert_eq!(trouble.is_transient(), transient, "{trouble}");
        }
        let words = Trouble::of(&answered(403, "AccessDenied")).to_string();
        assert!(words.contains("(403 AccessDenied: As it is.)"), "{words}");
    }

    #[test]
    fn environment_without_credentials_says_what_to_set() {
        let check = |set: &[(&str, &str)]| {
            environment(&|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let keys = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "hidden")];
        assert_eq!(check(&keys), Ok(()));
        assert_eq!(check(&[("AWS_SKIP_SIGNATURE", "true")]), Ok(()));
        let refused = |set: &[(&str, &str)], part: &str| {
            let words = check(set).unwrap_err();
            assert!(words.contains(part) && !words.contains("hidden"), "{words}");
        };
        refused(&[], "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
        refused(&[("AWS_PROFILE", "hidden")], "profile files are not read");
        refused(&keys[..1], "without AWS_SECRET_ACCESS_KEY");
        refused(&keys[1..], "without AWS_ACCESS_KEY_ID");
        let endpoint = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        refused(&[keys[0], keys[1], endpoint], "AWS_ALLOW_HTTP=true");
        assert_eq!(check(&[keys[0], keys[1], endpoint, ("AWS_ALLOW_HTTP", "true")]), Ok(()));
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (text, part) in [
            ("s3:///x.csv", "names no bucket"),
            ("s3://*/x.csv", "`*` names no bucket"),
            ("gs://bucket/x.csv", "`gs://` is not read"),
        ] {
            let words = parse(text).unwrap_err();
            assert!(words.contains(part), "{text}: {words}");
        }
        assert_eq!(parse("data/*.csv"), Ok(None));
        let found = parse("s3://bucket/a/*.parquet");
        if cfg!(feature = "s3") {
            assert_eq!(found, Ok(Some(Address { bucket: "bucket", key: "a/*.parquet" })));
            assert_eq!(parse("s3://bucket"), Ok(Some(Address { bucket: "bucket", key: "" })));
        } else {
            assert!(found.unwrap_err().contains("--features s3"));
        }
    }
}
