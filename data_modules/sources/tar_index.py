"""The command that writes the index of tar shards (`data_modules.sources.shard_index`).

    python -m data_modules.sources.tar_index 'SHARDS/train-{000..117}.tar' --out FILE

Nothing imports it, since Python warns of a command that is loaded already when it starts.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from data_modules.sources.files import expand
from data_modules.sources.shard_index import write_index


def main(arguments: Sequence[str]) -> None:
    """Write an index, as a command."""
    parser = argparse.ArgumentParser(description="Count the samples of tar shards.")
    parser.add_argument("shards", nargs="+", help="paths or URLs, also with {000..117} and *")
    parser.add_argument("--out", type=Path, required=True, help="the index, a JSON file")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_index(expand(given.shards, "shards"), given.out)


if __name__ == "__main__":
    main(sys.argv[1:])
