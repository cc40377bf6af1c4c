"""Which device and number format to compute with."""

from __future__ import annotations

import torch

from m2dino.errors import DeviceError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name: auto, cpu, cuda, cuda:N or mps.

    Raises
    ------
    DeviceError
        It is not there, or no such name exists.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device; use auto, cpu, cuda or mps.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"{name}: this computer has {torch.cuda.device_count()} CUDA devices; use --device auto or cpu."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("mps: only on a Mac with Apple silicon; use --device auto or cpu.")
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 in hardware; emulated it would be slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Private names of torch, so absent ones mean "no": float32 is always right, only slower.
        checks = [getattr(torch.cpu, n, None) for n in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
        return any(check() for check in checks if check is not None)
    return False


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the device, or of the computer, is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # Apple's devices and the allocators of the CPU raise an error of no kind of its own.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "you tried to allocate" in text)


def device_text(device: torch.device) -> str:
    """Describe a device for people, such as "CPU, bfloat16"."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    return f"{name}, {'bfloat16' if has_bfloat16(device) else 'float32'}"
