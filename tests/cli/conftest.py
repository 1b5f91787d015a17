"""A refusal: the command line stops with one readable message."""

import pytest

from mmlite.cli.main import main


@pytest.fixture
def refused(capsys, tmp_path):
    """Run the command line and return the message, once its form is as it should be."""

    def refuse(arguments, *, status=2):
        run = [] if "--run" in arguments else ["--run", str(tmp_path / "run")]
        assert main([*arguments, *run]) == status
        told = capsys.readouterr().err.split("mmlite: ", 1)[1].rstrip()
        assert len(told.splitlines()) <= 4, told
        for page in ("usage:", "Traceback", "Subtypes", "Union", "Parser key", "Namespace("):
            assert page not in told, told
        return told

    return refuse
