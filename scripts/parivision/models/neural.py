"""A small neural network on top of the logistic regression: embeddings of player, team and opponent, and context."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.errors import ModelError
from parivision.features import CATEGORICAL, FEATURES, Features, matrix
from parivision.models.base import Calibration, FloatArray, Model, logit, sigmoid
from parivision.models.logistic import Logistic

if TYPE_CHECKING:
    import torch

Float32 = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]


class Neural(Model):
    """A multilayer perceptron that corrects a logistic regression, fitted with torch and used with numpy alone.

    The regression's log-odds are an input and are added to the output. A network that saw the fine place itself
    learned how one season's places were recorded and was .003 nats a shot worse in the next one, on games before
    2018; so the exact place reaches it through the regression alone.

    Whoever is not in the training games gets the embedding "unknown", which learns from the shots whose ids are
    hidden at random (`hide_ids`). Training stops where the validation games stop to gain.
    """

    name: ClassVar[str] = "neural"
    suffix: ClassVar[str] = ".npz"
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "logistic": {},  # settings of the regression
        "hidden": [96, 48],
        "player_width": 12,
        "other_width": 4,
        "dropout": 0.1,
        "hide_ids": 0.1,
        "learning_rate": 3e-3,
        "decay": 0.6,  # of the learning rate, from one pass to the next
        "weight_decay": 0.02,
        "batch": 1024,
        "epochs": None,  # passes over the shots; None stops where the validation games stop to gain
    }
    _MAX_EPOCHS: ClassVar[int] = 8
    _PATIENCE_EPOCHS: ClassVar[int] = 2
    _NOT_SEEN: ClassVar[frozenset[str]] = frozenset({"distance_ft", "x_ft", "y_ft", "angle_from_straight_deg"})
    _IDS: ClassVar[tuple[str, ...]] = ("player_id", "team_code", "opponent_code")

    def __init__(self, kind: str, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind, seed, settings)
        self.numeric = [c for c in FEATURES[kind] if c not in CATEGORICAL | self._NOT_SEEN]
        self.categorical = [*self._IDS, *(c for c in FEATURES[kind] if c in CATEGORICAL)]
        self.base = Logistic(kind, seed, self.settings["logistic"])
        self.epochs: int | None = self.settings["epochs"]
        # Everything learned: "levels.<column>", "embedding.<column>", "mean", "scale", "missing", "weight.<layer>",
        # "bias.<layer>".
        self.arrays: dict[str, npt.NDArray[Any]] = {}

    @classmethod
    def unavailable(cls) -> str:
        """See `Model.unavailable`."""
        return "" if importlib.util.find_spec("torch") else 'torch is not installed (pip install "parivision[neural]")'

    def _inputs(self, features: Features) -> tuple[Float32, Codes]:
        """What the network sees of each shot.

        Returns
        -------
        numbers : array, shape (n, 1 + numeric columns + columns with gaps)
            Log-odds of the regression, standardised numbers, indicators of missing ones.
        codes : array, shape (n, categorical columns)
            Rows of the embeddings; 0 is unknown.
        """
        log_odds = logit(self.base.predict(features))[:, None]
        raw = matrix(features, self.numeric)
        numbers = np.nan_to_num((raw - self.arrays["mean"]) / self.arrays["scale"], posinf=0.0, neginf=0.0)
        missing = np.isnan(raw[:, self.arrays["missing"]]).astype(np.float32)
        codes = []
        for column in self.categorical:
            levels = self.arrays[f"levels.{column}"]
            value = np.nan_to_num(np.asarray(features[column], float), nan=-1.0).astype(np.int64)
            at = np.minimum(np.searchsorted(levels, value), max(len(levels) - 1, 0))
            known = levels[at] == value if len(levels) else np.zeros(len(value), bool)  # none of them was ever told
            codes.append(np.where(known, at + 1, 0))
        return np.hstack([log_odds, np.clip(numbers, -8, 8), missing]).astype(np.float32), np.column_stack(codes)

    def _describe(self, features: pd.DataFrame) -> None:
        raw = features[self.numeric].to_numpy(float)
        known = ~np.isnan(raw)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, raw, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, raw - mean, 0.0) ** 2).sum(axis=0) / count)
        self.arrays = {
            "mean": mean.astype(np.float32),
            "scale": np.maximum(spread, 1e-3).astype(np.float32),
            "missing": np.flatnonzero(~known.all(axis=0)),
        }
        for column in self.categorical:
            value = features[column].to_numpy(float)
            self.arrays[f"levels.{column}"] = np.unique(value[~np.isnan(value)]).astype(np.int64)

    def fit(
        self,
        features: pd.DataFrame,
        made: FloatArray,
        weight: FloatArray,
        validation: tuple[pd.DataFrame, FloatArray] | None = None,
    ) -> None:
        """See `Model.fit`. Without validation it makes `epochs` passes, which must then be given.

        Raises
        ------
        ModelError
            Where torch is not installed, or neither validation nor passes are given.
        """
        if reason := self.unavailable():
            raise ModelError(f"the neural model cannot be fitted: {reason}")
        if validation is None and self.epochs is None:
            raise ModelError("the neural model needs validation games, or a number of epochs")
        import torch

        self.base.fit(features, made, weight)
        self._describe(features)
        numbers, codes = self._inputs(features)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng():  # leaves everyone else's random numbers as they were
            torch.manual_seed(self.seed)
            network = self._network(numbers.shape[1]).to(device)
            data = [torch.as_tensor(a, device=device) for a in (numbers, codes, made.astype(np.float32))]
            data.append(torch.as_tensor(weight.astype(np.float32), device=device))
            best, best_loss, waited = self._weights(network), np.inf, 0
            for epoch in range(self._MAX_EPOCHS if validation is not None else self.epochs or 0):
                self._pass(network, data, self.settings["learning_rate"] * self.settings["decay"] ** epoch)
                self.arrays.update(self._weights(network))
                if validation is None:
                    continue
                p = self._predict(validation[0])
                loss = -np.log(np.where(validation[1] > 0.5, p, 1 - p)).mean()
                waited += 1
                if loss < best_loss:
                    best, best_loss, waited, self.epochs = self._weights(network), loss, 0, epoch + 1
                if waited == self._PATIENCE_EPOCHS:
                    break
            if validation is not None:
                self.arrays.update(best)

    def _network(self, width: int) -> torch.nn.ModuleDict:
        from torch import nn

        widths = {c: self.settings["player_width" if c == "player_id" else "other_width"] for c in self.categorical}
        tables = {c: nn.Embedding(len(self.arrays[f"levels.{c}"]) + 1, w) for c, w in widths.items()}
        for table in tables.values():
            nn.init.normal_(table.weight, std=0.05)
        sizes = [width + sum(widths.values()), *self.settings["hidden"], 1]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(sizes)):
            linear = nn.Linear(before, after)
            layers += [linear]
            if i < len(sizes) - 2:
                layers += [nn.ReLU(), nn.Dropout(self.settings["dropout"])]
        nn.init.zeros_(linear.weight)  # it starts as the regression
        return nn.ModuleDict({"embeddings": nn.ModuleDict(tables), "layers": nn.Sequential(*layers)})

    def _pass(self, network: Any, data: list[torch.Tensor], learning_rate: float) -> None:
        """One pass over the shots, in random order."""
        import torch

        numbers, codes, made, weight = data
        # A new optimiser each pass: the passes then do not depend on how many are to come.
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=learning_rate, weight_decay=self.settings["weight_decay"]
        )
        network.train()
        order = torch.randperm(len(made)).to(made.device)
        for batch in torch.split(order, self.settings["batch"]):
            shown = codes[batch]
            hidden = torch.rand(len(batch), len(self._IDS)).to(made.device) < self.settings["hide_ids"]
            ids = shown[:, : len(self._IDS)].masked_fill(hidden, 0)
            shown = torch.cat([ids, shown[:, len(self._IDS) :]], dim=1)
            embedded = [table(shown[:, i]) for i, table in enumerate(network["embeddings"].values())]
            log_odds = network["layers"](torch.cat([numbers[batch], *embedded], dim=1)).squeeze(1) + numbers[batch, 0]
            losses: Any = torch.nn.functional.binary_cross_entropy_with_logits(
                log_odds, made[batch], weight=weight[batch], reduction="mean"
            )
            optimiser.zero_grad()
            losses.backward()
            optimiser.step()
        network.eval()

    def _weights(self, network: Any) -> dict[str, npt.NDArray[Any]]:
        from torch import nn

        tables = network["embeddings"]
        found = {f"embedding.{c}": table.weight.detach().cpu().numpy().copy() for c, table in tables.items()}
        linear = [layer for layer in network["layers"].children() if isinstance(layer, nn.Linear)]
        for i, layer in enumerate(linear):
            found[f"weight.{i}"] = layer.weight.detach().cpu().numpy().T.copy()
            found[f"bias.{i}"] = layer.bias.detach().cpu().numpy().copy()
        return found

    def _predict(self, features: Features) -> FloatArray:
        numbers, codes = self._inputs(features)
        embedded = [self.arrays[f"embedding.{c}"][codes[:, i]] for i, c in enumerate(self.categorical)]
        layer = np.hstack([numbers, *embedded])
        last = len(self.settings["hidden"])
        for i in range(last + 1):
            layer = layer @ self.arrays[f"weight.{i}"] + self.arrays[f"bias.{i}"]
            if i < last:
                layer = np.maximum(layer, 0.0)
        return sigmoid(layer[:, 0] + numbers[:, 0])

    def refit_settings(self) -> dict[str, Any]:
        """See `Model.refit_settings`: with the passes that early stopping found."""
        return {**self.settings, "epochs": self.epochs}

    def dump(self) -> bytes:
        """See `Model.dump`: numpy's archive of plain arrays, our settings and calibration as one text."""
        calibration = asdict(self.calibration) if self.calibration else None
        about: dict[str, Any] = {"model": self.name, "kind": self.kind, "settings": self.settings}
        about |= {"calibration": calibration, "inputs": [self.numeric, self.categorical], "epochs": self.epochs}
        about |= {"base": json.loads(self.base.dump())}
        file = io.BytesIO()
        np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **self.arrays)  # type: ignore[arg-type]
        return file.getvalue()

    def load(self, data: bytes) -> None:
        """See `Model.load`."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (EOFError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"it is not an archive of arrays: {error}") from None
        about = json.loads(arrays.pop("about").tobytes())
        if (about["model"], about["kind"]) != (self.name, self.kind):
            raise ValueError(f"it does not describe a {self.kind} {self.name}")
        if about["inputs"] != [self.numeric, self.categorical] or set(about["settings"]) != set(self.DEFAULTS):
            raise ValueError("it was fitted on other inputs or settings than those of today")
        self.settings, self.epochs, self.arrays = about["settings"], about["epochs"], arrays
        self.calibration = Calibration(**about["calibration"]) if about["calibration"] else None
        self.base.load(json.dumps(about["base"]).encode())
        self._check_shapes()

    def _check_shapes(self) -> None:
        """ValueError where the arrays do not fit one another."""
        width = 1 + len(self.numeric) + len(self.arrays["missing"])
        for column in self.categorical:
            table, levels = self.arrays[f"embedding.{column}"], self.arrays[f"levels.{column}"]
            if table.ndim != 2 or len(table) != len(levels) + 1:
                raise ValueError(f"its embedding of {column} does not fit its levels")
            width += table.shape[1]
        for i, after in enumerate([*self.settings["hidden"], 1]):
            if self.arrays[f"weight.{i}"].shape != (width, after) or self.arrays[f"bias.{i}"].shape != (after,):
                raise ValueError(f"its layer {i} does not fit the one before")
            width = after

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        weights = sum(a.size for name, a in self.arrays.items() if name.startswith(("weight", "bias", "embedding")))
        return {**super().parameters(), "epochs": self.epochs, "weights": weights}
