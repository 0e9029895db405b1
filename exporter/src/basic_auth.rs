//! Basic authentication (RFC 7617) against bcrypt hashes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use hyper::header::HeaderValue;
use ring::digest::{Context, SHA256};
use text::Secret;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// So many logins that were right are remembered.
const REMEMBERED: usize = 32;
/// Salt and hash that stand for those of a user who is not there; which password they are of does not matter.
const NOBODY: &str = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// Checks logins. bcrypt is slow on purpose: it runs once at a time, on a thread of its own, and a login that was right
/// is remembered as a digest, so that a scrape every few seconds costs nothing.
#[derive(Debug)]
pub(crate) struct BasicAuth {
    hashing: Arc<Semaphore>,
    remembered: Arc<Remembered>,
}

/// Logins that were right.
#[derive(Debug, Default)]
struct Remembered(Mutex<VecDeque<Vec<u8>>>);

impl BasicAuth {
    pub fn new() -> Self {
        Self { hashing: Arc::new(Semaphore::new(1)), remembered: Arc::default() }
    }

    /// Whether an Authorization header names one of the users with the right password. A user who is not there costs
    /// what one costs who is.
    pub async fn allows(&self, users: &BTreeMap<String, Secret>, header: Option<&HeaderValue>) -> bool {
        let Some((user, password)) = header.and_then(credentials) else {
            return false;
        };
        let (known, hash) = match users.get(&user) {
            Some(hash) => (true, hash.clone()),
            None => (false, nobody(users)),
        };
        let login = digest(&user, &hash, &password);
        if known && self.remembered.has(&login) {
            return true;
        }
        let Ok(turn) = Arc::clone(&self.hashing).acquire_owned().await else {
            return false;
        };
        // A client that goes away does not end the hashing: the turn goes with it, and what it finds is remembered. Else one
        // that always gives up sooner would never get in.
        let remembered = Arc::clone(&self.remembered);
        let verify = move || {
            let is_right = bcrypt::verify(password.as_slice(), hash.expose()).unwrap_or(false);
            let allowed = is_right && known;
            if allowed {
                remembered.add(login);
            }
            drop(turn);
            allowed
        };
        spawn_blocking(verify).await.unwrap_or(false)
    }
}

impl Remembered {
    fn has(&self, login: &[u8]) -> bool {
        self.lock().iter().any(|known| known == login)
    }

    fn add(&self, login: Vec<u8>) {
        let mut remembered = self.lock();
        if remembered.contains(&login) {
            return;
        }
        if remembered.len() >= REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(login);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// User and password of a header.
fn credentials(header: &HeaderValue) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    let user = String::from_utf8(user.to_vec()).ok()?;
    Some((user, Zeroizing::new(password.iter().skip(1).copied().collect())))
}

/// A hash that costs as much as the dearest of the users'.
fn nobody(users: &BTreeMap<String, Secret>) -> Secret {
    let costs = users.values().filter_map(|hash| hash.expose().parse::<HashParts>().ok());
    let cost = costs.map(|parts| parts.get_cost()).max().unwrap_or(bcrypt::DEFAULT_COST);
    Secret::new(format!("$2y${cost:02}${NOBODY}"))
}

/// The hash is in it, so that a changed password is not remembered as right.
fn digest(user: &str, hash: &Secret, password: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in [user.as_bytes(), hash.expose().as_bytes(), password] {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn header(user: &str, password: &str) -> HeaderValue {
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        HeaderValue::from_str(&text).unwrap()
    }

    fn user(name: &str, password: &str, cost: u32) -> (String, Secret) {
        (name.to_owned(), Secret::new(bcrypt::hash(password, cost).unwrap()))
    }

    #[test]
    fn only_the_right_password_of_a_known_user_is_let_through() {
        let auth = BasicAuth::new();
        let users = BTreeMap::from([user("anna", "s:cret", 4), user("b\u{e9}a", "", 4)]);
        let allows = |header: &HeaderValue| block_on(auth.allows(&users, Some(header)));
        for (name, password, right) in [
            ("anna", "s:cret", true),
            ("anna", "s:cret", true),
            ("b\u{e9}a", "", true),
            ("anna", "", false),
            ("anna", "S:cret", false),
            ("b\u{e9}a", "s:cret", false),
            ("nobody", "s:cret", false),
            ("", "", false),
        ] {
            assert_eq!(allows(&header(name, password)), right, "{name}:{password}");
        }
        assert_eq!(auth.remembered.lock().len(), 2, "once each");
        for text in ["", "Basic", "Basic ", "Basic !", "Bearer YTpi", "Basic YWI=", "Basic /zp4", "basic"] {
            assert!(!allows(&HeaderValue::from_str(text).unwrap()), "{text}");
        }
        assert!(allows(&HeaderValue::from_str("bAsIc YW5uYTpzOmNyZXQ=").unwrap()));
        assert!(!block_on(auth.allows(&users, None)));
        let changed = BTreeMap::from([user("anna", "other", 4)]);
        assert!(!block_on(auth.allows(&changed, Some(&header("anna", "s:cret")))));
    }

    #[test]
    fn a_login_whose_client_gives_up_is_remembered() {
        let auth = BasicAuth::new();
        let users = BTreeMap::from([user("anna", "right", 8)]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let header = header("anna", "right");
        runtime.block_on(async {
            let asked = auth.allows(&users, Some(&header));
            assert!(tokio::time::timeout(std::time::Duration::ZERO, asked).await.is_err(), "it gives up");
        });
        drop(runtime); // It waits for the hashing.
        assert_eq!(auth.remembered.lock().len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_holds_no_password() {
        let auth = BasicAuth::new();
        for number in 0..100 {
            auth.remembered.add(digest(&number.to_string(), &Secret::new("hash".to_owned()), b"hunter2"));
        }
        assert_eq!(auth.remembered.lock().len(), REMEMBERED);
        assert!(auth.remembered.lock().iter().all(|login| login.len() == 32));
    }

    #[test]
    fn a_remembered_login_is_cheap_and_an_unknown_user_costs_what_a_known_one_does() {
        let auth = BasicAuth::new();
        let users = BTreeMap::from([user("anna", "right", 8), user("bea", "x", 4)]);
        let time = |name: &str, password: &str| {
            let start = Instant::now();
            block_on(auth.allows(&users, Some(&header(name, password))));
            start.elapsed()
        };
        let (first, again) = (time("anna", "right"), time("anna", "right"));
        assert!(again < first / 3, "{first:?}, then {again:?}");
        // The least of a few: the machine does other things too.
        let least = |name: &str| (0..5).map(|_| time(name, "wrong")).min().unwrap();
        let (known, unknown) = (least("anna"), least("nobody"));
        assert!(unknown > known / 2 && unknown < known * 2, "{known:?}, {unknown:?}");
    }
}
