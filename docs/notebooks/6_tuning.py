# %% [markdown]
# # 6. Tuning
#
# Training sets the weights of a network. Who sets the rest: how many latent numbers, how wide the networks, how large the steps of the optimizer? In
# this notebook you search for such numbers, first by hand and then with `vaekit.tune`. You see why other data than the training data must choose, why
# the winner of any contest looks better than it is, and how to find out what it is really worth.
#
# You need notebook 1: the latent variable and the ELBO, the training set and the test set. The whole takes two to three minutes.
#
# (To run it a second time, delete the folder `runs` first: nothing is overwritten.)

# %%
import math
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import NullLocator

import vaekit

warnings.filterwarnings("ignore", message="IProgress")  # of a progress bar that nobody asked for

EPOCHS = 40  # in tests: 1
WIDTH_EPOCHS = 600  # in tests: 1
TRIES = 6  # in tests: 2
TRIALS = 30  # in tests: 2
SEEDS = 3  # in tests: 1
LONG = 200  # in tests: 1
DRAWS = 64  # in tests: 4

# %% [markdown]
# ## Numbers that training does not set
#
# A **hyperparameter** is a number that has to be there before training begins. Examples are the size of $z$, the width of the networks, the
# **learning rate** (how far the optimizer goes in one step), and how many times all pictures are seen. In `vaekit` they stand in a **recipe**, a
# short file that says what the data, the model and the training are. Any of them can be set anew by its path:

# %%
SHORT = [f"train.epochs={EPOCHS}", "train.time=null"]  # the recipe's limit on time is lifted: all computers do the same

run = vaekit.train("digits", overrides=[*SHORT, "model.latent=10", "train.lr=0.002"])
print(f"{run.info.seconds:.1f} s; digits in each part of the data: {run.info.sizes}")
for split in ("train", "validation"):
    print(f"ELBO, {split:10} {vaekit.evaluate(run, split, samples=DRAWS).elbo_nats} nats")

# %% [markdown]
# The data are the digits of notebook 1, with all their 17 grey levels. They come in *three* parts. The **training** pictures set the weights, and the
# **test** pictures say at the very end how good the result is; until then we leave them alone. The **validation** pictures are new: they are for
# choosing. What follows says why each is needed.
#
# (The number after ± is the **standard error**: the standard deviation of the figures of single pictures, divided by the square root of their number.
# By about so much the mean is off, typically, from that over endlessly many pictures.)
#
# ## Why the training pictures cannot choose
#
# Let the networks be narrow or wide, train each for the same time, and look at the ELBO of the training pictures and of the validation pictures at
# the end. To see the effect clearly we train with few pictures, 180, and switch off the recipe's safeguard for networks that are too wide
# (*dropout*).

# %%
widths = (4, 16, 64, 256, 1024)
last = []
for width in widths:
    overrides = [f"train.epochs={WIDTH_EPOCHS}", "train.time=null", "train.validate_every=100"]
    overrides += ["data.validation=0.45", "data.test=0.45"]  # a tenth is left for training
    for part in ("encoder", "decoder"):
        overrides += [f"model.{part}.hidden=[{width}]", f"model.{part}.dropout=0.0"]
    line = vaekit.train("digits", overrides=overrides).history[-1]  # what the log says of the last epoch
    last.append((line["train"]["elbo_nats"], line["validation"]["elbo_nats"]))

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, values in zip(("training pictures", "validation pictures"), zip(*last, strict=True), strict=True):
    axis.plot(widths, values, "o-", label=name)
axis.set_xscale("log", base=2)
axis.set(xlabel="width of the networks", ylabel="ELBO (nats)", xticks=widths, xticklabels=widths)
axis.legend()
plt.show()

# %% [markdown]
# On the training pictures the widest network wins. On pictures that it has not seen it is by far the worst. It has learned its 180 pictures by heart,
# down to the last pixel, and takes everything else for impossible. That is **overfitting**. The training pictures cannot see it. So pictures that
# have set no weight must choose.
#
# (In the same way `vaekit` chooses *when* the weights are best: it validates now and then, and keeps those with the highest ELBO of the validation
# pictures. So the weights of a run may be better than those of its last epoch.)
#
# ## Why the winner is a little lucky
#
# Choosing uses up data, too. Imagine $n$ models that are all *equally good*. Each is measured on some held-out pictures, and a measurement has an
# error, let us say normal with a standard deviation of 1. You take the model with the best figure. How good does it look?

# %%
random = np.random.default_rng(0)
counts = np.array([1, 2, 4, 8, 16, 32, 64, 128])
best = np.array([random.normal(size=(20000, n)).max(1).mean() for n in counts])

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(counts, best, "o-", label="figure of the best, on average")
axis.axhline(0, color="0.5", ls="--", label="what all of them are worth")
axis.set_xscale("log", base=2)
axis.set(xlabel="models to choose from", ylabel="in units of the error", xticks=counts, xticklabels=counts)
axis.legend()
plt.show()

# %% [markdown]
# Nothing was gained, and yet the figure goes up with every model that takes part. Among 20 equal models the best is too good by almost two standard
# deviations. This is called the **winner's curse**. Real models differ, so choosing does gain something. How much of what you see is gain, and how
# much luck?

# %%
quality = random.normal(0, 0.5, size=(20000, 20))  # true values: 20 models, which differ by less than the error
measured = quality + random.normal(0, 1, quality.shape)
winner = measured.argmax(1)[:, None]
true, seen = np.take_along_axis(quality, winner, 1), np.take_along_axis(measured, winner, 1)
again = true + random.normal(0, 1, true.shape)
print(
    f"the winner's figure {seen.mean():.2f}; what it is worth {true.mean():.2f}; measured again on fresh data {again.mean():.2f}"
)

# %% [markdown]
# Choosing was right: the winner is better than the average model, whose worth is 0. But its own figure promises far more. **Fresh data tells the
# truth**, because it had no part in the choice. That is what the test pictures are for; and it is why nobody may look at them before. Whoever tries
# ten models on the test pictures and reports the best has no test pictures any more.
#
# ## Random search, by hand
#
# Let us search for two numbers: the size of $z$ and the learning rate. The plainest method that is any good is to try combinations drawn at random.
# Three remarks:
#
# - *Random, not on a grid.* Six trials on a grid of 3 × 2 try three sizes and two rates. Six random trials try six of each. Often one of the two
#   numbers matters much more than the other, and then the grid has wasted most of its trials.
# - *By logarithms.* From 2 latent numbers to 4 is a great step, from 62 to 64 none. So draw the logarithm evenly: each doubling is equally likely.
# - *Short trainings.* We train for a fifth of the recipe's time, and hope that what is better then is better later. We will check.

# %%
random = np.random.default_rng(1)


def by_logarithms(low, high):
    """A number from low to high, each doubling as likely as any other."""
    return math.exp(random.uniform(math.log(low), math.log(high)))


tries = []
for _ in range(TRIES):
    latent, rate = round(by_logarithms(2, 64)), by_logarithms(3e-4, 1e-2)
    run = vaekit.train("digits", overrides=[*SHORT, f"model.latent={latent}", f"train.lr={rate:.6f}"])
    value = vaekit.evaluate(run, "validation", samples=DRAWS).elbo_nats
    tries.append((value.mean, latent, rate, run))
    print(f"latent {latent:2}, learning rate {rate:.5f}: ELBO of the validation pictures {value}")

# %% [markdown]
# Some of the differences are smaller than the standard errors. Is the order worth nothing there? It is worth more than one should think: all six are
# measured on *the same* 180 pictures. Some pictures are hard for every model and some are easy; that makes most of the error, and it is the same for
# all six. It moves them up or down together, and cancels in a difference. We come back to that.
#
# ## Stopping early what falls behind
#
# Here are the six trainings as they went: the ELBO of the validation pictures after every second epoch.

# %%
figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for value, latent, rate, run in sorted(tries, key=lambda one: -one[0]):
    points = [(line["epoch"], line["validation"]["elbo_nats"]) for line in run.history if line["validation"]]
    axis.plot(*zip(*points, strict=True), ".-", lw=1, label=f"{value:.1f}: latent {latent}, rate {rate:.4f}")
axis.axvline(0.3 * EPOCHS, color="0.5", ls="--")
axis.set(
    xlabel="epoch", ylabel="ELBO of the validation pictures (nats)", ylim=(min(one[0] for one in tries) - 15, None)
)
axis.legend(title="value at the end", fontsize="small")
plt.show()

# %% [markdown]
# Some are clearly behind early on, and it is a waste to train them to the end. `vaekit.tune` stops a training whose bound, once 30 % of it are done
# (the grey line), is below the **median** of what the others had at that point. This is called **pruning**. It is a bet: a curve may cross others
# late, and small learning rates are slow at first. Pruning trades a few such mistakes for many more trials.
#
# ## vaekit.tune
#
# The same search by the library. `space` says where to look. `trials` is how many trainings; `time="10m"` would be a limit on the clock. The recipe
# as it is takes part as the first trial, so the result is never worse than the recipe, by the validation pictures. The next seven trials are drawn
# at random. After that, new ones are drawn where good ones have been (a *tree-structured Parzen estimator*).


# %%
def tell(trial, best):
    """A line for each trial that has ended."""
    value = f"{trial.value:8.2f}" if trial.state == "complete" else f"{trial.state:>8}"
    star = "*" if best is not None and best.number == trial.number else " "
    print(
        f"{trial.number:3} {value} {star} latent {trial.params['model.latent']:2}, rate {trial.params['train.lr']:.5f}"
    )


space = {"model.latent": {"int": [2, 64], "log": True}, "train.lr": {"float": [3e-4, 1e-2], "log": True}}
found = vaekit.tune("digits", trials=TRIALS, space=space, overrides=SHORT, out="runs/tuned", heard=tell)
print(f"best: trial {found.best.number} with {found.best.value:.2f} nats; the recipe had {found.recipe.value:.2f}")

# %% [markdown]
# Stars mark a trial that was the best so far. (On another machine the lines may differ: processors round differently, and a study soon goes another way.) If you run the cell
# once more, nothing happens: the study in `runs/tuned` has its trials. With a larger number it goes on.
#
# ## Reading the result
#
# `found.trials` holds every trial. Draw the value against each field. Pruned trials have no value; they are marked at the bottom.

# %%
done = [trial for trial in found.trials if trial.state == "complete"]
stopped = [trial for trial in found.trials if trial.state == "pruned"]
lowest = min(trial.value for trial in done)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
fields = {
    "model.latent": ("latent numbers", [2, 4, 8, 16, 32, 64]),
    "train.lr": ("learning rate", [0.0003, 0.001, 0.003, 0.01]),
}
for axis, (field, (label, ticks)) in zip(axes, fields.items(), strict=True):
    axis.plot([trial.params[field] for trial in done], [trial.value for trial in done], "o", label="complete")
    axis.plot(
        [trial.params[field] for trial in stopped], [lowest - 0.5] * len(stopped), "x", color="0.5", label="pruned"
    )
    axis.plot(found.recipe.params[field], found.recipe.value, "s", color="C1", label="the recipe")
    axis.plot(found.best.params[field], found.best.value, "*", color="C3", markersize=14, label="the best")
    axis.set_xscale("log")
    axis.set_xticks(ticks, ticks, minor=False)
    axis.set(xlabel=label)
    axis.xaxis.set_minor_locator(NullLocator())
axes[0].set_ylabel("ELBO of the validation pictures (nats)")
axes[1].legend(fontsize="small")
plt.show()

took = sum(trial.seconds for trial in found.trials)
print(f"{len(done)} complete, {len(stopped)} pruned, {took:.0f} s in all")
for field, share in found.importances.items():
    print(f"importance of {field:13} {share:.0%}")

# %% [markdown]
# The good trials lie together: a few latent numbers, 5 to 8 or so, and a learning rate well above the recipe's, for in so short a training small rates do not
# get far. Sizes of 2 to 4 and of more than 14 were all stopped early (and so were some between). Do not read more from it than that. Two points beside
# each other may differ by half a nat for no reason but chance. If the best lay at an edge of its range, the range would be too narrow, and one should look
# further out.
#
# The **importances** say how much each field sets the best trials apart from the others; together they make 100 %. They are computed where at least
# eight trials were completed, and with so few they are rough.
#
# ## What is it worth? The test pictures
#
# The winner beats the recipe on the validation pictures by some amount. Part of that is luck. So measure both on the test pictures. The winner's run
# was kept; the recipe has to be trained again in the same way. `vaekit.reconstruct` gives the ELBO of every single picture.

# %%
tuned = vaekit.load(found.run)
recipe = vaekit.train("digits", overrides=SHORT)
a = vaekit.reconstruct(tuned, samples=DRAWS).elbo_nats.double()  # of the 359 test pictures
b = vaekit.reconstruct(recipe, samples=DRAWS).elbo_nats.double()


def mean_and_error(values):
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


print("best    {:.2f} ± {:.2f}".format(*mean_and_error(a)))
print("recipe  {:.2f} ± {:.2f}".format(*mean_and_error(b)))

# %% [markdown]
# How sure is the difference $\bar a - \bar b$? If the two had been measured on different pictures, the squares of the errors would add up. But they
# were measured on the same. Then the right thing is to take the difference *picture by picture*, $d_i = a_i - b_i$, and its mean and standard error.
# That is a **paired** comparison. Since
#
# $$\operatorname{var}(a - b) = \operatorname{var}(a) + \operatorname{var}(b) - 2 \operatorname{cov}(a, b),$$
#
# whatever the two have in common (hard pictures, easy pictures) is taken off.

# %%
gain, paired = mean_and_error(a - b)
unpaired = math.hypot(mean_and_error(a)[1], mean_and_error(b)[1])
correlation = torch.corrcoef(torch.stack([a, b]))[0, 1]
print(f"the pictures' values have a correlation of {correlation:.2f}")
print(f"gain on the test pictures: {gain:+.2f} ± {unpaired:.2f} as if unpaired, {gain:+.2f} ± {paired:.2f} paired")
print(f"gain on the validation pictures, which chose: {found.best.value - found.recipe.value:+.2f}")

figure, axis = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
axis.plot(b, a, ".", markersize=4)
ends = torch.tensor([min(a.min(), b.min()), max(a.max(), b.max())])
axis.plot(ends, ends, color="0.5", lw=1, label="equal")
axis.set(
    xlabel="ELBO with the recipe (nats)", ylabel="ELBO with the best (nats)", title="each test picture", aspect="equal"
)
axis.legend()
plt.show()

# %% [markdown]
# The points lie close to the line: what is hard for the one is hard for the other. By pairs the error is several times smaller, and so a much smaller
# difference can be told from chance. The gain is real: it is many times its paired error. And it is nearly as large as on the validation
# pictures: here the trials differed by much more than the luck of 180 pictures, so there was little to be lucky with. Between trials that are nearly alike
# it would be otherwise.
#
# One more thing is random: the weights that training begins with, and the order of the pictures. They follow from a **seed**. A paired error says
# nothing of that, since both were trained once. Train each with other seeds:

# %%
of_best, of_recipe = [a], [b]  # of each picture, seed 0
for seed in range(1, SEEDS + 1):
    for what, values in ((found.config, of_best), ("digits", of_recipe)):
        other = vaekit.train(what, overrides=[*SHORT, f"train.seed={seed}"])
        values.append(vaekit.reconstruct(other, samples=DRAWS).elbo_nats.double())
for seed, (one, two) in enumerate(zip(of_best, of_recipe, strict=True)):
    print(f"seed {seed}: best {one.mean():.2f}, recipe {two.mean():.2f}, gain {(one - two).mean():+.2f}")

# %% [markdown]
# The gain is there with every seed. It is largest with seed 0, which took part in the search. That alone could be chance, one in four; but it is what
# one must expect. What won the search was a configuration *together with* a seed, and only the configuration carries over: the winner's curse in
# another place. The fresh seeds give the figure to quote, and their spread says more about its error than the pictures do.
#
# `found.config` is the file `best.yaml`: the best configuration, whole. `vaekit.train` takes it like a recipe, on the command line too.
#
# ## To go on with the result
#
# We searched with short trainings. Does the result hold for long ones? Nothing guarantees it. A short training likes a large learning rate, since it
# has few steps to get anywhere.

# %%
lasting = [f"train.epochs={LONG}", "train.time=null"]
long_tuned = vaekit.train(found.config, overrides=lasting)
long_recipe = vaekit.train("digits", overrides=lasting)
a, b = (vaekit.reconstruct(one, samples=DRAWS).elbo_nats.double() for one in (long_tuned, long_recipe))
print(f"{LONG} epochs: best {a.mean():.2f}, recipe {b.mean():.2f}", end=", ")
print("gain {:+.2f} ± {:.2f} paired".format(*mean_and_error(a - b)))

# %% [markdown]
# The gain has turned into a loss. With five times as many steps the recipe's smaller rate gets there as well, and further; it was chosen for 200
# epochs. We tuned for short trainings, and found what is good for short trainings. (No test picture was misused here: nothing was chosen by them.)
#
# So the way to go on is:
#
# 1. search, with trainings as long as you can afford, best of all as long as the one that you want in the end;
# 2. take `best.yaml`, train it in full, perhaps with several seeds;
# 3. measure it on the test pictures, paired with what you had before, and change nothing after that.
#
# On the command line: `vaekit tune digits --trials 20 --set train.epochs=40`, then `vaekit train tuned/digits/best.yaml` and `vaekit evaluate`.
#
# ## Exercises
#
# 1. You tune with 100 trials, and the best is 0.8 nats above the recipe on the validation pictures. A friend tunes with 10 trials and gets 0.7. Who
#    has probably found more?
# 2. Somebody searches the size of $z$ on the *test* pictures, "since it is only one number". What is wrong with the figure that comes out? How would
#    you repair it?
# 3. Two models have 85.4 ± 0.6 and 84.9 ± 0.6 nats (minus the ELBO) on the same test pictures. Can the difference be certain all the same?
# 4. In the search by logarithms, how likely is a learning rate below 0.001? And if it were drawn evenly from 0.0003 to 0.01?
# 5. Four runs of the recipe differ in the seed alone. Choose the best of the four by 20 pictures, and judge it on others. Predict: how far is it
#    above the average of the four on the 20 pictures, and how far on the others? Then simulate it with the values of single test pictures,
#    `of_recipe`.
# 6. Why is β not a hyperparameter like the others when the ELBO is what counts?

# %% [markdown]
# ## Answers
#
# **1.** Nobody can tell from these figures alone: the best of 100 has had more luck than the best of 10, by the curve above. The test pictures tell.
#
# **2.** It is the figure of a winner: too good, by a little if few sizes were tried and their figures differed much, by more otherwise. Choose on
# validation pictures, and measure the one winner on the test pictures. If these have been used up, new ones are needed.
#
# **3.** Yes. The errors are of each mean by itself. If nearly every picture is better by about half a nat, the paired error is far below 0.6.
#
# **4.** By logarithms $\log(0.001/0.0003) / \log(0.01/0.0003) = 0.34$; evenly $0.0007/0.0097 = 0.07$. Small rates would hardly be tried.
#
# **5.** On the pictures that choose, the winner is above the average by luck and by merit; on the others by merit alone. Seeds differ a little in
# merit, too: weights end up in better or worse places.

# %%
values = torch.stack(of_recipe)  # (4, 359)
generator = torch.Generator().manual_seed(0)
for few in (20, 180):
    promised, kept = [], []
    for _ in range(2000):
        order = torch.randperm(values.shape[1], generator=generator)
        chosen, rest = values[:, order[:few]].mean(1), values[:, order[few:]].mean(1)
        winner = chosen.argmax()
        promised.append((chosen[winner] - chosen.mean()).item())  # above the average, on the pictures that chose
        kept.append((rest[winner] - rest.mean()).item())  # and on the others
    print(
        f"{few:3} pictures choose: {np.mean(promised):.2f} nats above the average on these, {np.mean(kept):.2f} on the others"
    )

# %% [markdown]
# **6.** For β other than 1 the loss is no longer the bound: the model is trained for something else than what is measured. It can help now and then,
# since an optimizer does not reach the best weights in finite time, or since it works against overfitting. But whoever searches for β by the ELBO
# will mostly find a number near 1. (Measured is always the plain bound, whatever β was.)
