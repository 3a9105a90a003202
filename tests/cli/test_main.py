import subprocess
import sys

import pytest

from parotid_brachy.lib.cli import main as program
from parotid_brachy.lib.errors import InputRefusedError, UsageError

SUBCOMMANDS = ["phantom", "predict", "train", "models"]


@pytest.fixture
def run_with(monkeypatch):
    """Runs a program whose only subcommand does what the test says."""

    def run(behaviour, *options):
        class Only:
            @staticmethod
            def register(subparsers):
                subparsers.add_parser("only").set_defaults(run=behaviour)

        monkeypatch.setattr(program, "SUBCOMMANDS", (Only,))
        return program.main([*options, "only"])

    return run


def refuse(error):
    def behave(_args):
        raise error

    return behave


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_subcommands_answer_is_the_exit_code(run_with, code):
    assert run_with(lambda _args: code) == code


def test_a_refused_case_is_told_on_stderr_without_a_traceback(run_with, capsys):
    error = InputRefusedError("case_a.nii.gz: truncated. Copy it again.")
    assert run_with(refuse(error)) == 1
    said = capsys.readouterr()
    assert said.err == "parotid: case_a.nii.gz: truncated. Copy it again.\n"
    assert not said.out


def test_a_wrong_call_has_its_own_exit_code(run_with, capsys):
    assert run_with(refuse(UsageError("no side 'up'"))) == 2
    assert "no side 'up'" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(run_with, capsys):
    assert run_with(refuse(KeyboardInterrupt())) == 1
    assert "interrupted" in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden(run_with):
    with pytest.raises(ZeroDivisionError):
        run_with(lambda _args: 1 // 0)


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in SUBCOMMANDS)])
def test_every_level_has_help(argv, capsys):
    assert program.main(argv) == 0
    assert "usage: parotid" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["operate"], ["--operate"], ["models"]])
def test_a_call_that_names_nothing_known_is_wrong(argv, capsys):
    assert program.main(argv) == 2
    assert "usage: parotid" in capsys.readouterr().err


def test_the_version_is_told(capsys):
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("parotid ")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from parotid_brachy.lib.cli.main import main; main(['--help']); "
        "heavy = {'torch', 'monai', 'nnunetv2', 'scipy', 'matplotlib', 'SimpleITK'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
