//! Rows of a site with files: what it does not give out, and what nobody may send to it.

use crate::config::{Rehearsal, Upstream};
use crate::demo::scenario::{Ask, Scenario, Setup, Step, row};
use crate::diagnose::Code;

use Setup::{FastCgi, Files};
use Step::{Request, Stall};

/// Errno values that are rehearsed (asm-generic/errno-base.h).
const EACCES: i32 = 13;
const ENOSPC: i32 = 28;

pub(super) const ROWS: &[Scenario] = &[
    row(
        Code::FileNotFound,
        "file_not_found",
        "The site has no such file, and no front controller that would take the path.",
        Files,
    ),
    row(
        Code::FileDenied,
        "file_denied",
        "The client asks for .env, a name that begins with a dot.",
        Files,
    )
    .ask(Ask::Below("/.env")),
    row(
        Code::FileDenied,
        "file_denied-listed",
        "The client asks for a dump of the database, a name on the list of `deny`.",
        Files,
    )
    .ask(Ask::Below("/backup.sql")),
    row(
        Code::FileDenied,
        "file_denied-source",
        "The client asks for PHP's source under the name that an editor gives to a copy.",
        Files,
    )
    .ask(Ask::Below("/wp-config.php.bak")),
    row(
        Code::FileLinkRefused,
        "file_link_refused",
        "A symbolic link leads out of the site's folder.",
        Files,
    ),
    row(Code::FileLinkRefused, "file_link_refused-loop", "A symbolic link leads to itself.", Files),
    row(
        Code::FileUnreadable,
        "file_unreadable",
        "The gateway's user may not read the file (rehearsed).",
        Files,
    )
    .adjust(unreadable),
    row(
        Code::FileUnreadable,
        "file_unreadable-long_root",
        "The path of the site's folder has a name in it that is longer than the 255 bytes allowed.",
        Files,
    )
    .adjust(long_root),
    row(
        Code::LocalStorageFailed,
        "local_storage_failed",
        "The disk on which the gateway keeps an upload is full (rehearsed).",
        FastCgi(&[Request, Stall]),
    )
    .ask(Ask::Post { body_bytes: 5 })
    .adjust(full_disk),
    row(
        Code::MethodNotAllowed,
        "method_not_allowed",
        "The client posts to a file, which can only be read.",
        Files,
    )
    .ask(Ask::Post { body_bytes: 5 }),
    row(
        Code::RequestBodyTooLarge,
        "request_body_too_large",
        "The client announces an upload of 100 kB; this site takes 64 KiB.",
        FastCgi(&[Request, Stall]),
    )
    .ask(Ask::Post { body_bytes: 100_000 })
    .adjust(small_bodies),
    row(
        Code::RequestBodyTooLarge,
        "request_body_too_large-chunked",
        "The client sends chunks without a word of their sum, which is more than this site takes.",
        FastCgi(&[Request, Stall]),
    )
    .ask(Ask::Raw(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
         10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n",
    ))
    .adjust(tiny_bodies),
];

fn unreadable(upstream: &mut Upstream) {
    upstream.rehearse = Some(Rehearsal::FileErrno(EACCES));
}

/// No mode would keep root out, this keeps everyone out (ENAMETOOLONG).
fn long_root(upstream: &mut Upstream) {
    if let Some(files) = &mut upstream.files {
        files.root = files.root.join("x".repeat(300));
    }
}

fn full_disk(upstream: &mut Upstream) {
    upstream.rehearse = Some(Rehearsal::StorageErrno(ENOSPC));
}

fn small_bodies(upstream: &mut Upstream) {
    upstream.limits.spool_bytes = 64 * 1024;
}

fn tiny_bodies(upstream: &mut Upstream) {
    upstream.limits.spool_bytes = 16;
}
