"""Settings of how covers are made: batches, budget, caches. Nothing here decides what a cover looks like beyond rounding."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How covers are made, and for how much."""

    max_gpu_hours: float = 0.0  # of a day's generate-covers, all shards together; 0: no bound. --max-gpu-hours wins
    seconds_per_cover: float = 0.5  # of one worker, taken where no earlier run of this store has measured it
    cpu_batch_size: int = 8  # images drawn at once on a CPU (covers.batch_size on a GPU)
    states_cache_bytes: int = 1_000_000_000  # of what the language model said of items, kept in the store; 0: not kept
    channels_last: bool = False  # convolutions' memory layout of denoiser and autoencoder
    half_weights: bool = False  # the denoiser whole in bfloat16 on a CPU that multiplies in it, not its products alone
    lean_layers: bool = True  # layers that draw the same with less work on a CPU
    runtime: str = "torch"  # torch | onnx: ONNX Runtime draws, in float32 on a CPU; faster where that has no bfloat16 products
    compile: bool = False  # torch.compile of the denoiser; needs a C++ compiler on a CPU, costs about a minute per process
