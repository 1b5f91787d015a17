"""The program for a GPU runs whole on the CPU, and what it puts together is right."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_processor

from benchmarks.gpu import build_arms, main, peak_flops, table
from benchmarks.training import gpu_program, recorder
from benchmarks.training.gpu_arms import (
    ATTEMPTS,
    DEVICE_FILE,
    LEAN,
    NEEDED,
    STAGES,
    TRIAL_LIMITS,
    TRIAL_SIZE,
    Arm,
    Limits,
    attempts_of,
    gpu_limits,
    setup_of,
    tokens_of,
    write_rows,
)
from benchmarks.training.gpu_program import Program, find_device
from benchmarks.training.isolated import LOG_FILE, OUT_OF_MEMORY, OUT_OF_TIME, run_apart
from benchmarks.training.lines import Line
from benchmarks.training.measured import Machine, Measured, Setup, mixed
from benchmarks.training.ours import Switches, batch_budget
from benchmarks.training.parts import build_processor, new_llava
from benchmarks.training.recorder import Recorder, sequence_lengths
from benchmarks.training.shapes import QWEN3_SIZES, TINY
from data_modules import QAData
from mmlite.batch import IGNORE_INDEX
from mmlite.packing import pack
from mmlite.processor import Encoded

ROOT = Path(__file__).parents[2]
# Python 3.12 and later warn of every fork, since libraries have started threads.
FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.mark.slow
def test_a_trial_runs_every_arm_on_the_cpu(tmp_path: Path):
    out = tmp_path / "gpu.json"
    done = start("--trial", "--profile", "alignment", "--out", str(out))
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    command = f"python benchmarks/gpu.py --trial --profile alignment --out {out}"
    assert told["command"] == command
    assert {"torch", "transformers"} <= set(told["versions"])
    lines = [Line(**line) for line in told["lines"]]
    assert {line.stage for line in lines} == set(STAGES)
    ways = {line.way for line in lines if line.stage == "full"}
    assert ways == {"transformers", "mmlite", "mmlite packed", "mmlite packed bfloat16"}
    for line in lines:
        assert line.note == "", f"{line}\n{done.stderr}"
        assert (line.tokens_per_second or 0) > (line.supervised_per_second or 0) > 0
        assert (line.flops_per_second or 0) > 0
        assert (line.peak_gb or 0) > 0
        assert line.speed == 1 or line.way != "transformers"
        assert line.utilisation is None  # a CPU's peak is not known
        assert (line.kernels is not None) == (line.stage == "alignment")
        if line.kernels is not None:
            assert 0 < line.kernels["kernels_ms"] < 2 * line.kernels["wall_ms"]
            assert any("mm" in name for name, _, _ in line.kernels["longest"])
            assert line.kernels["tokens"] > line.kernels["supervised"] > 0 < line.kernels["tiles"]
        assert line.stage == "decoding" or line.steps == TRIAL_LIMITS.steps
        if (
            line.loss is not None
        ):  # of random weights, whatever the rows: the vocabulary's logarithm
            assert line.loss == pytest.approx(5.99, abs=0.1)
        assert f"| trial | {line.stage} | {line.way} |" in done.stdout


def test_without_a_gpu_the_program_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    told = r"device: got none \(.* --trial runs every arm with tiny models on the CPU"
    with pytest.raises(SystemExit, match=told):
        main(["--minutes", "1"])


def start(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *words]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, env=environment, cwd=ROOT.parent, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_nothing_touches_cuda_before_processes_are_forked():
    program = (
        "import sys, torch; torch.cuda.init = torch.cuda._lazy_init = None; import benchmarks.gpu; "
        "sys.exit([name for name in ('bitsandbytes', 'peft') if name in sys.modules] or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_unknown_ways_are_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--trial", "--ways", "ours"])
    assert "invalid choice: 'ours'" in capsys.readouterr().err


def test_peaks_are_those_of_whole_known_devices():
    assert peak_flops("NVIDIA H200") == peak_flops("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak_flops("NVIDIA H100 PCIe") == 756.5e12
    for other in ("NVIDIA GH200 480GB", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "CPU"):
        assert peak_flops(other) is None
    assert peak_flops("CPU", 2.0) == 2e12


@pytest.mark.parametrize(("size", "millions"), [("0.6B", 596.05), ("1.7B", 1720.57)])
def test_models_have_the_parameters_of_the_published_ones(size: str, millions: float):
    shape = QWEN3_SIZES[size]
    with torch.device("meta"):
        llava = new_llava(shape)
    language, tower = llava.model.language_model, llava.model.vision_tower
    assert sum(p.numel() for p in language.parameters()) == pytest.approx(millions * 1e6, rel=1e-5)
    counted = sum(p.numel() for p in language.layers.parameters() if p.ndim == 2)
    assert counted == shape.language.layers * shape.language.block_weights
    blocks = tower.encoder.layers[: shape.vision.layers]
    assert len(blocks) == 26
    counted = sum(p.numel() for p in blocks.parameters() if p.ndim == 2)
    assert counted == shape.vision.layers * shape.vision.block_weights


def test_packed_examples_are_counted_one_by_one():
    rows = [Encoded((1,) * size, (1,) * size, ()) for size in (5, 3, 4, 2)]
    batch = tiny_processor().collate(rows)
    packed = pack(batch, (2, 1, 1), pad_id=0)
    assert sequence_lengths(batch.attention_mask, None) == (5, 3, 4, 2)
    assert sequence_lengths(packed.attention_mask, packed.position_ids) == (5, 3, 4, 2)


def test_a_run_ends_after_its_seconds_but_never_before_two_steps_count():
    arm = Arm("trial", "full", "mmlite")
    recorder = Recorder(setup_of(arm, TRIAL_LIMITS, Machine(seconds=0.0)))
    assert [recorder.end_step() for _ in range(3)] == [False, False, True]


def test_usual_arms_are_each_size_and_stage_by_both():
    arms = build_arms(["0.6B", "1.7B"], STAGES, None)
    pairs = {(arm.size, arm.stage) for arm in arms}
    assert len(pairs) == 2 * len(STAGES)
    for size, stage in pairs:
        ways = [arm.way for arm in arms if (arm.size, arm.stage) == (size, stage)]
        assert ways[:2] == ["transformers", "mmlite"]
    named = build_arms(["0.6B"], STAGES, ["mmlite packed"])
    assert [arm.stage for arm in named] == ["full", "alignment", "extraction"]


def test_steps_have_as_many_tokens_when_memory_is_short():
    arm, limits = Arm("0.6B", "full", "mmlite"), gpu_limits(80 * 10**9, None, 4096)
    setups = [setup_of(arm, limits, Machine(), attempt) for attempt in ATTEMPTS]
    tokens = [setup.batch_tokens for setup in setups]
    assert tokens == [8192, 4096, 4096]
    assert len({setup.accumulate * (setup.batch_tokens or 0) for setup in setups}) == 1
    assert [setup.checkpointing for setup in setups] == [False, False, True]
    assert setups[2].recomputed == ["vision", "language"]
    assert gpu_limits(141 * 10**9, None, 4096).batch_tokens == 16384
    assert gpu_limits(141 * 10**9, 6000, 4096).batch_tokens == 6000


def test_what_is_known_not_to_fit_is_not_tried():
    large, small = (gpu_limits(memory * 10**9, None, 4096) for memory in (150, 85))  # H200, H100

    def first(way: str, stage: str, size: str = "0.6B", limits: Limits = large) -> int:
        return attempts_of(Arm(size, stage, way), limits)[0].share

    assert first("transformers", "extraction") == 2
    assert first("transformers", "full") == first("transformers", "full", "1.7B") == 2
    assert first("transformers", "alignment", "1.7B") == 1
    assert first("mmlite", "extraction") == first("mmlite", "full") == 1
    assert first("mmlite", "full", "1.7B") == 2
    assert first("mmlite packed compiled bfloat16", "full", "1.7B") == 1
    assert first("transformers", "extraction", limits=small) == 2
    assert (
        first("mmlite", "full", "1.7B", small) == first("transformers", "full", "1.7B", small) == 2
    )
    assert (
        first("mmlite", "full", limits=small) == first("mmlite", "extraction", "1.7B", small) == 1
    )
    assert first("mmlite fused", "full", limits=small) == 1  # not measured: tried
    # Half a batch leaves a tenth of the memory.
    for (size, stage, way), (fixed, grows) in NEEDED.items():
        for limits in (large, small):
            assert limits.memory is not None
            tokens = tokens_of(Arm(size, stage, way), limits) / 2
            assert fixed + grows * tokens / 1000 < 0.9 * limits.memory / 1e9
    assert len(attempts_of(Arm("0.6B", "decoding", "transformers"), large)) == 1


@pytest.mark.parametrize(
    ("memory", "given", "way", "expected"),
    [
        (141, None, LEAN, 32768),
        (141, None, "mmlite packed compiled", 16384),
        (141, 20000, LEAN, 20000),
        (80, None, LEAN, 8192),
    ],
)
def test_a_way_that_keeps_little_of_a_token_takes_twice_as_many_at_a_time(
    memory: int, given: int | None, way: str, expected: int
):
    limits = gpu_limits(memory * 10**9, given, None)
    for size in ("0.6B", "1.7B"):
        setup = setup_of(Arm(size, "full", way), limits, Machine())
        assert setup.batch_tokens == setup.pack_tokens == expected
        assert setup.loss_chunk_tokens == (8192 if way == LEAN else 2048)


def test_compiled_arms_warm_up_and_count_for_longer():
    limits, machine = gpu_limits(141 * 10**9, None, None), Machine(warmup_seconds=2.0, seconds=3.0)
    plain, compiled = (
        setup_of(Arm("0.6B", "full", way), limits, machine).machine
        for way in ("mmlite", "mmlite packed compiled")
    )
    assert (plain.warmup_seconds, plain.seconds) == (2.0, 3.0)
    assert (compiled.warmup_seconds, compiled.seconds) == (24.0, 6.0)
    endless = setup_of(Arm("0.6B", "full", "mmlite compiled"), limits, Machine())
    assert endless.machine.seconds is None


def test_compiled_packed_batches_have_one_shape(tmp_path: Path):
    """Each other one would be compiled for, within the steps that count."""
    arm = Arm(TRIAL_SIZE, "full", "mmlite packed compiled")
    setup = setup_of(arm, replace(TRIAL_LIMITS, pack_tokens=None), Machine())
    write_rows(tmp_path, arm.stage, setup.shape, TRIAL_LIMITS)
    shapes = {}
    for is_compiled in (True, False):
        switches = Switches(packed=True, compiled=is_compiled)
        data = QAData(
            build_processor(setup.shape),
            train=mixed(tmp_path / setup.rows),
            budget=batch_budget(setup, switches),
            prompts="paper",
        )
        shapes[is_compiled] = {tuple(batch.input_ids.shape) for batch in data.train_dataloader()}
    assert shapes[True] == {(1, setup.batch_tokens)}
    assert len(shapes[False]) > 1


def test_steps_count_once_it_is_warm_and_the_median_tells_how_long_they_take(monkeypatch):
    clock = iter([3.0, 4.0, 6.0, 7.0, 8.0, 28.0, 29.0])  # the steps' ends
    told = SimpleNamespace(perf_counter=lambda: next(clock), process_time=lambda: 0.0)
    monkeypatch.setattr(recorder, "time", told)
    machine = Machine(warmup=1, warmup_seconds=3.0, seconds=22.5)
    watch = Recorder(Setup(shape=TINY, machine=machine))
    watch.start()
    labels, mask = torch.tensor([[IGNORE_INDEX, 1, 2]]), torch.ones(1, 3)
    ended = []
    while True:
        watch.add(torch.tensor(1.0), labels, mask)
        ended.append(watch.end_step())
        if ended[-1]:
            break
    assert len(ended) == 7
    measured = watch.measured()
    assert (measured.warmup, measured.seconds, measured.usual_seconds) == (3, 23.0, 4.0)
    assert measured.rate(measured.tokens) == pytest.approx(4 * 3 / 23)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    deadline = time.monotonic() + 1000
    for name in ("rows/full", "weights/trial"):
        (tmp_path / name).mkdir(parents=True)
    return Program(tmp_path, TRIAL_LIMITS, Machine(), peak=1e9, deadline=deadline, method="fork")


ARM = Arm("trial", "full", "mmlite")
MEASURED = Measured(
    losses=[6.0, 5.9],
    ends=[10.0, 12.0],
    busy=[1.0, 2.0],
    supervised=[90, 100],
    tokens=[900, 1000],
    padded=[1000, 1000],
    flops=[7e8, 1e9],
    peak_mb=2500.0,
)


def test_an_arm_without_memory_is_tried_with_less(
    program: Program, monkeypatch: pytest.MonkeyPatch
):
    tried = []

    def run(function, arm, setup, *others, folder, **kwargs):
        tried.append((setup.batch_tokens, setup.checkpointing))
        folder.mkdir(parents=True)
        (folder / LOG_FILE).write_text("no room\n")
        if not setup.checkpointing:
            return OUT_OF_MEMORY
        MEASURED.write(folder)
        return None

    monkeypatch.setattr(gpu_program, "run_apart", run)
    line = program.run(ARM)
    assert tried == [(192, False), (96, False), (96, True)]
    assert line.note == "batches of 1/2, activations computed again"
    assert line.supervised_per_second == 50
    assert line.tokens_per_second == 500
    assert line.utilisation == 0.5
    assert line.peak_gb == 2.5
    base = Line("trial", "full", "transformers", tokens_per_second=250.0)
    assert "| 50.0% | 2.5 | 5% | 2.00 x | 6.00 | batches of 1/2" in table([base, line])


def test_an_arm_that_fails_and_one_without_time_are_lines(
    program: Program, monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments, folder, **kwargs):
        folder.mkdir(parents=True)
        (folder / LOG_FILE).write_text("")
        return "ValueError: no"

    monkeypatch.setattr(gpu_program, "run_apart", fail)
    assert program.run(ARM).note == "ValueError: no"
    program.deadline = time.monotonic() + 1
    assert program.run(ARM).note == OUT_OF_TIME
    assert "| trial | full | mmlite | | | | | | | | out of time |" in table([program.run(ARM)])


def breaks() -> None:
    raise ValueError("got 1,\nallowed: 2")


def needs_memory() -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def dies() -> None:
    os._exit(3)


def sleeps() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(os.environ["CHILD_FILE"]).write_text(str(child.pid))
    time.sleep(60)


def test_processes_are_spawned_where_forked_ones_cannot_use_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def run(function, out, *, folder, seconds, method):
        folder.mkdir()
        if method == "fork":
            return "AcceleratorError: CUDA error: initialization error"
        (out / DEVICE_FILE).write_text('{"name": "NVIDIA H200", "memory": 1}')
        return None

    monkeypatch.setattr(gpu_program, "run_apart", run)
    assert find_device(tmp_path) == ({"name": "NVIDIA H200", "memory": 1}, "spawn")


@FORKS
@pytest.mark.parametrize(
    ("function", "told"),
    [
        (breaks, "ValueError: got 1, allowed: 2"),
        (needs_memory, OUT_OF_MEMORY),
        (dies, "ended with exit code 3"),
        (time.time, None),
    ],
)
def test_what_goes_wrong_in_a_process_is_told_in_a_line(function, told, tmp_path: Path):
    assert run_apart(function, folder=tmp_path / "arm", seconds=60) == told
    if function is breaks:
        assert "Traceback" in (tmp_path / "arm" / LOG_FILE).read_text()


@FORKS
def test_a_process_that_takes_too_long_ends_with_those_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "child"
    monkeypatch.setenv("CHILD_FILE", str(file))
    assert run_apart(sleeps, folder=tmp_path / "arm", seconds=5) == OUT_OF_TIME
    time.sleep(0.5)
    stat = Path(f"/proc/{file.read_text()}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"
