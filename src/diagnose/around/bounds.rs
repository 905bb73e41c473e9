//! How much is left of what the kernel lets this process have. Pure.

use super::seen::Finding;
use crate::diagnose::meaning::Meaning;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Our own descriptors.
    pub descriptors: Option<Use>,
    /// Local ports towards the server.
    pub ports: Option<Use>,
}

/// How much of a limit is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    pub used: u64,
    pub limit: u64,
}

impl Use {
    /// Less than a twentieth is left: what comes in the next moment may not find any.
    pub fn is_short(self) -> bool {
        let left = self.limit.saturating_sub(self.used);
        left == 0 || left.saturating_mul(20) < self.limit
    }

    /// Told as it is; with what it means where it is short.
    pub(super) fn finding(self, key: &'static str, short: Meaning) -> Finding {
        let found = Finding::new(key, format!("{} of {}", self.used, self.limit));
        if self.is_short() { found.means(short) } else { found }
    }
}

impl Bounds {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if let Some(used) = self.descriptors {
            out.push(used.finding("descriptors", Meaning::DescriptorsShort));
        }
        if let Some(used) = self.ports {
            out.push(used.finding("local_ports", Meaning::PortsShort));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_nearly_reached_is_short() {
        for (used, limit, short) in [
            (0, 1024, false),
            (972, 1024, false),
            (973, 1024, true),
            (1024, 1024, true),
            (2000, 1024, true),
            (63, 64, true),
            (60, 64, false),
            (0, 0, true),
        ] {
            assert_eq!(Use { used, limit }.is_short(), short, "{used} of {limit}");
        }
    }
}
