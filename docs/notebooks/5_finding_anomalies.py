# %% [markdown]
# # 5. Finding anomalies
#
# A model of what is usual can tell what is not. In this notebook you find faults in a table of measurements and damage in pictures. You compute by
# hand how sure each finding is. You see why the obvious threshold gives mostly false alarms, and what to do about it. You ask the model *what* is
# wrong with a row. And you see where the idea fails.
#
# You need notebook 1: the latent variable, the ELBO, and $\log p(x)$. The whole takes about a minute.
#
# (To run it a second time, delete the folder `runs` first: nothing is overwritten.)

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

import vaekit
from vaekit.render import Strip, as_colour, overlay, strips

STEPS = 3000  # in tests: 40
EPOCHS = 100  # in tests: 1
DETECTOR_STEPS = 1500  # in tests: 15
STOCK = 40000  # in tests: 8000
IMAGES = 60  # in tests: 2

# %% [markdown]
# ## The table
#
# A wind turbine reports six numbers every ten minutes. We make the data ourselves, so we know what is true. Two things vary freely: the wind and the
# temperature of the air. From them follow, up to noise, how fast the rotor turns, how far the blades are turned out of a strong wind (the *pitch*),
# the power, and how warm a bearing gets.

# %%
NOISE = {"rotor": 0.12, "pitch": 0.2, "power": 25.0, "bearing": 0.5}  # standard deviations


def follows(wind, air):
    """What follows from wind (m/s) and air (°C), without noise."""
    rotor = 16 * np.tanh(wind / 8)  # revolutions per minute
    pitch = 1.1 * np.logaddexp(0, 2 * (wind - 11))  # degrees; zero below 11 m/s
    power = 2000 / (1 + np.exp(-(wind - 9) / 1.2)) * (1 - 0.004 * (air - 9))  # kW; thin warm air gives less
    return {"rotor": rotor, "pitch": pitch, "power": power, "bearing": 25 + 0.3 * air + 0.09 * rotor**2}


def turbine(n, seed, fault=None):
    """n rows; with a fault, what it changes."""
    random = np.random.default_rng(seed)
    wind, air = random.uniform(5, 15, n), random.normal(9, 8, n)
    columns = follows(wind, air)
    if fault == "ice on the blades":
        columns["power"] *= 0.88
    if fault == "pitch is off":
        columns["pitch"] += 1
    if fault == "bearing runs hot":
        columns["bearing"] += 2.5
    noisy = {name: values + random.normal(0, NOISE[name], n) for name, values in columns.items()}
    return pd.DataFrame({"wind": wind, "air": air} | noisy)


FAULTS = {"ice on the blades": "power", "pitch is off": "pitch", "bearing runs hot": "bearing"}  # and what is wrong
usual = turbine(4000, seed=0)
usual.describe().loc[["mean", "std", "min", "max"]].round(1)

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
UNITS = {"wind": "m/s", "rotor": "1/min", "pitch": "°", "power": "kW", "bearing": "°C"}
pairs = [("wind", "power"), ("wind", "pitch"), ("rotor", "bearing")]
for axis, (across, up), fault in zip(axes, pairs, FAULTS, strict=True):
    rows = turbine(40, seed=1, fault=fault)
    axis.plot(usual[across], usual[up], ".", color="0.7", markersize=2, label="usual")
    axis.plot(rows[across], rows[up], ".", color="crimson", markersize=5, label=fault)
    axis.set(xlabel=f"{across} ({UNITS[across]})", ylabel=f"{up} ({UNITS[up]})")
    axis.legend(fontsize="small", loc="upper left")
plt.show()

# %% [markdown]
# Each fault in the picture where it should show best. Hardly a red dot has an unusual value in any column. What is unusual is the *combination*: that
# power does not go with that wind. No threshold on a single column finds such a row. In the last picture even two columns are not enough, since the
# air warms the bearing too.
#
# ## Why a model of the usual
#
# Nobody has many examples of every fault, and the next fault may be a new one. But usual rows are plenty. So learn $p(x)$ from those, and call a row
# **abnormal** if the model finds it improbable. No faults are needed for training.
#
# A VAE suits that. Its few latent numbers can hold what really varies, here wind and air; all else follows from them. A row where it does not follow
# cannot be explained by any $z$ that is probable.
#
# `table-anomaly` is a recipe: a file that says what the data, the model and the training are. `vaekit.train` carries it out. It keeps a tenth of the
# rows for **validation**: no weight is learned from them. (They only choose at which moment of the training the weights are kept.) This will matter.

# %%
settings = [f"train.steps={STEPS}", f"train.lr_warmup={STEPS // 10}", "model.latent=3"]
run = vaekit.train("table-anomaly", data=usual, overrides=settings)
print(f"trained for {run.info.seconds:.0f} s; rows in each part of the data: {run.info.sizes}")

# %% [markdown]
# ## A score
#
# A **score** is a number that is high where a row is unusual. The obvious one is $-\text{ELBO}(x)$, since the ELBO is a bound of $\log p(x)$. For
# tables the library takes the sum of two others, which did better where it was measured: how large the error of the reconstruction is, and how
# improbable the row is if the codes of training rows are taken as the prior in the place of $\mathcal N(0, I)$. Here is what this score says of wind
# and power, at 9 °C, with all other columns as they should be at that wind:

# %%
wind, power = np.meshgrid(np.linspace(4, 16, 100), np.linspace(-200, 2400, 100))
plane = {"wind": wind, "air": 0 * wind + 9} | follows(wind, 9) | {"power": power}
on_plane = vaekit.detect(run, pd.DataFrame({name: values.ravel() for name, values in plane.items()}), reasons=0)
scores = on_plane.scores.reshape(wind.shape).numpy()

figure, axis = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
shown = axis.pcolormesh(wind, power, scores, cmap="viridis_r", shading="auto")
axis.contour(wind, power, scores, levels=[on_plane.threshold], colors="white")
axis.set(xlabel="wind (m/s)", ylabel="power (kW)", title="low: usual; high: unusual")
figure.colorbar(shown, ax=axis, label="score")
plt.show()

# %% [markdown]
# The model was told no physics, and has found the curve. (The white line is a threshold, which comes below.)
#
# Is it better than something simple? Two simple scores for comparison. The first looks at each column by itself: how many standard deviations is the
# worst one from its mean? The second knows straight-line dependence: the *Mahalanobis distance*, which is $-\log p(x)$ of one big normal
# distribution, up to constants. And since we made the data, we can also ask the truth itself for $-\log p(x)$.
#
# To judge a score, take rows whose truth is known. The **AUROC** is the probability that a faulty row scores higher than a usual one: 0.5 is a coin,
# 1 is perfect. It can be computed just as it is said, by comparing all pairs.


# %%
def auroc(abnormal, normal):
    """The share of pairs in which the abnormal row scores higher; ties count half."""
    difference = np.asarray(abnormal)[:, None] - np.asarray(normal)[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def mahalanobis(rows):
    far = (rows - usual.mean()).to_numpy()
    return ((far @ np.linalg.inv(usual.cov())) * far).sum(1)


def true_cost(rows):
    """-log p(x) of the rows as they were made, up to a constant."""
    expected = follows(rows["wind"], rows["air"])
    far = [((rows[name] - expected[name]) / deviation) ** 2 for name, deviation in NOISE.items()]
    return 0.5 * (sum(far) + ((rows["air"] - 9) / 8) ** 2)


simple = {
    "each column by itself": lambda rows: ((rows - usual.mean()) / usual.std()).abs().max(axis=1),
    "Mahalanobis": mahalanobis,
    "VAE, -ELBO": lambda rows: vaekit.detect(run, rows, score="elbo", reasons=0).scores,
    "VAE, the default": lambda rows: vaekit.detect(run, rows, reasons=0).scores,
    "the truth": true_cost,
}
normal_rows = turbine(3000, seed=2)
faulty_rows = {fault: turbine(1000, seed=3, fault=fault) for fault in FAULTS}
table = {}
for name, score in simple.items():
    table[name] = {fault: auroc(score(rows), score(normal_rows)) for fault, rows in faulty_rows.items()}
pd.DataFrame(table).T.round(3)

# %% [markdown]
# Single columns are no better than a coin. Straight lines go a long way where the dependence is nearly straight, as for the bearing. The VAE follows
# the curves, and comes nearer to the truth. (For the bearing it even passes it: $-\log p(x)$ looks for no fault in particular.) Even the truth does
# not find every fault: at little wind 12 % less power is less than the noise. No score can find what is not in the data.
#
# ## How sure? The p-value is a rank
#
# A score of 3 means nothing by itself. Compare it with the scores of rows that are *known to be usual*, and that the model has not learned from: the
# validation rows, which are then called **calibration** rows. Let there be $m$ of them, with scores $s_1, \dots, s_m$. The **p-value** of a row with
# score $s$ is
#
# $$p = \frac{1 + \#\{i : s_i \ge s\}}{m + 1},$$
#
# the share of rows that score as high, the row itself counted in. Here is a week, a thousand rows with thirty faults among them, the formula by hand,
# and what the library says.

# %%
NORMAL, EACH = 970, 10
week = pd.concat(
    [turbine(NORMAL, seed=4), *(turbine(EACH, seed=5, fault=fault) for fault in FAULTS)], ignore_index=True
)
truth = np.repeat(["usual", *FAULTS], [NORMAL, EACH, EACH, EACH])
faulty = truth != "usual"

found = vaekit.detect(run, week)
calibration = found.calibration  # the scores of the calibration rows, (m,)
m = len(calibration)
by_hand = torch.stack([(1 + (calibration >= s).sum()).double() / (m + 1) for s in found.scores])
print(f"m = {m}; largest difference between by hand and library: {(by_hand - found.p_values).abs().max():.1e}")
assert torch.allclose(by_hand, found.p_values)

figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
bins = np.linspace(float(calibration.min()), float(found.scores.max()), 60)
axis.hist(calibration, bins, color="0.75", label=f"{m} calibration rows")
axis.axvline(found.threshold, color="black", ls="--", lw=1, label="p = 0.05")
axis.plot(found.scores[faulty], np.full(faulty.sum(), 2), "|", color="crimson", markersize=14, label="30 faults")
axis.set(xlabel="score", ylabel="rows")
axis.legend()
plt.show()

# %% [markdown]
# Why is that right? Suppose the new row is usual. Then it and the $m$ calibration rows are $m + 1$ rows of one kind, and nobody could say which of
# them is the new one. (They are **exchangeable**.) So its rank among them is 1 or 2 or any other up to $m + 1$, each with the same probability. The
# p-value is that rank divided by $m + 1$. Hence, for a usual row,
#
# $$P(p \le \alpha) \le \alpha \quad \text{for every } \alpha.$$
#
# Nothing was said about the model! Calibration makes the p-value honest whatever the model is, as long as the model has not seen the calibration rows. (Ours has
# chosen its best moment by them, which makes them look a little more usual than new rows. Who wants it exact calibrates with rows of their own.) A bad model finds fewer faults; it does not raise more
# false alarms. Let us see that, with a model that was trained for twenty steps:

# %%
poor = vaekit.train("table-anomaly", data=usual, overrides=["train.steps=20", "train.lr_warmup=2", "model.latent=3"])


def called(run, rows, level=0.05):
    """The share of rows with a p-value up to a level."""
    return (vaekit.detect(run, rows, reasons=0).p_values <= level).double().mean().item()


for name, one in (("trained", run), ("hardly trained", poor)):
    hits = ", ".join(f"{called(one, rows):.0%} of '{fault}'" for fault, rows in faulty_rows.items())
    print(f"{name:15} p ≤ 0.05 for {called(one, normal_rows):.1%} of usual rows, {hits}")
print(f"expected of usual rows: 5 %, with one set of {m} calibration rows ± {np.sqrt(0.05 * 0.95 / m):.1%}")

# %% [markdown]
# (7 % is two of these standard deviations above 5 %: a little bad luck of our 400 calibration rows, or that they chose the weights. More of them, and others, make
# both smaller.) Had we
# compared with *training* rows, none of this would hold. The model has learned from these, so they score lower than usual rows that it has not seen.
#
# ## One threshold for a thousand rows?
#
# In our week we call a row abnormal if $p \le 0.05$. Who is right then?

# %%
flagged = found.abnormal.numpy()  # p ≤ 0.05
print(f"{flagged.sum()} of {len(week)} rows are called abnormal")
print(f"{(flagged & faulty).sum()} are faults, {(flagged & ~faulty).sum()} are false alarms")

# %% [markdown]
# That is no defect of the model. One usual row in twenty has $p \le 0.05$, by construction, and most of the thousand rows are usual. With rare faults
# most alarms are false at any such level.
#
# Ask another question: of the rows that are *called* abnormal, which share may be false, on average? That is the **false discovery rate**. The
# procedure of **Benjamini and Hochberg** keeps it below a number $f$ of your choice. Sort the $n$ p-values,
# $p_{(1)} \le p_{(2)} \le \dots \le p_{(n)}$. Find the largest $k$ with
#
# $$p_{(k)} \le f\, \frac{k}{n},$$
#
# and call the $k$ smallest abnormal. The idea: if nearly all $n$ rows are usual, about $n\, p_{(k)}$ usual ones have a p-value up to $p_{(k)}$. If
# $k$ rows do, then a share of about $n\, p_{(k)} / k$ of these is false, and that is at most $f$.


# %%
def benjamini_hochberg(p, f):
    """Which of n p-values are discoveries at a false discovery rate f, (n,) of booleans."""
    n, ordered = len(p), p.sort().values
    below = (ordered <= f * torch.arange(1, n + 1, dtype=torch.float64) / n).nonzero()
    return p <= ordered[below.max()] if len(below) else torch.zeros(n, dtype=torch.bool)


print(f"by hand {benjamini_hochberg(found.p_values, 0.1).sum()} discoveries", end=", ")
print(f"the library {vaekit.detect(run, week, fdr=0.1).count}; the smallest p-value is 1 / {m + 1} = {1 / (m + 1):.4f}")

# %% [markdown]
# P-values cannot be below $1/(m + 1)$: to claim that a row is one in a thousand, you must have compared it with a thousand. With our $m$ a good
# $n / (f\,(m + 1))$ rows, about 25, would have to score beyond *all* calibration rows; else nothing is called abnormal at all. So take more usual
# rows for calibration. Nothing is trained anew.

# %%
vaekit.calibrate(run, turbine(5000, seed=6))
found = vaekit.detect(run, week, fdr=0.1)
by_hand = benjamini_hochberg(found.p_values, 0.1)
assert torch.equal(by_hand, found.abnormal)
flagged = found.abnormal.numpy()
print(f"m = {len(found.calibration)}: {found.count} discoveries, by hand {by_hand.sum()};", end=" ")
print(f"{(flagged & faulty).sum()} are faults, {(flagged & ~faulty).sum()} are false")

order = found.p_values.argsort(stable=True).numpy()
rank = np.arange(1, len(week) + 1)
figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for name, colour, chosen in (("faults", "crimson", faulty[order]), ("usual rows", "0.6", ~faulty[order])):
    axis.plot(rank[chosen], found.p_values.numpy()[order][chosen], ".", color=colour, label=name)
axis.plot(rank, 0.1 * rank / len(week), color="C0", label="$0.1\\,k/n$")
axis.axhline(0.05, color="black", ls="--", lw=1, label="p = 0.05")
if found.count:
    axis.axvline(found.count + 0.5, color="C0", ls=":", label="discoveries: to the left")
axis.set(xscale="log", yscale="log", xlabel="rank $k$", ylabel="p-value $p_{(k)}$")
axis.legend(fontsize="small")
plt.show()

# %% [markdown]
# A promise *on average* cannot be checked in one week. So take many weeks, each with other rows to compare with: draw 5,000 calibration rows, 970
# usual rows and 30 faults from a large stock of scored rows, again and again.

# %%
stock = vaekit.detect(run, turbine(STOCK, seed=7), reasons=0).scores
faults = torch.cat([vaekit.detect(run, turbine(1000, seed=8, fault=fault), reasons=0).scores for fault in FAULTS])
random = torch.Generator().manual_seed(0)
weeks = {"p ≤ 0.05": [], "false discovery rate 0.1": []}
for _ in range(400):
    some = stock[torch.randperm(len(stock), generator=random)[: 5000 + NORMAL]]
    against, drawn = some[:5000].sort().values, faults[torch.randperm(len(faults), generator=random)[: 3 * EACH]]
    above = 5000 - torch.searchsorted(against, torch.cat([some[5000:], drawn]))  # how many of the 5,000 score as high
    p = (1 + above).double() / 5001
    for name, picked in (("p ≤ 0.05", p <= 0.05), ("false discovery rate 0.1", benjamini_hochberg(p, 0.1))):
        false, hits = int(picked[:NORMAL].sum()), int(picked[NORMAL:].sum())
        weeks[name].append((false + hits, hits / (3 * EACH), false / max(false + hits, 1)))
for name, values in weeks.items():
    (count, hit, false), error = np.mean(values, axis=0), np.std(values, axis=0)[2] / np.sqrt(len(values))
    print(
        f"{name:25} {count:4.1f} rows called, {hit:.0%} of the faults; false among the called {false:.1%} ± {error:.1%}"
    )

# %% [markdown]
# The first rule finds nearly twice as many faults, and two thirds of what it calls is false. The second keeps what it promised: at most a tenth, on
# average over weeks and calibrations. (In a single week it may be more or less.) Which of them is better depends on what a false alarm costs you, and
# what a fault that is missed.
#
# ## Why: reasons
#
# An alarm is of little use without a reason. For each column ask: what would it be, given all the others? Put that value in its place. If the row
# becomes usual, that column was the matter. In nats, for column $i$,
#
# $$\text{gain}_i = \text{ELBO}(x \text{ with } x_i \text{ repaired}) - \text{ELBO}(x).$$
#
# Here is a row for each fault, with the two columns whose repair gains most.

# %%
why = found.reasons  # column, value, expected, nats: (rows, 3), the dearest first
names = run.spec.names
lines = []
for fault in FAULTS:
    for row in np.flatnonzero(flagged & (truth == fault))[:1]:
        for k in range(2):
            if (column := int(why.column[row, k])) >= 0:
                number = {"says": why.value[row, k].item(), "expected": why.expected[row, k].item()}
                lines.append(
                    {"truth": fault, "column": names[column], **number, "gain (nats)": why.nats[row, k].item()}
                )
pd.DataFrame(lines).round(1)

# %% [markdown]
# Does the formula hold? Repair one row by hand, and let `detect` say $-\text{ELBO}$ before and after.

# %%
row = np.flatnonzero(truth == "bearing runs hot")[:1]
repairs = vaekit.attribute(run, week.iloc[row])  # what is expected of every column, and every gain
repaired = week.iloc[row].assign(bearing=repairs.expected[:, names.index("bearing")].numpy())
before, after = (vaekit.detect(run, rows, score="elbo", reasons=0).scores.item() for rows in (week.iloc[row], repaired))
print(f"-ELBO {before:.3f} before and {after:.3f} after: a gain of {before - after:.3f} nats", end="; ")
print(f"the library says {repairs.nats[0, names.index('bearing')]:.3f}")

# %% [markdown]
# How often does the first reason name the column that is really wrong? Take the faulty rows that are called abnormal.

# %%
for fault, column in FAULTS.items():
    verdict = vaekit.detect(run, faulty_rows[fault])
    first = verdict.reasons.column[:, 0][verdict.abnormal]
    shares = pd.Series([names[i] for i in first.tolist() if i >= 0]).value_counts(normalize=True)
    said = ", ".join(f"{name} {share:.0%}" for name, share in shares.head(3).items())
    print(f"{fault:18} ({column} is wrong), {verdict.count} of 1,000 rows called; the first reason is {said}")

# %% [markdown]
# Mostly it is the right one. Where it is not, it is often as good: *a bearing too hot for this air* and *an air too cold for this bearing* are the
# same sentence, and the data cannot say which of the two sensors is wrong. A reason proposes a repair. It does not prove a cause.
#
# ## A trap: probable is not the same as normal
#
# So far a row was abnormal if its density is low. Is a row with the *highest* density the most normal of all? Take the simplest model there is,
# $d$ independent standard normal numbers. The density is highest where all of them are zero. How often is something near it seen?

# %%
random = np.random.default_rng(0)
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
for d in (1, 10, 100, 1000):
    radius = np.sqrt((random.normal(size=(10000, d)) ** 2).sum(1))
    below = -0.5 * np.median(radius) ** 2  # log p(x) - log p(0)
    print(
        f"d = {d:4}: distance from the densest point {np.median(radius):5.2f} (median), at least {radius.min():7.4f};",
        end=" ",
    )
    print(f"density e^{below:.1f} of the highest")
    axis.hist(radius / np.sqrt(d), np.linspace(0, 3, 121), density=True, histtype="step", label=f"d = {d}")
axis.set(xlabel="distance from the densest point, divided by $\\sqrt{d}$", ylabel="density of draws", ylim=(0, 8))
axis.legend()
plt.show()

# %% [markdown]
# In high dimensions all draws lie in a thin shell at a distance of about $\sqrt d$. In the middle the density is higher by a factor of about
# $e^{d/2}$, but there is so little room that nothing ever falls there. **The densest point is never seen.** What is seen is called the **typical
# set**. A score of $-\log p(x)$ calls the middle the most normal row of all.
#
# The trap is real: models of photographs were found to give a higher density to pictures of another kind than to those that they were trained on
# (Nalisnick et al., 2019, *Do deep generative models know what they don't know?*). We shall meet it with pictures.
#
# ## Pictures
#
# Digits, enlarged to 24 × 24 pixels. A model learns from 1,400 of them. Of the others, every second one gets a small damage: a square of 3 × 3 pixels
# is inverted.

# %%
digits = torch.from_numpy(load_digits().images[:, None])
large = F.interpolate(digits * 255 / 16, size=(24, 24), mode="bicubic", align_corners=False)
large = (
    large.clamp(0, 255).round().to(torch.uint8)[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]
)
good, fresh = large[:1400], large[1400:]  # (397, 1, 24, 24)

random = np.random.default_rng(0)
intact, damaged = fresh[::2], fresh[1::2].clone()
places = random.integers(2, 19, (len(damaged), 2))  # of the top left corner
for image, (i, j) in zip(damaged, places, strict=True):
    image[:, i : i + 3, j : j + 3] = 255 - image[:, i : i + 3, j : j + 3]

picture_settings = [f"train.epochs={EPOCHS}", "train.time=null", "data.test=0"]
picture_run = vaekit.train("image-anomaly", data=good.numpy(), overrides=picture_settings)
strips([Strip("intact", intact[:10]), Strip("damaged", damaged[:10])], picture_run.spec, factor=2)

# %% [markdown]
# Besides damage we try other unusual pictures. Two of them are made to spring the trap: the mean of all training digits, a grey blot that nobody has
# ever written; and digits that are faded by a fifth towards this mean. There are three scores: $-\text{ELBO}$; its second term alone, the KL, which
# says how far the code is from the prior; and the default for pictures, the highest of three, one of which is how plain or intricate the picture is.

# %%
mean = good.float().mean(0, keepdim=True)
unusual = {
    "damaged": damaged,
    "noise": torch.randint(256, intact.shape, generator=torch.Generator().manual_seed(0)),
    "black": torch.zeros_like(mean),
    "half as bright": intact // 2,
    "mean of all digits": mean.round(),
    "faded by a fifth": (mean + 0.8 * (intact - mean)).round().clamp(0, 255),
}
unusual = {kind: images.to(torch.uint8).numpy() for kind, images in unusual.items()}
columns = {}
for name, score in (("-ELBO", "elbo"), ("KL", "kl"), ("the default", None)):
    usual_scores = vaekit.detect(picture_run, intact.numpy(), score=score).scores
    scored = {kind: vaekit.detect(picture_run, images, score=score).scores for kind, images in unusual.items()}
    columns[f"AUROC, {name}"] = {kind: auroc(values, usual_scores) for kind, values in scored.items()}
pd.DataFrame(columns).round(3)

# %% [markdown]
# Read the columns from the top. $-\text{ELBO}$ sees noise and black without fail, small damage nine times in ten (in comparisons of two), half
# brightness less well.
#
# The KL shows the trap. Its AUROC is 0 for the mean of all digits: *every* real digit is called more abnormal than the blot. The encoder puts the
# blot into the middle of the prior, where the density is highest and where no digit ever lies; it does the same with noise. $-\text{ELBO}$ is not
# caught by these, since its other term sees that they are badly reconstructed.
#
# But look at the last row. Digits that are a little faded towards the mean score *below* real digits, by all three: they are more average than any
# real hand writes, and the model takes that for better. If you look for what is too smooth, too plain or too regular, do not trust a score by itself;
# try it on examples, as here.
#
# ### Where in the picture
#
# Reasons work for pictures too. In the place of columns there are small squares around each pixel: by how much does the ELBO rise if the square is as
# the rest of the picture suggests? Drawn in colour this is a **heat map**. Here are the damaged digits with the highest scores.

# %%
verdict = vaekit.detect(picture_run, damaged.numpy(), score="elbo")
heat = vaekit.attribute(picture_run, damaged[verdict.most(10)].numpy())
coloured, spec = overlay(heat.inputs, heat.nats, picture_run.spec)
rows = [Strip("picture", as_colour(heat.inputs, picture_run.spec))]
rows += [Strip("expected", as_colour(heat.expected, picture_run.spec)), Strip("heat map", coloured)]
strips(rows, spec, factor=2)

# %% [markdown]
# In each picture the hottest place is red, whatever it is worth in nats. Is it in the right place? Count, over the first damaged digits whatever
# their score, how often the hottest pixel lies in the planted square or touches it.

# %%
heat = vaekit.attribute(picture_run, damaged[:IMAGES].numpy())
hottest = np.array([np.unravel_index(int(one.argmax()), (24, 24)) for one in heat.nats])
near = (np.abs(hottest - (places[:IMAGES] + 1)) <= 2).all(1)  # at most two pixels from the middle of the square
small = verdict.p_values[:IMAGES].numpy() <= 0.05
print(f"{near.sum()} of {len(near)} damaged digits; by chance it would be about {25 / 24**2:.0%}")
print(f"{small.sum()} of the {len(near)} have p ≤ 0.05, and so are called abnormal")

# %% [markdown]
# *Where* is easier than *whether*. Within one picture nothing else stands out as the damage does. Beside other digits it must stand out from all that
# makes one digit cost more than another: nine pixels of 576 are soon outweighed by a strange hand. So about half of the damaged digits are not called
# abnormal at this level, and for each of them the map would have shown the place.
#
# ## In three lines, by the rules of scikit-learn
#
# `AnomalyDetector` is the same for rows of numbers, as an outlier detector of scikit-learn: several small models together, with settings that were
# chosen for tables. We try it on real data: measurements of cells from 569 tumours, of which 357 were benign. It learns from half of the benign ones.
# The malignant ones are the anomalies.

# %%
X, benign = load_breast_cancer(return_X_y=True)
order = np.random.default_rng(0).permutation(np.flatnonzero(benign))
train, test, sick = X[order[:179]], X[order[179:]], X[benign == 0]

# %%
detector = vaekit.AnomalyDetector(steps=DETECTOR_STEPS, random_state=0).fit(train)
outliers = detector.predict(sick) == -1
p = detector.p_values(sick)

# %%
print(
    f"called outliers: {outliers.mean():.1%} of the malignant, {(detector.predict(test) == -1).mean():.1%} of the benign"
)
rivals = {
    "AnomalyDetector": detector,
    "IsolationForest": IsolationForest(random_state=0).fit(train),
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True).fit(train),
}
for name, rival in rivals.items():  # in scikit-learn high scores are normal
    print(f"AUROC {auroc(-rival.score_samples(sick), -rival.score_samples(test)):.3f}  {name}")

# %% [markdown]
# Two things to learn here. The share of false alarms should be 5 %, and is larger. `fit` held out only 20 of the 179 rows for calibration, and with
# 20 the threshold is simply the highest of their scores: a rough guess. (`detector.calibrate(rows)` takes more, if you have them.) And on this table
# two simple detectors are ahead. The standard error of an AUROC with so many rows is about 0.01, so the order is not certain; but certainly the more
# elaborate method does not win by itself. Try several on rows of your own with known faults. What you get here besides the order are p-values that
# hold, and reasons (`detector.explain`).
#
# ## Exercises
#
# 1. You have 99 calibration rows. What is the smallest p-value? How many rows can be called abnormal at a level of 0.005?
# 2. A plant scores a row a second, all day, at a level of 0.001. How many false alarms are to be expected on a day without any fault?
# 3. A colleague models a column in kW, then its logarithm, and finds other rows most improbable. Is one of the two models wrong?
# 4. Predict, then try: the bearing gets new grease, and runs 1 °C warmer from now on. What share of usual rows is called abnormal at 0.05? What must
#    be done?
# 5. Predict, then try: train the table's model with one latent number in the place of three. Does it find less? Does it raise more false alarms?
# 6. Why must calibration rows not be training rows? Predict, then try with `AnomalyDetector(calibration_fraction=0)`, which compares with its
#    training rows, and 200 rows of the turbine.

# %% [markdown]
# ## Answers
#
# **1.** $1/100 = 0.01$. At a level of 0.005 none, whatever it looks like.
#
# **2.** 86,400 seconds × 0.001: about 86.
#
# **3.** Not necessarily. A density is probability *per unit*, and it changes with the units: $p(y) = p(x)\, |dx/dy|$. So even with one and the same
# distribution the place of the highest density changes, which is another reason not to take *dense* for *normal*.
#
# **4.** Usual rows are no longer exchangeable with the calibration rows, and the p-values are worth nothing. Calibration with new usual rows makes
# them honest again. It does not make the model better: for the model all rows are now a little wrong. After a large
# change train anew.


# %%
def greased(rows):
    return rows.assign(bearing=rows["bearing"] + 1)


hot = faulty_rows["bearing runs hot"]
print(
    f"before:                   p ≤ 0.05 for {called(run, normal_rows):.1%} of usual rows, {called(run, hot):.1%} of hot ones"
)
print(
    f"grease, old calibration:  {called(run, greased(normal_rows)):.1%} of usual rows, {called(run, greased(hot)):.1%} of hot ones"
)
vaekit.calibrate(run, greased(turbine(5000, seed=9)))
print(
    f"grease, new calibration:  {called(run, greased(normal_rows)):.1%} of usual rows, {called(run, greased(hot)):.1%} of hot ones"
)

# %% [markdown]
# **5.** One number cannot hold wind and air. What the model cannot explain it takes for noise, and faults drown in that. The share of false alarms
# stays, as always.

# %%
narrow = vaekit.train("table-anomaly", data=usual, overrides=[*settings[:2], "model.latent=1"])
base_one, base_three = (vaekit.detect(model, normal_rows, reasons=0).scores for model in (narrow, run))
for fault, rows in faulty_rows.items():
    one, three = (vaekit.detect(model, rows, reasons=0).scores for model in (narrow, run))
    print(
        f"{fault:18} AUROC {auroc(one, base_one):.3f} with one latent number, {auroc(three, base_three):.3f} with three"
    )
print(f"usual rows with p ≤ 0.05, one latent number: {called(narrow, normal_rows):.1%}")

# %% [markdown]
# **6.** The model fits rows that it has learned from better than new ones. Compared with those, new usual rows look too unusual, and too many have
# small p-values. With few rows to learn from the difference is large. After calibration with new rows the same models are honest.

# %%
careless = vaekit.AnomalyDetector(steps=DETECTOR_STEPS, calibration_fraction=0, random_state=0).fit(
    turbine(200, seed=10)
)
print(
    f"compared with training rows: p ≤ 0.05 for {(careless.p_values(normal_rows) <= 0.05).mean():.1%} of new usual rows"
)
careless.calibrate(turbine(2000, seed=11))
print(f"compared with new rows:      p ≤ 0.05 for {(careless.p_values(normal_rows) <= 0.05).mean():.1%}")
