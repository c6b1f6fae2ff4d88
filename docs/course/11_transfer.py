"""What was learnt elsewhere helps where images are few."""

# %% [markdown]
# # 11. Transfer
#
# A small network learns the digits 0 to 4 from hundreds of images. Its filters then know strokes
# and corners, which 5 to 9 are made of too. From a handful of images of 5 to 9 we learn three ways:
# from scratch; a new last layer on frozen filters, kept as they are; and the same with all layers
# trained on, which is fine-tuning. A run file says `freeze = "body"` in its section [transfer].

# %%
import copy

import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

COUNTS, REPEATS = (1, 2, 4, 8, 16), 3
digits = tg.datasets.digits.load(None)
images = (digits.images[:] / digits.white).astype("float32")
images = np.pad(images, ((0, 0), (0, 0), (3, 3), (3, 3)))  # patients do not lie in the middle:
for image, shift in zip(images, np.random.default_rng(0).integers(-3, 4, (len(images), 2))):
    image[:] = np.roll(image, shift, axis=(1, 2))
train, test = digits.splits["train"], digits.splits["test"]
old = train[digits.labels[train] < 5]
new, unseen = (part[digits.labels[part] >= 5] for part in (train, test))


def fit(model, x, labels, steps, batch=32):
    model.train()
    optimizer = tg.optimizers.adam(model.parameters(), lr=0.005)
    random = np.random.default_rng(0)
    for _ in range(steps):
        chosen = random.choice(len(x), min(batch, len(x)), replace=False)
        optimizer.zero_grad()
        tg.ops.cross_entropy(model(tg.tensor(x[chosen])), tg.tensor(labels[chosen])).backward()
        optimizer.step()
    return model.eval()


def accuracy(model, x, labels):
    with tg.no_grad():
        return float((model(tg.tensor(x)).numpy().argmax(axis=1) == labels).mean())


# %%
tg.seed(0)
expert = fit(tg.models.small_cnn(classes=5), images[old], digits.labels[old], 400)
body = expert[:-1]  # all but the last layer
with tg.no_grad():  # frozen: computed once for each image
    features, features_unseen = (body(tg.tensor(images[part])).numpy() for part in (new, unseen))
labels, truth = digits.labels[new] - 5, digits.labels[unseen] - 5

found = {name: np.zeros((len(COUNTS), REPEATS)) for name in ("scratch", "frozen", "fine-tuned")}
for i, count in enumerate(COUNTS):
    for seed in range(REPEATS):
        order = np.random.default_rng(seed).permutation(len(new))
        few = np.concatenate([order[labels[order] == k][:count] for k in range(5)])
        tg.seed(seed)
        scratch = fit(tg.models.small_cnn(classes=5), images[new][few], labels[few], 60)
        found["scratch"][i, seed] = accuracy(scratch, images[unseen], truth)
        head = fit(tg.layers.linear(5), features[few], labels[few], 60)
        found["frozen"][i, seed] = accuracy(head, features_unseen, truth)
        tuned = tg.layers.sequential(*copy.deepcopy(body), tg.layers.linear(5))
        fit(tuned, images[new][few], labels[few], 60)
        found["fine-tuned"][i, seed] = accuracy(tuned, images[unseen], truth)
    print(f"{count:3} a class", {name: f"{s[i].mean():.0%}" for name, s in found.items()})

# %%
figure, panel = plt.subplots(figsize=(8, 4.2), layout="constrained")
for name, scores in found.items():
    panel.plot(COUNTS, scores.mean(axis=1), "o-", label=name)
    panel.fill_between(COUNTS, scores.min(axis=1), scores.max(axis=1), alpha=0.2)
panel.axhline(0.2, color="gray", ls=":", label="guessing")
panel.set(xscale="log", xticks=COUNTS, xticklabels=COUNTS, ylim=(0, 1))
panel.minorticks_off()
panel.set(xlabel="images of each new digit", ylabel="accuracy on unseen images")
panel.legend()
plt.show()
