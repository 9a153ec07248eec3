# %% [markdown]
# # 2. A tour of a latent space
#
# A trained VAE turns a picture into a few numbers, and a few numbers into a picture. The space of these numbers is called the **latent space**. In
# this notebook you walk through it. You draw its map, move along its axes, go from one digit to another, turn fours into nines, and find out whether
# the model only remembers.
#
# You have read notebook 1, so you know the encoder, the decoder, the prior, the posterior and the ELBO. There you wrote the model yourself; here
# `vaekit` trains it, and each stop of the tour is one function. Beside it stands the formula that it computes. Everything runs in about a minute.
#
# (To run it a second time, delete the folder `runs` first: nothing is overwritten.)

# %%
import math

import matplotlib.pyplot as plt
import torch
from matplotlib.collections import EllipseCollection

import vaekit
from vaekit import render

EPOCHS = 200  # in tests: 2

torch.manual_seed(0)
settings = [f"train.epochs={EPOCHS}", "train.time=null"]
run = vaekit.train("digits", overrides=settings, out="runs/digits")
flat = vaekit.train("digits", overrides=[*settings, "model.latent=2"], out="runs/digits-flat")

# %% [markdown]
# ## Two models
#
# `digits` is a **recipe**: a short file that names the data, the networks, the likelihood, and how to train. (`vaekit init digits` writes it out,
# with comments.) An *override* changes one line of it. Ours set the number of epochs, and take away the recipe's limit of 55 seconds, so that a slow
# computer trains as long as a fast one. What comes back is a **run**: the model, and all that belongs to it. It is also kept in the directory `out`.
#
# The model `run` is the one of notebook 1 with four differences:
#
# - It has ten latent numbers. The second model, `flat`, has two, so that its map fits on paper.
# - Its pictures are grey: each pixel has one of 17 levels, from 0 (black) to 16 (white). The coin of notebook 1 knows only black and white, so
#   another likelihood takes its place. For each pixel the decoder yields two numbers, the middle and the width of a bell, and the bell is cut into 17
#   pieces: the probabilities of the levels. They sum to one. (The bell is a *logistic* distribution.)
# - Its networks have two hidden layers and **dropout**: in training each hidden unit is switched off now and then, at random, so that the network
#   cannot rely on any one of them. That keeps it from learning its few training pictures by heart.
# - There are three sets of pictures. The model learns from the **training set**. After every second epoch it is measured on the **validation set**,
#   and the weights that were best there are kept. The **test set** has no part in any of that. Pictures and figures below are of the test set, unless
#   they say otherwise.

# %%
print("pictures:", ", ".join(f"{count} {name}" for name, count in run.info.sizes.items()))
for name, model in (("2 latent numbers", flat), ("10 latent numbers", run)):
    print(f"{name:17}: ELBO {vaekit.evaluate(model, samples=64).elbo_nats} nats")

# %% [markdown]
# The ELBO is a lower bound of $\log p(x)$, as in notebook 1: higher is better. (It is lower than there, because there are many more grey pictures
# than black and white ones.) Ten numbers tell more about a digit than two. Notebook 3 is about what such figures mean, and how sure they are.
#
# One helper draws pictures in rows. `render.strips` of the library does the work.


# %%
def show(*rows, **options):
    """Rows of digits, each with a label: ("label", pictures)."""
    return render.strips([render.Strip(label, x) for label, x in rows], run.spec, factor=5, **options)


new = vaekit.generate(run, n=24, seed=1).images  # (24, 1, 8, 8), levels from 0 to 16
show(("new digits", new[:12]), ("more of them", new[12:]))

# %% [markdown]
# `vaekit.generate` draws $z$ from the prior $\mathcal N(0, I)$ and decodes it, as `sample` did in notebook 1. Shown is the mean of $p(x \mid z)$, the
# picture that the bells expect.

# %% [markdown]
# ## First stop: the map
#
# `vaekit.embed` runs the encoder. For each picture it yields the mean $\mu$ and the standard deviation $\sigma$ of the posterior $q(z \mid x)$. Let
# us look at the model with two latent numbers. At the left, each test picture is an ellipse: its middle is $\mu$, its half-axes are $\sigma_1$ and
# $\sigma_2$. At the right, `vaekit.decode` shows what the decoder makes of each place.

# %%
places = vaekit.embed(flat)  # of the test set: mean (359, 2), scale (359, 2), labels (359,)
ticks = torch.linspace(-2.5, 2.5, 16)
plane = torch.cartesian_prod(-ticks, ticks)[:, [1, 0]]  # from the top left, row by row
decoded = vaekit.decode(flat, plane).images.reshape(16, 16, 8, 8)

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.4), layout="constrained")
colours = plt.colormaps["tab10"](places.labels.numpy())
sizes = 2 * places.scale.numpy()
left.add_collection(
    EllipseCollection(
        *sizes.T, 0, units="xy", offsets=places.mean, transOffset=left.transData, facecolors=colours, alpha=0.5
    )
)
dots = left.scatter(*places.mean.T, c=places.labels, cmap="tab10", s=2, vmin=-0.5, vmax=9.5)
figure.colorbar(dots, ax=left, ticks=range(10), label="digit")
left.set(xlabel="$z_1$", ylabel="$z_2$", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", title="where pictures lie")
right.imshow(decoded.permute(0, 2, 1, 3).reshape(128, 128), cmap="gray", extent=(-2.7, 2.7, -2.7, 2.7))
right.set(xlabel="$z_1$", ylabel="$z_2$", title="what lies where")
plt.show()

# %% [markdown]
# A picture is no point here but a cloud: the encoder says *about here*. A small cloud is a precise statement, and in notebook 1 you saw what it
# costs: the KL holds a $-\log \sigma$ for each number.
#
# ### Do the clouds fill the prior?
#
# New digits come from the prior. They can only be good if the prior draws $z$ from places that the decoder knows, which are the places where the
# clouds lie. Pour the clouds of all $n$ pictures together. What you get is called the **aggregate posterior**, and it should look like the prior:
#
# $$\bar q(z) = \frac1n \sum_{i=1}^n q(z \mid x_i) \;\approx\; p(z) = \mathcal N(0, I).$$
#
# Nobody demanded that in so many words, but the KL in the ELBO pulls every cloud towards the prior, and the log-likelihood pushes clouds apart. To
# draw from $\bar q$, take a picture, and draw from its cloud. The mean should be 0 and the standard deviation 1, in each direction:

# %%
for name, model in (("2 latent numbers", flat), ("10 latent numbers", run)):
    clouds = vaekit.embed(model, split="train")
    z = clouds.mean + clouds.scale * torch.randn_like(clouds.mean)
    print(name)
    print("   mean              ", " ".join(f"{value:5.2f}" for value in z.mean(0)))
    print("   standard deviation", " ".join(f"{value:5.2f}" for value in z.std(0)))

# %% [markdown]
# With ten numbers that is near enough. With two the clouds spread further than the prior wants: it seems that ten digits need more room than it
# offers, and that the better reconstructions are worth the higher KL. Also, the right mean and spread are no proof: clouds can have both and still
# leave gaps between the classes, as the map shows. A draw from the prior that falls into a gap becomes a digit that is half one thing and half
# another.

# %% [markdown]
# ## Second stop: ten directions on flat paper
#
# The better model has ten numbers, and paper has two directions. Which two? **Principal component analysis** (PCA) takes those in which the points
# differ most. Collect the means of the posteriors in a matrix, one row a picture, subtract the mean row, and factor it by the singular value
# decomposition:
#
# $$M - \bar M = U S V^\top.$$
#
# The first two rows of $V^\top$ are the directions, and the squares of the entries of $S$ say how much of the variance lies in each.

# %%
points = vaekit.embed(run)  # of the test set: mean (359, 10), scale (359, 10)
learned = vaekit.embed(run, split="train")
middle = learned.mean.mean(0)
_, strengths, directions = torch.linalg.svd(learned.mean - middle, full_matrices=False)
shares = strengths**2 / (strengths**2).sum()
shadow = (points.mean - middle) @ directions[:2].T  # (359, 2)
print("share of the variance in each direction:", " ".join(f"{share:.0%}" for share in shares))

figure, axis = plt.subplots(figsize=(5.4, 4.2), layout="constrained")
dots = axis.scatter(*shadow.T, c=points.labels, cmap="tab10", s=12, vmin=-0.5, vmax=9.5)
figure.colorbar(dots, ax=axis, ticks=range(10), label="digit")
axis.set(xlabel=f"first component ({shares[0]:.0%} of the variance)", aspect="equal")
axis.set(ylabel=f"second component ({shares[1]:.0%})", title="ten numbers, seen from two directions")
plt.show()

# %% [markdown]
# The better model has the worse map. Look at the shares. Three of the ten directions have no variance: the model does not use all of its numbers, and
# the fourth stop looks into that. In the others the variance is spread nearly evenly. That is the work of the prior, which wants a variance of 1 in
# *every* direction. A cloud of points that is about as wide in seven directions has none in which it is wide, and the two best of them show a third
# of it. PCA shows much where few directions matter; a VAE sees to it that all that are in use do. So never judge a latent space of many dimensions by
# its shadow.
#
# A fairer question is whether pictures that lie near each other are alike. For each test picture, take the nearest *training* picture, and see
# whether it has the same label:


# %%
def nearest(x, among):
    """The row number of the nearest of `among` for each of `x`, and how far it is."""
    return torch.cdist(x.flatten(1).float(), among.flatten(1).float()).min(1)[::-1]


def pictures(split):
    """All pictures of a split, (n, 1, 8, 8), levels from 0 to 16."""
    rows = run.rows(split)
    return rows.gather(torch.arange(len(rows))).x.float()


train_x, test_x = pictures("train"), pictures("test")
spaces = {
    "64 pixels": (train_x, test_x),
    "10 latent numbers": (learned.mean, points.mean),
    "2 components of these 10": ((learned.mean - middle) @ directions[:2].T, shadow),
    "2 latent numbers": (vaekit.embed(flat, split="train").mean, places.mean),
}
for name, (train, test) in spaces.items():
    right = learned.labels[nearest(test, train)[0]] == points.labels
    share = right.double().mean().item()
    print(f"{name:25} same label: {share:.1%} +- {math.sqrt(share * (1 - share) / len(right)):.1%}")

# %% [markdown]
# (Behind ± stands the standard error of the share, $\sqrt{p (1 - p) / n}$.) The latent numbers keep most of what the pixels say about the digit,
# though no label was ever shown to the model. Their shadow loses half of it. Two numbers that were *trained* to be two lie in between: such a model
# has to put the digits side by side, since it has no other place for them.

# %% [markdown]
# ## Third stop: there and back
#
# `vaekit.reconstruct` encodes a picture, takes the mean of its posterior, and decodes that.

# %%
back = vaekit.reconstruct(run)  # of the test set, in its order
show(("test digits", back.inputs[:12]), ("come back as", back.outputs[:12]), together=2)

# %% [markdown]
# The mean hides something: the posterior is a cloud, and every point of it is a guess. So decode several draws
#
# $$z = \mu + \sigma\,\varepsilon, \qquad \varepsilon \sim \mathcal N(0, I),$$
#
# and see how much they differ. Where all of them agree, the model is sure. Below are the test digits of which it is least sure: those whose pictures
# vary most from draw to draw.


# %%
def decode(z):
    """Pictures of latents (..., 10): the means of p(x | z), (..., 1, 8, 8)."""
    return vaekit.decode(run, z.flatten(0, -2)).images.reshape(*z.shape[:-1], 1, 8, 8)


draws = points.mean + points.scale * torch.randn(50, *points.mean.shape)  # (50, 359, 10)
drawn = decode(draws)  # (50, 359, 1, 8, 8)
unsure = drawn.var(0).mean((1, 2, 3)).argsort(descending=True)[:12]

rows = [(f"draw {number + 1}", drawn[number, unsure]) for number in range(4)]
show(("test digits", test_x[unsure]), ("from the mean", back.outputs[unsure]), *rows)

# %% [markdown]
# There are two kinds of not knowing here. One is *which cause*: the draws of $z$ differ. The other is *which level*, even if the cause were known:
# that is the width of the bells. Variances add up, which is the law of total variance:
#
# $$\underbrace{\operatorname{Var}[x]}_{\text{all}}
#   = \underbrace{\operatorname{Var}_q\big[\mathbb E[x \mid z]\big]}_{\text{which cause}}
#   + \underbrace{\mathbb E_q\big[\operatorname{Var}[x \mid z]\big]}_{\text{which level}}.$$
#
# The first term is the variance of the decoded means, which we have. For the left side, let the bells roll their dice too: `pixels="sample"`.

# %%
rolled = vaekit.decode(run, draws.flatten(0, 1), pixels="sample", seed=1).images.reshape(drawn.shape)
cause, whole = drawn.var(0), rolled.var(0)  # (359, 1, 8, 8)
print(f"variance of a pixel, mean over the test set: {whole.mean():.2f} in all, {cause.mean():.2f} from the cause")
show(
    ("which cause", cause[unsure].sqrt()),
    ("which level", (whole - cause).clamp(min=0)[unsure].sqrt()),
    window=render.Window(0, 5),
)

# %% [markdown]
# These are the standard deviations for the same twelve digits: black is sure, white is five levels or more. Even for these digits the larger part is
# of the second kind, the noise that each pixel has for itself. The first kind is fainter, but it is the part that changes *which* digit one sees,
# because it moves all pixels of a stroke together.

# %% [markdown]
# ## Fourth stop: one number at a time
#
# Which of the ten numbers does the model use, and for what? The price list is the KL. It is a sum over the latent numbers, so each has a price of its
# own, averaged over pictures:
#
# $$\text{KL}_j = \frac1n \sum_{i=1}^n \left[ \tfrac12 \left( \mu_{ij}^2 + \sigma_{ij}^2 - 1 \right) - \log \sigma_{ij} \right].$$
#
# A number whose KL is near 0 says the same about every picture, $\mu = 0$ and $\sigma = 1$: it is not used. A common count is that of **active
# units**: the numbers whose mean $\mu_j$ varies from picture to picture, with a variance above 0.01. `vaekit.evaluate` reports both, and here they
# are by hand:

# %%
mu, sigma = points.mean, points.scale
kl = (0.5 * (mu**2 + sigma**2 - 1) - sigma.log()).mean(0)  # (10,)
found = vaekit.evaluate(run, samples=64)
assert torch.allclose(kl, torch.tensor(found.kl_per_dimension), atol=1e-3)
print(
    f"KL {kl.sum():.2f} nats in all;  active units: {(mu.var(0) > 0.01).sum()} by hand, {found.active_units} reported"
)

order = kl.argsort(descending=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
left.bar(range(10), kl[order])
left.set(ylabel="KL (nats)", title="what each number costs")
right.bar(range(10), sigma[:, order].mean(0))
right.axhline(1, color="gray", ls="--")
right.set(ylabel="mean $\\sigma$", title="how vague it is (1: says nothing)")
for axis in (left, right):
    axis.set_xticks(range(10), [f"$z_{{{number}}}$" for number in order])
plt.show()

# %% [markdown]
# Seven numbers are in use. The other three are not worth their price to this model, and it has switched them off (exercise 5 has more of this).
#
# `vaekit.traverse` moves one number at a time, from −3 to 3, while all others stay at 0. That is called a **traversal**. The numbers with the highest
# KL come first.

# %%
walk = vaekit.traverse(run, span=3.0, steps=11)
show(*((f"z{j}: {cost:.1f} nats", x) for j, cost, x in zip(walk.dimensions, walk.kl, walk.images, strict=True)))

# %% [markdown]
# All rows have the same picture in the middle: $z = 0$, the centre of the prior. It is no digit, but something between all of them. The last three
# rows do not change, for nobody listens to these numbers. The walk can also start at a picture, with `base`. The other nine numbers then keep their
# values for that picture:


# %%
def typical(digit):
    """The row of the test picture of a digit with the highest ELBO."""
    return int(torch.where(points.labels == digit, back.elbo_nats, -math.inf).argmax())


walk = vaekit.traverse(run, walk.dimensions[:4], span=3.0, steps=11, base=typical(8))
show(*((f"z{j}", x) for j, x in zip(walk.dimensions, walk.images, strict=True)))

# %% [markdown]
# Do not expect that one number is the slant, and another the width of the pen. The prior $\mathcal N(0, I)$ looks the same from every side: turn the
# whole space around its centre, turn the decoder with it, and you have another model with exactly the same $p(x)$. Nothing in $p(x)$ says where the
# axes are. (The posterior does a little: it is a normal distribution with *independent* numbers, so some axes suit it better than others.) So each
# axis is a mixture of several things, and that is no mistake. Below you will find directions with a meaning; they are seldom axes.

# %% [markdown]
# ## Fifth stop: from one digit to another
#
# Take two test digits (of each class the one that the model knows best), with means $a$ and $b$. Walk from one to the other, and decode every step.
# The straight way with the weight $w$ from 0 to 1 is
#
# $$z(w) = (1 - w)\, a + w\, b.$$
#
# `vaekit.interpolate` does it:

# %%
ends = [(0, 6), (4, 9), (3, 8), (1, 2)]
pairs = [(typical(a), typical(b)) for a, b in ends]
names = [f"{a} to {b}" for a, b in ends]
straight = vaekit.interpolate(run, pairs, steps=12)
show(*zip(names, straight.images, strict=True))

# %% [markdown]
# ### How long is a normal vector?
#
# The straight way has a flaw, and it grows with the number of dimensions. How far from the centre does a draw $z$ from the prior lie? Its squared
# length is a sum of $d$ squares, each with the mean 1:
#
# $$\mathbb E\, |z|^2 = \sum_{j=1}^d \mathbb E\, z_j^2 = d, \qquad \text{so } |z| \approx \sqrt d.$$
#
# The squares have a variance of 2, so $|z|^2$ has a standard deviation of $\sqrt{2d}$, and $|z|$ itself of about $\sqrt{2d} / (2 \sqrt d) = 0.7$,
# whatever $d$ is. So in many dimensions nearly all draws lie in a thin shell of radius $\sqrt d$, and hardly any near the centre. The density is
# highest at the centre, but there is next to no room.
#
# And the middle between two draws? Each of its numbers is $(a_j + b_j) / 2$, with the variance $\tfrac14 + \tfrac14 = \tfrac12$. Its length is about
# $\sqrt{d/2}$: it is too short, by the factor 0.71.

# %%
figure, axis = plt.subplots(figsize=(7.5, 3))
for d, colour in ((2, "C0"), (10, "C1"), (100, "C2")):
    a, b = torch.randn(2, 20_000, d)
    draws_of, middles = a.norm(dim=1), ((a + b) / 2).norm(dim=1)
    axis.hist(draws_of.numpy(), bins=80, density=True, color=colour, alpha=0.45, label=f"d = {d}: draws")
    axis.hist(middles.numpy(), bins=80, density=True, color=colour, histtype="step", lw=1.6, label=f"d = {d}: middles")
    short = (draws_of.mean() - middles.mean()) / draws_of.std()
    print(
        f"d = {d:3}: length {draws_of.mean():5.2f} +- {draws_of.std():.2f}, of middles {middles.mean():4.2f}:", end=" "
    )
    print(f"too short by {short:.1f} standard deviations")
axis.set(xlabel="length $|z|$", ylabel="density", title="draws from the prior, and middles between two of them")
axis.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False)
plt.show()

# %% [markdown]
# In two dimensions a middle is nothing special. In a hundred it is a place where no draw ever lies, and where the decoder never had to be good.
#
# The way out is to walk along a circle instead of its chord. If $\Omega$ is the angle between $a$ and $b$,
#
# $$z(w) = \frac{\sin((1 - w)\, \Omega)}{\sin \Omega}\, a + \frac{\sin(w\, \Omega)}{\sin \Omega}\, b.$$
#
# This is **spherical interpolation**, or *slerp*. If $a$ and $b$ have the same length, so has every step between them. By hand, and then by the
# library:

# %%
curved = vaekit.interpolate(run, pairs, steps=12, mode="slerp")
a, b = (points.mean[[pair[side] for pair in pairs], None] for side in (0, 1))  # (4, 1, 10) each
angle = torch.arccos(torch.cosine_similarity(a, b, dim=2))[:, :, None]  # (4, 1, 1)
w = torch.linspace(0, 1, 12)[:, None]
by_hand = (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)
assert torch.allclose(by_hand, curved.latents, atol=1e-3)

both = []
for name, line, arc in zip(names, straight.images, curved.images, strict=True):
    both += [(f"{name}, linear", line), ("slerp", arc)]
show(*both, together=2)

# %%
many = [(row, row + 179) for row in range(179)]
figure, axis = plt.subplots(figsize=(6, 3))
for mode in ("linear", "slerp"):
    path = vaekit.interpolate(run, many, steps=21, mode=mode)
    length = path.latents.norm(dim=2).mean(0)  # (21,)
    axis.plot(path.weights, length, label=mode)
    print(f"{mode:6}: in the middle {length[10] / (length[0] + length[-1]) * 2:.0%} of the length at the ends")
axis.axhline(points.mean.norm(dim=1).mean(), color="gray", ls=":", label="all test digits")
axis.set(xlabel="weight $w$ of the second digit", ylabel="length $|z|$", ylim=(0, 3.6), title="mean of 179 ways")
axis.legend(loc="lower center", ncols=3, frameon=False)
plt.show()

# %% [markdown]
# The chord is too short by about the factor that we computed, and the arc is not. In the pictures this makes little difference: seven numbers are
# few, the middle is short by one standard deviation, and the decoder can still do something with it. With a hundred numbers in use it decides.

# %% [markdown]
# ## Sixth stop: temperature
#
# A draw from the prior can be made bolder or tamer. The **temperature** $T$ is a factor on its standard deviation:
#
# $$z = T\, \varepsilon, \qquad \varepsilon \sim \mathcal N(0, I), \qquad \text{so } |z| \approx T \sqrt d.$$
#
# Each column below has the same $\varepsilon$. At low temperatures everything shrinks to the picture at $z = 0$, something like the average of all
# digits. $T = 1$ is the model. Above, $z$ lies outside the shell that the decoder was trained on, and strokes are exaggerated.

# %%
warmth = (0.1, 0.4, 0.7, 1.0, 1.4, 2.0)
show(*((f"T = {T}", vaekit.generate(run, n=12, temperature=T, seed=1).images) for T in warmth))

# %% [markdown]
# Let us put that into numbers, for 500 pictures at each temperature. How varied are they: by how much does a pixel vary? And how many are clearly
# *one* digit? Call a picture clear if its ten nearest training digits all have the same label. For comparison, the same of test digits that come
# back, which are means of $p(x \mid z)$ as well.


# %%
def clear(x):
    """The share of pictures whose ten nearest training digits have the same label."""
    close = torch.cdist(x.flatten(1), train_x.flatten(1)).topk(10, largest=False).indices  # (n, 10)
    labels = learned.labels[close]
    return (labels == labels[:, :1]).all(1).double().mean().item()


for name, x in [
    *((f"T = {T}", vaekit.generate(run, n=500, temperature=T, seed=2).images) for T in warmth),
    ("test digits, back", back.outputs),
]:
    print(f"{name:18} variation of a pixel {x.std(0).mean():.2f} levels,  clear {clear(x):4.0%}")

# %% [markdown]
# Low temperatures do not help this model. Between the centre and the shell there are hardly any digits, so at $T = 0.4$ fewer pictures are clearly
# one digit than at $T = 1$. (At $T = 0.1$ there is only one picture, five hundred times, and the verdict is about that one.) It is another matter
# where the average of the data is itself like the data: the average of many portraits is a face, the average digit is no digit. There a temperature
# of 0.7 or so trades variety for cleaner pictures. But only $T = 1$ draws from the $p(x)$ that was trained, so tell people which $T$ they are looking
# at.
#
# At $T = 1$ about half of the new digits are clear, and of the test digits that come back about four fifths. That is what draws from the prior still
# lack: some of them fall into the gaps of the first stop.

# %% [markdown]
# ## Seventh stop: directions with a meaning
#
# Axes seldom mean something, but directions can. Say we want the direction of *three*. With labels at hand, take the mean of all training threes in
# the latent space, and subtract the mean of all others:
#
# $$v = \frac{1}{n_3} \sum_{i:\, y_i = 3} \mu_i \;-\; \frac{1}{n - n_3} \sum_{i:\, y_i \ne 3} \mu_i .$$
#
# Then $z + s\, v$ is the same picture, but more of a three; with a negative $s$ it is less of one. The model was trained without labels; they are
# only needed to find $v$. `vaekit.edit` does both:

# %%
edit = vaekit.edit(
    run, "label=3", strengths=(-1, -0.5, 0, 0.5, 1, 1.5, 2), indices=[typical(digit) for digit in (3, 2, 5, 8, 9)]
)
threes = learned.labels == 3
v = learned.mean[threes].mean(0) - learned.mean[~threes].mean(0)
assert torch.allclose(v, edit.direction, atol=1e-3)
print(f"from {edit.examples[0]} threes and {edit.examples[1]} others; length of v: {v.norm():.2f}")
show(*((f"from a {digit}", x) for digit, x in zip((3, 2, 5, 8, 9), edit.images, strict=True)))

# %% [markdown]
# The columns are $s = -1$ to $2$; the third, $s = 0$, is the reconstruction.
#
# ### Arithmetic
#
# Means of classes can be added and subtracted like arrows. The arrow from the mean four to the mean nine,
#
# $$\text{nine} - \text{four} = \bar\mu_9 - \bar\mu_4,$$
#
# added to *some* four, should give the nine that the same hand would have written.

# %%
arrow = learned.mean[learned.labels == 9].mean(0) - learned.mean[learned.labels == 4].mean(0)
fours = points.mean[points.labels == 4]  # (36, 10)
steps = [0.0, 0.5, 1.0, 1.5, 2.0]
turned = [decode(fours + s * arrow) for s in steps]
show(*((f"four + {s} arrow", x[:12]) for s, x in zip(steps, turned, strict=True)))

# %% [markdown]
# Does it work? We need a judge: the label of the nearest training picture, by pixels. You saw above how often it is right on test digits.

# %%
for s, x in zip(steps, turned, strict=True):
    judged = learned.labels[nearest(x, train_x)[0]]
    length = (fours + s * arrow).norm(dim=1).mean()
    four, nine = ((judged == digit).double().mean().item() for digit in (4, 9))
    print(
        f"s = {s}: a four {four:4.0%}, a nine {nine:4.0%}, another {1 - four - nine:4.0%};  mean length of z {length:.2f}"
    )

# %% [markdown]
# It works for most of them, and not for all. The arrow leads from the middle of the fours to the middle of the nines, but few fours lie just there.
# On the way, at $s = 0.5$, most pictures are neither: with seven numbers other digits lie between fours and nines. And the arrow does not end at the
# nines. Beyond $s = 1$ the latents get longer, and $z$ leaves the shell where digits lie.
#
# This is a trick for models that were trained without labels. Where labels are known beforehand, give them to the model: the recipe
# `digits-conditional` learns $p(x \mid \text{label})$, and draws a seven when asked for one ([conditions](../conditions.md)).

# %% [markdown]
# ## Last stop: is it only remembering?
#
# A model that stored all training digits and handed them out at random would draw perfect digits. So look beside each new digit at the *nearest*
# training digit, by the distance of pixels:

# %%
which, _ = nearest(new, train_x)
show(("new digits", new[:12]), ("nearest known", train_x[which[:12]]), together=2)

# %% [markdown]
# They are relatives, not copies. But how near is too near? There is a yardstick: *test* digits. They are real, and the model has never seen them, so
# their distances to the training set are what honest digits have. If the model remembered, its digits would be nearer.
#
# Compare like with like. A mean of $p(x \mid z)$ is smooth, has no noise of single pixels, and is nearer to everything. So means are compared with
# reconstructions of test digits, which are means too; and full draws, with dice rolled for every pixel, with the test digits themselves.

# %%
fresh = {kind: vaekit.generate(run, n=1000, seed=3, pixels=kind).images for kind in ("mean", "sample")}
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained", sharey=True)
for axis, kind, real, name in zip(
    axes, ("mean", "sample"), (back.outputs, test_x), ("reconstructed test digits", "test digits"), strict=True
):
    for label, x, style in (
        (name, real, {"alpha": 0.45}),
        ("new digits", fresh[kind], {"histtype": "step", "lw": 1.6}),
    ):
        far = nearest(x, train_x)[1]
        axis.hist(far.numpy(), bins=torch.linspace(0, 40, 41).tolist(), density=True, label=label, **style)
        print(f"{kind:6} {label:26} median distance {far.median():.1f}, nearest of all {far.min():.1f}")
    axis.set(xlabel="distance to the nearest training digit", title=f"{'means' if kind == 'mean' else 'draws'}")
    axis.legend(frameon=False)
axes[0].set_ylabel("density")
plt.show()

# %% [markdown]
# New digits are not nearer to the training set than digits that the model has never seen. They are farther, so it does not hand out copies. They are
# even a good deal farther: not all of them are proper digits, as you have seen.
#
# What the comparison cannot tell is whether every *kind* of handwriting is among the new digits. For that one needs a figure that counts what is
# missing, too: $\log p(x)$ of test digits, which is very low for a digit that the model can hardly make. That is notebook 3.
#
# ## Exercises
#
# 1. How long is a draw from a prior with 1,000 numbers, and how long is the middle between two? How many standard deviations is that too short? And
#    at temperature 0.7, is a draw longer or shorter than such a middle?
# 2. For a model with *two* latent numbers, should you use slerp?
# 3. A model remembers its training digits exactly, and "generates" by handing out one of them at random. What would the last histograms show? What is
#    its $\log p(x)$ for a test digit?
# 4. Turn the ten latent numbers of `run` around the centre by a random rotation before decoding. Predict what the new digits look like, then try.
#    (`torch.linalg.qr(torch.randn(10, 10))[0]` is a random rotation, perhaps with a reflection.)
# 5. Predict, then try: of thirty latent numbers, how many will the model use? Is it better?
# 6. Turn threes into eights as we turned fours into nines. Is it easier?

# %% [markdown]
# ## Answers
#
# **1.** $\sqrt{1000} = 31.6$ and $\sqrt{500} = 22.4$, so $9.3 / 0.71 = 13$ standard deviations. At temperature 0.7 a draw has the length
# $0.7 \cdot 31.6 = 22.1$: a little less. The middle of a straight way looks as tame as a draw at temperature $1 / \sqrt 2 = 0.71$, for the same
# reason.

# %%
a, b = torch.randn(2, 2000, 1000)
for name, z in (("draws", a), ("middles", (a + b) / 2), ("draws at T = 0.7", 0.7 * a)):
    print(f"{name:17} length {z.norm(dim=1).mean():.2f} +- {z.norm(dim=1).std():.2f}")

# %% [markdown]
# **2.** There is no need. In two dimensions many draws lie near the centre, and it is the place with the highest density. Between two points on
# opposite sides slerp takes a long way round, and passes other digits that have nothing to do with either.
#
# **3.** All distances would be 0. A test digit is not among the training digits, so its probability is 0, and $\log p(x) = -\infty$. One digit that a
# model can never make is enough to ruin its mean. That is the strength of this figure, and the reason why pictures alone say little about a model.
#
# **4.** They are new digits like all others: single ones change, the whole looks the same, since a turned draw from $\mathcal N(0, I)$ is a draw from
# $\mathcal N(0, I)$.

# %%
rotation = torch.linalg.qr(torch.randn(10, 10))[0]
z = vaekit.generate(run, n=12, seed=1).latents
show(("new digits", decode(z)), ("latents turned", decode(z @ rotation)))

# %% [markdown]
# **5.** A number that is not worth its KL is switched off: the encoder says $\mu = 0$ and $\sigma = 1$, which costs nothing, and the decoder ignores
# it. So too many latent numbers do little harm. (The ELBOs differ by less than the standard error of either. Notebook 3 shows how to compare more
# sharply.)

# %%
wide = vaekit.train("digits", overrides=[*settings, "model.latent=30"], out="runs/digits-wide")
measured = vaekit.evaluate(wide, samples=64)
prices = sorted(measured.kl_per_dimension, reverse=True)
print("KL of each number:", " ".join(f"{price:.2f}" for price in prices))
print(f"in use: {measured.active_units} of 30;  ELBO {measured.elbo_nats}, with ten {found.elbo_nats} nats")

# %% [markdown]
# **6.** No. At best about half of them are judged eights; the others pass on to something else. (With so few threes a share has a standard error of
# about eight points.)

# %%
arrow = learned.mean[learned.labels == 8].mean(0) - learned.mean[learned.labels == 3].mean(0)
threes = points.mean[points.labels == 3]
print(f"{len(threes)} threes")
turned = [decode(threes + s * arrow) for s in steps]
for s, x in zip(steps, turned, strict=True):
    judged = learned.labels[nearest(x, train_x)[0]]
    print(
        f"s = {s}: judged a three {(judged == 3).double().mean():4.0%}, an eight {(judged == 8).double().mean():4.0%}"
    )
show(*((f"three + {s} arrow", x[:12]) for s, x in zip(steps, turned, strict=True)))
