//! One certificate from the authority: order, proof, request, chain (RFC 8555 section 7.4).
//!
//! Every step has its limit. A failure says which host it was about, where the authority says so,
//! and the type of its problem document (section 6.7).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::config::{Acme, Challenge};
use crate::proxy::{Challenges, Pending};

use super::schedule::Cost;
use super::store::{self, Kept};
use super::validation::{ProofFault, Validated, Validations};

/// How long the authority may take with one request of ours.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long its proof may take, and then its signing.
const PROOF_LIMIT: Duration = Duration::from_secs(120);
/// How long a whole order may take.
const ORDER_LIMIT: Duration = Duration::from_secs(600);
/// More of an authority's words does not go into our log.
const DETAIL_CHARS: usize = 300;

/// Where proofs are shown.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    pub http: Arc<Challenges>,
    pub tls: Arc<Validations>,
}

/// A proof that is shown for as long as this lives.
#[expect(dead_code, reason = "held for their ends")]
enum Shown {
    Http(Pending),
    Tls(Validated),
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the authority gave no answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the authority cannot be talked to: {0}")]
    Unreached(String),
    /// It says why.
    #[error("{problem}: {detail}")]
    Refused { problem: String, detail: String, host: Option<String> },
    #[error("the authority offers no {0} for this host")]
    NoSuchChallenge(&'static str, String),
    #[error("the proof of the challenge cannot be made: {0}")]
    Proof(#[from] ProofFault),
    #[error("the request for the certificate cannot be made: {0}")]
    Request(#[from] rcgen::Error),
    #[error("the certificate cannot be kept: {0}")]
    Store(#[from] std::io::Error),
}

impl Failure {
    pub fn cost(&self) -> Cost {
        match self {
            Failure::Late(_) | Failure::Unreached(_) => Cost::Unreached,
            Failure::Refused { problem, .. } if problem == "rateLimited" => Cost::Limited,
            Failure::Refused { .. }
            | Failure::NoSuchChallenge(..)
            | Failure::Proof(_)
            | Failure::Request(_)
            | Failure::Store(_) => Cost::Refused,
        }
    }

    /// The host that it is about, where that is known.
    pub fn host(&self) -> Option<&str> {
        match self {
            Failure::Refused { host, .. } => host.as_deref(),
            Failure::NoSuchChallenge(_, host) => Some(host),
            Failure::Late(_)
            | Failure::Unreached(_)
            | Failure::Proof(_)
            | Failure::Request(_)
            | Failure::Store(_) => None,
        }
    }

    /// The type of the authority's problem document, without its namespace.
    pub fn problem(&self) -> &str {
        match self {
            Failure::Refused { problem, .. } => problem,
            Failure::Late(_) => "late",
            Failure::Unreached(_) => "unreached",
            Failure::NoSuchChallenge(..) => "noSuchChallenge",
            Failure::Proof(_) | Failure::Request(_) | Failure::Store(_) => "ours",
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Api(problem) => refused(&problem, None),
            Error::Timeout(_) => Failure::Late(PROOF_LIMIT),
            other => Failure::Unreached(chain(&other)),
        }
    }
}

/// What a problem document says; one about several hosts has a part for each (section 6.7.1).
fn refused(problem: &Problem, host: Option<String>) -> Failure {
    let part = problem.subproblems.iter().find(|part| part.identifier.is_some());
    let named = part.and_then(|part| part.identifier.as_ref());
    let named = named.map(|identifier| identifier.authorized(false).to_string());
    let kind = part.and_then(|part| part.r#type.as_ref()).or(problem.r#type.as_ref());
    let detail = part.and_then(|part| part.detail.as_ref()).or(problem.detail.as_ref());
    let kind = kind.map_or("malformed", |kind| kind.rsplit(':').next().unwrap_or(kind));
    Failure::Refused {
        problem: shortened(kind),
        detail: detail.map_or_else(String::new, |detail| shortened(detail)),
        host: host.or(named),
    }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    shortened(&text)
}

async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, future).await.unwrap_or(Err(Failure::Late(limit)))
}

/// The account with the authority: the one that is kept, else a new one.
///
/// # Errors
/// The authority, or the disk, denies one.
pub async fn account(acme: &Acme) -> Result<Account, Failure> {
    within(ANSWER_LIMIT, open_account(acme)).await
}

async fn open_account(acme: &Acme) -> Result<Account, Failure> {
    let builder = match &acme.ca {
        Some(ca) => Account::builder_with_root(ca)?,
        None => Account::builder()?,
    };
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    if let Some(Kept { contact: known, credentials }) = store::account(acme) {
        let again = serde_json::to_value(&credentials).map_err(std::io::Error::from)?;
        let account = builder.from_credentials(credentials).await?;
        if known != acme.contact {
            account.update_contacts(&contact).await?;
            let credentials = serde_json::from_value(again).map_err(std::io::Error::from)?;
            store::keep_account(acme, &Kept { contact: acme.contact.clone(), credentials })?;
        }
        return Ok(account);
    }
    // The configuration says that they are agreed to, or there is no `Acme`.
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&wanted, acme.directory.clone(), None).await?;
    store::keep_account(acme, &Kept { contact: acme.contact.clone(), credentials })?;
    Ok(account)
}

/// Whether the authority does not know our account any more.
pub fn is_forgotten(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { problem, .. } if problem == "accountDoesNotExist")
}

/// Has a certificate for these hosts: its chain and its key, PEM.
///
/// # Errors
/// The first thing that the authority or the proof failed for.
pub async fn obtain(
    account: &Account,
    acme: &Acme,
    hosts: &[String],
    replaces: Option<CertificateIdentifier<'static>>,
    proofs: &Proofs,
) -> Result<String, Failure> {
    within(ORDER_LIMIT, async {
        let identifiers: Vec<_> = hosts.iter().cloned().map(Identifier::Dns).collect();
        let wanted = NewOrder::new(&identifiers);
        let mut order = match replaces {
            Some(replaces) => {
                let replacing = NewOrder::new(&identifiers).replaces(replaces);
                match within(ANSWER_LIMIT, async { Ok(account.new_order(&replacing).await?) }).await
                {
                    // It may not know the old one, or have seen it replaced (RFC 9773 section 5).
                    Err(Failure::Refused { problem, .. })
                        if matches!(&*problem, "malformed" | "alreadyReplaced") =>
                    {
                        account.new_order(&wanted).await?
                    }
                    other => other?,
                }
            }
            None => within(ANSWER_LIMIT, async { Ok(account.new_order(&wanted).await?) }).await?,
        };
        prove(&mut order, acme.challenge, proofs).await?;
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate()?;
        order.finalize_csr(params.serialize_request(&key)?.der()).await?;
        let chain = order.poll_certificate(&polling()).await?;
        Ok(chain + &key.serialize_pem())
    })
    .await
}

fn polling() -> RetryPolicy {
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(PROOF_LIMIT)
}

/// Shows the proof for each host until the authority has seen them all.
async fn prove(order: &mut Order, challenge: Challenge, proofs: &Proofs) -> Result<(), Failure> {
    let (kind, name) = match challenge {
        Challenge::Http01 => (ChallengeType::Http01, "http-01"),
        Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let host = authorization.identifier().to_string();
        let Some(mut offered) = authorization.challenge(kind.clone()) else {
            return Err(Failure::NoSuchChallenge(name, host));
        };
        let key = offered.key_authorization();
        shown.push(match challenge {
            Challenge::Http01 => {
                let token = offered.token.clone();
                Shown::Http(proofs.http.answer(token, key.as_str().to_owned()))
            }
            Challenge::TlsAlpn01 => Shown::Tls(proofs.tls.answer(&host, key.digest().as_ref())?),
        });
        offered.set_ready().await?;
    }
    let seen = order.poll_ready(&polling()).await;
    match seen {
        Ok(OrderStatus::Ready) => Ok(()),
        Ok(_) => Err(unproven(order).await.unwrap_or_else(|| Failure::Refused {
            problem: "unauthorized".to_owned(),
            detail: "the order became invalid".to_owned(),
            host: None,
        })),
        Err(Error::Api(problem)) => {
            Err(unproven(order).await.unwrap_or_else(|| refused(&problem, None)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The host whose proof was not accepted, and why: the order itself does not say.
async fn unproven(order: &mut Order) -> Option<Failure> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let host = state.identifier().to_string();
        let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = problem {
            return Some(refused(problem, Some(host)));
        }
    }
    None
}
