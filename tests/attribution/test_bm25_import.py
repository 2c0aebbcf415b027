import os
import subprocess
import sys

PLANTED = """
import sys
sys.modules["jax"] = "the user's own" if {loaded} else sys.modules.get("jax")
if not {loaded}:
    del sys.modules["jax"]
import imprint.attribution.methods.bm25
assert sys.modules.get("jax") == ("the user's own" if {loaded} else None)
"""


def imported(tmp_path, loaded):
    """Import the method in a process of its own where jax is installed, and would say so if it were imported."""
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("print('took the GPU')")
    (tmp_path / "jax" / "lax.py").write_text("")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    code = PLANTED.format(loaded=loaded)
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_jax_is_not_started_for_bm25(tmp_path):
    assert imported(tmp_path, loaded=False) == ""


def test_a_jax_that_the_user_has_loaded_stays(tmp_path):
    assert imported(tmp_path, loaded=True) == ""
