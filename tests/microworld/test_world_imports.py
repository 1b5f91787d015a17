"""The micro-world needs none of the heavy packages."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "tokenizers", "lightning", "matplotlib")


def test_nothing_heavy_is_imported():
    program = (
        "import sys, mmlite.microworld\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
