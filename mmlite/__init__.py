"""Experiments on small vision-language models: perception, reasoning and how both shrink."""

__version__: str


def __getattr__(name: str) -> str:
    """Look the installed version up when it is asked for, so that the import stays cheap."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("mmlite")
