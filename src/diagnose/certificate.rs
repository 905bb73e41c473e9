//! What a presented certificate says of itself, for causes that rustls does not tell apart. Pure.

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The parts of a leaf certificate that a diagnosis needs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) names: Vec<String>,
    /// Unix seconds.
    pub(super) not_before: Option<u64>,
    pub(super) not_after: Option<u64>,
    /// Issuer and subject are the same: it vouches for itself.
    pub(super) self_issued: bool,
}

/// The most names of a certificate that evidence lists.
const NAMES_MAX: usize = 20;

/// Reads the first of the presented certificates; empty where there is none or it is not readable.
pub(super) fn leaf(chain: &[Vec<u8>]) -> Leaf {
    let Some((_, certificate)) = chain.first().and_then(|der| X509Certificate::from_der(der).ok())
    else {
        return Leaf::default();
    };
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let validity = certificate.validity();
    Leaf {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
        not_before: u64::try_from(validity.not_before.timestamp()).ok(),
        not_after: u64::try_from(validity.not_after.timestamp()).ok(),
        self_issued: certificate.issuer().as_raw() == certificate.subject().as_raw(),
    }
    .bounded()
}

fn name(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => {
                <[u8; 16]>::try_from(*bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
            }
        },
        _ => None,
    }
}

impl Leaf {
    fn bounded(mut self) -> Leaf {
        self.names.truncate(NAMES_MAX);
        self
    }
}
