//! Whether the certificate that a server should present is on this host, and good for longer than
//! the one that it does present: then it has only not been loaded.
//!
//! Where ACME clients put it, under the name that the configuration expects.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::diagnose::around::{CertificateFile, Seen};
use crate::diagnose::certificate_ends;
use crate::upstream;

use super::look::Question;
use super::read;

/// Certbot's folder: one for each name.
const LIVE: &str = "/etc/letsencrypt/live";
/// A chain of four certificates with large keys is a tenth of it.
const BYTES_MAX: u64 = 128 << 10;

/// The file of the server's certificate; nothing where there is none on this host.
pub fn file(question: &Question) -> Seen<CertificateFile> {
    if !question.is_here {
        return Seen::Unlooked;
    }
    let name = upstream::server_name(&question.upstream, question.server());
    file_in(Path::new(LIVE), &name, SystemTime::now())
}

fn file_in(folder: &Path, name: &str, now: SystemTime) -> Seen<CertificateFile> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        return Seen::Nothing;
    }
    let path = folder.join(name).join("fullchain.pem");
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    read::head(&path, BYTES_MAX).and_then(|text| match certificate_ends(text.as_bytes()) {
        Some(ends) => Seen::Found(CertificateFile { path, ends, is_valid: ends > now }),
        None => Seen::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_that_was_renewed_is_found_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("shop.test");
        fs::create_dir(&place).unwrap();
        let mut params = rcgen::CertificateParams::new(["shop.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let path = place.join("fullchain.pem");
        fs::write(&path, made.pem()).unwrap();
        let at = |years: u64| UNIX_EPOCH + Duration::from_secs(years * 365 * 86_400);
        let ends = 2_208_988_800;
        for (now, is_valid) in [(at(56), true), (at(75), false)] {
            let expected = CertificateFile { path: path.clone(), ends, is_valid };
            assert_eq!(file_in(folder.path(), "shop.test", now), Seen::Found(expected));
        }
        for name in ["", ".", "..", "../shop.test", "other.test", "shop.test/", "a b"] {
            assert_eq!(file_in(folder.path(), name, at(56)), Seen::Nothing, "{name}");
        }
        fs::write(&path, "-----BEGIN CERTIFICATE-----\nnonsense").unwrap();
        assert_eq!(file_in(folder.path(), "shop.test", at(56)), Seen::Nothing);
    }
}
