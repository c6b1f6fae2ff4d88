"""The training loop: epochs of batches, validation, the best epoch kept, checkpoints."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_train import (
    augment,
    balance,
    checkpoint,
    feed,
    judging,
    parts,
    steps,
    tasks,
)
from tensorgraph_train.checkpoint import Card, Progress
from tensorgraph_train.feed import Feed
from tensorgraph_train.finite import first_nonfinite
from tensorgraph_train.losses import Losses, diverged
from tensorgraph_train.runfile import Settings
from tensorgraph_train.scores import DivergedError


class Run:
    """A training run: what it is made of, and how far it is. Callbacks are handed it.

    ``records`` holds a table for each finished epoch since the start or resumption.
    """

    def __init__(
        self,
        settings: Settings,
        images: Feed,
        card: Card,
        model: tg.Layer,
        transfer: Any = None,
    ) -> None:
        """``transfer`` freezes what a run file's section of that name says."""
        train = settings.train
        self.transfer = transfer
        self.frozen: Any = None  # the names of the parameters that are, as of this epoch
        self.source: Any = images  # what gives batches to ``answer``, the model or a part of it
        self.answer: Any = model
        self.twin: tg.Layer | None = None  # whose weights are judged and kept, not the model's own
        self.settings = settings
        self.feed = images
        self.card = card
        self.model = model
        self.folder = Path()
        self.progress = Progress()
        self.records: list[dict[str, Any]] = []
        self.losses = Losses()
        self.best: dict[str, Any] = {}
        self.seconds = 0.0  # that training took, since the start or resumption
        self.loss = tasks.loss(train, images)
        kind = tg.optimizers[train.optimizer.name]
        self.optimizer: tg.Optimizer = parts.guarded(
            kind if transfer is None else transfer.optimizer(kind),
            tg.optimizers,
            "train.optimizer",
            train.optimizer,
            model.parameters(),
            clip_norm=train.clip_norm,
            clip_value=train.clip_value,
        )
        self.lr = self.optimizer.lr
        self.schedule = parts.make(tg.schedules, "train.schedule", train.schedule)
        self.penalty: Any = None
        if train.regularizer is not None:
            self.penalty = parts.make(tg.regularizers, "train.regularizer", train.regularizer)
        self.callbacks = [parts.make(tg.callbacks, "train.callbacks", c) for c in train.callbacks]
        self.adding = [c for c in self.callbacks if hasattr(c, "extra_loss")]
        self.augment = augment.before_step(train, images)
        self.change = augment.before_step(train, images, labels=False)
        splits = images.dataset.splits
        self.train_indices = np.asarray(splits["train"])
        self.val_indices = np.asarray(splits.get("val", ()), np.int64)
        self.fingerprint = feed.fingerprint(images.dataset)
        self.step = steps.compiled(self._step, train.compile)
        self.infer = self.infer_answer = steps.inference(model, train.compile)
        balance.check(train, images.dataset)
        tasks.check_metric(train, images.dataset, self.val_indices)
        tasks.check_loss(train, images, self.loss, augment.mixing(train.augment))
        if self.penalty is not None:
            self._penalty()

    @property
    def loss_value(self) -> float:
        """The loss of the last batch."""
        self.losses.read(self.progress)
        return self.losses.value

    @property
    def batches(self) -> int:
        """Batches an epoch; the last one may be smaller."""
        return math.ceil(len(self.train_indices) / self.settings.train.batch_size)

    def resume(self) -> None:
        """Go on from the last checkpoint in the folder, if there is one."""
        found = checkpoint.restore(
            self.folder, self.model, self.optimizer, self.callbacks, self.fingerprint
        )
        if found is not None:
            self.progress, self.best = found

    def save(self) -> None:
        checkpoint.save(
            self.folder,
            self.progress,
            self.model,
            self.optimizer,
            self.callbacks,
            self.best,
            self.fingerprint,
            self.card.requires,
        )

    def fit(self) -> None:
        """Train to the end, then put the best weights into the model and save it."""
        epochs, start = self.settings.train.epochs, time.perf_counter()
        self.save()  # from here on there is something to go back to
        with np.errstate(all="ignore"):  # a loss that is not finite is told with more words
            try:
                self._tell("on_start")
                while self.progress.epoch < epochs and not self.progress.stopped:
                    self._epoch()
            finally:
                self.seconds = time.perf_counter() - start
                self._tell("on_end")
        if not self.best:
            with judging.weights(self):
                self.best = checkpoint.host(self.model.state())
        checkpoint.save_model(self.folder, self.card, self.best)
        self.model.load_state(self.best)

    def _tell(self, event: str, *what: Any) -> None:
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(self, *what)

    def _epoch(self) -> None:
        progress, train = self.progress, self.settings.train
        n = len(self.train_indices)
        start = saved = time.perf_counter()
        before = progress.seen
        self._freeze()
        for batch, x in self.source.ahead(self._batches()[progress.batch :]):
            self._train(batch, x)
            if len(self.losses.unread) >= self.losses.behind:
                self._check()
            self._tell("on_batch")
            if time.perf_counter() - saved >= train.checkpoint_every:
                self._check()
                self.save()
                saved = time.perf_counter()
        self._check()
        tg.config.get_backend().synchronize()
        seconds = time.perf_counter() - start
        record = {
            "epoch": progress.epoch + 1,
            "loss": progress.loss_sum / n,
            **self.validate(),
            "lr": self.optimizer.lr,
            "seconds": round(seconds, 3),
            "images_per_second": round((n - before) / seconds, 1),
        }
        self.records.append(record)
        progress.epoch += 1
        progress.batch, progress.loss_sum, progress.seen = 0, 0.0, 0
        self._tell("on_epoch", record)
        self.save()

    def _freeze(self) -> None:
        """Training mode, but for what is frozen in this epoch."""
        self.model.train()
        if self.transfer is None:
            return
        frozen = self.transfer.begin(self.progress.epoch)
        if frozen != self.frozen:
            self.frozen, planned = frozen, self.settings.train.compile
            kept = None if self.augment else self.transfer.features(self.feed, self._once)
            self.source, self.answer = (self.feed, self.model) if kept is None else (kept, kept)
            self.step = steps.compiled(self._step, planned)
            self.infer_answer = steps.inference(self.answer, planned)

    def _once(self, frozen: steps.Step) -> steps.Step:
        """What is asked of every image once: compiled where there are enough of them."""
        images = len(self.train_indices) + len(self.val_indices)
        pays = steps.pays(self.model, self.feed.spec, images, self.settings.train.batch_size)
        return steps.compiled(frozen, pays and self.settings.train.compile)

    def _batches(self) -> list[Any]:
        """The images of each batch of this epoch."""
        train, dataset = self.settings.train, self.feed.dataset
        order = balance.epoch(train, dataset, self.train_indices, self.progress.epoch)
        self.repeats = augment.repeats(order)
        return list(self.feed.batches(order, train.batch_size))

    def _train(self, batch: Any, x: tg.Tensor) -> None:
        """One step, whose loss is read later."""
        self.optimizer.lr = self._rate()
        self.losses.add(self.step(*self._inputs(batch, x)), len(batch))
        self.progress.batch += 1

    def _check(self) -> None:
        """Nothing is kept after a loss that is not finite: that update has spoilt the weights."""
        if not self.losses.read(self.progress):
            raise DivergedError(self._diverged())

    def _inputs(self, batch: Any, x: tg.Tensor) -> tuple[Any, ...]:
        """What the step takes of the batch that comes next, augmented, and what callbacks add. An
        image that comes several times in an epoch is another sample each time."""
        y = self.feed.labels(batch)
        more = [callback.extra_inputs(self) for callback in self.adding]
        if self.augment is None:
            return x, y, *more
        start = self.progress.batch * self.settings.train.batch_size
        before = self.repeats[start : start + len(batch)]
        samples = batch + before * len(self.feed.dataset.labels)
        with tg.no_grad():
            x, y = self.augment(x, y, self._keys(samples))
        return x, y, *more

    def _keys(self, samples: Any, draw: int = 0) -> tg.Tensor:
        return augment.keys(self.settings.train.seed, self.progress.epoch, samples, draw)

    def images(self, indices: Any, *draws: int) -> list[tg.Tensor]:
        """Some images, for each draw once, as augmentation changes them in this epoch: by each
        draw otherwise; that of the step's own batch is 0."""
        x = self.feed.images(indices)
        if self.change is None:
            return [x] * len(draws)
        with tg.no_grad():
            return [self.change(x, self._keys(indices, draw)) for draw in draws]

    def _rate(self) -> float:
        """The learning rate of the next step."""
        passed = self.progress.epoch + self.progress.batch / self.batches
        rate: float = self.lr * self.schedule(passed, self.settings.train.epochs)
        return rate

    def _step(self, x: tg.Tensor, y: tg.Tensor, *more: Any) -> tg.Tensor:
        """All that is computed for a batch; compiled, unless ``train.compile`` is off."""
        loss = self._forward(x, y, *more)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def _forward(self, x: tg.Tensor, y: tg.Tensor, *more: Any) -> tg.Tensor:
        loss = self.loss(self.answer(x), y)
        for callback, given in zip(
            self.adding, more
        ):  # none of them where only a step is looked at
            loss = loss + callback.extra_loss(self, *given)
        return loss if self.penalty is None else loss + self._penalty()

    def _penalty(self) -> tg.Tensor:
        penalty: tg.Tensor = self.penalty(self.model.named_parameters())
        return penalty

    def _diverged(self) -> str:
        """Say where the loss stopped being finite; the weights are left as that step found them."""
        loss = self.losses.value
        batch = self._go_back()
        ((_, x),) = self.source.ahead([batch])
        inputs = self._inputs(batch, x)
        where = first_nonfinite(lambda: self._forward(*inputs))
        return diverged(self, loss, where)

    def _go_back(self) -> Any:
        """To before the batch whose loss is not finite: to the last checkpoint, and from there once
        more. Returns that batch."""
        done, unread = False, self.losses.unread
        while not done:
            end = self.progress.batch - len(unread)  # sooner if other kernels run now than then
            unread.clear()
            self.resume()
            batches = self._batches()
            done = True
            for batch, x in self.source.ahead(batches[self.progress.batch : end]):
                self._train(batch, x)
                done = self.losses.read(self.progress)
                if not done:
                    break
        self.optimizer.lr = self._rate()
        return batches[end]

    def validate(self) -> dict[str, float]:
        """The figures of the weights as they are; they are kept if they are the best so far."""
        return judging.figures(self)
