"""Reading a sharded checkpoint without running what is in it.

PyTorch reads the tensors of a shard with `weights_only`, and unpickles the file that tells where
they are (`.metadata`) without any check.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

KNOWN = {
    "torch": {"Size"} | {name for name, held in vars(torch).items() if type(held) is torch.dtype},
    "torch.serialization": {"_get_layout"},
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint.metadata": {
        *("Metadata", "MetadataIndex", "StorageMeta", "TensorProperties", "_MEM_FORMAT_ENCODING"),
        *("BytesStorageMetadata", "ChunkStorageMetadata", "TensorStorageMetadata"),
    },
    "collections": {"OrderedDict"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
}
"""Classes and functions that PyTorch writes into `.metadata`, by module."""


class ForeignObject(ValueError):
    """A checkpoint names a class or function that has no place in it."""


class _Unpickler(pickle.Unpickler):
    """Finds what is known, and nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return a class or function by its name.

        Raises:
            ForeignObject: If it is none that PyTorch writes.
        """
        if global_name not in KNOWN.get(module_name, ()):
            raise ForeignObject(f"{module_name}.{global_name}")
        return super().find_class(module_name, global_name)


class ShardReader(FileSystemReader):
    """PyTorch's reader, whose `.metadata` may hold nothing but what PyTorch writes."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Read which tensors there are, and where.

        Raises:
            ForeignObject: If it holds anything else.
            UnpicklingError: If it is cut off, or no such file.
        """
        with (Path(self.path) / ".metadata").open("rb") as file:
            metadata = _Unpickler(file).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError(f"it holds a {type(metadata).__name__}")
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata
