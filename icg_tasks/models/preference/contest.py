"""The day's contest: the challenger, three baselines and a model without images, trained on the same rows, judged on the same.

Baselines: ``global_rate`` (one number), ``item_popularity`` (smoothed click rate of the item), ``user_topic`` (user and item
titles alone). ``no_image`` is the challenger with pictures hidden: where it does as well, looks carry no signal, and the report
must say so. Every predictor but the first gets the user's activity or the item's popularity only as far as it learned them.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from icg_tasks.models.preference.fit import fit_network, item_residuals, place_log_odds, predicted
from icg_tasks.models.preference.gate import Canaries
from icg_tasks.models.preference.judge import AUC, CALIBRATION, Judge, Prediction, to_json
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.models.preference.samples import Samples, Split
from icg_tasks.models.statistics import Interval, NoFigureError
from icg_tasks.stage import StageContext

CHALLENGER, NO_IMAGE = "model", "no_image"
GLOBAL_RATE, ITEM_POPULARITY, USER_TOPIC = "global_rate", "item_popularity", "user_topic"
BASELINES = (GLOBAL_RATE, ITEM_POPULARITY, USER_TOPIC)

Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge found."""

    auc: Interval
    baseline_aucs: dict[str, Interval]
    difference_to_champion: Interval | None
    canaries: Canaries
    figures: dict[str, Any]
    calibration: list[dict[str, float]]


class Contest:
    """Trains all predictors on construction; ``model`` is the challenger."""

    def __init__(self, context: StageContext, split: Split) -> None:
        self.context, self.split, self.settings = context, split, context.settings.preference
        width = split.train.covers_NV.shape[1] // 2
        config = PreferenceConfig(width=width, rank=self.settings.rank, num_slots=len(split.slots) + 1)
        self.networks = {
            CHALLENGER: self._fitted(CHALLENGER, config),
            NO_IMAGE: self._fitted(NO_IMAGE, replace(config, uses_image=False)),
            USER_TOPIC: self._fitted(USER_TOPIC, replace(config, uses_image=False, uses_base=False)),
        }
        prior = self.settings.item_prior
        train = split.train
        self.residuals = {
            name: item_residuals(predicted(self.networks[name], train, with_place=True), train, prior)
            for name in (CHALLENGER, NO_IMAGE)
        }
        self.place, self.rate = place_log_odds(train, config.num_slots)
        self.residuals[ITEM_POPULARITY] = item_residuals(self.rate + self.place[train.slot_R], train, prior)
        self.model = self._packed()

    def verdict(self, champion: Prediction | None) -> Verdict:
        """Judge everybody on the held-out users of the run date; ``champion`` is its prediction on the same rows."""
        judge = Judge(self.split.test, self.settings.bootstrap_samples, self.settings.seed)
        predictions = {name: self._prediction(name, self.split.test) for name in (CHALLENGER, NO_IMAGE, *BASELINES)}
        found = {name: judge.figures(prediction) for name, prediction in predictions.items()}
        aucs = {name: _defined(figures[AUC], AUC) for name, figures in found.items()}
        best = max(BASELINES, key=lambda name: aucs[name].mean)
        ours = predictions[CHALLENGER]
        difference = judge.auc_difference(ours.place_free, champion.place_free) if champion else None
        canaries = self._canaries(judge, found[CHALLENGER], ours)
        figures = {
            "figures": {name: to_json(entry) for name, entry in found.items()},
            "best_baseline": best,
            "difference_to_best_baseline": to_json(judge.differences(ours, predictions[best])),
            "difference_to_no_image": to_json(judge.differences(ours, predictions[NO_IMAGE])),
            "difference_to_champion": difference.to_json() if difference else None,
            "new_items": self._on_new_items(),
            "canaries": canaries.to_json(),
            "judged_users": judge.num_users,
            "source": self.context.settings.source,
        }
        return Verdict(
            auc=aucs[CHALLENGER],
            baseline_aucs={name: aucs[name] for name in BASELINES},
            difference_to_champion=difference,
            canaries=canaries,
            figures=figures,
            calibration=judge.calibration_table(ours),
        )

    def _fitted(self, name: str, config: PreferenceConfig) -> PreferenceNetwork:
        def say(message: str) -> None:
            self.context.say(f"{name}: {message}")

        train, validation = self.split.train, self.split.validation
        return fit_network(config, train, validation, self.settings, say, self.context.stop.check)

    def _packed(self) -> PreferenceModel:
        network = self.networks[CHALLENGER]
        served = predicted(network, self.split.validation, served=True)
        items = {
            self.split.train.item_ids[row]: float(self.residuals[CHALLENGER][row]) for row in np.unique(self.split.train.item_R)
        }
        return PreferenceModel(
            network=network,
            encoder=self.split.encoder,
            score_mean=float(served.mean()),
            score_deviation=float(max(served.std(), 1e-3)),
            slots=self.split.slots,
            item_logits=items,
        )

    def _prediction(self, name: str, samples: Samples) -> Prediction:
        if name in self.networks:
            network = self.networks[name]
            item = self.residuals[name][samples.item_R] if name in self.residuals else 0.0
            return Prediction(
                place_free=predicted(network, samples) + item, in_place=predicted(network, samples, with_place=True) + item
            )
        item_R = self.residuals[name][samples.item_R] if name in self.residuals else np.zeros(len(samples))
        return Prediction(place_free=self.rate + item_R, in_place=self.rate + item_R + self.place[samples.slot_R])

    def _canaries(self, judge: Judge, found: dict[str, Interval | None], ours: Prediction) -> Canaries:
        test, network = self.split.test, self.networks[CHALLENGER]
        own = predicted(network, test, served=True)
        swapped = predicted(network, test, served=True, users_R=torch.from_numpy(swapped_users(test)))
        return Canaries(
            calibration_error=_defined(found[CALIBRATION], CALIBRATION).mean,
            calibration_noise=judge.calibration_noise(ours),
            dispersion=float(own.std()),
            own_minus_swapped=judge.auc_difference(own, swapped),
        )

    def _on_new_items(self) -> dict[str, Any]:
        """The challenger and the topic baseline on items that no training row showed; empty where there are too few rows."""
        samples = self.split.test_new_items
        if not 0 < samples.clicked_R.sum() < len(samples):
            return {}
        judge = Judge(samples, self.settings.bootstrap_samples, self.settings.seed)
        return {name: to_json(judge.figures(self._prediction(name, samples))) for name in (CHALLENGER, NO_IMAGE, USER_TOPIC)}


def _defined(found: Interval | None, name: str) -> Interval:
    if found is None:
        raise NoFigureError(f"the judged rows do not define {name}; judge on more days or users")
    return found


def champion_prediction(champion: PreferenceModel, split: Split) -> Prediction:
    """What an earlier model says of the judged rows, with the places and items as it knew them."""
    number = {slot: index + 1 for index, slot in enumerate(champion.slots)}
    translation = np.array([0, *(number.get(slot, 0) for slot in split.slots)], dtype=np.int64)
    samples = replace(split.test, slot_R=translation[split.test.slot_R])
    item = np.array([champion.item_logits.get(name, 0.0) for name in samples.item_ids])[samples.item_R]
    return Prediction(
        place_free=predicted(champion.network, samples) + item,
        in_place=predicted(champion.network, samples, with_place=True) + item,
    )


def swapped_users(samples: Samples) -> NDArray[np.int64]:
    """For each row the vector of another user [R]: users in a circle, each gets that of the one half-way round."""
    users, first, back = np.unique(samples.group_R, return_index=True, return_inverse=True)
    vectors = samples.user_R[first]
    return np.asarray(np.roll(vectors, len(users) // 2)[back])
