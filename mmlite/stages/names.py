"""Names of a model's parts that a stage is given."""

from collections.abc import Collection, Iterable, Mapping


def check_names(given: Mapping[str, Iterable[str]], parts: Collection[str]) -> None:
    """Stop where a stage is given the name of a part that its model has not.

    Args:
        given: Names by the stage's argument; `trainable` and `adapters` are among them.
        parts: The names there are.

    Raises:
        ValueError: If a name is unknown, or a part with an adapter is not trainable.
    """
    allowed = ", ".join(parts)
    more = {"gradient_checkpointing": "; or all by itself"}
    problems = [
        f"model.init_args.{key}: got {sorted(unknown)}, allowed: {allowed}{more.get(key, '')}"
        for key, names in given.items()
        if (unknown := set(names) - set(parts))
    ]
    if unlearnt := sorted(set(given["adapters"]) & set(parts) - set(given["trainable"])):
        problems.append(
            f"model.init_args.adapters: got {unlearnt}, allowed: parts in trainable, "
            f"{', '.join(given['trainable'])}; name them there too"
        )
    if problems:
        raise ValueError("; ".join(problems))
