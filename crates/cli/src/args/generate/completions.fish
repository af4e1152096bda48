
# Running processes after `record -p`, and commands with their own completions after `record`.
complete -c reanimator -n "__fish_reanimator_using_subcommand record" -s p -x -a "(__fish_complete_pids)"
complete -c reanimator -n "__fish_reanimator_using_subcommand record" -x -a "(__fish_complete_subcommand --fcs-skip=2)"
