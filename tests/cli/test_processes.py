"""Several processes at once, and killed ones: locks, drafts, pipes. The other process is always a real one."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from firmware_helpers import EMULATED, emit, needs_emulator
from int8_models import conv_model
from kills import command

from tinytrain import files as disk
from tinytrain.benching.serial import emulator, ports
from tinytrain.cli import commands, flags, main
from tinytrain.config import load as configs
from tinytrain.deploy import boards, make
from tinytrain.deploy.tflm import interpreter
from tinytrain.errors import TinytrainError, UserError
from tinytrain.exporting import int8_model
from tinytrain.files import write_text
from tinytrain.leases import HOST
from tinytrain.run import Run
from tinytrain.train import fit as train

SMALL = ["model.name=resnet8", "model.width=0.25", "optim.epochs=1", "optim.batch=64", "augment.crop=0"]
RACE = """
import sys, time
from pathlib import Path
from tinytrain.run import Run
Path(f"ready-{sys.argv[1]}").touch()
while not Path("go").exists():
    pass
for _ in range(25):
    print(Run.create(None, "digits-net").folder)
"""
HOLD = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from tinytrain import files as disk, locks
from tinytrain.run import Run
held = ExitStack()
{statements}
print("held", flush=True)
time.sleep(600)
"""
KILLED_WRITING = """
import os, signal, sys
import numpy
from tinytrain.cli import main

def killed(file, **arrays):
    file = file if hasattr(file, "write") else open(file, "wb")
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

setattr(numpy, sys.argv[1], killed)
main.main(sys.argv[2:])
"""


@pytest.fixture
def other(tmp_path):
    """Returns a function that starts a process which executes statements, "held" an ExitStack, and then waits."""
    started = []

    def start(*statements, **environment):
        code = HOLD.format(statements="\n".join(statements))
        process = subprocess.Popen(
            [sys.executable, "-c", code, "fit", "--out", "a b"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        killed(process)
        process.stdout.close()


def killed(process):
    process.kill()
    process.wait()


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# Two at once


def test_no_two_processes_get_the_same_new_run(tmp_path):
    words = [sys.executable, "-c", RACE]
    racing = [subprocess.Popen([*words, str(n)], cwd=tmp_path, stdout=subprocess.PIPE, text=True) for n in range(4)]
    while len(list(tmp_path.glob("ready-*"))) < 4:
        assert all(process.poll() is None for process in racing)
        time.sleep(0.01)
    (tmp_path / "go").touch()
    folders = [line for process in racing for line in process.communicate(timeout=120)[0].splitlines()]
    assert len(folders) == 100
    assert sorted(folders) == [f"runs/digits-net-{number:03d}" for number in range(1, 101)]


def test_a_run_that_another_process_writes_is_refused_until_that_has_ended(tmp_path, command_line, other):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.toml").write_text(configs.dump(configs.load(None, SMALL)))
    holder = other("held.enter_context(Run(Path('run')).writing())")
    status, out, error = command_line("fit", "--out", "run", "--resume")
    assert (status, out) == (2, "")
    assert f"the run 'run' is being written by process {holder.pid} on {HOST} (-c fit --out 'a b')" in error
    assert len(error.strip().splitlines()) == 1
    killed(holder)
    with Run(Path("run")).writing():  # nothing stale is left
        assert hidden(tmp_path / "run") == [".lock.2"]
    assert hidden(tmp_path / "run") == []


@pytest.mark.parametrize("begun", [[], ["config.toml"]])
def test_a_new_run_in_a_folder_that_another_process_has_just_begun_is_refused(tmp_path, command_line, other, begun):
    (tmp_path / "run").mkdir()
    for name in begun:
        (tmp_path / "run" / name).touch()
    holder = other("held.enter_context(Run(Path('run')).writing())")
    status, _, error = command_line("fit", "--out", "run", *SMALL)
    assert status == 2
    assert f"process {holder.pid} on {HOST} (" in error
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock.1", *begun]


def test_an_export_that_another_process_writes_is_refused(tmp_path, command_line, other):
    (tmp_path / "model.tflite").write_bytes(conv_model())
    holder = other("held.enter_context(locks.held(Path('.export-x.lock'), 'it'))")
    status, _, error = command_line("export", "model.tflite", "--mcu", "stm32f746", "--out", "export-x")
    assert status == 2
    assert f"the export 'export-x' is being written by process {holder.pid} on {HOST} (" in error
    assert not (tmp_path / "export-x").exists()


@pytest.mark.long
def test_of_two_exports_at_once_into_one_folder_one_is_whole_and_one_is_told(tmp_path):
    (tmp_path / "model.tflite").write_bytes(conv_model())
    # With TFLM, and without TFLM_DIR, the firmware is left unbuilt.
    words = command("export", "model.tflite", "--mcu", "stm32f746", "--out", "both", "export.engine=tflm")
    both = [subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], errors
    (told,) = [error for process, error in zip(both, errors, strict=True) if process.returncode]
    assert "Traceback" not in told
    assert "is being written by process" in told or "'both' is there already" in told
    assert (tmp_path / "both/report.json").exists()
    assert hidden(tmp_path) == []


# Killed


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path, other):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    make = [
        "held.enter_context(disk.draft(Path('last.npz'))).write_bytes(b'half')",
        "(held.enter_context(disk.folder(Path('.'))) / 'report.json').write_text('half')",
        "(held.enter_context(disk.folder()) / 'images.npy').write_text('half')",
    ]
    dead = other(*make, TMPDIR=str(temporary))
    living = other(*make, TMPDIR=str(temporary))
    (tmp_path / ".hidden").touch()
    (tmp_path / ".tinytrain-link").symlink_to("last.npz")
    assert [len(hidden(tmp_path)), len(hidden(temporary))] == [6, 2]
    killed(dead)
    program = "from pathlib import Path; from tinytrain import files as disk\n"
    program += "with disk.draft(Path('other.txt')), disk.folder(): pass"
    variables = os.environ | {"TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=variables, check=True)
    assert [len(hidden(tmp_path)), len(hidden(temporary))] == [4, 1]  # of the living one, and what is not ours
    assert (tmp_path / "other.txt").exists()
    killed(living)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=variables, check=True)
    assert (hidden(tmp_path), hidden(temporary)) == ([".hidden", ".tinytrain-link"], [])


@pytest.mark.long
def test_fit_killed_in_the_middle_of_a_file_leaves_nothing_behind_when_it_has_gone_on(tmp_path, tinytrain):
    (tmp_path / "tmp").mkdir()
    words = ["fit", "--out", "run", *SMALL]
    variables = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    dead = subprocess.run([sys.executable, "-c", KILLED_WRITING, "savez", *words], cwd=tmp_path, env=variables)
    assert dead.returncode == -signal.SIGKILL
    assert len(hidden(tmp_path / "run")) == 2  # the lock's file and half a checkpoint
    assert hidden(tmp_path / "tmp") != []
    done = tinytrain("fit", "--out", "run", "--resume", TMPDIR=str(tmp_path / "tmp"))
    assert done.returncode == 0, done.stderr
    assert hidden(tmp_path / "run") == []
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.long
def test_export_killed_in_the_middle_of_a_file_leaves_nothing_behind_after_the_next(tmp_path, tinytrain):
    (tmp_path / "model.tflite").write_bytes(conv_model())
    (tmp_path / "tmp").mkdir()
    words = ["export", "model.tflite", "--mcu", "stm32f746", "--out", "out"]
    variables = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    dead = subprocess.run(
        [sys.executable, "-c", KILLED_WRITING, "savez_compressed", *words], cwd=tmp_path, env=variables
    )
    assert dead.returncode == -signal.SIGKILL
    assert len(hidden(tmp_path)) == 2  # the lock's file and half an export
    done = tinytrain(*words, TMPDIR=str(tmp_path / "tmp"))
    assert done.returncode == 0, done.stderr
    assert hidden(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["fit", "--out", "a run", *SMALL], "go on with: tinytrain fit --out 'a run' --resume"),
        (["fit", "--out", "\x1brun", *SMALL], "go on with: tinytrain fit --out '\\x1brun' --resume"),
        (["compare", "c.toml", *SMALL], f"go on with: tinytrain compare c.toml {' '.join(SMALL)}"),
        (
            ["fit", "--teacher=auto", "--out", "lesson", *SMALL],
            f"go on with: tinytrain fit --teacher=auto --out lesson {' '.join(SMALL)}",
        ),
    ],
)
def test_an_interruption_says_how_to_go_on(command_line, tmp_path, monkeypatch, words, hint):
    (tmp_path / "c.toml").write_text("seed = 0\n")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train.Trainer, "fit", interrupted)
    status, _, error = command_line(*words)
    assert status == 130
    assert error.splitlines()[-1] == f"tinytrain: interrupted; {hint}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["fit", "--out", "run"], "; begin again with: tinytrain fit --out run"),
        (["search", "--data=digits", "--trials=2"], "; go on with: tinytrain search --data=digits --trials=2"),
        (["export", "a b.tflite", "--mcu", "m7"], "; begin again with: tinytrain export 'a b.tflite' --mcu m7"),
        (["list", "boards"], ""),
    ],
)
def test_an_interruption_before_anything_is_written_names_the_command(command_line, monkeypatch, words, hint):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(main.files, "private_temporary_folder", interrupted)
    monkeypatch.setattr(main, "WITHOUT_FILES", ())
    status, _, error = command_line(*words)
    assert status == 130
    assert error.splitlines()[-1] == f"tinytrain: interrupted{hint}"


def test_the_process_of_several_that_has_the_terminal_names_the_command_that_starts_all(command_line, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(main.files, "private_temporary_folder", interrupted)
    monkeypatch.setenv("TINYTRAIN_LAUNCHED", "3")
    _, _, error = command_line("compare", "c.toml")
    assert error.splitlines()[-1] == "tinytrain: interrupted; go on with: tinytrain compare c.toml --workers=3"


# Pipes


def test_only_a_reader_of_our_output_who_has_gone_is_no_fault(tmp_path):
    words = shlex.join(command("list", "keys"))
    done = subprocess.run(["bash", "-c", f"{words} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("141\n", "")
    done = subprocess.run(["bash", "-c", f"{words} > /dev/full"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "tinytrain: cannot write to standard output: No space left on device\n"


def test_messages_that_nobody_reads_end_the_command_and_no_more():
    program = "import sys; from tinytrain.cli import commands, flags, main\n"
    program += "def run(*_):\n  for _ in range(10):\n    print('x' * 9999, file=sys.stderr, flush=True)\n"
    program += "commands.COMMANDS['list'] = flags.Command('', '', (), run); main.main(['list'])"
    words = shlex.join([sys.executable, "-c", program])
    done = subprocess.run(
        ["bash", "-c", f"{words} 2>&1 | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_broken_pipe_of_anything_else_is_not_silent(monkeypatch):
    def broken(*_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setitem(commands.COMMANDS, "list", flags.Command("", "", (), broken))
    with pytest.raises(BrokenPipeError):  # a traceback, status 1
        main.main(["list"])


@pytest.mark.parametrize(
    ("script", "kind", "sentence"),
    [
        ("kill -KILL $$", TinytrainError, "was killed (SIGKILL)"),
        (
            "kill -SEGV $$",
            UserError,
            "cannot run the .tflite: it ended with status -11 without a message (crashed, SIGSEGV)",
        ),
        ("echo 'no such op' >&2; exit 1", UserError, "cannot run the .tflite: no such op"),
        ("exit 9", UserError, "it ended with status 9 without a message"),
        (
            "echo '/tmp/x: No space left on device' >&2; exit 74",
            UserError,
            "has no room for its outputs: /tmp/x: No space",
        ),
    ],
)
def test_the_death_of_the_interpreter_is_told_with_its_status_and_words(monkeypatch, tmp_path, script, kind, sentence):
    (tmp_path / "sh").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "sh").chmod(0o755)
    monkeypatch.setattr(interpreter.sys, "executable", str(tmp_path / "sh"))
    with pytest.raises(kind) as told:
        _ = interpreter.ReferenceInterpreter(b"model").arena_bytes
    assert sentence in str(told.value)
    assert type(told.value) is kind


def test_the_death_of_the_emulator_is_told_with_its_status_and_words(monkeypatch, tmp_path):
    (tmp_path / "qemu").write_text("#!/bin/sh\necho 'no such machine' >&2\nexec 0<&-\nexit 3\n")
    (tmp_path / "qemu").chmod(0o755)
    monkeypatch.setattr(make, "EMULATOR", str(tmp_path / "qemu"))
    board = boards.load("mps2_an500")
    with (
        pytest.raises(TinytrainError, match="ended with status 3, no such machine"),
        emulator.running(tmp_path / "x", board),
    ):
        pass


def asked_while_the_emulator_is_killed(program, board):
    with emulator.running(program, board) as device:
        link, _ = ports.connect(device, 1.0)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        (qemu,) = [child for child in children if "qemu" in Path(f"/proc/{child}/cmdline").read_text()]
        os.kill(int(qemu), signal.SIGKILL)
        link.status()


@needs_emulator
def test_the_death_of_the_emulator_in_the_middle_is_told_with_its_status(tmp_path):
    board = boards.load(EMULATED)
    program = make.build(emit(tmp_path), board, None, tmp_path / "build")
    with pytest.raises(TinytrainError, match=r"the emulator ended with status -9: the port '.*' is gone"):
        asked_while_the_emulator_is_killed(program, board)


# Before the work


@pytest.fixture
def no_work(monkeypatch, tmp_path):
    """A .tflite to export, of which nothing may be done."""
    (tmp_path / "model.tflite").write_bytes(conv_model())
    monkeypatch.setattr(int8_model, "from_file", lambda *_: pytest.fail("the work has begun"))
    return ["export", "model.tflite", "--mcu", "stm32f746", "--out", "out"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (None, "', which is not a folder: set it to"),
        (
            [],
            "has no lib/libtensorflow-microlite.a and no include/tensorflow/lite/micro/micro_interpreter.h: set it to",
        ),
        (make.TFLM_FILES[:1] if hasattr(make, "TFLM_FILES") else [], "has no include/tensorflow/lite/micro/"),
    ],
)
def test_a_wrong_tflm_dir_is_told_before_the_work(command_line, no_work, monkeypatch, tmp_path, files, sentence):
    for name in files or ():
        (tmp_path / "tflm" / name).parent.mkdir(parents=True)
        (tmp_path / "tflm" / name).touch()
    if files is not None:
        (tmp_path / "tflm").mkdir(exist_ok=True)
    monkeypatch.setenv("TFLM_DIR", str(tmp_path / "tflm"))
    status, out, error = command_line(*no_work)
    assert (status, out) == (2, "")
    assert f"TFLM_DIR is '{tmp_path}/tflm'" in error
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    ("free", "sentence"),
    [
        ({"small": 1000}, "'small/out' has room for 1,000 bytes, the export needs about"),
        ({"narrow": 10}, "/narrow' has room for 10 bytes, the export's proof needs about"),
    ],
)
def test_export_looks_for_room_before_the_work(command_line, no_work, monkeypatch, tmp_path, free, sentence):
    (tmp_path / "small").mkdir()
    (tmp_path / "narrow").mkdir()
    monkeypatch.setattr(disk.tempfile, "tempdir", str(tmp_path / "narrow"))
    usage = disk.shutil.disk_usage

    def of(path):
        name = next((name for name in free if f"/{name}" in str(path)), None)
        return usage(path)._replace(free=free[name]) if name else usage(path)

    monkeypatch.setattr(disk.shutil, "disk_usage", of)
    status, _, error = command_line(*no_work[:-1], "small/out")
    assert status == 2
    assert sentence in error


def test_a_folder_that_cannot_be_written_is_told_before_the_work(command_line, no_work, monkeypatch):
    usual = disk.tempfile.TemporaryFile

    def read_only(*words, dir=None, **options):
        if dir is not None:
            raise OSError(30, "Read-only file system", dir)
        return usual(*words, **options)

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", read_only)
    status, _, error = command_line(*no_work)
    assert status == 2
    assert "cannot write into 'out': Read-only file system; name another folder with --out" in error


def test_a_text_that_finds_no_room_is_one_sentence_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match=r"cannot write '.*history.csv': No space left on device; free some room"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert hidden(tmp_path) == []
