//! Questions to the kernel by netlink(7), none of which needs a privilege: sock_diag(7) and
//! rtnetlink(7).
//!
//! It answers in some tens of microseconds, so they block; they are bounded all the same.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

/// The kernel answers while it is asked; this is for the day on which it does not.
const LIMIT: Duration = Duration::from_millis(50);
/// What the kernel puts into one datagram of a dump at most (net/netlink/af_netlink.c).
const DATAGRAM_MAX: usize = 32 * 1024;

/// How many answers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    One,
    /// As many as there are rows, and an end (`NLM_F_DUMP`); no more datagrams than this are read.
    Dump {
        datagrams_max: usize,
    },
}

/// Asks the kernel, and gives every answer to `row`.
///
/// # Errors
/// No netlink socket could be had (a sandbox may forbid it), no answer came in time, or the answer
/// is an error: its errno.
pub fn ask<M>(
    protocol: isize,
    question: impl Into<NetlinkPayload<M>>,
    answers: Answers,
    mut row: impl FnMut(M),
) -> io::Result<()>
where
    M: NetlinkSerializable + NetlinkDeserializable,
{
    let mut header = NetlinkHeader::default();
    header.flags = match answers {
        Answers::One => NLM_F_REQUEST,
        Answers::Dump { .. } => NLM_F_REQUEST | NLM_F_DUMP,
    };
    let mut question = NetlinkMessage::new(header, question.into());
    question.finalize();
    let mut datagram = vec![0; question.buffer_len()];
    question.serialize(&mut datagram);

    let socket = Socket::new(protocol)?;
    // From now on nobody but the kernel is heard.
    socket.connect(&SocketAddr::new(0, 0))?;
    SockRef::from(&socket).set_read_timeout(Some(LIMIT))?;
    socket.send(&datagram, 0)?;
    let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
    let datagrams_max = match answers {
        Answers::One => 1,
        Answers::Dump { datagrams_max } => datagrams_max,
    };
    for _ in 0..datagrams_max {
        datagram.clear();
        socket.recv(&mut datagram, 0)?;
        if !read(&datagram, &mut row)? {
            break;
        }
    }
    Ok(())
}

/// Reads the messages of one datagram; whether more are to come.
///
/// # Errors
/// What the kernel says in place of rows.
pub fn read<M>(datagram: &[u8], row: &mut impl FnMut(M)) -> io::Result<bool>
where
    M: NetlinkDeserializable,
{
    let mut rest = datagram;
    while let Ok(message) = NetlinkBuffer::new_checked(rest) {
        let length = message.length() as usize;
        match NetlinkMessage::deserialize(rest).map(|message| message.payload) {
            Ok(NetlinkPayload::InnerMessage(message)) => row(message),
            Ok(NetlinkPayload::Done(_)) => return Ok(false),
            Ok(NetlinkPayload::Error(error)) => {
                return Err(io::Error::from_raw_os_error(error.raw_code().saturating_neg()));
            }
            // A row that cannot be read is passed over; nothing else belongs here.
            Ok(_) | Err(_) => {}
        }
        // NLMSG_ALIGN of linux/netlink.h.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}
