"""The error of a command line or a configuration that is wrong."""


class ArgumentProblem(Exception):
    """The command line or a configuration file is wrong; the message says what to do."""
