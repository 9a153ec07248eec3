# %% [markdown]
# # 3. How good is it?
#
# A model that draws pretty digits may be poor, and a model that draws blurred ones may be good. In this notebook you measure: how much probability a
# VAE gives to digits that it has never seen, how sure that figure is, how far it is from the truth, and what it is worth against a file compressor.
# You also see which figures can be compared with each other, and which cannot.
#
# You have read notebook 1, so you know the ELBO and its two terms, the log-likelihood and the KL. Here `vaekit` trains and measures, and beside each
# figure stands its formula. Everything runs in about two minutes.
#
# (To run it a second time, delete the folder `runs` first: nothing is overwritten.)

# %%
import bz2
import lzma
import math
import os
import subprocess
import sys
import zlib

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_wine

import vaekit
from vaekit import render
from vaekit.metrics import Estimate, bits_per_dimension
from vaekit.metrics.pixels import psnr, ssim

EPOCHS = 200  # in tests: 2
SWEEP_EPOCHS = 100  # in tests: 1
WINE_EPOCHS = 200  # in tests: 2
COUNTS = [1, 2, 5, 10, 50, 200, 1000]  # in tests: [1, 2, 5, 10]
SIDE = 240  # in tests: 40
SAMPLES = 512  # in tests: 5

torch.manual_seed(0)
settings = [f"train.epochs={EPOCHS}", "train.time=null"]
run = vaekit.train("digits", overrides=settings, out="runs/digits")
flat = vaekit.train("digits", overrides=[*settings, "model.latent=2"], out="runs/digits-flat")

# %% [markdown]
# ## The models
#
# `digits` is a **recipe**: a short file that names the data, the networks, the likelihood, and how to train. An *override* changes one line of it.
# Ours set the number of epochs, and take away the recipe's limit of 55 seconds. The first model has ten latent numbers, the second one has two: there
# we can compute $\log p(x)$ by brute force, as in notebook 1.
#
# In notebook 1 pixels were black or white. Here they have 17 levels of grey, from 0 to 16. For each pixel the decoder yields the middle and the width
# of a bell, and the bell is cut into 17 pieces, the probabilities of the levels. They sum to one, so $p(x \mid z)$ is a probability of the whole
# picture, and so is $p(x)$.
#
# There are three sets of pictures. The model learns from the **training set**. The weights that did best on the **validation set** are kept. The
# **test set** has no part in either, and it is what we measure on.

# %%
print("pictures:", ", ".join(f"{count} {name}" for name, count in run.info.sizes.items()))


def levels(split):
    """All pictures of a split as rows of 64 levels, (n, 64)."""
    rows = run.rows(split)
    return rows.gather(torch.arange(len(rows))).x.flatten(1).long()


train_x, test_x = levels("train"), levels("test")

# %% [markdown]
# ## A mean, and how sure it is
#
# `vaekit.reconstruct` yields the ELBO of every single test picture, here as the mean over 64 draws of $z$:

# %%
each = vaekit.reconstruct(run, samples=64)
elbo = each.elbo_nats  # (359,)

figure, axis = plt.subplots(figsize=(6.5, 2.6))
axis.hist(elbo.numpy(), bins=40)
axis.axvline(elbo.mean(), color="crimson", label=f"mean: {elbo.mean():.1f}")
axis.set(xlabel="ELBO of a test picture (nats)", ylabel="pictures")
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# Pictures differ a lot. The highest and the lowest show what the model finds easy and hard:

# %%
order = elbo.argsort(descending=True)
rows = [("highest ELBO", each.inputs[order[:12]]), ("lowest ELBO", each.inputs[order[-12:]])]
render.strips([render.Strip(*row) for row in rows], run.spec, factor=5)

# %% [markdown]
# Ones are easy: most of their pixels are surely black, and the rest follow from the slant. What is hard is rare handwriting.
#
# We quote the mean. With another 359 digits it would have been another. How different? If the values have the standard deviation $s$, a mean of $n$
# of them has the **standard error**
#
# $$\text{s.e.} = \frac{s}{\sqrt n}.$$
#
# About two times out of three the mean of endless digits lies within one standard error of ours, and 95 times in 100 within two. `Estimate` holds
# both numbers, and prints the digits that they deserve:

# %%
error = elbo.std() / math.sqrt(len(elbo))
print(f"by hand: {elbo.mean():.2f} +- {error:.2f} nats     by the library: {Estimate.of(elbo)}")

# %% [markdown]
# ### Two models on the same pictures
#
# The second model is worse. By how much, and is that sure? Each mean has its standard error, but the errors have the same cause: a difficult picture
# is difficult for both. So do not compare the two means. Take the difference *for each picture*, and then its mean and standard error:

# %%
other = vaekit.reconstruct(flat, samples=64).elbo_nats
print(f"10 latent numbers:  {Estimate.of(elbo)}")
print(f" 2 latent numbers:  {Estimate.of(other)}")
apart = math.hypot(Estimate.of(elbo).stderr, Estimate.of(other).stderr)
print(f"difference, as if of different pictures: {(elbo - other).mean():.2f} +- {apart:.2f}")
print(f"difference, picture by picture:          {Estimate.of(elbo - other)}")

# %% [markdown]
# The same difference, with a smaller error, for nothing but a subtraction at the right place. Small improvements can only be seen in this way.
#
# The standard error answers one question: what if the test pictures were others? It does not say what another training, from other random numbers,
# would have given. For that one has to train again (exercise 5).

# %% [markdown]
# ## What the nats are made of
#
# To have a scale, here are two models without any latent number, as in notebook 1. The first gives each of the 17 levels the same probability,
# everywhere. The second has a **histogram** for each pixel: how often it had each level in the training set. (We add one half to each count, so that
# a level that did not occur gets some probability too. Otherwise one such pixel would make $\log p(x) = -\infty$.)

# %%
uniform = torch.full((len(test_x),), -64 * math.log(17))
counts = F.one_hot(train_x, 17).sum(0) + 0.5  # (64, 17)
log_share = (counts / counts.sum(1, keepdim=True)).log()
histogram = log_share[torch.arange(64), test_x].sum(1)  # (359,)

found = vaekit.evaluate(run, samples=SAMPLES)
print(f"all levels alike:        log p(x) = {Estimate.of(uniform).mean:.1f} nats")
print(f"a histogram for a pixel: log p(x) = {Estimate.of(histogram)}")
print(f"VAE: ELBO           {found.elbo_nats}")
print(f"     log-likelihood {found.log_likelihood_nats}")
print(f"     KL             {found.kl_nats}")

# %% [markdown]
# `vaekit.evaluate` measures a run in one go, each figure with its standard error. Read the last three lines as the bill for a message. Somebody has
# to send you a test picture, and both of you have the model. First they send what the encoder knows about it, that is $z$, as precisely as the
# posterior says: this costs the KL. Now you know $z$, and which levels are likely. Then they send the levels themselves: this costs minus the
# log-likelihood. Sending $z$ pays, because it makes the rest so much cheaper:
#
# $$-\text{ELBO} = \underbrace{\text{KL}}_{\text{to send } z} + \underbrace{\big(-\mathbb E_q[\log p(x \mid z)]\big)}_{\text{to send } x \text{ once } z \text{ is known}}$$

# %% [markdown]
# ## Nearer to the truth: importance weighting
#
# The ELBO is below $\log p(x)$. How far? For the model with two latent numbers we can look: cut the plane into squares and add up, as in notebook 1.
# The only news are the 17 levels. For each square we ask the decoder for the log-probability of each level at each pixel, a table of $64 \cdot 17$
# numbers, and pick from it by a product with ones and zeros.


# %%
EDGE = 6.0  # the plane from -6 to 6: beyond lies less than a hundred-millionth of the prior


@torch.no_grad()
def log_joint(model, x, side):
    """log p(x, z) of rows of levels, for each of side x side squares of the plane, (n, side * side)."""
    width = 2 * EDGE / side
    ticks = torch.arange(side) * width - EDGE + width / 2  # centres of the squares
    chosen = F.one_hot(x, 17).float().flatten(1)  # (n, 64 * 17)
    scale = torch.linspace(-1, 1, 17).reshape(17, 1, 1, 1, 1)  # the library has levels from -1 to 1
    parts = []
    for squares in torch.cartesian_prod(ticks, ticks).split(4000):
        table = model.decode({"z": squares}).log_prob(scale)  # (17, squares, 1, 8, 8)
        table = table.flatten(2).permute(1, 2, 0).flatten(1)  # (squares, 64 * 17)
        log_prior = torch.distributions.Normal(0, 1).log_prob(squares).sum(1)
        parts.append(chosen @ table.T + log_prior)
    return torch.cat(parts, dim=1) + 2 * math.log(width)


joint = log_joint(flat.model, test_x, SIDE)  # (359, squares)
exact = joint.logsumexp(1)  # log p(x), (359,)
coarse = log_joint(flat.model, test_x, SIDE // 2).logsumexp(1)
print(f"log p(x) {Estimate.of(exact)};  with squares of twice the width it would be {Estimate.of(coarse)}")
print(f"largest change for a picture: {(exact - coarse).abs().max():.4f} nats")
print(f"ELBO     {Estimate.of(other)};  mean gap {Estimate.of(exact - other)} nats")

# %% [markdown]
# Squares of twice the width give the same, so ours are small enough. The gap is what the guess of the encoder costs. It is a normal distribution with
# independent numbers, which the true posterior is not, and it comes from a network that has never seen this picture.
#
# With ten latent numbers nobody can add up squares. But the gap can be made small by more draws. Go back to the equation from which the bound came:
#
# $$\log p(x) = \log \mathbb E_q \left[ \frac{p(x, z)}{q(z \mid x)} \right].$$
#
# The ratio is called an **importance weight**: it corrects for having drawn $z$ from $q$. The ELBO is the average of the *logarithm* of one weight.
# Take the logarithm of the *average of K* weights instead:
#
# $$\mathcal L_K(x) = \mathbb E \left[ \log \frac1K \sum_{k=1}^K \frac{p(x, z_k)}{q(z_k \mid x)} \right], \qquad z_k \sim q(z \mid x).$$
#
# For $K = 1$ this is the ELBO. An average of many weights varies less than a single one, and the less the inside of a logarithm varies, the less
# Jensen's inequality takes away. So
#
# $$\text{ELBO} = \mathcal L_1 \le \mathcal L_2 \le \mathcal L_3 \le \dots \le \log p(x),$$
#
# and as $K$ grows, $\mathcal L_K$ comes as near to $\log p(x)$ as one likes. One pass of the model, a `Trace` in the library, has the log-weights for
# any number of draws, and `log_mean_exp` is the logarithm of their average:


# %%
@torch.no_grad()
def log_weights(run, draws):
    """log p(x, z) - log q(z | x) of draws from q for every test picture, (draws, 359)."""
    rows = run.rows("test")
    batch = run.model.likelihood.prepare(rows.gather(torch.arange(len(rows))))
    return torch.cat([run.model(batch, samples=10).log_ratio() for _ in range(draws // 10)])


def bound(weights, k):
    """The estimate of L_K of every picture from groups of k draws, the mean over all groups there are, (359,)."""
    groups = weights.reshape(-1, k, weights.shape[1])
    return (groups.logsumexp(1) - math.log(k)).mean(0)


with torch.no_grad():
    trace = run.model(run.model.likelihood.prepare(run.rows("test").gather(torch.arange(20))), samples=50)
assert torch.allclose(trace.log_mean_exp(trace.log_ratio()), bound(trace.log_ratio(), 50), atol=1e-3)

weights = {"2 latent numbers": log_weights(flat, max(COUNTS)), "10 latent numbers": log_weights(run, max(COUNTS))}
bounds = {name: [bound(value, k) for k in COUNTS] for name, value in weights.items()}

print("K               " + "".join(f"{k:9}" for k in COUNTS))
for name, values in bounds.items():
    print(f"{name:17} " + "".join(f"{value.mean():9.2f}" for value in values))

# %%
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.3), layout="constrained")
for axis, (name, values) in zip(axes, bounds.items(), strict=True):
    axis.plot(COUNTS, [value.mean() for value in values], "o-", label="$\\mathcal{L}_K$")
    axis.set(xscale="log", xlabel="draws $K$", ylabel="nats", title=name)
axes[0].axhline(exact.mean(), color="crimson", ls="--", label="log p(x), by squares")
axes[0].legend(loc="lower right", frameon=False)
plt.show()
left_over = exact - bounds["2 latent numbers"][-1]
print(f"2 latent numbers: log p(x) - L_{COUNTS[-1]} = {Estimate.of(left_over)} nats in the mean")

# %% [markdown]
# At the left the curve climbs towards the true value; with 1,000 draws four fifths of the gap are closed. At the right nobody knows the true value.
# But the curve flattens, and since it can only rise, $\mathcal L_{1000}$ is the best that we can say.
#
# What about the last fifth? It is not spread evenly. Look for the picture with the largest difference, and draw the true posterior of its cause, from
# the squares, beside what the encoder believes:

# %%
print("largest differences:", " ".join(f"{value:.1f}" for value in left_over.sort(descending=True).values[:6]), "nats")
print(f"pictures with more than one nat: {(left_over > 1).sum()} of {len(left_over)}")

guess = vaekit.embed(flat)
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.9), layout="constrained")
usual, worst = left_over.abs().argsort()[len(left_over) // 2], left_over.argmax()
for axis, number, title in zip(axes, (usual, worst), ("a usual picture", "the worst case"), strict=True):
    share = (joint[number] - exact[number]).exp().reshape(SIDE, SIDE).T
    axis.imshow(share, origin="lower", extent=(-EDGE, EDGE, -EDGE, EDGE), cmap="Blues", vmax=share.max() / 3)
    turn = torch.linspace(0, 2 * math.pi, 100)
    for radius in (1, 2):
        across, up = (
            guess.mean[number, i] + radius * guess.scale[number, i] * f(turn)
            for i, f in ((0, torch.cos), (1, torch.sin))
        )
        axis.plot(across, up, color="crimson", lw=1)
    axis.set(
        xlim=(-3, 3),
        ylim=(-3, 3),
        xlabel="$z_1$",
        ylabel="$z_2$",
        title=f"{title}: {left_over[number]:.1f} nats missing",
    )
plt.show()

# %% [markdown]
# Blue is where the cause is, red where the encoder looks for it (its ellipses at one and two standard deviations). The worst picture may have come
# from two places. The encoder looks between them, where there is nothing. All draws fall there, and a thousand more would not soon help. That is the
# weakness of importance weighting: weights that are never drawn are never missed, and **the curve can be flat long before it has arrived**.
#
# The library gives a hint how far one can trust it. The **effective samples**
#
# $$\frac{\left(\sum_k w_k\right)^2}{\sum_k w_k^2}$$
#
# say how many of the $K$ draws carry the average. They are $K$ if all weights $w_k$ are equal, and 1 if a single one outweighs all others. (They
# cannot know of a place that was never drawn either.)

# %%
print(f"effective samples: {found.effective_samples} of {found.samples}")
print(f"importance-weighted bound, K = {found.samples}: {found.importance_weighted_nats} nats")

# %% [markdown]
# One more warning: all of this is about means. For a single picture an estimate of $\mathcal L_K$ is random, and can be above $\log p(x)$, as
# exercise 4 shows.

# %% [markdown]
# ## From nats to files
#
# A nat is a unit of information with the natural logarithm, a **bit** the same with the logarithm to base 2:
#
# $$\text{bits} = \frac{\text{nats}}{\log 2}, \qquad \text{bits per dimension} = \frac{-\log p(x)}{D \log 2},$$
#
# with $D = 64$ pixels. Dividing by $D$ makes pictures of different sizes comparable.
#
# Why call it information? Shannon's theorem says that the best code for messages with the probabilities $p(x)$ gives each message $-\log_2 p(x)$
# bits. No code is shorter on average if $p$ is right, and practical codes (arithmetic coding) reach it up to a fraction of a percent. So whoever has
# a good $p(x)$ has a good compressor, and the other way round.

# %%
as_bits = {
    "a histogram for a pixel": Estimate.of(histogram),
    "VAE, ELBO": found.elbo_nats,
    f"VAE, K = {found.samples}": found.importance_weighted_nats,
}
by_hand = -found.elbo_nats.mean / (64 * math.log(2))
assert math.isclose(by_hand, found.elbo_bits_per_dim.mean, rel_tol=1e-6)
print(f"{'all levels alike':24} {math.log2(17):.2f} bits per dimension, exactly")
for name, nats in as_bits.items():
    print(f"{name:24} {bits_per_dimension(nats, run.spec)} bits per dimension")

# %% [markdown]
# ### Against real compressors
#
# How many bits do real programs need for the same test digits? We try `zlib` (as in PNG and gzip), `bz2` and `lzma` (as in xz), each at its
# strongest. To be fair to them:
#
# - The VAE has learned from the training digits. So they get these as well: we compress training and test digits in one file, and count by how much
#   the file is longer than with the training digits alone.
# - They work on bytes, and do not know that these are pictures. So we try several orders of the same levels, and take the best for each program:
#   digit by digit; pixel by pixel (first the first pixel of all digits, then the second, ...); differences of neighbours in a row; and five bits a
#   level instead of eight.


# %%
def layouts(x):
    """The same levels (n, 64) as bytes in several orders."""
    x = x.numpy().astype(np.uint8)
    bits = np.unpackbits(x[:, :, None], axis=2)[:, :, 3:]  # 16 fits into five bits
    return {
        "digit by digit": x.tobytes(),
        "pixel by pixel": x.T.tobytes(),
        "differences": np.diff(x.reshape(-1, 8, 8), axis=2, prepend=0).astype(np.uint8).tobytes(),
        "five bits": np.packbits(bits).tobytes(),
    }


programs = {
    "zlib": lambda data: zlib.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}
alone, together = layouts(train_x), layouts(torch.cat([train_x, test_x]))
print(f"bits per dimension of {len(test_x)} test digits")
for program, pack in programs.items():
    size = {name: 8 * (len(pack(together[name])) - len(pack(alone[name]))) / test_x.numel() for name in alone}
    print(
        f"  {program:5}",
        "  ".join(f"{name} {bits:.3f}" for name, bits in size.items()),
        f"  best {min(size.values()):.3f}",
    )

# %% [markdown]
# The VAE needs fewer bits than any of them. So does even the table of histograms, since it knows which pixel it is at, while the programs only know
# that some strings of bytes occur again. Be careful with what this says:
#
# - The programs are general. One that was made for small grey pictures would do better.
# - Their files exist. The VAE's figure is the length of an ideal code. (A code of about minus the ELBO can be built: bits that choose $z$ are taken
#   from another part of the message, and got back later, which is called *bits back*. The importance-weighted figure needs a more costly one.)
# - Whoever unpacks needs the decoder, and that is larger than all the digits together:

# %%
weights_file = os.path.getsize(run.path / "best.safetensors")
print(f"{run.info.parameters:,} parameters, {weights_file / 1000:,.0f} kB;", end=" ")
print(f"all {len(test_x)} test digits at five bits a level: {len(layouts(test_x)['five bits']) / 1000:.1f} kB")

# %% [markdown]
# So nobody would pack 359 digits in this way. The figure says what the model knows, in a unit that everybody has. It becomes a real saving only with
# a very large number of pictures.

# %% [markdown]
# ## Probabilities and densities
#
# Nats can only be compared if they are about the same thing. The most common trap is a **density**. Temperatures and lengths do not come in levels,
# they can be any number. Each single number then has the probability 0, and one gives the probability *per unit* instead: the density $p(x)$. It
# changes with the unit. Measure in centimetres instead of metres, and the same probability is spread over a hundred times as many units. In general
#
# $$p_Y(y) = \frac{p_X(x)}{s}, \qquad \log p_Y(y) = \log p_X(x) - \log s, \qquad y = s\,x,$$
#
# for each number that is scaled. Take a person of 1.75 m, among people with a mean of 1.70 m and a standard deviation of 0.10 m:

# %%
for name, factor in (("metres", 1.0), ("centimetres", 100.0)):
    people = torch.distributions.Normal(1.70 * factor, 0.10 * factor)
    print(f"log-density in {name:11}: {people.log_prob(torch.tensor(1.75 * factor)):6.3f} nats")
print(f"log 100 = {math.log(100):.3f}")

# %% [markdown]
# In metres the density is above 1, and its logarithm above 0. No probability can do that. Nobody knows more about this person in metres than in
# centimetres.
#
# The same happens to a whole model. Here a VAE learns scikit-learn's table of 178 wines with 13 measurements, once as it is, and once with all
# numbers multiplied by 1,000. `vaekit` trains on standardized columns, so the two trainings are the same, but it reports the density of the data in
# *its own units*:

# %%
wine = load_wine().data  # (178, 13)
plan = [f"train.epochs={WINE_EPOCHS}", "train.time=null", "train.patience=0"]
elbos = []
for name, factor in (("as measured", 1), ("times 1,000", 1000)):
    table = vaekit.train("array", data=wine * factor, overrides=plan, out=f"runs/wine-{factor}")
    measured = vaekit.evaluate(table, samples=16)
    elbos.append(measured.elbo_nats.mean)
    print(f"{name}: ELBO {measured.elbo_nats} nats, {measured.bits_per_dim} bits per dimension")
    print(f"   what it is: {measured.units}")
print(f"difference {elbos[0] - elbos[1]:.2f};  13 log 1000 = {13 * math.log(1000):.2f}")

# %% [markdown]
# The two models are equally good. So:
#
# - A log-density can be of any sign. Whether it is high says nothing by itself.
# - Two log-densities can be compared if they are about the same data in the same units.
# - A log-density and a log-probability cannot be compared as they stand. Whoever scales grey levels from 0...255 to 0...1 and quotes a density gains
#   $\log 255 = 5.5$ nats for each pixel, by nothing but a change of units.
# - The density of data that comes in levels can be made as high as one likes, by ever narrower bells around the levels. The remedy is to model the
#   probability of a level, as the bells of `digits` do, or to add noise that fills the gap up to the next level.
#
# `vaekit evaluate` says with each figure what it is about, in the field `units`.

# %% [markdown]
# ## PSNR and SSIM: what they see
#
# Two other figures are common for pictures. Both compare a picture with its reconstruction.
#
# **PSNR** (peak signal-to-noise ratio) is the mean squared error on a logarithmic scale, in decibels (dB); with $K$ levels, the highest is $K - 1$:
#
# $$\text{PSNR} = 10 \log_{10} \frac{(K - 1)^2}{\text{MSE}}, \qquad \text{MSE} = \frac1D \sum_{i=1}^D (x_i - \hat x_i)^2.$$
#
# **SSIM** (structural similarity) goes over the picture with a small window, and compares mean, contrast and pattern in it; 1 means equal. In a
# window with means $m_x, m_y$, variances $v_x, v_y$, covariance $c$ and two small constants $a, b$ against division by zero,
#
# $$\text{SSIM} = \frac{(2 m_x m_y + a)(2 c + b)}{(m_x^2 + m_y^2 + a)(v_x + v_y + b)}.$$
#
# To learn what they see, draw a picture with slow slopes, fine rings and sharp edges, and damage it in five ways, all with *the same* mean squared
# error of $12^2$.

# %%
down, right = torch.meshgrid(torch.linspace(-1, 1, 160), torch.linspace(-1, 1, 160), indexing="ij")
rings = torch.cos(45 * (right**2 + down**2)) * (1.2 - down)  # finer and finer outwards
boxes = ((5 * right).floor() + (5 * down).floor()) % 2
scene = 128 - 30 * right + 30 * rings + 40 * (boxes - 0.5)  # (160, 160)
spec = vaekit.DataSpec((1, 160, 160), levels=256)
noise = torch.randn(160, 160, generator=torch.Generator().manual_seed(0))


def blurred(x, width):
    """The picture under a bell of that width, in pixels."""
    reach = torch.arange(-15, 16.0)
    bell = torch.exp(-0.5 * (reach / width) ** 2)
    bell = bell / bell.sum()
    x = F.pad(x[None, None], (15, 15, 15, 15), mode="reflect")
    return F.conv2d(F.conv2d(x, bell.reshape(1, 1, 1, -1)), bell.reshape(1, 1, -1, 1))[0, 0]


def hole(x, side):
    """The picture with a grey square in the middle, whose side may be a fraction."""
    away = (torch.arange(160) - 79.5).abs()
    cover = (side / 2 + 0.5 - away).clamp(0, 1)
    cover = cover[:, None] * cover
    return x * (1 - cover) + 128 * cover


damages = {
    "darker": lambda t: scene - t,
    "less contrast": lambda t: scene.mean() + (scene - scene.mean()) / (1 + t),
    "noise": lambda t: scene + t * noise,
    "blur": lambda t: blurred(scene, t),
    "a hole": lambda t: hole(scene, t),
}


def just_as_bad(damage, goal=12.0):
    """The damage of the strength that makes the root of the mean squared error `goal`."""
    low, high = 1e-3, 100.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (damage(middle) - scene).square().mean().sqrt() < goal else (low, middle)
    return damage(middle)


figure, axes = plt.subplots(2, 3, figsize=(7.4, 5.6), layout="constrained")
for axis, (name, x) in zip(
    axes.flat, {"original": scene, **{name: just_as_bad(d) for name, d in damages.items()}}.items(), strict=True
):
    pair = (x[None, None], scene[None, None])
    figures = f"\nPSNR {psnr(*pair, spec).item():.1f} dB, SSIM {ssim(*pair, spec).item():.2f}" if x is not scene else ""
    axis.imshow(x, cmap="gray", vmin=0, vmax=255)
    axis.set_title(name + figures, fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# PSNR cannot tell these five apart. SSIM can: it forgives a change of brightness or contrast, and punishes blur and noise, more as an eye does. But
# the hole counts for it no more than the noise or the blur, and only there something is lost for good.
#
# And neither asks the two questions that matter for a generative model: at what *price* did the picture come back (the KL), and what do *new*
# pictures look like? A model that copies its input has a perfect PSNR and an SSIM of 1, and can generate nothing.
#
# For our digits the library reports a PSNR. It reports no SSIM, whose window of 11 × 11 pixels does not fit into a picture of 8 × 8, and says so:

# %%
print(f"PSNR {found.psnr_db} dB, SSIM {found.ssim}")
print(*found.notes, sep="\n")

# %% [markdown]
# ## Rate and distortion
#
# The two terms of the ELBO pull in opposite directions. The KL is the **rate**: what is spent on $z$. Minus the log-likelihood is the **distortion**:
# what is still missing once $z$ is known. Both are in nats, and their sum is minus the ELBO. In training one can ask for another balance, with a
# weight $\beta$ on the rate:
#
# $$\text{loss} = \underbrace{-\mathbb E_q[\log p(x \mid z)]}_{\text{distortion } D} + \beta\, \underbrace{\text{KL}}_{\text{rate } R}.$$
#
# With a small $\beta$ the rate is cheap: the model buys much of it, and reconstructs well. With a large $\beta$ it is dear. We train a small model
# for each of several $\beta$. (`validate_every=0` keeps the last weights. Otherwise the library would keep those with the best *plain* ELBO on the
# validation set, whatever $\beta$ is, and so mix two goals.)

# %%
BETAS = [0.1, 0.3, 0.6, 1.0, 1.7, 3.0, 10.0]
plan = [f"train.epochs={SWEEP_EPOCHS}", "train.time=null", "train.validate_every=0"]
small = ["model.encoder.hidden=[128]", "model.decoder.hidden=[128]"]
models, parts = {}, {}
for beta in BETAS:
    models[beta] = vaekit.train("digits", overrides=[*plan, *small, f"objective.beta={beta}"], out=f"runs/beta-{beta}")
    parts[beta] = vaekit.reconstruct(models[beta], samples=16)

rate = [parts[beta].kl_nats.mean().item() for beta in BETAS]
distortion = [-parts[beta].log_likelihood_nats.mean().item() for beta in BETAS]
for beta, r, d in zip(BETAS, rate, distortion, strict=True):
    plain = Estimate.of(parts[beta].elbo_nats)
    loss = Estimate.of(parts[beta].elbo_nats - parts[1.0].elbo_nats)
    psnr_db = parts[beta].psnr_db.mean()
    print(f"beta {beta:4}: rate {r:6.2f}  distortion {d:6.2f}  ELBO {plain.mean:7.2f}", end="  ")
    print(
        f"against beta 1: {loss.mean:6.2f} +- {loss.stderr:4.2f}  PSNR {psnr_db:.1f} dB"
        if beta != 1
        else f"{'':23} PSNR {psnr_db:.1f} dB"
    )

# %% [markdown]
# ### The picture
#
# On a plane with the rate to the right and the distortion upwards, each model is a point. A line on which $R + D$ is constant falls with slope −1,
# and all models on it have the same ELBO. Further to the lower left is better.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6), width_ratios=(1, 1.3), layout="constrained")
totals = sorted(r + d for r, d in zip(rate, distortion, strict=True))
reach = torch.tensor([0.0, max(rate) * 1.1])
for total in torch.linspace(math.floor(totals[0]), math.ceil(totals[-1]), 6):
    left.plot(reach, total - reach, color="lightgray", lw=1, zorder=0)
left.plot(reach, totals[0] - reach, color="crimson", lw=1, ls="--", zorder=0, label="the best of them")
left.plot(rate, distortion, "o-")
for beta, r, d in zip(BETAS, rate, distortion, strict=True):
    left.annotate(f"$\\beta$ = {beta:g}", (r, d), textcoords="offset points", xytext=(7, 5))
left.set(
    xlabel="rate: KL (nats)",
    ylabel="distortion: minus log-likelihood (nats)",
    title="grey lines: equal ELBO",
    aspect="equal",
)
left.set(xlim=(0, max(rate) * 1.35 + 1), ylim=(min(distortion) - 5, max(distortion) + 8))
left.legend(frameon=False, loc="upper right")
gaps = [Estimate.of(parts[beta].elbo_nats - parts[1.0].elbo_nats) for beta in BETAS]
right.errorbar(BETAS, [gap.mean for gap in gaps], [2 * gap.stderr for gap in gaps], fmt="o-", capsize=3)
right.axhline(0, color="gray", ls=":")
right.set(
    xscale="log", xlabel="$\\beta$", ylabel="ELBO, less that of $\\beta$ = 1 (nats)", title="bars: two standard errors"
)
right.set_xticks(BETAS, [f"{beta:g}" for beta in BETAS])
right.minorticks_off()
plt.show()

# %% [markdown]
# $\beta = 1$ lies where the curve touches its line of slope −1: there one nat of rate saves just one nat of distortion. To the right of it a nat of
# rate saves less than a nat; to the left it would save more, but was too dear. So $\beta = 1$ has the best ELBO, as one expects: it is what it was
# trained for. $\beta = 0.6$ comes so near that two standard errors cannot tell them apart.
#
# At $\beta = 10$ the rate is 0. No latent number is worth ten times its KL, so the encoder says the same of every picture: posterior collapse, which
# you have met in exercise 4 of notebook 1.
#
# In the same way every other model sits where the curve has the slope $-\beta$. This follows from each being the best at its own price. If model 1
# (with $\beta_1$) beats model 2 at the price $\beta_1$, and model 2 beats model 1 at $\beta_2$, then
#
# $$D_1 + \beta_1 R_1 \le D_2 + \beta_1 R_2 \quad\text{and}\quad D_2 + \beta_2 R_2 \le D_1 + \beta_2 R_1,$$
#
# and together: what a nat of rate saves on the way from one point to the next, $(D_1 - D_2)/(R_2 - R_1)$, lies between $\beta_1$ and $\beta_2$.
# (Strictly this holds for models that are perfectly trained, and on the data they are trained on. We look at test pictures.)

# %%
for i in range(len(BETAS) - 1):
    saved = (distortion[i] - distortion[i + 1]) / (rate[i + 1] - rate[i])
    print(f"between beta {BETAS[i]:4} and {BETAS[i + 1]:4}: a nat of rate saves {saved:.2f} nats of distortion")

# %% [markdown]
# It does, but for one step that misses the range by a little.
#
# What do the models look like? Above, the same test digits come back; below, new digits, from the same random numbers.

# %%
some = torch.arange(12) * 29
rows = [("test digits", parts[1.0].inputs[some])]
for beta in (0.1, 1.0, 10.0):
    rows.append((f"back, beta {beta:g}", parts[beta].outputs[some]))
for beta in (0.1, 1.0, 10.0):
    rows.append((f"new, beta {beta:g}", vaekit.generate(models[beta], n=12, seed=1).images))
render.strips([render.Strip(*row) for row in rows], run.spec, factor=5)

# %% [markdown]
# At $\beta = 10$ every picture comes back as the same grey average. A $\beta$ far below 1 brings digits back most faithfully, and a PSNR would have
# chosen it. By eye its new digits can hardly be told from those of $\beta = 1$: twelve pictures are a weak judge. The ELBO is in no doubt: for the
# same test digits $\beta = 0.1$ is worse by many standard errors.
#
# None of this makes another $\beta$ wrong. It is right if you want another balance, say better reconstructions, or fewer latents in use. But then
# measure the plain ELBO all the same, and say which $\beta$ was trained. What the library reports is always the plain bound.

# %% [markdown]
# ## Has it learned, or memorized?
#
# A model can be good on the pictures that it was trained on because it remembers them. That is **overfitting**, and it shows as a gap between the
# training and the test set. The recipe guards against it with dropout: in training each hidden unit is switched off now and then. Train once more
# without:

# %%
bare = vaekit.train(
    "digits", overrides=[*settings, "model.encoder.dropout=0", "model.decoder.dropout=0"], out="runs/no-dropout"
)

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained", sharey=True)
for axis, model, name in zip(axes, (run, bare), ("the recipe, with dropout", "without dropout"), strict=True):
    axis.plot(
        [at["epoch"] for at in model.history], [at["train"]["elbo_nats"] for at in model.history], label="training"
    )
    checks = [(at["epoch"], at["validation"]["elbo_nats"]) for at in model.history if at["validation"]]
    axis.plot(*zip(*checks, strict=True), label="validation")
    kept = max(checks, key=lambda check: check[1])
    axis.plot(*kept, "o", color="C1", label=f"kept: epoch {kept[0]}")
    axis.set(xlabel="epoch", ylim=(kept[1] - 25, kept[1] + 30), title=name)
    axis.legend(frameon=False, loc="lower right")
axes[0].set_ylabel("ELBO (nats)")
plt.show()

for model, name in ((run, "with dropout"), (bare, "without dropout")):
    on = {split: vaekit.evaluate(model, split, samples=16).elbo_nats for split in ("train", "validation", "test")}
    print(f"{name:16}", "   ".join(f"{split} {value}" for split, value in on.items()))
    final = model.history[-1]["validation"]["elbo_nats"]
    print(f"{'':16} validation after the last epoch: {final:.2f}")

# %% [markdown]
# Without dropout the training curve goes on rising while the validation curve turns down: from there on the model learns by heart. With dropout it
# does not turn. (In the first half the training curve even lies *below* the other. That is no contradiction: it is measured while units are switched
# off, and validation with all of them.) But training pictures are worth some nats more than test pictures there, too. With so few of them that is
# hard to avoid.
#
# The library kept the weights of the marked epochs. That is **selection on validation**. Without dropout it saved about ten nats, which the later
# epochs would have cost. It is also why there has to be a third set. The best of a hundred validations is a bit better than it deserves: among many
# noisy figures the highest is likely to be a lucky one. Whoever chooses epochs, widths or $\beta$ by the validation set, and then quotes its figure,
# fools himself. The test set is opened once, at the end.

# %% [markdown]
# ## All of this in one command
#
# `vaekit evaluate` prints what you have met here. The same figures come from Python as `vaekit.evaluate(run)`.

# %%
command = [sys.executable, "-m", "vaekit", "evaluate", "runs/digits", "--samples", str(SAMPLES)]
print(
    subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100", "FORCE_COLOR": ""}
    ).stdout
)

# %% [markdown]
# And `vaekit report runs/digits` writes one HTML file with figures, curves, reconstructions, new digits and a map, each explained. Open it in a
# browser.

# %%
page = vaekit.report(run)
print(page, f"{page.stat().st_size / 1000:,.0f} kB")

# %% [markdown]
# ## Exercises
#
# 1. A model has an ELBO of −90 nats on pictures of 64 pixels. How many bits per dimension are that at most, and how many bytes for 1,000 pictures?
# 2. Somebody scales the 17 levels to the numbers 0, 1/16, ..., 1, adds noise that fills the gap up to the next level, and reports a log-density of
#    $-1.2$ nats a pixel. Is that model better than our histograms?
# 3. Where on the rate-distortion plane is a model whose encoder says $\mu = 0$, $\sigma = 1$ for every picture? Which of our models is the best of
#    that kind, and how far is $\beta = 10$ from it?
# 4. For how many test pictures is the estimate of $\mathcal L_{1000}$ above $\log p(x)$, for the model with two latent numbers? Does that contradict
#    the theorem?
# 5. Predict, then try: train the small model with $\beta = 1$ from two other random seeds (`train.seed=1`). Do the ELBOs differ by more than the
#    standard error of their difference?
# 6. What does a model strive for if $\beta = 0$, and what becomes of its ELBO?

# %% [markdown]
# ## Answers
#
# **1.** At most $90 / (64 \log 2) = 2.03$ bits per dimension, and $90 / \log 2 = 129.8$ bits or 16.2 bytes a picture: 16.2 kB for a thousand, less
# than a third of the 64 kB that they take with a byte a pixel.
#
# **2.** Undo the change of units. From levels to $[0, 1]$ is $s = 1/16$, so $\log p_\text{levels} = -1.2 - \log 16$ a pixel:

# %%
per_pixel = -1.2 - math.log(16)
print(f"{per_pixel:.2f} nats a pixel: {-per_pixel / math.log(2):.2f} bits per dimension at most")
print(
    f"histograms: {bits_per_dimension(as_bits['a histogram for a pixel'], run.spec)}; all levels alike: {math.log2(17):.2f}"
)

# %% [markdown]
# What it guarantees is worse than giving all levels the same probability.
#
# **3.** At the rate 0, at the left edge. Its decoder knows nothing of the picture, so it can only have one distribution for each pixel. Our
# histograms are of this kind, and nearly the best of it (the best for the training set, but for the half counts). At $\beta = 10$ the model has
# collapsed to that kind, with bells in the place of free histograms, which costs a bit more:

# %%
print(
    f"histograms: rate 0, distortion {-histogram.mean():.1f};  beta 10: rate {rate[-1]:.1f}, distortion {distortion[-1]:.1f}"
)

# %% [markdown]
# **4.** The theorem is about the mean over draws, and an estimate from one set of draws can be on either side. The mean over pictures is below:

# %%
last = bounds["2 latent numbers"][-1]
print(f"above: {(last > exact).sum()} of {len(exact)};  mean of L - log p(x): {Estimate.of(last - exact)} nats")

# %% [markdown]
# **5.** They do. The standard error is about the pictures, and another seed is another model.

# %%
for seed in (1, 2):
    again = vaekit.train("digits", overrides=[*plan, *small, f"train.seed={seed}"], out=f"runs/seed-{seed}")
    differ = vaekit.reconstruct(again, samples=16).elbo_nats - parts[1.0].elbo_nats
    print(
        f"seed {seed}: ELBO {Estimate.of(differ + parts[1.0].elbo_nats)};  against seed 0: {Estimate.of(differ)} nats"
    )

# %% [markdown]
# So before you call one way of training better than another, train several times in each, and look whether the difference is larger than that between
# seeds. ($\beta = 0.6$ and $\beta = 1$ differ by less.)
#
# **6.** $\beta = 0$: no price on the rate. Nothing holds the clouds open any more, so they shrink towards points, and $-\log \sigma$ grows. Each bell
# becomes as narrow as it may be, around the right level, and the log-likelihood of the training pictures comes near its highest value, 0 nats. It has
# nothing more to gain there, while the KL goes on growing. The curve above shows the beginning of this at $\beta = 0.1$, and exercise 5 of notebook 1
# its end.
