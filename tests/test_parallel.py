"""Sharding refuses what it would silently leave undone."""

import pytest
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from mmlite.parallel import shard


def test_tensor_parallel_processes_are_refused():
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("data_parallel", "tensor_parallel"))
    with pytest.raises(ValueError, match=r"tensor_parallel_size: got 2, allowed: 1; .* set data_p"):
        shard(nn.Linear(2, 2), mesh)
