"""The guard against another package of one of our generic names."""

import subprocess
import sys
from pathlib import Path

import hil

ROOT = Path(hil.__file__).resolve().parent.parent


def test_our_own_packages_are_not_shadowed():
    assert hil.find_shadow() is None


def test_a_foreign_drivers_package_is_refused_with_one_sentence(tmp_path: Path):
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers" / "__init__.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import hil"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: the package 'drivers'")
    assert str(tmp_path / "drivers") in last
    assert "make setup" in last
