//! What a finding means: one id a sentence, whose words stand in `text`. Pure.

use strum::{EnumIter, EnumString, IntoStaticStr};

/// The meaning of something that was found on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, EnumIter, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Meaning {
    // Of every look.
    NotAllowed,
    NotInTime,

    // Sockets.
    ListensElsewhere,
    NobodyListens,
    OtherFamilyOnly,
    LoopbackOnly,
    OtherAddressOnly,
    SocketMissing,
    SocketFolderMissing,
    DanglingLink,
    LinkLoop,
    NotADirectory,
    NotASocket,
    FolderClosed,
    SocketClosed,
    PolicyDenies,
    DescriptorsShort,
    PortsShort,
    // Units.
    UnitGuessed,
    UnitStopped,
    UnitFailed,
    UnitRestarting,
    UnitBetween,
    UnitNotFound,
    UnitMasked,
    UnitFrozen,
    UnitCondition,
    UnitDisabled,
    UnitRestarted,
    UnitOomKilled,
    UnitStartLimit,
    UnitMemoryFull,
    UnitOomKills,
    UnitTasksFull,
    UnitThrottled,
    ProcessesStopped,
    ProcessesBlocked,

    // PHP.
    PoolElsewhere,
    PoolTimeLimit,
    SlowLog,
    StatusUnanswered,
    PoolIsFull,
    LongestScript,
    SessionIsLocked,
    FileIsLocked,
    WorkersStopped,

    // Logs.
    LogWorkersBusy,
    LogTooSlow,
    LogProcessEnded,
    LogHelper,
    LogScriptEnded,
    // Helpers.
    HelperGone,
    HelperSilent,
    HelperFull,
    HelperFrozen,
    // Network.
    NoRoute,
    RouteClosed,
    LinkIsDown,
    NeighborSilent,
    GatewaySilent,
    HostIsThere,
    PingSilent,
    PingUnreachable,
    PortAcceptsNow,
    PortRefusesNow,
    PortSilentHere,
    CertificateNotLoaded,
    CertificateNotRenewed,

    // Host.
    MemoryIsShort,
    SwapIsFull,
    LoadIsHigh,
    MemoryPressure,
    DiskPressure,
    ProcessorPressure,
    KilledForMemory,
    DiskIsFull,
    InodesAreUsedUp,
    DiskIsNearlyFull,
    DiskIsReadOnly,
    ClockUnsynchronized,
    ClockWentBack,
    HostJustStarted,
    // Changes.
    ChangedBefore,
    HostStarted,
    // Traffic.
    TrafficJump,
    OneAsksMost,
}

impl Meaning {
    /// The snake_case id.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every meaning.
    pub fn all() -> impl Iterator<Item = Meaning> {
        <Meaning as strum::IntoEnumIterator>::iter()
    }
}
