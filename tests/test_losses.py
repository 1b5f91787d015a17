"""Losses: a chunked loss is the whole loss, and so are its gradients."""

import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmlite import losses
from mmlite.losses import LARGE_LOGITS, chunked_token_loss, token_loss


def head_of(kind: str) -> nn.Module:
    """Heads a language model may have: tied to nothing, with a bias, with an adapter."""
    torch.manual_seed(0)
    if kind == "adapter":
        base = nn.Linear(8, 50, bias=False).requires_grad_(False)
        low = nn.Sequential(nn.Linear(8, 2, bias=False), nn.Linear(2, 50, bias=False))

        class Adapted(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.base, self.low = base, low

            def forward(self, hidden: torch.Tensor) -> torch.Tensor:
                return self.base(hidden) + self.low(hidden)

        return Adapted()
    return nn.Linear(8, 50, bias=kind == "bias")


def gradients(
    head: nn.Module,
    chunk_tokens: int | None,
    *,
    scale: float = 1.0,
    is_compiled: bool = False,
):
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(23, 8, generator=generator).requires_grad_()
    targets = torch.randint(50, (23,), generator=generator)
    head.zero_grad()
    if chunk_tokens is None:
        total, count = token_loss(head(hidden), targets)
    else:
        total, count = chunked_token_loss(
            hidden,
            targets,
            head=head,
            parameters=list(head.parameters()),
            chunk_tokens=chunk_tokens,
            is_compiled=is_compiled,
        )
    (total * scale).backward()
    found = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
    return total.detach(), count, {"hidden": hidden.grad, **found}


@pytest.mark.parametrize("kind", ["linear", "bias", "adapter"])
@pytest.mark.parametrize("chunk_tokens", [1, 7, 23, 100])
def test_chunks_add_up_to_the_whole(kind: str, chunk_tokens: int):
    head = head_of(kind)
    whole, count, expected = gradients(head, None, scale=0.5)
    expected = {name: tensor.clone() for name, tensor in expected.items()}
    total, chunked_count, found = gradients(head, chunk_tokens, scale=0.5)
    assert chunked_count == count == 23
    torch.testing.assert_close(total, whole)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, msg=name)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compile the loss of logits of any size, without a C++ compiler; how many tokens it got."""
    told: list[int] = []
    captured = torch.compile(losses.loss_and_gradient, backend="aot_eager")

    def noted(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        told.append(len(logits))
        return captured(logits, targets)

    monkeypatch.setattr(losses, "LARGE_LOGITS", 1)
    monkeypatch.setattr(losses, "compiled_loss", lambda: noted)
    return told


@pytest.mark.parametrize(("chunk_tokens", "tokens"), [(10, [10, 10, 3]), (40, [23])])
@pytest.mark.parametrize("kind", ["bias", "adapter"])
def test_a_compiled_loss_is_the_plain_one(
    compiled: list[int], kind: str, chunk_tokens: int, tokens: list[int]
):
    head = head_of(kind)
    expected = gradients(head, None, scale=0.5)
    assert not compiled
    found = gradients(head, chunk_tokens, scale=0.5, is_compiled=True)
    assert compiled == tokens
    torch.testing.assert_close(found, expected)


def test_a_loss_is_compiled_for_learning_alone(compiled: list[int]):
    head = head_of("bias")
    with torch.no_grad():
        chunked_token_loss(
            torch.randn(23, 8),
            torch.arange(23),
            head=head,
            parameters=list(head.parameters()),
            chunk_tokens=10,
            is_compiled=True,
        )
    assert not compiled


def test_small_logits_are_left_to_the_plain_loss(compiled: list[int], monkeypatch):
    monkeypatch.setattr(losses, "LARGE_LOGITS", 10 * 50)
    head = head_of("bias")
    expected = gradients(head, None, scale=0.5)
    torch.testing.assert_close(gradients(head, 10, scale=0.5, is_compiled=True), expected)
    assert compiled == [10, 10]  # the last chunk has three


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_compiled_loss_is_that_of_exact_numbers(dtype: torch.dtype):
    logits = 4 * torch.randn(7, 300, generator=torch.Generator().manual_seed(0))
    logits[0, 5], logits[1, 5] = 80.0, -80.0  # certain, and as good as impossible
    targets = torch.full((7,), 5)
    exact = logits.to(dtype).double().requires_grad_()
    expected = functional.cross_entropy(exact, targets, reduction="sum")
    (wanted,) = torch.autograd.grad(expected, exact)
    total, gradient = losses.loss_and_gradient(logits.to(dtype), targets)
    assert (total.dtype, gradient.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(total.double(), expected, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(gradient.double(), wanted, rtol=2.0**-8, atol=1e-6)


class Shifted(nn.Module):
    """Two parameters whose gradients are one tensor, or parts of one."""

    def __init__(self, *, is_whole: bool) -> None:
        super().__init__()
        self.is_whole = is_whole
        self.first = nn.Parameter(torch.zeros(23, 50 if is_whole else 25))
        self.second = nn.Parameter(torch.zeros(23, 50 if is_whole else 25))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = hidden @ torch.ones(8, 50)
        if self.is_whole:
            return logits + self.first + self.second
        return logits + torch.cat([self.first, self.second], dim=1)


@pytest.mark.parametrize("is_whole", [False, True])
def test_gradients_that_share_their_memory_are_scaled_once(is_whole: bool):
    head = Shifted(is_whole=is_whole)
    _, _, expected = gradients(head, None, scale=0.5)
    expected = {name: tensor.clone() for name, tensor in expected.items()}
    _, _, found = gradients(head, 23, scale=0.5)
    torch.testing.assert_close(found, expected)


def test_a_frozen_head_gets_no_gradient_and_hands_them_on():
    head = head_of("linear").requires_grad_(False)
    _, _, found = gradients(head, 7)
    assert set(found) == {"hidden"}
    torch.testing.assert_close(found["hidden"], gradients(head, None)[2]["hidden"])


def test_no_more_logits_exist_than_those_of_a_chunk():
    seen: list[int] = []
    head = head_of("linear")
    head.register_forward_hook(lambda module, args, output: seen.append(len(output)))
    gradients(head, 10)
    assert seen == [10, 10, 3]  # nothing is computed twice


def test_without_gradients_only_the_loss_is_computed():
    head = head_of("linear")
    hidden, targets = torch.randn(23, 8), torch.arange(23)
    made: list[bool] = []
    head.register_forward_hook(lambda module, args, output: made.append(output.requires_grad))
    with torch.no_grad():
        total, _ = chunked_token_loss(
            hidden, targets, head=head, parameters=list(head.parameters()), chunk_tokens=10
        )
        whole, _ = token_loss(head(hidden), targets)
    torch.testing.assert_close(total, whole)
    assert made == [False] * 4


def test_sums_of_half_precision_heads_are_kept_in_full_precision():
    head = head_of("linear").bfloat16()
    hidden, targets = torch.randn(512, 8).bfloat16(), torch.zeros(512, dtype=torch.long)

    def gradient(chunk_tokens: int) -> torch.Tensor:
        head.zero_grad()
        total, _ = chunked_token_loss(
            hidden,
            targets,
            head=head,
            parameters=list(head.parameters()),
            chunk_tokens=chunk_tokens,
        )
        total.backward()
        found = next(head.parameters()).grad
        assert found is not None
        return found

    assert gradient(1).dtype == torch.bfloat16
    torch.testing.assert_close(gradient(1), gradient(512), rtol=0.02, atol=0.02)


def test_no_supervised_token_is_a_loss_of_nothing():
    head = head_of("linear")
    hidden = torch.zeros(0, 8, requires_grad=True)
    total, count = chunked_token_loss(
        hidden,
        torch.zeros(0, dtype=torch.long),
        head=head,
        parameters=list(head.parameters()),
        chunk_tokens=4,
    )
    total.backward()
    weight = next(head.parameters())
    assert (float(total.detach()), count) == (0.0, 0)
    assert weight.grad is not None  # every process of several has the same gradients
    assert not weight.grad.any()


class LargeTensors(TorchDispatchMode):
    """Adds up the bytes of all tensors of a size that there are at once."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.alive: dict[int, int] = {}
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor) and tensor.numel() >= self.numbers:
                storage = tensor.untyped_storage()
                if (place := storage.data_ptr()) not in self.alive:
                    self.alive[place] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, place)
                self.most = max(self.most, sum(self.alive.values()))
        return output


def loss_of_large_logits(loss, dtype: torch.dtype):
    """Loss, gradients of head and states, and the memory it took in float32 logits."""
    generator = torch.Generator().manual_seed(0)
    head = torch.randn(70_000, 8, generator=generator, dtype=dtype).requires_grad_()
    hidden = (3 * torch.randn(64, 8, generator=generator)).to(dtype).requires_grad_()
    targets = torch.randint(70_000, (64,), generator=generator)
    with LargeTensors(LARGE_LOGITS) as large:
        total = loss(hidden @ head.T, targets)
        (total / 64).backward()
    return total.detach(), hidden.grad, head.grad, large.most / (4 * 64 * 70_000)


@pytest.mark.parametrize(("dtype", "now"), [(torch.float32, 2), (torch.bfloat16, 1.5)])
def test_large_logits_have_the_same_loss_in_less_memory(dtype: torch.dtype, now: float):
    def plain(logits, targets):
        return functional.cross_entropy(logits.float(), targets, reduction="sum")

    *expected, most = loss_of_large_logits(plain, dtype)
    *found, fewer = loss_of_large_logits(lambda *given: token_loss(*given)[0], dtype)
    for given, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(given, wanted)
    assert fewer == now < most


def test_a_token_that_is_certain_or_impossible_has_a_finite_loss():
    logits = torch.zeros(2, LARGE_LOGITS // 2)
    logits[:, 7] = 1e4
    logits.requires_grad_()
    total, _ = token_loss(logits, torch.tensor([7, 8]))
    total.backward()
    assert total.item() == 1e4
    assert logits.grad is not None
    assert logits.grad[:, 7].tolist() == [0, 1]
    assert logits.grad[1, 8] == -1


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("creates_graph", [False, True])
def test_a_gradient_made_in_place_is_made_once(is_chunked: bool, creates_graph: bool):
    head = nn.Linear(2, LARGE_LOGITS // 2)
    hidden, targets = torch.ones(2, 2, requires_grad=True), torch.tensor([0, 1])
    if is_chunked:
        total, _ = chunked_token_loss(
            hidden, targets, head=head, parameters=list(head.parameters()), chunk_tokens=1
        )
    else:
        total, _ = token_loss(head(hidden), targets)
    if creates_graph:
        with pytest.raises(RuntimeError, match=r"got create_graph=True, .*cross_entropy"):
            torch.autograd.grad(total, hidden, create_graph=True)
        return
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=r"got a second pass .* compute the loss again"):
        total.backward()


def test_large_chunks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch):
    head = head_of("bias")
    whole, _, expected = gradients(head, None, scale=0.5)
    expected = {name: tensor.clone() for name, tensor in expected.items()}
    monkeypatch.setattr(losses, "LARGE_LOGITS", 100)  # two tokens, of the chunk's five
    total, _, found = gradients(head, 5, scale=0.5)
    torch.testing.assert_close(total, whole)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, msg=name)


def test_a_small_loss_of_large_logits_is_exact():
    logits = torch.full((2, LARGE_LOGITS // 2), 100.0)
    logits[:, 7] = 120.0
    targets = torch.tensor([7, 7])
    exact = functional.cross_entropy(logits.double(), targets, reduction="sum")
    total, _ = token_loss(logits, targets)
    torch.testing.assert_close(total.double(), exact, rtol=1e-2, atol=0.0)
