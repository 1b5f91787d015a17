"""Peak rates of GPUs: dense bfloat16 operations per second on their tensor cores.

Sources: datasheets of NVIDIA's H100 and H200 Tensor Core GPUs, which give twice as much, with
sparsity: 1,979 TFLOP/s for H100 SXM and H200 (SXM), 1,513 for H100 PCIe, 1,671 for the NVL ones.
"""

from mmlite.plan.devices import H100_FLOPS

PEAK_FLOPS = {
    "NVIDIA H100 80GB HBM3": H100_FLOPS,  # SXM5
    "NVIDIA H100 PCIe": 756.5e12,
    "NVIDIA H100 NVL": 835.5e12,
    "NVIDIA H200": H100_FLOPS,  # SXM5: the processor of the H100, with other memory
    "NVIDIA H200 NVL": 835.5e12,
}
"""By the name the driver tells; a part of a GPU (MIG) has a longer one and is not known."""


def peak_flops(device: str, given_tflops: float | None = None) -> float | None:
    """Return a device's peak rate, or None if it is not known.

    Args:
        device: Its name.
        given_tflops: In 10^12, where the user knows it.
    """
    return PEAK_FLOPS.get(device) if given_tflops is None else given_tflops * 1e12
