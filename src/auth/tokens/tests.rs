//! What becomes of tokens: made, verified, replaced, revoked, forged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::lease::Labels;

const NOON: Timestamp = Timestamp::new(1_800_000_000, 0);

fn client(name: &str) -> Client {
    Client {
        name: Name::new("lab", name),
        labels: Labels::default(),
        username: None,
        uid: None,
        provisioned: false,
        revision: 0,
    }
}

fn after(seconds: i64) -> Timestamp {
    NOON + Duration::from_seconds(seconds)
}

fn with_grace(seconds: i64) -> Sources {
    Sources {
        grace: Duration::from_seconds(seconds),
        ..Sources::default()
    }
}

/// Sources that are kept in a folder.
fn kept(folder: &tempfile::TempDir) -> Sources {
    Sources {
        folder: Some(Folder::open(folder.path()).unwrap()),
        ..with_grace(60)
    }
}

fn year() -> Duration {
    Duration::from_seconds(365 * 24 * 60 * 60)
}

fn issued(tokens: &Tokens) -> Issued {
    tokens.issue(&client("ann"), NOON, year()).unwrap()
}

#[track_caller]
fn accepted(tokens: &Tokens, token: &str, now: Timestamp) -> Arc<Identity> {
    tokens.authenticate(token, now).unwrap()
}

fn refusal(tokens: &Tokens, token: &str, now: Timestamp) -> &'static str {
    match tokens.authenticate(token, now) {
        Ok(identity) => panic!("accepted as {identity:?}"),
        Err(fault) => fault.reason(),
    }
}

/// The claims of a token with some of them changed, signed with the first key of `tokens`.
fn signed(tokens: &Tokens, change: Value) -> String {
    let original = issued(tokens).token;
    let mut claims: Value = jwt::part(original.split('.').nth(1).unwrap()).unwrap();
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let state = tokens.state.read().unwrap();
    let key = state.issuer.keys.first();
    let header = jsonwebtoken::Header {
        kid: Some(key.id.clone()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256)
    };
    jsonwebtoken::encode(&header, &claims, &key.signing).unwrap()
}

/// A token with another header; its signature is that of the old one.
fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[test]
fn a_token_has_upstreams_form() {
    let tokens = Tokens::open(Sources::default()).unwrap();
    let Issued { token, id, ends } = issued(&tokens);
    let parts: Vec<&str> = token.split('.').collect();
    let header: Value = jwt::part(parts[0]).unwrap();
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("ES256"), &json!("JWT"))
    );
    let claims: Value = jwt::part(parts[1]).unwrap();
    let uid = jwt::uid(&client("ann"));
    let expected = json!({
        "iss": "jumpstarter-gateway", "aud": ["jumpstarter"], "sub": format!("client:lab:ann:{uid}"),
        "iat": NOON.seconds(), "exp": NOON.seconds() + 365 * 86_400, "jti": id,
    });
    assert_eq!(claims, expected);
    assert_eq!(ends, after(365 * 86_400));
    let identity = accepted(&tokens, &token, NOON);
    assert_eq!(
        identity.holder,
        Holder::Client {
            name: client("ann").name,
            uid: Some(uid)
        }
    );
    // What is remembered ends all the same.
    let again = accepted(&tokens, &token, ends - Duration::new(0, 1));
    assert_eq!(again.id, identity.id);
    let fault = tokens.authenticate(&token, ends).unwrap_err();
    assert_eq!(fault.reason(), "TOKEN_EXPIRED");
    assert!(fault.to_string().contains("token is expired"), "{fault}");
}

#[test]
fn forged_and_foreign_tokens_are_refused_each_for_its_reason() {
    let tokens = Tokens::open(Sources::default()).unwrap();
    let good = issued(&tokens).token;
    let stranger = Tokens::open(Sources::default()).unwrap();
    let (start, signature) = good.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let kid = |tokens: &Tokens| tokens.state.read().unwrap().issuer.keys.first().id.clone();
    let cases = [
        ("no-jwt", "TOKEN_REJECTED".to_owned(), "opaque".to_owned()),
        ("two parts", "TOKEN_MALFORMED".to_owned(), "a.b".to_owned()),
        (
            "four parts",
            "TOKEN_MALFORMED".to_owned(),
            format!("{good}.x"),
        ),
        (
            "alg none",
            "TOKEN_WRONG_ALGORITHM".into(),
            with_header(&format!("{start}."), &json!({"alg": "none"})),
        ),
        (
            "HMAC",
            "TOKEN_WRONG_ALGORITHM".into(),
            with_header(&good, &json!({"alg": "HS256", "kid": kid(&tokens)})),
        ),
        (
            "critical",
            "TOKEN_MALFORMED".into(),
            with_header(&good, &json!({"alg": "ES256", "crit": ["b64"]})),
        ),
        (
            "another key",
            "TOKEN_UNKNOWN_KEY".into(),
            issued(&stranger).token,
        ),
        (
            "another key under our id",
            "TOKEN_WRONG_SIGNATURE".into(),
            with_header(
                &issued(&stranger).token,
                &json!({"alg": "ES256", "kid": kid(&tokens)}),
            ),
        ),
        (
            "a letter too many",
            "TOKEN_MALFORMED".into(),
            format!("{good}x"),
        ),
        (
            "another signature",
            "TOKEN_WRONG_SIGNATURE".into(),
            format!("{start}.{flipped}{}", &signature[1..]),
        ),
        (
            "another issuer",
            "TOKEN_WRONG_ISSUER".into(),
            signed(&tokens, json!({"iss": "somebody"})),
        ),
        (
            "another audience",
            "TOKEN_WRONG_AUDIENCE".into(),
            signed(&tokens, json!({"aud": "router"})),
        ),
        (
            "over",
            "TOKEN_EXPIRED".into(),
            signed(&tokens, json!({"exp": NOON.seconds()})),
        ),
        (
            "without an end",
            "TOKEN_MALFORMED".into(),
            signed(&tokens, json!({"exp": null})),
        ),
        (
            "too early",
            "TOKEN_NOT_YET_VALID".into(),
            signed(&tokens, json!({"nbf": NOON.seconds() + 61})),
        ),
        (
            "an exporter",
            "TOKEN_OF_ANOTHER_KIND".into(),
            signed(&tokens, json!({"sub": "exporter:lab:rpi:uid"})),
        ),
        (
            "half a subject",
            "TOKEN_OF_ANOTHER_KIND".into(),
            signed(&tokens, json!({"sub": "client:lab:ann"})),
        ),
    ];
    for (what, reason, token) in cases {
        assert_eq!(refusal(&tokens, &token, NOON), reason, "{what}: {token}");
    }
    accepted(
        &tokens,
        &signed(
            &tokens,
            json!({"aud": "jumpstarter", "nbf": NOON.seconds() + 60}),
        ),
        NOON,
    );
}

#[test]
fn a_replaced_token_lives_for_its_grace_period_and_never_longer() {
    let tokens = Tokens::open(with_grace(60)).unwrap();
    let old = issued(&tokens);
    let identity = accepted(&tokens, &old.token, NOON);
    let new = tokens.rotate(&identity, &client("ann"), NOON).unwrap();
    tokens.rotate(&identity, &client("ann"), after(30)).unwrap();
    accepted(&tokens, &old.token, after(59));
    assert_eq!(refusal(&tokens, &old.token, after(60)), "TOKEN_REPLACED");
    let fault = tokens
        .rotate(&identity, &client("ann"), after(60))
        .unwrap_err();
    assert_eq!(fault.reason(), "TOKEN_REPLACED");
    accepted(&tokens, &new.token, after(60));
}

#[test]
fn tokens_of_the_file_are_replaced_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "old,client:lab:ann\n").unwrap();
    let sources = Sources {
        listed: Some(file.clone()),
        ..kept(&folder)
    };
    let tokens = Tokens::open(sources.clone()).unwrap();
    let identity = accepted(&tokens, "old", NOON);
    assert_eq!(
        identity.holder,
        Holder::Client {
            name: client("ann").name,
            uid: None
        }
    );
    tokens.rotate(&identity, &client("ann"), NOON).unwrap();
    for tokens in [tokens, Tokens::open(sources.clone()).unwrap()] {
        accepted(&tokens, "old", after(59));
        assert_eq!(refusal(&tokens, "old", after(60)), "TOKEN_REPLACED");
        std::fs::write(&file, "other,client:lab:ann\n").unwrap();
        tokens.reload().unwrap();
        assert_eq!(refusal(&tokens, "old", NOON), "TOKEN_REJECTED");
        accepted(&tokens, "other", NOON);
        std::fs::write(&file, "old,client:lab:ann\n").unwrap();
    }
}

#[test]
fn keys_and_ends_outlive_the_process_and_reach_others_that_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = Tokens::open(kept(&folder)).unwrap();
    let (first, second) = (issued(&server), issued(&server));
    accepted(&server, &first.token, NOON);
    let command = Tokens::open(kept(&folder)).unwrap();
    command.revoke(&first.id, Some(first.ends), NOON).unwrap();
    accepted(&server, &first.token, NOON);
    server.reload().unwrap();
    assert_eq!(refusal(&server, &first.token, NOON), "TOKEN_REVOKED");
    // Neither forgets what the other has written.
    let identity = accepted(&server, &second.token, NOON);
    server.rotate(&identity, &client("ann"), NOON).unwrap();
    let later = Tokens::open(kept(&folder)).unwrap();
    assert_eq!(refusal(&later, &first.token, NOON), "TOKEN_REVOKED");
    assert_eq!(refusal(&later, &second.token, after(60)), "TOKEN_REPLACED");
}

#[test]
fn a_new_key_signs_and_the_old_ones_tokens_stay_good() {
    let folder = tempfile::tempdir().unwrap();
    let server = Tokens::open(kept(&folder)).unwrap();
    let before = issued(&server).token;
    let command = Tokens::open(kept(&folder)).unwrap();
    let id = command.rotate_key().unwrap();
    server.reload().unwrap();
    let after = issued(&server).token;
    assert_eq!(jwt::look(&after).unwrap().kid.as_deref(), Some(&*id));
    assert_ne!(jwt::look(&before).unwrap().kid.as_deref(), Some(&*id));
    accepted(&server, &before, NOON);
    accepted(&server, &after, NOON);
    // Without the old key its tokens are worth nothing, although they were verified before.
    let file = folder.path().join(KEYS);
    let both = std::fs::read_to_string(&file).unwrap();
    let end = "-----END PRIVATE KEY-----\n";
    let (first, _) = both.split_once(end).unwrap();
    std::fs::write(&file, format!("{first}{end}")).unwrap();
    server.reload().unwrap();
    assert_eq!(refusal(&server, &before, NOON), "TOKEN_UNKNOWN_KEY");
    accepted(&server, &after, NOON);
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(kept(&folder)).unwrap();
    let token = issued(&tokens).token;
    for file in [KEYS, ENDED] {
        let path = folder.path().join(file);
        let good = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, "rubbish").unwrap();
        let problem = tokens.reload().unwrap_err().to_string();
        assert!(problem.contains(file), "{problem}");
        accepted(&tokens, &token, NOON);
        assert!(Tokens::open(kept(&folder)).is_err(), "{file}");
        std::fs::write(&path, good).unwrap();
    }
}

/// Who loses the keys must not find that new ones have taken their place.
#[test]
fn keys_that_are_gone_are_missed_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(kept(&folder)).unwrap();
    let token = issued(&tokens).token;
    std::fs::remove_file(folder.path().join(KEYS)).unwrap();
    let problem = tokens.reload().unwrap_err().to_string();
    assert!(problem.contains(KEYS), "{problem}");
    accepted(&tokens, &token, NOON);
}

#[test]
fn an_end_that_cannot_be_kept_is_no_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(kept(&folder)).unwrap();
    let identity = accepted(&tokens, &issued(&tokens).token, NOON);
    // A folder in the place of the file that is written first.
    std::fs::create_dir(folder.path().join(format!(".{ENDED}.new"))).unwrap();
    let fault = tokens.rotate(&identity, &client("ann"), NOON).unwrap_err();
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::Unavailable, "KEYS_UNWRITABLE")
    );
}

/// Whatever is wrong with the other files.
#[test]
fn what_was_ended_is_ended_though_the_tokens_file_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let listed = folder.path().join("tokens.csv");
    std::fs::write(&listed, "old,client:lab:ann\n").unwrap();
    let server = Tokens::open(Sources {
        listed: Some(listed.clone()),
        ..kept(&folder)
    });
    let (server, command) = (server.unwrap(), Tokens::open(kept(&folder)).unwrap());
    let token = issued(&server).token;
    let identity = accepted(&server, &token, NOON);
    let changes = server.changes();
    std::fs::write(&listed, "nonsense").unwrap();
    command.revoke(&identity.id, None, NOON).unwrap();
    let error = server.reload().unwrap_err().to_string();
    assert!(error.contains("tokens.csv:1"), "{error}");
    assert_eq!(refusal(&server, &token, NOON), "TOKEN_REVOKED");
    let fault = server.expect_good(&identity, NOON).unwrap_err();
    assert_eq!(fault.reason(), "TOKEN_REVOKED");
    assert!(changes.has_changed().unwrap());
    accepted(&server, "old", NOON);
}

#[test]
fn a_reload_forgets_nobody_whose_key_is_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(kept(&folder)).unwrap();
    let (old, identity) = {
        let token = issued(&tokens).token;
        let identity = accepted(&tokens, &token, NOON);
        (token, identity)
    };
    let is_known = || matches!(tokens.known(&old, NOON), Ok(Known::Good(_)));
    let both = tokens.rotate_key().and_then(|_| tokens.reload());
    both.unwrap();
    assert!(is_known());
    // The old key stands behind the new one; without it nothing of it is left.
    let keys = std::fs::read_to_string(folder.path().join(KEYS)).unwrap();
    let end = keys.find("-----END").unwrap();
    let first = end + keys[end..].find('\n').unwrap() + 1;
    std::fs::write(folder.path().join(KEYS), &keys[..first]).unwrap();
    tokens.reload().unwrap();
    assert!(!is_known());
    let fault = tokens.expect_good(&identity, NOON).unwrap_err();
    assert_eq!(fault.reason(), "TOKEN_UNKNOWN_KEY");
    assert_eq!(refusal(&tokens, &old, NOON), "TOKEN_UNKNOWN_KEY");
}
