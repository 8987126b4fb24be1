"""Every command of docs/api.md does what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from app.http import problems
from ledger import errors
from ledger.store import Ledger
from tests.conftest import missing
from tests.support.compared import two_snapshots
from tests.support.patience import patience
from tests.support.web import TOKEN, Web

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"


def test_the_commands_answer_as_written(web: Web, ledger: Ledger) -> None:
    two_snapshots(ledger)
    if not shutil.which("curl") or not shutil.which("bash"):
        missing("no curl or bash on this machine")
    page = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)[1:])  # the first finds the running system
    expected = re.findall(r"# (\d{3})$", page, re.M)
    script = re.sub(r" +# \d{3}$", r" -o /dev/null -w '%{http_code}\\n'", page, flags=re.M)
    env = {"PATH": os.environ["PATH"], "URL": f"http://127.0.0.1:{web.port}", "TOKEN": TOKEN}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env, timeout=patience(30))
    assert done.stdout.split() == expected, done.stderr
    assert len(expected) > 12


def test_every_problem_is_on_the_page() -> None:
    codes = {
        error.code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ReachqError)
    }
    reachable = codes & set(problems.STATUS_OF)
    source = "".join(path.read_text() for path in Path(problems.__file__).parent.glob("*.py"))
    raised = set(re.findall(r'ApiProblem\(\s*\d{3},\s*"([a-z-]+)"', source))
    for code in reachable | raised:
        assert f"`{code}`" in PAGE.read_text(), code
