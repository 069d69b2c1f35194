"""Flags are typed, and usage, help and the documentation show them as they are defined."""

import re

import pytest
from conftest import REPOSITORY

from tinytrain.cli import flags, main
from tinytrain.cli.commands import COMMANDS
from tinytrain.errors import UserError

BOIL = flags.Command(
    "Boils eggs.",
    "EGG…",
    (
        flags.integer("minutes", "N", "how long", 1, 1200, default=4),
        flags.choice("kind", ("soft", "hard"), "how firm"),
        flags.choice("hen", ("berta", "frieda"), "who laid it", value="NAME"),
        flags.number("salt", "G", "how much salt", 0.5, 9),
        flags.text("pot", "POT", "in what", required=True),
        flags.switch("salted", "with salt"),
    ),
    lambda values, operands, overrides: (None, ""),
)


def test_values_have_their_types_and_defaults():
    values, operands, overrides = flags.parse(BOIL, ["a", "--minutes=12", "seed=3", "--kind", "hard", "b", "--salted"])
    assert (values.minutes, values.kind, values.hen, values.pot) == (12, "hard", None, None)
    assert (values.salted, values.json) == (True, False)
    assert (operands, overrides) == (["a", "b"], ["seed=3"])
    assert flags.parse(BOIL, [])[0].minutes == 4
    assert [flags.parse(BOIL, ["--salt", text])[0].salt for text in ("2", "0.75", ".5", "5e-1")] == [2, 0.75, 0.5, 0.5]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--minutes", "0"], "--minutes 0 is out of range: expected a whole number from 1 to 1,200"),
        (["--minutes", "1201"], "--minutes 1201 is out of range: expected a whole number from 1 to 1,200"),
        (["--minutes", "0x10"], "--minutes 0x10 is not a number: expected a whole number from 1 to 1,200"),
        (["--minutes", "1_0"], "is not a number"),
        (["--minutes", " 5"], "is not a number"),
        (["--minutes", "4.5"], "is not a number"),
        (["--minutes="], "--minutes is empty: give it a value or leave it out"),
        (["--salt", "0.49"], "--salt 0.49 is out of range: expected a number from 0.5 to 9"),
        (["--salt", "-1"], "--salt -1 is out of range"),
        (["--salt", "1e999"], "--salt 1e999 is out of range"),
        (["--salt", "nan"], "--salt nan is not a number"),
        (["--salt", "1_0"], "--salt 1_0 is not a number"),
        (["--salt="], "--salt is empty"),
        (["--kind", "sof"], "unknown kind 'sof'; did you mean 'soft'? (known: hard, soft)"),
        (["--kind="], "--kind is empty"),
        (["--pot", ""], "--pot is empty"),
        (
            ["--pott", "x"],
            "did you mean: pot ? (known flags: --minutes, --kind, --hen, --salt, --pot, --salted, --json)",
        ),
        (["--epochs", "5"], "; to set a key, type it without dashes: optim.epochs=… or"),
        (["--pot"], "--pot has no value: expected --pot POT"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(words, sentence):
    with pytest.raises(UserError) as error:
        flags.parse(BOIL, words)
    assert sentence.lower() in str(error.value).lower()


def test_usage_and_help_follow_from_the_definitions():
    usage = "tinytrain boil EGG… [--minutes N] [--kind soft|hard] [--hen NAME] [--salt G] --pot POT [--salted]"
    usage += " [KEY=VALUE …]"
    assert flags.usage("boil", BOIL) == usage
    assert flags.help_text("boil", BOIL).splitlines() == [
        usage,
        "",
        "Boils eggs.",
        "",
        "  --minutes N       how long (1 to 1,200; default: 4)",
        "  --kind soft|hard  how firm",
        "  --hen NAME        who laid it (berta, frieda)",
        "  --salt G          how much salt (0.5 to 9)",
        "  --pot POT         in what",
        "  --salted          with salt",
        "  --json            print the result as one JSON line at the end",
    ]


def test_the_usage_text_and_the_documentation_show_every_command_as_it_is():
    page = (REPOSITORY / "docs/command-line.md").read_text()
    documented = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines()
    usages = [flags.usage(name, command) for name, command in COMMANDS.items()]
    assert [line.partition("  #")[0] for line in documented] == usages
    assert [line.strip() for line in main.USAGE.splitlines() if line.startswith("  tinytrain ")] == usages
