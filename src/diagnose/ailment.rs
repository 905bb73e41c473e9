//! What `causeway doctor` may find beside the causes of failed requests: one id a sentence, whose
//! words stand in `text`. Pure.

use strum::{EnumIter, EnumString, IntoStaticStr};

/// Something that is wrong with a host or a configuration, or soon will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, EnumIter, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Ailment {
    /// Its title is the cause's.
    RequestFails,
    /// The server's own answer says that something failed.
    ErrorStatus,
    /// The doctor itself could not ask.
    NotAsked,
    CertificateExpired,
    CertificateExpires,
    PhpMayWorkLonger,
    PhpTakesLargerUploads,
    FewDescriptors,
    EvidenceHidden,
    DiskFull,
    DiskShort,
    ClockNotSynchronized,
    LogNotWritable,
    AddressTaken,
    AddressUnusable,
}

impl Ailment {
    /// The snake_case id.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every one.
    pub fn all() -> impl Iterator<Item = Ailment> {
        <Ailment as strum::IntoEnumIterator>::iter()
    }

    /// Whether requests fail of it, or the service does not start; else it is a warning.
    pub fn is_failure(self) -> bool {
        match self {
            Ailment::RequestFails
            | Ailment::ErrorStatus
            | Ailment::NotAsked
            | Ailment::CertificateExpired
            | Ailment::DiskFull
            | Ailment::LogNotWritable
            | Ailment::AddressTaken
            | Ailment::AddressUnusable => true,
            Ailment::CertificateExpires
            | Ailment::PhpMayWorkLonger
            | Ailment::PhpTakesLargerUploads
            | Ailment::FewDescriptors
            | Ailment::EvidenceHidden
            | Ailment::DiskShort
            | Ailment::ClockNotSynchronized => false,
        }
    }
}
