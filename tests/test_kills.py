import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_killed_trainings_resume_bit_exact() -> None:
    script = Path(__file__).with_name("kills.py")
    done = subprocess.run([sys.executable, script, "--short"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("all the same bits") == 2
