"""The script for fish."""

from collections.abc import Mapping

from tinytrain.cli.completion.places import Place

SCRIPT = r"""# fish completion of tinytrain, printed by `tinytrain completion fish`
function __tinytrain
    set -l typed (commandline -opc) (commandline -ct)
    set -l current $typed[-1]
    set -l previous $typed[-2]
    set -l command $typed[2]
    set -l head
    set -l place $command
    set -l key (string split -m 1 = -- $current)[1]
    if test (count $typed) -eq 2
        set place tinytrain
    else if string match -q -- '--*=*' $current
        set place "$command $key"
        set head "$key="
    else if __tinytrain_place "$command $previous"
        set place "$command $previous"
    else if string match -q -- '-*' $current
        set place "$command --"
    else if string match -q -- '*=*' $current
        set place "= $key"
        set head "$key="
    end
    __tinytrain_place $place
    set -l value (string sub -s (math (string length -- "$head") + 1) -- $current)
    if test -n "$__tinytrain_separator"
        set -l parts (string split -r -m 1 -- $__tinytrain_separator $value)
        if test (count $parts) -eq 2
            set head "$head$parts[1]$__tinytrain_separator"
            set value $parts[2]
        end
    end
    set -l source (string split -m 1 -- : $value)
    if test (count $source) -eq 2; and contains -- $source[1] (string trim -r -c : -- $__tinytrain_words)
        set head "$head$source[1]:"
        set value $source[2]
        set __tinytrain_words
        set __tinytrain_paths files
    end
    for word in $__tinytrain_words
        echo "$head$word"
    end
    switch "$__tinytrain_paths"
        case files
            for path in (__fish_complete_path $value)
                echo "$head$path"
            end
        case folders
            for path in (__fish_complete_directories $value '')
                echo "$head$path"
            end
    end
end

# Sets what can stand at a place; fails if there is no such place.
function __tinytrain_place
    set -g __tinytrain_words
    set -g __tinytrain_paths
    set -g __tinytrain_separator
    switch $argv[1]
@CASES@
        case '*'
            return 1
    end
    return 0
end

complete -c tinytrain -e
complete -c tinytrain -f -a '(__tinytrain)'
"""


def script(places: Mapping[str, Place]) -> str:
    """Returns the script."""
    cases = "\n".join(line for name, place in places.items() for line in _case(name, place))
    return SCRIPT.replace("@CASES@", cases).rstrip()


def _case(name: str, place: Place) -> list[str]:
    lines = [f"        case '{name}'"]
    lines += [f"            set __tinytrain_words {' '.join(place.words)}"] if place.words else []
    for part in ("paths", "separator"):
        lines += [f"            set __tinytrain_{part} '{value}'"] if (value := getattr(place, part)) else []
    return lines
