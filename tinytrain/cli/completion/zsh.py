"""The script for zsh. It can be a file `_tinytrain` in a folder of $fpath, or be read by `source` after compinit."""

from collections.abc import Mapping

from tinytrain.cli.completion.places import Place

SCRIPT = r"""#compdef tinytrain
# zsh completion of tinytrain, printed by `tinytrain completion zsh`
_tinytrain() {
    local current=${(Q)PREFIX} previous=${words[CURRENT-1]} command=${words[2]} head="" place
    local answers paths separator
    if ((CURRENT == 2)); then place=tinytrain
    elif [[ $current == --*=* ]]; then place="$command ${current%%=*}" head=${current%%=*}=
    elif _tinytrain_place "$command $previous"; then place="$command $previous"
    elif [[ $current == -* ]]; then place="$command --"
    elif [[ $current == *=* ]]; then place="= ${current%%=*}" head=${current%%=*}=
    else place=$command
    fi
    _tinytrain_place "$place"
    [[ -n $head ]] && compset -P "${(b)head}"
    [[ -n $separator ]] && compset -P "*${(b)separator}"
    local value=${(Q)PREFIX}
    if [[ $value == *:* && " ${answers//:/} " == *" ${value%%:*} "* ]]; then
        compset -P "*:"
        answers="" paths=files
    fi
    local -a all=(${=answers}) open
    open=(${(M)all:#*[=:]})
    all=(${all:#*[=:]})
    (($#all)) && compadd -- $all
    (($#open)) && compadd -S '' -- $open
    [[ $paths == files ]] && _files
    [[ $paths == folders ]] && _files -/
    return 0
}

# Sets answers, paths and separator to what can stand at a place; fails if there is no such place.
_tinytrain_place() {
    answers="" paths="" separator=""
    case $1 in
@CASES@
        (*) return 1 ;;
    esac
}

if [[ $funcstack[1] == _tinytrain ]]; then _tinytrain "$@"; else compdef _tinytrain tinytrain; fi
"""


def script(places: Mapping[str, Place]) -> str:
    """Returns the script."""
    cases = "\n".join(f"        ('{name}') {place.assigned('answers')};;" for name, place in places.items())
    return SCRIPT.replace("@CASES@", cases).rstrip()
