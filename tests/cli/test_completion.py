"""`tinytrain completion`: what real shells offer where a user types Tab."""

import contextlib
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from tinytrain.cli import completion
from tinytrain.cli.commands import COMMANDS
from tinytrain.cli.completion.places import places
from tinytrain.config import load, plugins
from tinytrain.deploy import boards
from tinytrain.experiments.papers import tables

# What bash passes on, and what it then reads from COMPREPLY.
BASH = """source {script}
COMP_LINE="$1" COMP_POINT=${{#1}} _tinytrain
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a run, a config and images, and the scripts of all shells."""
    for name in ("runs/flowers", "images/rose"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "my.toml").touch()
    for shell in completion.SHELLS:
        (tmp_path / f"script.{shell}").write_text(completion.script(shell, COMMANDS) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_bash(folder, line):
    """Returns the whole words that bash would make of the last one."""
    program = BASH.format(script=folder / "script.bash")
    done = subprocess.run(["bash", "--norc", "-c", program, "bash", line], capture_output=True, text=True, check=True)
    assert "compopt" not in done.stderr or "not currently executing" in done.stderr
    answers = list(filter(None, done.stdout.split("\n")))
    last = line.rpartition(" ")[2]
    kept = last[: len(last) - len(re.split("[=:]", last)[-1])]  # bash replaces what follows the last = or :
    return sorted(kept + answer for answer in answers)


def in_fish(folder, line):
    script = f'source {folder}/script.fish; complete -C "{line}"'
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return sorted(answer.partition("\t")[0].rstrip("/") for answer in done.stdout.splitlines())


@contextlib.contextmanager
def zsh(folder):
    """Gives a function, from a line and a Tab to the line that zsh, in a terminal of its own, makes of it."""
    setup = f"autoload -Uz compinit; compinit -u -d {folder}/dump; source {folder}/script.zsh; LISTMAX=9999\n"
    # A widget that runs the completion prints the line as it is then.
    setup += "_show() { zle complete-word; print -r -- \"<LINE:$BUFFER>\" }; zle -N _show; bindkey '^I' _show\n"
    setup += "PS1=REA''DY\n"  # which its echo does not hold
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvp("zsh", ["zsh", "-f", "-i"])

    def completed(line):
        os.write(terminal, f"\x15{line}\t".encode())  # Ctrl-U removes the line before
        return re.findall(r"<LINE:(.*?)>", read_until(terminal, "<LINE:"))[-1].rstrip()

    try:
        os.write(terminal, setup.encode())
        read_until(terminal, "READY")
        yield completed
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def read_until(terminal, text):
    """Returns what the terminal shows until `text` has come and nothing more follows."""
    shown, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline:
        ready = select.select([terminal], [], [], 0.5)[0]
        if not ready and text in shown:
            return shown
        if ready:
            shown += os.read(terminal, 65536).decode(errors="replace")
    raise AssertionError(f"{text} did not come: {shown}")


SPECS = [f"--data={name}" for name in ("cifar10", "cifar100")]
CASES = [
    ("tinytrain com", ["compare", "completion"]),
    ("tinytrain fit --re", ["--recipe=", "--restarts=", "--resume"]),
    ("tinytrain fit --data=cifar", SPECS),
    ("tinytrain fit --data cifar", ["cifar10", "cifar100"]),
    ("tinytrain fit --data=folder:im", ["--data=folder:images"]),
    ("tinytrain compare --data digits,cifar", ["digits,cifar10", "digits,cifar100"]),
    ("tinytrain fit --mcu nucleo_f4", [name for name in boards.names() if name.startswith("nucleo_f4")]),
    ("tinytrain fit --resume --model mobilenet_v3", ["mobilenet_v3_large", "mobilenet_v3_small"]),
    ("tinytrain fit optim.ep", ["optim.epochs="]),
    ("tinytrain fit data.split=of", ["data.split=official"]),
    ("tinytrain fit data.skip_bad=", ["data.skip_bad=false", "data.skip_bad=true"]),
    ("tinytrain fit method=netaug+dis", ["method=netaug+distill"]),
    ("tinytrain fit my", ["my.toml"]),
    ("tinytrain reproduce seed003-table1", [name for name in tables.names() if name.startswith("seed003-table1")]),
    ("tinytrain list mo", ["models"]),
    ("tinytrain report ru", ["runs"]),
    ("tinytrain bench d", []),
]


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_a_shell_offers_what_the_command_takes(folder, shell, line, expected):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is missing")
    assert {"bash": in_bash, "fish": in_fish}[shell](folder, line) == sorted(expected)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is missing")
def test_zsh_completes_the_line(folder):
    with zsh(folder) as completed:
        assert completed("tinytrain exp") == "tinytrain export"
        assert completed("tinytrain fit --data=fold") == "tinytrain fit --data=folder:"
        assert completed("tinytrain fit --data folder:im") == "tinytrain fit --data folder:images/"
        assert completed("tinytrain fit data.split=of") == "tinytrain fit data.split=official"
        assert completed("tinytrain fit method=netaug+dis") == "tinytrain fit method=netaug+distill"
        assert completed("tinytrain report ru") == "tinytrain report runs/"


def test_every_place_is_known_and_every_word_is_one():
    """A new flag whose value stands for something unknown, or a new key, is noticed here."""
    known = places(COMMANDS)
    assert {name for name in known if name.startswith("= ")} == {f"= {dotted}" for dotted, _ in load.keys().items()}
    for name, place in known.items():
        assert len(set(place.words)) == len(place.words), name
        for word in place.words:
            assert re.fullmatch(r"[\w.-]+[=:]?", word), (name, word)  # a shell takes it as one word, without quotes
            assert not re.fullmatch(r"[A-Z]{2,}", word), f"{name}: say in cli/completion/places.py what {word} is"
    assert set(known["= model.name"].words) == set(plugins.names("models"))


def test_a_shell_that_is_not_known_is_one_sentence(command_line):
    assert command_line("completion", "tcsh") == (
        2,
        "",
        "tinytrain: completion needs one SHELL, bash, zsh, fish, received tcsh\n",
    )
    status, out, error = command_line("completion", "fish")
    assert (status, error) == (0, "")
    assert out.startswith("# fish completion of tinytrain")
