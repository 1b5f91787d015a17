"""Putting a study's plots and headline numbers into TensorBoard."""

import json
from pathlib import Path

_SHOWN = ("accuracy", "fact_f1")


def log_report(folder: Path, log_dir: Path) -> None:
    """Log the plots, the headline and the pooled numbers of a study that has its report.

    A scalar's step is the rank of the language-model size, from 0 for the smallest, so that
    TensorBoard draws accuracy against size.

    Args:
        folder: The study's folder, after `make_report`.
        log_dir: Where the event file goes, instead of an earlier report's.
    """
    results_path = Path(folder) / "results.json"
    if not results_path.is_file():
        raise ValueError(
            f"{results_path}: not there; allowed: the folder of a study with its report; make "
            f"the report first"
        )
    import matplotlib.image
    from torch.utils.tensorboard import SummaryWriter

    results = json.loads(results_path.read_text(encoding="utf-8"))
    sizes = results["meta"]["sizes"]
    for old in Path(log_dir).glob("events.out.tfevents.*"):  # of the report before this one
        old.unlink()
    with SummaryWriter(str(log_dir)) as writer:
        writer.add_text("report/headline", results["meta"]["headline"])
        for row in results["rows"]:
            used = {row["perceiver_size"], row["reasoner_size"]} - {""}
            if row["seed"] != "all" or row["category"] != "all" or len(used) != 1:
                continue
            if not used <= set(sizes):  # a published model is no step of a curve over sizes
                continue
            step = sizes.index(*used)
            for name in _SHOWN:
                if row[name] is not None:
                    tag = f"report_{name}/{row['group']}/{row['system']}"
                    writer.add_scalar(tag, row[name], step)
        for path in sorted((Path(folder) / "plots").glob("*.png")):
            picture = matplotlib.image.imread(path)[:, :, :3]
            writer.add_image(f"report/{path.stem}", picture, dataformats="HWC")
