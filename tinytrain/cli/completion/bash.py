"""The script for bash, 3.2 and later.

Bash splits a word at the characters of COMP_WORDBREAKS, such as "=" and ":", and replaces the last part only. So the
word is taken from the line itself, and what stands before its last part is taken off each answer again.
"""

from collections.abc import Mapping

from tinytrain.cli.completion.places import Place

SCRIPT = r"""# bash completion of tinytrain, printed by `tinytrain completion bash`
_tinytrain() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$' \t\n' head="" place words paths separator
    local -a typed
    read -ra typed <<< "$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    local count=${#typed[@]}
    local current=${typed[count-1]} previous=${typed[count-2]} command=${typed[1]}
    if ((count == 2)); then place=tinytrain
    elif [[ $current == --*=* ]]; then place="$command ${current%%=*}" head=${current%%=*}=
    elif _tinytrain_place "$command $previous"; then place="$command $previous"
    elif [[ $current == -* ]]; then place="$command --"
    elif [[ $current == *=* ]]; then place="= ${current%%=*}" head=${current%%=*}=
    else place=$command
    fi
    _tinytrain_place "$place"
    local value=${current#"$head"} part
    if [[ $separator && $value == *"$separator"* ]]; then
        head+=${value%"$separator"*}$separator value=${value##*"$separator"}
    fi
    if [[ $value == *:* && " ${words//:/} " == *" ${value%%:*} "* ]]; then
        head+=${value%%:*}: value=${value#*:} words="" paths=files
    fi
    local IFS=$'\n'
    COMPREPLY=($(compgen -P "$head" -W "${words// /$'\n'}" -- "$value"))
    [[ $paths == files ]] && COMPREPLY+=($(compgen -P "$head" -f -- "$value"))
    [[ $paths == folders ]] && COMPREPLY+=($(compgen -P "$head" -d -- "$value"))
    part=${current##*["$COMP_WORDBREAKS"]}
    COMPREPLY=("${COMPREPLY[@]#"${current%"$part"}"}")
    [[ $paths ]] && compopt -o filenames 2>/dev/null
    [[ ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace 2>/dev/null
    return 0
}

# Sets words, paths and separator to what can stand at a place; fails if there is no such place.
_tinytrain_place() {
    words="" paths="" separator=""
    case $1 in
@CASES@
        *) return 1 ;;
    esac
}

complete -F _tinytrain tinytrain
"""


def script(places: Mapping[str, Place]) -> str:
    """Returns the script."""
    cases = "\n".join(f"        '{name}') {place.assigned('words')};;" for name, place in places.items())
    return SCRIPT.replace("@CASES@", cases).rstrip()
