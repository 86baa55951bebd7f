//! `completions`: what a shell needs to complete this program's commands.

use clap::CommandFactory as _;
use clap_complete::Shell;

/// Prints completions for a shell.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh completions bash > ~/.local/share/bash-completion/completions/afresh
  afresh completions zsh > ~/.zfunc/_afresh
  afresh completions fish > ~/.config/fish/completions/afresh.fish")]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

impl Arguments {
    pub fn run(self) {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "afresh", &mut text);
        crate::output::line(String::from_utf8_lossy(&text).trim_end());
    }
}
