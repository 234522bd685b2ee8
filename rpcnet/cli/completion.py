"""What bash asks to complete a command line: the commands, their flags, and the names of a server's methods.

Tests: tests/rpcnet/cli/test_completion.py.
"""

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["bash"]

# Words are split here, and not by bash, which takes the colon of an address for the end of a word.
_SCRIPT: Final = r"""_rpcnet() {
    local line="${COMP_LINE:0:COMP_POINT}" word="" flags="" found=""
    local -a words
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] || { word="${words[-1]}"; unset 'words[-1]'; }
    case "${words[1]:-}" in
        "") found="@commands@" ;;
@flags@
    esac
    if [[ "$word" == -* ]]; then
        found="$flags"
    elif [[ "${words[1]:-}" == @(call|list) && ${#words[@]} -eq 3 ]]; then
        found="$(rpcnet list "${words[2]}" "$word" --names --timeout 1s 2>/dev/null)"
    elif [[ -n "${words[1]:-}" ]]; then
        COMPREPLY=($(compgen -f -- "$word")); return
    fi
    COMPREPLY=($(compgen -W "$found" -- "$word"))
    # Bash replaces what stands behind the last colon.
    [[ "$word" == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
    return 0
}
complete -o nosort -F _rpcnet rpcnet
"""


def bash(flags: Mapping[str, Sequence[str]]) -> str:
    """A script for bash, made from the flags of each command."""
    cases = "\n".join(f'        {name}) flags="{" ".join(flags[name])}" ;;' for name in flags)
    return _SCRIPT.replace("@commands@", " ".join(flags)).replace("@flags@", cases)
