#!/bin/sh
# share.sh PROGRAM DIR: writes the man pages and completions of PROGRAM below DIR (/usr/share).
set -eu
program=$1
share=$2
"$program" man "$share/man/man1"
mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" \
    "$share/fish/vendor_completions.d"
"$program" completions bash >"$share/bash-completion/completions/reanimator"
"$program" completions zsh >"$share/zsh/site-functions/_reanimator"
"$program" completions fish >"$share/fish/vendor_completions.d/reanimator.fish"
