//! What shells complete, from the definition of the command line.

use clap::builder::PossibleValuesParser;
use clap_complete::{Shell, generate};

use super::explain::names;
use super::generate::Part;

/// One file a shell, by the name that the shell looks for where it has one.
pub fn parts() -> [Part; 3] {
    let fish = [written(Shell::Fish), names_in_fish()].concat();
    [
        part("causeway.bash", written(Shell::Bash)),
        part("_causeway", written(Shell::Zsh)),
        part("causeway.fish", fish),
    ]
}

fn part(name: &str, bytes: Vec<u8>) -> Part {
    Part { name: name.to_owned(), bytes }
}

fn written(shell: Shell) -> Vec<u8> {
    let mut bytes = Vec::new();
    generate(shell, &mut command(), "causeway", &mut bytes);
    bytes
}

/// clap_complete writes no values of positional arguments for fish.
fn names_in_fish() -> Vec<u8> {
    let names: Vec<&str> = names().collect();
    let using = "__fish_causeway_using_subcommand explain";
    format!("complete -c causeway -n \"{using}\" -f -a \"{}\"\n", names.join(" ")).into_bytes()
}

/// The command line as it is shown, with the names of causes and roots where one is asked for. The
/// program itself takes any name there, and says which was meant.
fn command() -> clap::Command {
    let whole = super::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let names = PossibleValuesParser::new(names());
    clap::Command::new("causeway")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommands(shown)
        .mut_subcommand("explain", |explain| {
            explain.mut_arg("cause", |cause| cause.value_parser(names))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_commands_complete_in_every_shell() {
        for Part { name, bytes } in parts() {
            let text = String::from_utf8(bytes).unwrap();
            for word in ["explain", "check", "connection_refused", "wrong_port", "json"] {
                assert!(text.contains(word), "{name} lacks {word}");
            }
            assert!(!text.contains("generate"), "{name} offers what --help hides");
        }
    }
}
