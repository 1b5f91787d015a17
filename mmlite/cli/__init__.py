"""The `mmlite` command."""

from mmlite.cli.main import main as main
