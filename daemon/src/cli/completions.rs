//! What has a shell complete commands and options.

use clap::ValueEnum;
use clap_complete::shells::{Bash, Fish, Zsh};

use crate::exit::Failure;

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// followupd completions bash > /etc/bash_completion.d/followupd
    Bash,
    /// followupd completions zsh > "${fpath[1]}/_followupd"
    Zsh,
    /// followupd completions fish > ~/.config/fish/completions/followupd.fish
    Fish,
}

/// The script for a shell.
///
/// # Errors
/// It is no text.
pub(crate) fn script(shell: Shell, command: &mut clap::Command) -> Result<String, Failure> {
    let (name, mut script) = ("followupd", Vec::new());
    match shell {
        Shell::Bash => clap_complete::generate(Bash, command, name, &mut script),
        Shell::Zsh => clap_complete::generate(Zsh, command, name, &mut script),
        Shell::Fish => clap_complete::generate(Fish, command, name, &mut script),
    }
    String::from_utf8(script).map_err(|error| Failure::other(format!("the script is no text: {error}")))
}
