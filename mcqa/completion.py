"""Print what makes a shell complete commands, groups, options and keys of `mcqa` by the Tab key.

mcqa completion bash >> ~/.bashrc                                  # then open a new shell
mcqa completion zsh  >> ~/.zshrc
mcqa completion fish > ~/.config/fish/completions/mcqa.fish
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mcqa.config.commands import CHECKS, COMMANDS
from mcqa.config.errors import ConfigError, listing
from mcqa.config.plain_command import plain_command

SCRIPTS = {
    "bash": r"""
_mcqa() {
    local line="${COMP_LINE:0:COMP_POINT}" suggestion kept=""
    local word="${line##* }"
    # Bash takes what follows = or : for a word of its own and replaces only that.
    [[ "$COMP_WORDBREAKS" == *=* && "$word" == *[=:]* ]] && kept="${word%"${word##*[=:]}"}"
    COMPREPLY=()
    while IFS= read -r suggestion; do
        [[ "$suggestion" == *[=./] ]] || suggestion+=" "
        COMPREPLY+=("${suggestion#"$kept"}")
    done < <(mcqa completion suggest "$line" 2>/dev/null)
}
complete -o nospace -F _mcqa mcqa
""",
    "zsh": r"""
_mcqa() {
    local -a suggestions
    suggestions=("${(@f)$(mcqa completion suggest "$LBUFFER" 2>/dev/null)}")
    [[ -n "$suggestions" ]] && compadd -Q -S '' -- $suggestions
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _mcqa mcqa
""",
    "fish": r"""
complete -c mcqa -f -a '(mcqa completion suggest (commandline -cp) 2>/dev/null)'
""",
}


def main(arguments: Sequence[str]) -> None:
    """Print the script of a shell, or (suggest) the words that a line may continue with, one a line."""
    if {"--help", "-h"} & set(arguments):
        return print((__doc__ or "").strip())
    if arguments[:1] == ["suggest"] and len(arguments) == 2:
        return print("\n".join(suggestions(arguments[1])))
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        raise ConfigError(listing([f"name a shell: {', '.join(SCRIPTS)}; --help says where the output goes."]))
    print(SCRIPTS[arguments[0]].strip())


def suggestions(line: str) -> list[str]:
    """Return the words that the last word of a line may become; the line begins with `mcqa` and ends at the cursor."""
    words = line.split(" ")[1:]
    if len(words) < 2:
        return [name for name in COMMANDS if name.startswith("".join(words))]
    command, word = words[0], words[-1]
    return sorted({each for each in _words(command, words[1:]) if each.startswith(word)})


COMPOSED = {"train": "config", "evaluate": "evaluate", "verify": "verify", "prefetch": "config"}
"""Commands that Hydra composes, and their configuration."""


def _options(command: str) -> list[str]:
    """The options of a command without Hydra."""
    if command == "compare":
        from mcqa.compare.options import KNOWN

        return list(KNOWN)
    if command == "runs":
        from mcqa.runs.__main__ import OPTIONS

        return list(OPTIONS)
    if command == "inspect":
        from mcqa import inspect

        return list(inspect.KNOWN)
    return ["cancel"] if command == "jobs" else []


def _words(command: str, words: list[str]) -> Iterator[str]:
    if command not in COMMANDS:
        return
    if files := _files(words[-1]):
        yield from files
        return
    yield from (f"{option}=" for option in _options(command))
    if command == "completion":
        yield from SCRIPTS
    elif command == "verify" and len(words) == 1:
        yield from CHECKS
    elif command in COMPOSED:
        yield from _composed(COMPOSED[command], words[command == "verify" :])


def _composed(config_name: str, words: list[str]) -> list[str]:
    """Groups, options and keys, as Hydra's own completion has them, and the values of keys that have only a few."""
    from hydra import initialize_config_dir
    from hydra._internal.core_plugins.bash_completion import BashCompletion
    from hydra.core.global_hydra import GlobalHydra

    from mcqa.config.composition import ROOT
    from mcqa.config.validation import known_values

    key, equals, _ = words[-1].partition("=")
    values = [f"{key}={value}" for value in known_values(key)] if equals else []
    with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
        found = BashCompletion(GlobalHydra.instance().config_loader())._query(config_name, " ".join(words))
    return [*values, *found, *(("+experiment=", "+sweeps=") if not equals else ())]


def _files(word: str) -> list[str]:
    """Files and folders that a path may become, or the value of a key; folders end in a slash."""
    key, equals, path = word.rpartition("=")
    folder, name = Path(path).parent if not path.endswith("/") else Path(path), path.rpartition("/")[2]
    start = path[: len(path) - len(name)]
    if (equals and "/" not in path) or not folder.is_dir():
        return []
    entries = sorted(entry for entry in folder.iterdir() if entry.name.startswith(name) and entry.name[0] != ".")
    return [f"{key}{equals}{start}{entry.name}{'/' if entry.is_dir() else ''}" for entry in entries]


if __name__ == "__main__":
    plain_command(main)
