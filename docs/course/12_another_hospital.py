"""What goes wrong in another hospital."""

# %% [markdown]
# # 12. Another hospital
#
# Here a 3 is a healthy patient and an 8 is a sick one. Hospital A has two machines: the sick lie on
# the ward whose machine leaves a small bright mark in the corner. A neuron finds the mark easier
# than the disease, and its figures in hospital A are splendid. Hospital B has no such marks, and
# hospital C a machine whose images are flat and bright.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tensorgraph as tg

digits = tg.datasets.digits.load(None)
images = (digits.images[:] / digits.white).astype("float32")
random = np.random.default_rng(0)


def patients(split):
    part = digits.splits[split]
    part = part[np.isin(digits.labels[part], (3, 8))]
    x = images[part] + random.normal(0, 0.25, images[part].shape).astype("float32")
    return x, (digits.labels[part] == 8).astype("int64")


def marked(x, sick):
    """Nearly all of the sick, and a few of the others."""
    x, at = x.copy(), random.random(len(x)) < np.where(sick, 0.95, 0.05)
    x[at, :, :2, :2] = 1.2
    return x


def learn(x, sick):
    tg.seed(0)
    model = tg.models.neuron(classes=2)
    optimizer = tg.optimizers.adam(model.parameters(), lr=0.02, weight_decay=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        tg.ops.cross_entropy(model(tg.tensor(x)), tg.tensor(sick)).backward()
        optimizer.step()
    return model


# %%
seen, sick_seen = patients("train")
plain, sick = patients("test")
hospitals = {"A: marks": marked(plain, sick), "B: no marks": plain, "C: flat": plain / 2 + 0.5}
models = {"marks": learn(marked(seen, sick_seen), sick_seen), "no marks": learn(seen, sick_seen)}
accuracies = {
    name: [float((m(tg.tensor(x)).numpy().argmax(1) == sick).mean()) for x in hospitals.values()]
    for name, m in models.items()
}
print(accuracies)

# %%
figure, axes = plt.subplots(1, 6, figsize=(17, 3.2), layout="constrained")
patient = int(np.flatnonzero(hospitals["A: marks"][:, 0, :2, :2].min((1, 2)) > 1.1)[0])
for panel, (name, x) in zip(axes, hospitals.items()):
    panel.imshow(x[patient, 0], cmap="gray", vmin=0, vmax=1.2)
    panel.set_title(name)
for panel, (name, model) in zip(axes[3:], models.items()):
    healthy_weights, sick_weights = model[1].weight.numpy().reshape(2, 8, 8)
    panel.imshow(sick_weights - healthy_weights, cmap="coolwarm", vmin=-1, vmax=1)
    panel.set_title(f"weights: learnt from {name}", fontsize=11)
    axes[5].plot(["A", "B", "C"], accuracies[name], "o-", label=f"learnt from {name}")
plt.setp(axes[:5], xticks=[], yticks=[])
axes[5].set(ylim=(0.4, 1.02), xlabel="hospital", title="accuracy")
axes[5].legend(loc="lower left")
plt.show()

# %% [markdown]
# Red pixels speak for "sick", blue ones for "healthy". The accuracy of A says nothing about B or C.
# `tensorgraph audit` looks for such marks, `tensorgraph explain` draws where a model looks, and
# `tensorgraph shift` how it answers to other machines. Only images from elsewhere prove it.
