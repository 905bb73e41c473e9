//! What holds at one place of the tree: its own directives and those of the blocks around it.
//!
//! Pure. nginx takes a directive from the innermost block that has it; one that may stand several
//! times is taken from that block alone, not from those around it too.

use super::tree::Directive;

/// Blocks around a place, the outermost first.
#[derive(Debug, Clone, Default)]
pub struct Scope<'a> {
    levels: Vec<&'a [Directive]>,
}

impl<'a> Scope<'a> {
    /// The same, one block further in.
    pub fn within(&self, block: &'a [Directive]) -> Scope<'a> {
        let mut levels = self.levels.clone();
        levels.push(block);
        Scope { levels }
    }

    /// The directives of the innermost block that has any of this name.
    pub fn all(&self, name: &str) -> Vec<&'a Directive> {
        let named = |level: &&'a [Directive]| -> Vec<&'a Directive> {
            level.iter().filter(|directive| directive.name == name).collect()
        };
        let mut levels = self.levels.iter().rev().map(named);
        levels.find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The directive of this name that holds.
    pub fn one(&self, name: &str) -> Option<&'a Directive> {
        self.all(name).last().copied()
    }

    /// Its first argument.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.one(name).map(|directive| directive.argument(0))
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.value(name) == Some("on")
    }

    /// The directive of this name in the innermost block alone: what is not handed down.
    pub fn own(&self, name: &str) -> Option<&'a Directive> {
        let level = self.levels.last()?;
        level.iter().rfind(|directive| directive.name == name)
    }
}
