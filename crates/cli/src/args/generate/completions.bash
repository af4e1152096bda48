
# Running processes after `record -p`; after the first word that is no option of `record`, what the
# recorded command's own completion offers.
_reanimator_record() {
    local i
    if [[ "${COMP_WORDS[1]}" == record ]]; then
        if [[ "$3" == -p ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$(command ps -A -o pid=)" -- "$2")
            return
        fi
        for ((i = 2; i <= COMP_CWORD; i++)); do
            case "${COMP_WORDS[i]}" in
                OPTIONS_WITH_VALUES)
                    ((i++))
                    [[ "${COMP_WORDS[i]}" == = ]] && ((i++))
                    ;;
                --) ((i++)); break ;;
                -*) ;;
                *) break ;;
            esac
        done
        if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then
            _command_offset "$i"
            return
        elif ((i == COMP_CWORD)) && [[ "$2" != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -c -- "$2")
            return
        elif ((i < COMP_CWORD)); then
            return
        fi
    fi
    _reanimator "$@"
}
complete -F _reanimator_record -o bashdefault -o default reanimator
