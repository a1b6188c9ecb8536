# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Doctests of every docstring and of docs/python.md; every public name is documented; types."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

from conftest import SOURCE

import e4
import e4.mqtt

ROOT = SOURCE.parents[1]
PAGE = ROOT / "docs" / "python.md"
PUBLIC = [name for name in e4.__all__ if not name.startswith("__")]


def test_docstrings_run() -> None:
    parser, runner, ran = doctest.DocTestParser(), doctest.DocTestRunner(), 0
    for name in PUBLIC:
        test = parser.get_doctest(getattr(e4, name).__doc__ or "", {}, name, None, 0)
        ran += len(test.examples)
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
    assert ran >= 15


def test_the_page_runs() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.failed == 0 and result.attempted >= 10


def test_every_public_name_has_a_docstring_and_stands_on_the_page() -> None:
    page = PAGE.read_text()
    for name in PUBLIC:
        thing = getattr(e4, name)
        assert inspect.getdoc(thing), name
        assert name in page, name
        if not inspect.isclass(thing) or issubclass(thing, Exception) or thing is e4.Storage:
            continue
        for member, value in vars(thing).items():
            if not member.startswith("_"):
                assert f"{member}" in page, f"{name}.{member}"
                enum = type(value) is thing
                assert enum or inspect.getdoc(value), f"{name}.{member}"
    for name in e4.mqtt.__all__:
        assert name in page and getattr(e4.mqtt, name).__doc__


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_takes_the_package_and_the_examples(tmp_path: Path) -> None:
    installed = Path(e4.__file__).parent
    examples = sorted((ROOT / "examples" / "python").glob("*.py"))
    assert len(examples) == 4
    cache = ["--cache-dir", str(tmp_path)]
    check(sys.executable, "-m", "mypy", "--strict", *cache, "-p", "e4")
    for example in examples:
        check(sys.executable, "-m", "mypy", "--strict", *cache, example)
    assert (installed / "py.typed").exists()


def test_the_stubs_are_those_of_the_module() -> None:
    check(sys.executable, "-m", "mypy.stubtest", "e4._e4")


def test_pyright_takes_the_examples() -> None:
    examples = sorted((ROOT / "examples" / "python").glob("*.py"))
    check(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *examples)
