"""A LoRA of a frozen denoiser, trained on a catalogue's own covers: the loop, its checkpoints, its bytes.

Plain denoising loss (min-SNR weighted, arXiv 2303.09556); a tenth of the images are shown without their title, so that guidance
keeps working. Every step's draws come from (seed, step) alone: a run killed at any step resumes to the same weights.
Knows latents, titles and a denoiser; no data set. Legend: B images, N latent channels, H W latent sides.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser, choose
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.stage import StopSign

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_UNTOLD_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class LoraPlan:
    """How long and how strongly."""

    rank: int
    steps: int
    batch_size: int
    learning_rate: float
    seed: int
    checkpoint_every: int


class DenoiserLora:
    """A denoiser wearing a trainable LoRA on the layers its family names, and its optimiser. ``denoiser.network`` is replaced
    in place."""

    def __init__(self, denoiser: Denoiser, plan: LoraPlan, start: Path | None = None) -> None:
        torch.manual_seed(plan.seed)
        self.denoiser, self.plan, self.step = denoiser, plan, 0
        if start is not None:
            self.network: Any = PeftModel.from_pretrained(denoiser.network, start, is_trainable=True)
        else:
            names = {name for name, _ in denoiser.network.named_modules()}
            wanted = denoiser.lora_targets
            targets = [target for target in wanted if any(name == target or name.endswith(f".{target}") for name in names)]
            config = LoraConfig(r=plan.rank, lora_alpha=plan.rank, target_modules=targets, init_lora_weights=True)
            self.network = get_peft_model(denoiser.network, config)
        denoiser.network = self.network.eval()
        self.trained = {name: value for name, value in self.network.named_parameters() if value.requires_grad}
        self.optimiser = torch.optim.AdamW(self.trained.values(), lr=plan.learning_rate, weight_decay=1e-4)
        self.losses: list[float] = []

    def train(self, latents_BNHW: Tensor, told: Conditioning, checkpoint: Path, stop: StopSign) -> None:
        """Go on from the checkpoint to the last step; raises Interrupted after saving when asked to stop."""
        self._resume(checkpoint)
        untold = self.denoiser.unconditional()
        while self.step < self.plan.steps:
            self._advance(latents_BNHW, told, untold)
            if self.step % self.plan.checkpoint_every == 0 or self.step == self.plan.steps or stop.raised:
                self._save(checkpoint)
                stop.check(f"saved step {self.step} of {self.plan.steps}")

    def files(self) -> dict[str, bytes]:
        """What PeftModel.from_pretrained reads, as bytes; the same weights give the same bytes."""
        weights = get_peft_model_state_dict(self.network)
        config: dict[str, Any] = self.network.peft_config["default"].to_dict()
        plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
        plain |= {"inference_mode": True, "base_model_name_or_path": None}
        return {
            WEIGHTS: safetensors.torch.save(
                {name: value.float().cpu().contiguous() for name, value in sorted(weights.items())}
            ),
            CONFIG: json.dumps(plain, sort_keys=True, indent=1, default=str).encode(),
        }

    def _advance(self, latents_BNHW: Tensor, told: Conditioning, untold: Conditioning) -> None:
        draws = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        size = self.plan.batch_size
        rows = torch.randint(len(latents_BNHW), (size,), generator=draws)
        times = torch.randint(self.denoiser.num_train_timesteps, (size,), generator=draws)
        noise = torch.randn((size, *latents_BNHW.shape[1:]), generator=draws)
        silent = torch.rand(size, generator=draws) < _UNTOLD_SHARE
        device = latents_BNHW.device
        rows, silent = rows.to(device), silent.to(device)
        heard = choose(silent, untold, told.rows(rows))
        loss = self.denoiser.denoising_loss(latents_BNHW[rows], heard, noise.to(device), times.to(device)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.trained.values(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.losses.append(round(float(loss.detach()), 6))

    def _save(self, folder: Path) -> None:
        """Weights, optimiser and losses beside each other; the small file that names the step is moved into place last."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"weight.{name}": value for name, value in get_peft_model_state_dict(self.network).items()}
        for name, parameter in self.trained.items():
            tensors |= {f"optimiser.{key}.{name}": value for key, value in self.optimiser.state[parameter].items()}
        name = f"state-{self.step:06d}.safetensors"
        safetensors.torch.save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, folder / name)
        fresh = folder / "progress.json.partial"
        fresh.write_text(json.dumps({"step": self.step, "state": name, "losses": self.losses, "plan": repr(self.plan)}))
        fresh.replace(folder / "progress.json")
        for old in folder.glob("state-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _resume(self, folder: Path) -> None:
        if not (folder / "progress.json").is_file():
            return
        progress: Mapping[str, Any] = json.loads((folder / "progress.json").read_text())
        if progress["plan"] != repr(self.plan):
            return  # another plan's checkpoint: begin anew
        try:
            tensors = safetensors.torch.load_file(folder / progress["state"])
        except (OSError, safetensors.SafetensorError) as error:
            raise DataCorrupt(f"checkpoint {folder} cannot be read ({error}); delete that folder to begin anew") from error
        weights = {name.removeprefix("weight."): value for name, value in tensors.items() if name.startswith("weight.")}
        set_peft_model_state_dict(self.network, weights)
        for name, parameter in self.trained.items():
            state = {key: tensors[f"optimiser.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            self.optimiser.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in state.items()
            }
        self.step, self.losses = int(progress["step"]), list(progress["losses"])
