import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on resources there")
def test_a_sample_of_the_campaign_is_refused_or_works() -> None:
    command = [sys.executable, "-m", "tests.campaign", "--num", "1", "--every", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout
    of_all = done.stdout.splitlines()[-1].split()
    assert of_all[0] == "all"
    assert sum(map(int, of_all[1:])) > 30
