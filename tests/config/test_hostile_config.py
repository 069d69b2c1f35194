"""Configs and words that are a slip or an attack: each is one short, printable sentence, status 2."""

import math
import sys
import typing
import unicodedata
from difflib import SequenceMatcher

import pytest

from tinytrain.cli import overrides
from tinytrain.cli.lists import names
from tinytrain.config import load, schema
from tinytrain.errors import UserError, escaped, nearest


def numeric():
    for dotted, leaf in load.keys().items():
        kinds = typing.get_args(leaf.type) or (leaf.type,)
        if {int, float, list[float]} & {*kinds, leaf.type}:
            yield dotted, leaf, (int in kinds)


NUMERIC = list(numeric())
EVERY_NUMBER = pytest.mark.parametrize(("dotted", "leaf", "whole"), NUMERIC, ids=[row[0] for row in NUMERIC])


def test_most_keys_take_numbers():
    assert len(NUMERIC) > 70  # else the tests below would pass by looking at nothing


@EVERY_NUMBER
def test_a_number_has_a_finite_range_whose_ends_are_taken_and_what_lies_beyond_is_refused(dotted, leaf, whole):
    low, high = leaf.metadata["minimum"], leaf.metadata["maximum"]
    assert -math.inf < low < high < math.inf
    if whole:
        assert (low, high) == (int(low), int(high))
        assert high < 2**63
    lists = list[float] in (*typing.get_args(leaf.type), leaf.type)
    for end in (low, high):
        value = int(end) if whole else float(end)
        fresh = schema.Config()
        load.set_key(fresh, dotted, [value] if lists else value)
        assert load.get_key(fresh, dotted) == ([value] if lists else value)
    step = 1 if whole else 1e-3 * high
    beyond = [low - step, high + step, -(10**400), 10**400]
    for value in beyond if whole else [*beyond, math.inf, -math.inf, math.nan, 1e308]:
        with pytest.raises(UserError, match="is out of range: expected ") as refused:
            load.set_key(schema.Config(), dotted, [value] if lists else value)
        assert len(str(refused.value)) < 400


@EVERY_NUMBER
def test_the_list_of_keys_states_the_range(dotted, leaf, whole):
    row = names.LISTS["keys"]()[dotted]
    low, high = (f"{leaf.metadata[end]:,}" if whole else "" for end in ("minimum", "maximum"))
    assert row.endswith(f"({low} to {high})") if whole else " to " in row.rpartition("(")[2]


HOSTILE = {
    "nested": "[" * 20_000,
    "a nested list": "[" * 500 + "1" + "]" * 500,
    "5000 digits": "9" * 5000,
    "400 digits": "9" * 400,
    "not a number": "nan",
    "infinite": "-inf",
    "escape": '"\\u001b[31mred"',
    "bidi": "\u202egnp.exe",
    "surrogate": "\udcff\udcfe",
    "NUL": '"a\\u0000b"',
    "name of 300": "x" * 300,
    "path of 20,000": "/" + "y/" * 10_000,
    "nobody's home": "~no-such-person/x",
    "two lines": '"a"\nseed = 3',
    "table": "{a = 1}",
    "empty": "",
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_any_value_of_any_key_is_taken_or_refused_in_one_short_printable_sentence(value):
    for dotted in list(load.keys()):
        try:
            load.load(None, [f"{dotted}={value}"])
        except UserError as error:
            said = str(error)
            assert len(said) < 2500
            assert "\n" not in said
            assert not [c for c in said if unicodedata.category(c) in ("Cc", "Cf", "Cs")], dotted


def test_a_key_of_20000_characters_is_cut():
    for key in ("x" * 20_000, "optim." + "x y " * 5_000):
        with pytest.raises(UserError, match="unknown config key") as error:
            load.load(None, [f"{key}=1"])
        assert len(str(error.value)) < 1500
        assert "characters …" in str(error.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not a TOML file: 'utf-8' codec"),
        (b"a = " + b"[" * 20_000, "is not a TOML file: it is nested too deeply"),
        (b"seed = " + b"9" * 5000, "is not a TOML file: Exceeds the limit"),
        (b"seed = " + b"9" * 400, "is out of range: expected 0 to 4,294,967,295"),
        (b"optim.lr = " + b"9" * 400, "is out of range: expected 0 to 1,000"),
        (b"[model]\nmean = [" + b"9" * 400 + b"]", "is out of range: expected 0 to 1"),
        (b"[model]\nmean = [" + b"0.5," * 1000 + b"]", "has 1,000 numbers: expected at most 64"),
        (b'"\\u001b[2J" = 1', r"unknown config key '\x1b[2J'"),
        (b"#" * 2_000_000, "it has more than 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_config_is_one_sentence(command_line, tmp_path, content, sentence):
    (tmp_path / "c.toml").write_bytes(content)
    status, out, said = command_line("fit", "c.toml")
    assert (status, out, said.count("\n")) == (2, "", 1)
    assert sentence in said
    assert len(said) < 600


def test_a_folder_or_a_name_that_is_too_long_is_one_sentence(command_line, tmp_path):
    (tmp_path / "flowers").mkdir()
    for word, sentence in [
        (
            "flowers",
            "'flowers' is a folder, not a config file: give images in a folder for each class as --data folder:fl",
        ),
        ("x" * 300, "File name too long"),
        ("\x1b[31mred.toml", r"no config file '\x1b[31mred.toml'"),
    ]:
        status, _, said = command_line("fit", word)
        assert (status, said.count("\n")) == (2, 1)
        assert sentence in said
        assert "\x1b" not in said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["fit", "--data", "folder:" + "x" * 300], "File name too long"),
        (["fit", "--out", "x" * 300, "--resume"], "File name too long"),
        (["evaluate", "x" * 300], "File name too long"),
        (["bench", "x" * 300], "File name too long"),
        (["report", "x" * 300], "File name too long"),
        (["export", "x" * 300, "--mcu", "stm32f746"], "File name too long"),
        (["reproduce", "x" * 300 + ".toml"], "File name too long"),
        (["fit", "model.weights=" + "x" * 300], "File name too long"),
    ],
)
def test_a_name_too_long_for_the_disk_is_a_sentence_in_every_command(command_line, command, said):
    status, _, error = command_line(*command)
    assert status == 2
    assert said in error
    assert error.count("\n") == 1


# Words of the command line


def test_a_word_is_a_setting_only_if_it_looks_like_a_key_and_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for word in ("optim.epochs=3", "epochs=5", "optim.epoch=3", "optim.nothing=1", " seed =1", "model.weights=a=b"):
        assert overrides.is_override(word), word
    for word in ("a=b.toml", "runs/lr=0.1/", "folder:x=y", "zzzz=1", "=3", "./lr=0.1", "plain"):
        assert not overrides.is_override(word), word
    (tmp_path / "lr=0.1").mkdir()
    assert not overrides.is_override("lr=0.1")
    assert overrides.separated(["lr=0.1", "optim.lr=0.1"]) == (["lr=0.1"], ["optim.lr=0.1"])


@pytest.mark.long
def test_an_equals_sign_in_a_path_is_part_of_it(command_line, tmp_path, image_folder):
    (tmp_path / "a=b.toml").write_text("[optim]\nepoch = 3\n")
    root = image_folder("few=1")
    for command, said in [
        (["fit", "a=b.toml"], "unknown config key 'optim.epoch' in a=b.toml"),
        (["compare", "a=b.toml"], "unknown config key 'optim.epoch' in a=b.toml"),
        (["fit", "--data", "folder:nowhere=1"], "no folder 'nowhere=1'"),
        (["data", "folder:nowhere=1"], "no folder 'nowhere=1'"),
        (["reproduce", "c=d.toml"], "no table 'c=d.toml'"),
        (["export", "runs/lr=0.1", "--mcu", "stm32f746"], "'runs/lr=0.1'"),
        (["evaluate", "runs/lr=0.1/"], "runs/lr=0.1"),
        (["report", "runs/lr=0.1/"], "runs/lr=0.1"),
        (["bench", "runs/lr=0.1/"], "runs/lr=0.1"),
    ]:
        status, _, error = command_line(*command)
        assert status == 2
        assert said in error, command
        assert "KEY=VALUE" not in error
    status, out, _ = command_line("data", f"folder:{root}", "data.resize=pad", "--out", "p=q.png")
    assert status == 0
    assert "36" in out
    assert (tmp_path / "p=q.png").exists()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["fit", "epochs=5"], "unknown config key 'epochs'; did you mean 'optim.epochs'?"),
        (["fit", "lr=0.01"], "did you mean 'optim.lr'?"),
        (["fit", "epoch=5"], "did you mean 'optim.epochs'?"),
        (["fit", "width=0.5"], "did you mean 'model.width'?"),
        (["fit", "optim.epoch=5"], "did you mean 'optim.epochs'?"),
        (["compare", "digits.toml", "--seeds", "10" * 20], "is out of range: expected a whole number from 1 to 1,000"),
        (["compare", "digits.toml", "--seeds", "10**30"], "is not a number: expected a whole number from 1 to 1,000"),
        (["compare", "digits.toml", "--seeds", "9" * 5000], "is out of range"),
        (["compare", "digits.toml", "--seeds", "٣"], "is not a number"),
        (["compare", "digits.toml", "--seeds", ""], "--seeds is empty"),
        (["reproduce", "seed003-table4", "--batch", "99999999"], "from 8 to 65,536"),
        (["bench", "none", "--images", "-1"], "--images -1 is out of range: expected a whole number from 1"),
        (["list", "models", "--classes", "99999999999"], "from 1 to 100,000"),
        (["fit", "--out", ""], "--out is empty"),
        (["fit", "--mcu", ""], "--mcu is empty"),
        (["fit", "--data", ""], "--data is empty"),
        (["fit", "--resume", "--out", "a", "--out", "b"], "'b' does not exist"),
        (["export", "nowhere", "--mcu", "STM32F746"], "'nowhere' does not exist"),
        (["fit", "--mcu", "STM32F747"], "did you mean 'stm32f746'"),
    ],
)
def test_a_slip_is_one_sentence(command_line, command, sentence):
    status, out, said = command_line(*command)
    assert (status, out, said.count("\n")) == (2, "", 1)
    assert sentence in said
    assert len(said) < 900


def test_a_command_that_is_near_to_none_gets_no_advice(command_line):
    assert "did you mean" not in command_line("predict")[2]
    assert "did you mean 'evaluate'?" in command_line("evalute")[2]
    assert SequenceMatcher(None, "reproduce", "predict").ratio() <= 0.5  # what was advised before


def test_what_was_received_cannot_drive_a_terminal(command_line):
    for word in ("\x1b]0;title\x07", "\u202eevil", "\x9b2J", "a\rb", "line\nline"):
        status, _, said = command_line(word)
        assert status == 2
        assert said.count("\n") == 1
        assert not [c for c in said.rstrip("\n") if unicodedata.category(c) in ("Cc", "Cf", "Cs")]


def test_an_error_is_printable_and_short_wherever_it_is_made():
    error = UserError(f"cannot read '{'x' * 20_000}': {'y' * 20_000} {'word ' * 20_000}; give another \x1b[1m")
    assert len(str(error)) < 5000
    assert str(error).startswith("cannot read 'xxx")
    assert str(error).endswith("give another \\x1b[1m")
    assert escaped("Gänseblümchen · √2 … 花\tx\n") == "Gänseblümchen · √2 … 花\tx\n"
    assert escaped("a\udcffb\u200f") == "a\\udcffb\\u200f"
    prose = UserError("the board's answer is long " + "and right " * 40 + "for 'x'")
    assert "…" not in str(prose)  # an apostrophe opens no quotation


def test_a_long_word_is_compared_in_no_time():
    assert nearest("x" * 10**6, ["optim.lr"] * 100) == ""


def test_numbers_that_python_cannot_write_are_shown(monkeypatch):
    sys.set_int_max_str_digits(4300)
    with pytest.raises(UserError, match="seed = a int that is too long to be shown"):
        load.set_key(schema.Config(), "seed", 10**5000)
