"""Names of a model's parts that a stage is given."""

from collections.abc import Collection, Iterable, Mapping, Sequence


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


def trainable_names(
    given: Sequence[str] | None, default: Sequence[str], vision: object, projector: object
) -> tuple[str, ...]:
    """Return the names of the parts that learn.

    Args:
        given: As the YAML says it; None takes the default.
        default: The stage's own.
        vision: What makes the vision encoder, if anything does.
        projector: What makes the projector, if anything does.

    Raises:
        ValueError: If none is named, or one twice, or there is a projector but nothing to project.
    """
    told = ""
    if given is not None and not given:
        told = (
            "model.init_args.trainable: got [], allowed: one part or more; null takes the stage's"
        )
    elif given is not None and len(set(given)) < len(given):
        told = f"model.init_args.trainable: got {list(given)}, allowed: each part once"
    elif vision is None and projector is not None:
        told = "model.init_args.vision: got null with a projector, allowed: both, or both null"
    if told:
        raise ValueError(told)
    return tuple(default if given is None else given)
