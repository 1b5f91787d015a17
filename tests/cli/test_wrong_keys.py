"""A wrong key, class or value stops with one message: what was given and what is allowed."""

import re

import pytest
from cli.commands import RUN, yaml_file

from mmlite.config.signatures import wants_mapping
from mmlite.optim import Schedule

SOURCE = (
    "data:\n  init_args:\n    train:\n      - source:\n          class_path: data_modules.sources."
)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        (["--seed_everythin", "1"], "got key 'seed_everythin', .*did you mean seed_everything?"),
        (["--trainer.max_stepz", "3"], "trainer: got key 'max_stepz', .*did you mean max_steps?"),
        (
            ["--model.init_args.trainabl", "[projector]"],
            "model.init_args: got key 'trainabl', allowed: language, .*did you mean trainable?",
        ),
        (
            ["--processor.init_args.image.size_pxx", "3"],
            "processor.init_args.image: got key 'size_pxx', allowed: size_px, grid_rows, .*"
            "did you mean size_px?",
        ),
        (
            ["--model.class_path", "mmlite.stages.ExtractionTunin"],
            "model.class_path: got 'mmlite.stages.ExtractionTunin', which does not exist, "
            "allowed: .*did you mean mmlite.stages.ExtractionTuning?",
        ),
        (["--trainer.max_steps", "many"], "trainer.max_steps: got many, allowed: int; correct it"),
        (["--trainer.max_steps"], "--trainer.max_steps: got no value, allowed: one value"),
        (["extra"], "got 'extra', allowed: options that begin with --"),
        (["--ckpt_path", "no.ckpt"], "ckpt_path: got no.ckpt, which does not exist, allowed"),
        (["--run", ""], "run: got nothing, allowed: a folder for the run; give --run"),
        (["--run", "/dev/null/run"], "run: got /dev/null/run, which cannot be written"),
        (["--trainer.accelerator", "tpu"], "trainer: .*; change that key of trainer"),
        (["--trainer.strategy", "dpp"], "invalid strategy name: `strategy='dpp'`"),
        (
            ["--processor.init_args.image.size_px", "0"],
            "processor.image: got size_px 0, .*allowed: 1 or more each",
        ),
        (
            ["--model.init_args.decoding.max_new_tokens", "0"],
            "decoding: max_new_tokens: got 0, allowed: 1 or more",
        ),
        (
            ["--data.init_args.budget.batch_size", "0"],
            "data.budget.batch_size: got 0, allowed: 1 or more",
        ),
        (["--data.init_args.prompts", "micra"], "got 'micra'"),
        (["--trainer", "null"], "trainer: got 'null', allowed: a mapping of its keys, or a file"),
        (["--trainer.val_check_interval", "0"], "trainer.val_check_interval: got 0, allowed: abo"),
        (
            ["--trainer.accumulate_grad_batches", "0"],
            "trainer.accumulate_grad_batches: got 0, allowed: 1 or more; correct it",
        ),
        (["--trainer.gradient_clip_val", "-1"], "gradient_clip_val: got -1, allowed: 0 or more"),
        (
            ["--trainer.max_epochs", "0", "--trainer.max_steps", "-1"],
            "trainer.max_epochs: got 0, which trains nothing, allowed: 1 or more, or null",
        ),
        (
            ["--trainer.callbacks+", "callbacks.LossCurve"],
            "trainer.callbacks: got LossCurve twice, allowed: one of it; take one out",
        ),
        (
            ["--model.init_args.trainable", "[]"],
            r"init_args.trainable: got \[\], allowed: one part or more; null takes the stage's",
        ),
        (
            ["--model.init_args.trainable", "[language, language]"],
            r"model.init_args.trainable: got \['language', 'language'\], allowed: each part once",
        ),
        (
            ["--model.init_args.vision", "null"],
            "model.init_args.vision: got null with a projector, allowed: both, or both null",
        ),
        (["--trainer.callbacks[0]", "x"], r"trainer: got key 'callbacks\[0\]', allowed: one of"),
        (["--seed_everything", "-3"], "seed_everything: got -3, allowed: 0 to 4294967295"),
        (["-c", "."], "-c: got .*, a folder, allowed: a YAML file; name a file in it"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_flag(flag, told, refused):
    shown = refused([*RUN, *flag])
    assert re.search(told, shown), shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trainer: null\n", "trainer: got null, allowed: a mapping, such as max_steps: 100; leave"),
        ("seed_everythin: 1\n", "got key 'seed_everythin' in .*given.yaml, .*mean seed_everything"),
        (
            "trainer:\n  max_stepz: 3\n",
            "trainer: got key 'max_stepz' in .*given.yaml, .*did you mean max_steps?",
        ),
        (
            "model:\n  init_args:\n    trainabl: [x]\n",
            "model.init_args: got key 'trainabl' in .*given.yaml, .*did you mean trainable?",
        ),
        (
            "model:\n  init_argz:\n    trainable: [x]\n",
            "model: got key 'init_argz' in .*, allowed: class_path, init_args; did you mean",
        ),
        (
            "processor:\n  init_args:\n    image:\n      size_pxx: 3\n",
            "processor.init_args.image: got key 'size_pxx' in .*did you mean size_px?",
        ),
        (
            "processor:\n  init_args:\n    tokenizer:\n      init_args:\n        num_being: 3\n",
            "processor.init_args.tokenizer.init_args: got key 'num_being' in .*num_beings, seed",
        ),
        (
            "model:\n  init_args:\n    schedule:\n      warmup_fractio: 0.1\n",
            "model.init_args.schedule: got key 'warmup_fractio' .*did you mean warmup_fraction?",
        ),
        (
            "model: mmlite.stages.ExtractonTuning\n",
            "model: got 'mmlite.stages.ExtractonTuning' in .*given.yaml, which does not exist, "
            "allowed: mmlite.stages.BoxPre.*did you mean mmlite.stages.ExtractionTuning?",
        ),
        (
            "data: data_modules.QAdata\n",
            "data: got 'data_modules.QAdata' in .*, which .*did you mean data_modules.QAData?",
        ),
        (
            "model:\n  init_args:\n    projector: mmlite.models.MLPProjecter\n",
            "model.init_args.projector: got 'mmlite.models.MLPProjecter' in .*MLPProjector?",
        ),
        (
            "model:\n  init_args:\n    schedule: cosine\n",
            r"model.init_args.schedule: got 'cosine' in .*given.yaml, allowed: a mapping of warmup",
        ),
        (
            "model:\n  init_args:\n    schedule: [0.1, 0.2]\n",
            r"model.init_args.schedule: got \[0.1, 0.2\], allowed: a mapping of warmup_fraction, ",
        ),
        (
            "data:\n  init_args:\n    budget: 3\n",
            "data.init_args.budget: got 3, allowed: a mapping of batch_size, max_batch_tokens, ",
        ),
        (
            "model:\n  init_args:\n    optimizer:\n      class_path: torch.optim.AdamW\n"
            "      init_args: {lrr: 0.1}\n",
            "model.init_args.optimizer.init_args: got key 'lrr' .*allowed: lr, betas, .*mean lr?",
        ),
        (
            f"{SOURCE}MicroWorld\n          init_args: {{num_imagez: 3}}\n",
            r"data.init_args.train\[0\].source.init_args: got key 'num_imagez' in .*given.yaml, "
            "allowed: num_images, .*did you mean num_images?",
        ),
        (
            f"{SOURCE}MicroText\n      - source:\n          class_path: "
            "data_modules.sources.MicroWorld\n          init_args: {world: {max_object: 3}}\n",
            r"data.init_args.train\[1\].source.init_args.world: got key 'max_object' in .*"
            "did you mean max_objects?",
        ),
        (
            "data:\n  init_args:\n    train:\n      - sourc: {class_path: x.Y}\n",
            r"data.init_args.train\[0\]: got key 'sourc' .*allowed: source, weight, limit, replay",
        ),
        (
            "trainer:\n  callbacks:\n    - class_path: callbacks.SamplePanel\n"
            "      init_args: {num_sample: 3}\n",
            r"trainer.callbacks\[0\].init_args: got key 'num_sample' in .*mean num_samples?",
        ),
        (
            "trainer:\n  strategy:\n    class_path: lightning.pytorch.strategies.DDPStrategy\n"
            "    init_args: {process_group_backen: gloo}\n",
            "trainer.strategy.init_args: got key 'process_group_backen' .*process_group_backend",
        ),
    ],
)
def test_typo_in_a_key(text, told, refused, tmp_path):
    shown = refused([*RUN, *yaml_file(tmp_path, text)])
    assert re.search(told, shown), shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "model:\n  class_path: mmlite.stagez.ExtractionTuning\n",
            "model.class_path: got 'mmlite.stagez.ExtractionTuning', which does not exist, "
            "allowed: .*did you mean mmlite.stages.ExtractionTuning?|correct the class path",
        ),
        (
            "model:\n  class_path: mmlite.models.TimmVision\n",
            "model.class_path: got 'mmlite.models.TimmVision', which is no Stage, allowed: "
            "mmlite.stages.BoxPretraining, .*; correct the class path",
        ),
        (
            "data:\n  class_path: data_modules.ExtractionDat\n",
            "data.class_path: got .*did you mean data_modules.ExtractionData?",
        ),
        (
            f"{SOURCE}MicroWorl\n",
            r"data.init_args.train\[0\].source.class_path: got 'data_modules.sources.MicroWorl', "
            ".*did you mean data_modules.sources.MicroWorld?",
        ),
        (
            "model:\n  init_args:\n    language:\n"
            "      class_path: mmlite.models.NewLanguageMode\n",
            "model.init_args.language.class_path: .*did you mean mmlite.models.NewLanguageModel?",
        ),
        (
            "trainer:\n  callbacks:\n    - class_path: callbacks.Throughpu\n",
            r"trainer.callbacks\[0\].class_path: got .*did you mean callbacks.Throughput?",
        ),
        ("model:\n  class_path: 3\n", "model"),
    ],
)
def test_unknown_class(text, told, refused, tmp_path):
    shown = refused([*RUN, *yaml_file(tmp_path, text)])
    assert re.search(told, shown), shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trainer:\n  max_steps: many\n", "trainer.max_steps: got many in .*, allowed: int"),
        (
            "processor:\n  init_args:\n    image: {size_px: big}\n",
            "processor.init_args.image.size_px: got big in .*given.yaml, allowed: int; correct it",
        ),
        (
            "processor:\n  init_args:\n    image: {fit: squeeze}\n",
            "processor.init_args.image.fit: got squeeze in .*, allowed: stretch, pad",
        ),
        (
            "model:\n  init_args:\n    lr_scale: 3\n",
            r"model.init_args.lr_scale: got 3 .*, allowed: dict\[str, float\], null",
        ),
        (
            f"{SOURCE}MicroWorld\n          init_args: {{num_images: some}}\n",
            r"data.init_args.train\[0\].source.init_args.num_images: got some in .*, allowed: int",
        ),
        (
            f"{SOURCE}MicroText\n        weight: -1\n",
            r"data.train \(micro-text\): weight: got -1.0, allowed: above 0",
        ),
        ("trainer: [1\n", "given.yaml line 2: is no YAML, .*; correct that line"),
        ("- a\n", "given.yaml: got a list, allowed: a mapping of keys"),
        ("processor: ../gone.yaml\n", "processor: got '../gone.yaml' in .*, but there is no such"),
    ],
)
def test_wrong_value(text, told, refused, tmp_path):
    shown = refused([*RUN, *yaml_file(tmp_path, text)])
    assert re.search(told, shown), shown


class TakesEither:
    """A class of the user's, one of whose arguments is a mapping or a number."""

    def __init__(self, schedule: Schedule | float | None, other: Schedule | None) -> None: ...


@pytest.mark.parametrize(
    ("name", "value", "is_wrong"),
    [
        ("schedule", 0.5, False),
        ("schedule", None, False),
        ("other", 0.5, True),
        ("other", None, False),
        ("other", {"warmup_fraction": 0.1}, False),
    ],
)
def test_a_number_may_stand_where_a_mapping_or_a_number_is_taken(name, value, is_wrong):
    assert wants_mapping("cli.test_wrong_keys.TakesEither", name, value) == is_wrong
