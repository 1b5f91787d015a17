"""The prompt that asks a perceiver for the details a question needs."""

from mmlite.prompts.prompt_set import PromptSet
from mmlite.records import Example


def extraction_prompt(prompts: PromptSet, example: Example) -> str:
    """Fill in a prompt set's `extraction`.

    Args:
        prompts: The set.
        example: Its question, and its `info` where the set asks for that.

    Raises:
        ValueError: If the set asks for an `info` that the example does not have.
    """
    if "info" in prompts.fields("extraction") and not example.info:
        raise ValueError(
            f"{example.row_name}: got no info, which the prompt extraction of {prompts.name} "
            "asks for, allowed: rows that have one, in a column or field info; or let a language "
            "model write it (evaluation.info of a study), or give prompts that ask by the question"
        )
    return prompts.render("extraction", question=example.question, info=example.info)
