# %% [markdown]
# # 8. Stochastic variational inference, and the same model in Pyro
#
# The bound of notebook 1 is older than the VAE and serves for far more than pictures. The general method is called **stochastic variational
# inference**, SVI, and there are whole languages for it. One of them is [Pyro](https://pyro.ai).
#
# In this notebook you see how a VAE is a special case of SVI, write the model that `vaekit` trained a second time in Pyro, give it the same weights,
# and let both compute the same number. They must agree to within the noise of the draws, and we make sure that this is a test that a wrong program
# fails.
#
# You need notebook 1. Pyro is used in this notebook alone: `pip install pyro-ppl`. Everything runs in less than a minute.
#
# (To run it a second time, delete the folder `runs` first: nothing is overwritten.)

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # Pyro asks for widgets that we do not use

# %%
import math
import time
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine.messenger import Messenger
from sklearn.datasets import load_breast_cancer, load_digits
from torch import nn
from torch.distributions.transforms import AffineTransform

import vaekit
from vaekit import Batch

EPOCHS = 60  # in tests: 1
REPEATS = 200  # in tests: 20
SEEDS = 4  # in tests: 2
LOCAL_STEPS = 1000  # in tests: 5
ROUNDS = 7  # in tests: 1

# %% [markdown]
# ## What SVI is
#
# Somebody gives you a **model**: a story of how data $x$ comes about from things $z$ that nobody sees, as a probability
# $p(x, z) = p(x \mid z)\,p(z)$. You have the data and want to know two things: what was $z$, and how good is the story? Both are in the posterior
# $p(z \mid x) = p(x, z) / p(x)$, which is out of reach, because $p(x)$ is an integral over all $z$.
#
# **Variational inference** replaces the integral by an optimization. Choose a family of distributions $q_\phi(z)$ that are easy to draw from, with
# parameters $\phi$, and make the bound as large as possible:
#
# $$\log p(x) \;\ge\; \text{ELBO}(\phi) = \mathbb E_{q_\phi(z)} \left[ \log p(x, z) - \log q_\phi(z) \right].$$
#
# The gap is $\text{KL}[q_\phi(z) \| p(z \mid x)]$, so the best $q$ is the one that is nearest to the posterior. In Pyro $q$ is called the **guide**.
#
# It is **stochastic** where the slope of the ELBO is not computed but estimated: from a few draws of $z$ instead of the average over $q$, and from a
# few rows of the data instead of all of them. Estimates that are right on average are enough for an optimizer.
#
# If the model has parameters $\theta$ of its own, they climb the same bound: it is a bound on $\log p_\theta(x)$, so the model becomes better, too.
#
# ### Where the VAE comes in
#
# Each row $x_n$ has its own $z_n$, so it needs its own guide $q(z_n)$. The classical way gives each row parameters of its own, say $\mu_n$ and
# $\sigma_n$, and optimizes them all. With a million rows these are many, and for a new row one begins anew.
#
# The VAE has *one* network that looks at $x_n$ and says $\mu$ and $\sigma$. The cost of finding a guide is paid once, in training, and then shared by
# all rows, as one pays off a machine: **amortized** inference. So:
#
# > A VAE is amortized SVI in a model whose likelihood is a network.
#
# The words of the two worlds, side by side:
#
# | here | in Pyro |
# |---|---|
# | prior $p(z)$ and likelihood $p(x \mid z)$ | the **model**: a function with `pyro.sample` statements, the data given as `obs` |
# | posterior $q(z \mid x)$, encoder | the **guide**: another function, which samples the same names |
# | the axis of the rows of a batch | a **plate**: "these rows are independent, given the parameters" |
# | sites (axes to the right of the rows, added up last) | batch dimensions; `.to_event(1)` says that an axis is part of one event |
# | log-ratio at the draw, `Trace.log_ratio()` | `Trace_ELBO` |
# | log-likelihood at the draw, less the KL by its formula (the objective `elbo`) | `TraceMeanField_ELBO` |
# | draws for each row, `samples` | `num_particles` |
# | `Trace`, what happened in one pass | `poutine.trace`, the same idea |
#
# The lines with `Trace_ELBO` and `TraceMeanField_ELBO` are two estimates of the same bound. The first draws $z$ and takes
# $\log p(x, z) - \log q(z \mid x)$ as it is. The second knows a formula for a part of it, and only the log-likelihood is noisy.

# %% [markdown]
# ## The model, trained by vaekit
#
# The digits of notebook 1 once more: 64 pixels of paper or ink. One hidden layer on each side, eight latent numbers.

# %%
torch.manual_seed(0)
pictures = (load_digits().data > 4).astype("uint8")  # (1797, 64), zeros and ones: two levels
plain = [
    f"train.epochs={EPOCHS}",
    "train.time=null",
    "train.optimizer=Adam",
    "train.lr=2e-3",
    "train.schedule=constant",
    "train.batch_size=64",
    "train.ema=0",
    "train.clip=null",
    "train.patience=0",
    "train.validate_every=0",  # keep the last weights
    "train.precision=float32",
    "data.test=0.2",
    "model.latent=8",
    "model.encoder.hidden=[200]",
    "model.decoder.hidden=[200]",
]
run = vaekit.train("array", data=pictures, overrides=[*plain, "model.likelihood.name=bernoulli"], out="runs/pictures")
print(vaekit.evaluate(run, samples=64).elbo_nats, "nats,", run.info.parameters, "weights")

# %% [markdown]
# (All these settings make the training as plain as possible, since Pyro shall repeat it below: no averaging of weights, no schedule, no clipping.)
#
# ## The same model, written in Pyro
#
# For the comparison to be worth something, the second program must not use the first one's code. So we build the two networks from PyTorch's own
# layers, and copy nothing but the *numbers* of the weights. One detail must be known: `vaekit` does not take the encoder's output as
# $s = \log \sigma$ directly but bends it, so that $\sigma$ can neither vanish nor explode. From its documentation (`posteriors/gaussian.py`): below
# zero $s = 7 \tanh(r / 7)$, above $s = 2r / (2 + r)$.


# %%
def copied(layer):
    """A plain linear layer with the same numbers."""
    copy = nn.Linear(layer.in_features, layer.out_features)
    copy.load_state_dict({name: value.clone() for name, value in layer.state_dict().items()})
    return copy


class Networks(nn.Module):
    """Encoder and decoder in plain PyTorch."""

    def __init__(self, size, latent=8, hidden=200):
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, size))

    @classmethod
    def like(cls, run):
        """With the weights of a run."""
        first, second = run.model.encoder.net.layers[0].linear, run.model.groups["z"].posterior.head.layer
        third, fourth = run.model.likelihood.decoder.layers[0].linear, run.model.likelihood.head.layer
        networks = cls(first.in_features, third.in_features, first.out_features)
        networks.encoder = nn.Sequential(copied(first), nn.SiLU(), copied(second))
        networks.decoder = nn.Sequential(copied(third), nn.SiLU(), copied(fourth))
        return networks

    def guess(self, x):
        """Mean and standard deviation of q(z | x)."""
        mu, r = self.encoder(x).chunk(2, dim=1)
        s = torch.where(r < 0, 7 * torch.tanh(r / 7), 2 * r / (2 + r.abs()))
        return mu, s.exp()


# %% [markdown]
# Model and guide are two functions. Each `pyro.sample` is one factor: a name, a distribution, and (where the value is known) the observation.
# `.to_event(1)` says that the numbers of one latent, or the pixels of one picture, belong to one event, and the plate says that the rows are
# independent.


# %%
class Pictures:
    """p(x, z) and q(z | x) for rows of zeros and ones."""

    def __init__(self, networks):
        self.networks = networks

    def model(self, x):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([self.networks.latent]).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=self.networks.decoder(z)).to_event(1), obs=x)

    def guide(self, x):
        with pyro.plate("rows", len(x)):
            pyro.sample("z", dist.Normal(*self.networks.guess(x)).to_event(1))


# %% [markdown]
# ## The check
#
# Both programs estimate the same number: the ELBO, averaged over the *same* held-out rows. Both are noisy, as they draw $z$. So we repeat each
# estimate $R$ times, with new draws. The mean of the repetitions has the standard error $\text{std} / \sqrt R$, and the difference $d$ of two
# independent means has
#
# $$\text{se}(d) = \sqrt{\text{se}_1^2 + \text{se}_2^2}.$$
#
# If the programs compute the same thing, $|d| < 2\,\text{se}(d)$ in 95 of 100 cases. (The rows are the same for both, so that it does not matter
# which rows they are: this error has nothing to do with the error of a test set.)
#
# So one case in twenty is a false alarm. If a difference is larger, we repeat with *fresh* draws and four times as many. A difference by chance goes
# away; one that is real gets clearer, since the standard error halves.


# %%
@torch.no_grad()
def repeated(estimate, times, seed):
    """Mean and standard error of an estimate that is repeated with new draws."""
    torch.manual_seed(seed)
    values = torch.tensor([estimate() for _ in range(times)], dtype=torch.float64)
    return values.mean().item(), values.std().item() / math.sqrt(times)


def in_vaekit(run, x, exact_kl):
    """An estimate of the mean ELBO of raw rows by vaekit's own code."""
    batch = run.model.likelihood.prepare(Batch(x))

    def estimate():
        trace = run.model(batch)
        if not exact_kl:
            return trace.log_ratio().mean().item()
        return (trace.log_likelihood().sum(-1) - trace.kl()["z"].sum(-1)).mean().item()

    return estimate


def in_pyro(program, x, exact_kl):
    """The same by Pyro's; its losses are minus the sum over the rows."""
    loss = TraceMeanField_ELBO() if exact_kl else Trace_ELBO()
    return lambda: -loss.loss(program.model, program.guide, x) / len(x)


def difference(ours, theirs, times=REPEATS, seed=0):
    """Ours less theirs, in units of its standard error; prints everything."""
    (a, error_a), (b, error_b) = repeated(ours, times, seed), repeated(theirs, times, seed + 1)
    error = math.hypot(error_a, error_b)
    print(
        f"  vaekit {a:.4f} +- {error_a:.4f}   Pyro {b:.4f} +- {error_b:.4f}   difference {a - b:+.4f}, {(a - b) / error:+.2f} standard errors"
    )
    return (a - b) / error


def agree(ours, theirs, seed):
    """Whether two estimates are of the same number: three tries, each with fresh draws and four times as many."""
    return any(abs(difference(ours, theirs, REPEATS * 4**attempt, seed + 10 * attempt)) < 2 for attempt in range(3))


# %% [markdown]
# Now the test. The test split of the run, once with the KL drawn and once by its formula:

# %%
held_out = run.rows("test").gather(torch.arange(len(run.rows("test")))).x  # (359, 64), as the data has it
x = held_out.float()
program = Pictures(Networks.like(run))

for exact_kl in (False, True):
    print("KL by its formula:" if exact_kl else "everything drawn:")
    assert agree(in_vaekit(run, held_out, exact_kl), in_pyro(program, x, exact_kl), seed=100 + exact_kl * 50)

# %% [markdown]
# They agree, and the test is sharp: the standard error of the difference is below a hundredth of a nat where everything is drawn, of 18.
#
# ### Would a mistake be noticed?
#
# A test that passes says little until one has seen it fail. So let us break the Pyro program on purpose, a little at a time, and run the same test:
#
# - a KL that weighs 1.02 instead of 1;
# - $\sigma$ taken as $e^r$, without the bend;
# - the mean over pixels in the place of the sum.


# %%
class Heavier(Messenger):
    """A mistake: whatever is called z counts more. (A messenger sees each statement of a program as it passes.)"""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def _pyro_sample(self, message):
        if message["name"] == "z":
            message["scale"] = message["scale"] * self.factor


def with_kl_weight(program, factor):
    """The program with another weight of the KL: log p(z) and log q(z | x) times a factor."""
    return SimpleNamespace(model=Heavier(factor)(program.model), guide=Heavier(factor)(program.guide))


class Unbent(Networks):
    """A mistake: the encoder's output is taken as log σ."""

    def guess(self, x):
        mu, r = self.encoder(x).chunk(2, dim=1)
        return mu, r.exp()


class MeanOfPixels(Pictures):
    """A mistake: the log-likelihood is averaged over pixels."""

    def model(self, x):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([self.networks.latent]).to_event(1))
            with pyro.poutine.scale(scale=1 / x.shape[1]):
                pyro.sample("x", dist.Bernoulli(logits=self.networks.decoder(z)).to_event(1), obs=x)


broken = {
    "KL weighs 1.02": with_kl_weight(Pictures(Networks.like(run)), 1.02),
    "sigma without the bend": Pictures(Unbent.like(run)),
    "mean over pixels": MeanOfPixels(Networks.like(run)),
}
for name, wrong in broken.items():
    print(name)
    difference(in_vaekit(run, held_out, False), in_pyro(wrong, x, False), seed=300)

# %% [markdown]
# The KL and the sum over pixels are found out at once. The bend is not. It is slight for widths like ours, so the guide is only a little wrong; and a
# guide that is a little wrong costs next to nothing, because training has brought it to the top of a hill, where the ground is level. It is not even
# a wrong bound, only another one of the same model: the ELBO holds for *any* $q$.
#
# So remember what this test can see: whether both programs compute the same *number*, to a hundredth of a nat. A wrong weight, a missing constant, a
# mean in the place of a sum move the number at once. A small mistake in something that was optimized hardly moves it. For the guide one compares
# $\log q(z \mid x)$ itself, at the same $z$: exercise 3.
#
# ## Real numbers: where the constants are
#
# With zeros and ones there is little to get wrong. With real numbers there are constants, and constants are where programs disagree. scikit-learn's
# table of 569 tumours has 30 measurements of very different size:

# %%
table = load_breast_cancer().data
print("standard deviations from", table.std(0).min().round(4), "to", table.std(0).max().round(1))

overrides = [*plain, "model.likelihood.scale=shared", "data.test=0.3"]
tumours = vaekit.train("array", data=table, overrides=overrides, out="runs/tumours")
print(vaekit.evaluate(tumours, samples=64).elbo_nats, "nats")

# %% [markdown]
# What the likelihood does, step by step:
#
# 1. Columns are **standardized**, $y_i = (x_i - m_i) / s_i$, with the mean and the standard deviation of the training rows. Encoder and decoder work
#    with $y$.
# 2. The decoder says the mean of $y$; the width $\sigma$ is one number for all columns, which is learned:
#    $\log p(y \mid z) = \sum_i \log \mathcal N(y_i;\, \mu_i(z), \sigma^2)$. `vaekit` learns a number $r$ and takes
#    $\log \sigma = f + \log(1 + e^{r - f})$ with $f = \log 0.05$, so that $\sigma$ stays above 0.05 (the recipe's `min_sigma`).
# 3. The bound is reported in the units of the *data*. A density in $y$ becomes one in $x$ by the width of the units, the **log-determinant**:
#
# $$\log p(x \mid z) = \log p(y \mid z) - \sum_i \log s_i.$$
#
# In Pyro we say this in another way, so that the check is not a copy: the data are $x$ as they are, and their distribution is a normal distribution
# that was *transformed*, $x = m + s\,y$. Pyro then finds the log-determinant by itself.


# %%
class Table:
    """p(x, z) and q(z | x) for rows of real numbers in their own units."""

    def __init__(self, run, sigma_factor=1.0):
        self.networks = Networks.like(run)
        self.mean, self.scale = torch.tensor(run.spec.mean), torch.tensor(run.spec.scale)
        least = math.log(run.config.model.likelihood.params["min_sigma"])
        log_sigma = least + nn.functional.softplus(run.model.likelihood.raw - least)
        self.sigma = log_sigma.exp() * sigma_factor

    def p_x(self, z):
        """p(x | z), in the units of the data."""
        standard = dist.Normal(self.networks.decoder(z), self.sigma)
        return dist.TransformedDistribution(standard, [AffineTransform(self.mean, self.scale)]).to_event(1)

    def model(self, x):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([self.networks.latent]).to_event(1))
            pyro.sample("x", self.p_x(z), obs=x)

    def guide(self, x):
        y = (x - self.mean) / self.scale
        with pyro.plate("rows", len(x)):
            pyro.sample("z", dist.Normal(*self.networks.guess(y)).to_event(1))


rows = tumours.rows("test").gather(torch.arange(len(tumours.rows("test")))).x  # (171, 30), float32, in their own units
program = Table(tumours)
print(f"sigma = {program.sigma:.4f};  log-determinant {-program.scale.log().sum():.2f} nats")

for exact_kl in (False, True):
    print("KL by its formula:" if exact_kl else "everything drawn:")
    assert agree(in_vaekit(tumours, rows, exact_kl), in_pyro(program, rows, exact_kl), seed=200 + exact_kl * 50)

# %% [markdown]
# The same to a hundredth of a nat, and no constant is missing: $\sigma$, the log-determinant and the $\sqrt{2\pi}$ are in both.
#
# And the broken ones: without the log-determinant, a $\sigma$ that is off by one part in a hundred, a KL that weighs 1.02.


# %%
class WithoutDeterminant(Table):
    """A mistake: the density of y is taken for one of x."""

    def model(self, x):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([self.networks.latent]).to_event(1))
            y = (x - self.mean) / self.scale
            pyro.sample("x", dist.Normal(self.networks.decoder(z), self.sigma).to_event(1), obs=y)


broken = {
    "no log-determinant": WithoutDeterminant(tumours),
    "sigma 1 % too large": Table(tumours, sigma_factor=1.01),
    "KL weighs 1.02": with_kl_weight(Table(tumours), 1.02),
}
for name, wrong in broken.items():
    print(name)
    difference(in_vaekit(tumours, rows, False), in_pyro(wrong, rows, False), seed=400)

# %% [markdown]
# All three are found. The log-determinant alone is 39 nats: whoever forgets it reports a model that is better or worse by any amount, depending on
# the units. (The width $\sigma$ is learned, too, and at its best value 1 % would cost next to nothing. That it costs 0.08 nats to make it larger says
# that it is still too large: we stopped training early.)
#
# ## Training by SVI
#
# So far Pyro has only measured. Now let it learn, from weights of its own. `SVI` puts model, guide, an optimizer and an estimate of the bound
# together; a `step` draws, computes slopes, and moves the weights. `pyro.module` tells Pyro which weights there are.


# %%
class Learner(Pictures):
    """The same model and guide, with weights that Pyro knows of."""

    def model(self, x):
        pyro.module("decoder", self.networks.decoder)
        super().model(x)

    def guide(self, x):
        pyro.module("encoder", self.networks.encoder)
        super().guide(x)


train = run.rows("train").gather(torch.arange(len(run.rows("train")))).x.float()


def learned(seed, epochs=EPOCHS):
    """A model trained by SVI; its held-out ELBO after each epoch, and rows per second in each."""
    torch.manual_seed(seed)
    pyro.clear_param_store()  # Pyro keeps weights by name, in one store for the whole program
    learner = Learner(Networks(64))
    with torch.no_grad():  # as vaekit does: the first pictures are the mean of all
        learner.networks.decoder[2].bias.copy_(torch.logit(train.mean(0).clamp(0.01, 0.99)))
    svi = SVI(learner.model, learner.guide, pyro.optim.Adam({"lr": 2e-3}), TraceMeanField_ELBO())
    curve, pace = [], []
    for _ in range(epochs):
        began = time.perf_counter()
        batches = train[torch.randperm(len(train))][: len(train) // 64 * 64].split(64)
        for batch in batches:
            svi.step(batch)
        pace.append(64 * len(batches) / (time.perf_counter() - began))
        with torch.no_grad():
            curve.append(in_pyro(learner, x, False)())
    return learner, curve, pace


by_pyro = [learned(seed) for seed in range(SEEDS)]
by_vaekit = [
    vaekit.train(
        "array",
        data=pictures,
        overrides=[*plain, "model.likelihood.name=bernoulli", f"train.seed={seed}"],
        out=f"runs/seed-{seed}",
    )
    for seed in range(SEEDS)
]

# %% [markdown]
# (The loss of Pyro is a sum over the rows of a batch, that of `vaekit` a mean. For Adam this makes no difference: it divides each slope by the usual
# size of that slope.)
#
# Do both get to the same place? Four trainings each, measured alike: the ELBO of the test rows, the mean of 200 repetitions.

# %%
places = torch.tensor(
    [
        [repeated(in_vaekit(run_, held_out, False), REPEATS, 0)[0] for run_ in by_vaekit],
        [repeated(in_pyro(learner, x, False), REPEATS, 0)[0] for learner, _, _ in by_pyro],
    ]
)
for name, found in zip(("vaekit", "Pyro"), places, strict=True):
    print(f"{name:7}", *(f"{value:.2f}" for value in found), f"  mean {found.mean():.2f} nats")
apart, error = places[0].mean() - places[1].mean(), (places.var(1).sum() / SEEDS).sqrt()
print(f"vaekit less Pyro: {apart:+.2f} +- {error:.2f} nats")

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for _, curve, _ in by_pyro:
    axis.plot(range(1, len(curve) + 1), curve, color="tab:blue", lw=1)
axis.plot([], [], color="tab:blue", label="Pyro, one line for each seed")
axis.axhline(places[0].mean(), color="tab:red", ls="--", label="vaekit, at the end")
axis.set(xlabel="epoch", ylabel="ELBO of the test rows (nats)", title="SVI in Pyro")
axis.legend()
plt.show()

# %% [markdown]
# All eight trainings end within a quarter of a nat of each other, and the two means differ by no more than the noise of the seeds. It is the
# same model, learned by the same method.
#
# How long does it take? We let both train five epochs in turn, several times over, so that whatever else the computer is doing slows down both, and
# take the median of the ratios. Pyro is measured twice: as it comes, and with its checks switched off.

# %%
ratios = []
for number in range(ROUNDS):
    short = vaekit.train(
        "array",
        data=pictures,
        overrides=[*plain, "model.likelihood.name=bernoulli", "train.epochs=5"],
        out=f"runs/pace-{number}",
    )
    ours = torch.tensor([line["images_per_second"] for line in short.history]).median()
    checked = torch.tensor(learned(0, epochs=5)[2]).median()
    with pyro.validation_enabled(False):
        unchecked = torch.tensor(learned(0, epochs=5)[2]).median()
    ratios.append(torch.stack([ours / checked, ours / unchecked]))
    print(f"rows per second: vaekit {ours:.0f}, Pyro {checked:.0f}, without checks {unchecked:.0f}")
print("vaekit is faster by the factors {:.1f} and {:.1f}".format(*torch.stack(ratios).median(0).values.tolist()))

# %% [markdown]
# With networks as small as these the ratio is about two, and a little less without the checks. (Pyro looks at every statement of the program anew in
# every step. That is what makes it a language.)
#
# ## What amortizing costs
#
# Pyro can also do SVI in the classical way, with a mean and a width for each row of its own. (`vaekit` does that for one purpose alone, an anomaly
# score called `regret`.) The decoder stays as it is, so the bound of each picture is as tight as a normal guide can make it. The difference to the
# encoder's is called the **amortization gap**: what we lose because one network has to guess for all.


# %%
class Local(Pictures):
    """The same model; a guide with parameters of its own for each row."""

    def guide(self, x):
        size = (len(x), self.networks.latent)
        mu = pyro.param("mu", torch.zeros(size))
        sigma = pyro.param("sigma", torch.ones(size), constraint=dist.constraints.positive)
        with pyro.plate("rows", len(x)):
            pyro.sample("z", dist.Normal(mu, sigma).to_event(1))


torch.manual_seed(0)
pyro.clear_param_store()
few = x[:100]
local = Local(Networks.like(run).requires_grad_(False))
svi = SVI(local.model, local.guide, pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.997}), TraceMeanField_ELBO())
for _ in range(LOCAL_STEPS):
    svi.step(few)

shared = repeated(in_pyro(Pictures(Networks.like(run)), few, False), REPEATS, 0)
alone = repeated(in_pyro(local, few, False), REPEATS, 1)
print(
    f"one network for all: {shared[0]:.3f} +- {shared[1]:.3f}   each row its own guide: {alone[0]:.3f} +- {alone[1]:.3f} nats"
)
print(f"amortization gap {alone[0] - shared[0]:.3f} nats;  numbers to learn for 100 rows: {2 * 8 * 100}")

# %% [markdown]
# The encoder loses half a nat against the best normal guides, out of 18. In exchange a hundred rows need no parameters of their own and no thousand
# steps, and the next row costs one pass through the network. (What is still missing between the guides of their own and $\log p(x)$ is the other gap,
# from notebook 1: the true posterior is not a normal distribution with independent numbers.)
#
# ## What to know when both are in one program
#
# - Pyro switches on the checks of distributions' arguments and values, for the whole of torch (`torch.distributions` has them on by default as well;
#   `pyro.enable_validation(False)` switches both off). The distributions of `vaekit` never check, whatever the setting: its likelihoods look once,
#   when they are built, whether they suit the data.
# - Pyro has one store of parameters for the whole program. Call `pyro.clear_param_store()` before a second training: what has the same name is taken
#   to be the same parameter.
# - `import vaekit` sets nothing: no seed, no default, no patch. The order of the imports does not matter.
#
# Which one should you use? For a VAE, `vaekit`: the bound, the data, the figures and the speed are its business. For a story of your own, with
# several hidden things that depend on each other, some shared by all rows, some discrete, Pyro: it is a language, and a VAE is one sentence in it.
#
# ## Exercises
#
# 1. `agree` tries up to three times. How likely is it that a right program fails all three? Why is it no cheat?
# 2. Which of the two estimates has the smaller standard error, and why? Look at the numbers above. Why is it not always the same one?
# 3. The sharpest check has no noise at all: give both programs the *same* $z$, and compare $\log p(x, z)$ and $\log q(z \mid x)$ row by row
#    (`pyro.condition` fixes a site, and `pyro.poutine.trace` records). How large may the differences be? Is the guide without the bend found out?
# 4. In the Pyro model, leave out `.to_event(1)` of the observation. What happens, and why is it good that it does?
# 5. To train on mini-batches, Pyro offers `pyro.plate("rows", N, subsample_size=B)`. It multiplies the log-probabilities by $N/B$. What is estimated
#    then? Does it change where Adam goes?
# 6. Predict, then try: all widths of the guide are larger by 1 %, 10 %, 50 %. By how much is the bound lower? Why does the first pass the test?

# %% [markdown]
# ## Answers
#
# **1.** With independent tries, $0.046^3 \approx 0.0001$: one in ten thousand. It would be a cheat if the tries were the same size and we stopped at
# a lucky one: a program that is wrong by three standard errors passes a single try now and then. Here each further try has half the standard error:
# what was three standard errors off is six, then twelve.
#
# **2.** With the trained model the estimate that draws everything is *less* noisy, although it uses less knowledge. The reason is that its two noisy
# parts cancel. If the guide were the true posterior, then $\log p(x, z) - \log q(z \mid x) = \log p(x)$ for every $z$: no noise at all. The formula
# replaces one part by its average, and the other part has nothing left to cancel with. For a guide that is far from the posterior it is the other way
# round; weights that are not trained yet are an example. (This is about the *value*. What an optimizer needs is the slope, which is another matter.)

# %%
for name, run_, given in (("pictures", run, held_out), ("tumours", tumours, rows)):
    drawn, exact = (repeated(in_vaekit(run_, given, exact_kl), REPEATS, 0)[1] for exact_kl in (False, True))
    print(f"{name}: standard error {drawn:.4f} with everything drawn, {exact:.4f} with the KL by its formula")

torch.manual_seed(0)
fresh = Pictures(Networks(64))
drawn, exact = (repeated(in_pyro(fresh, x, exact_kl), REPEATS, 0)[1] for exact_kl in (False, True))
print(f"pictures, not trained: {drawn:.4f} and {exact:.4f}")

# %% [markdown]
# **3.** Only rounding is left: with 32 bits about $10^{-7}$ of the numbers that are added up.

# %%
torch.manual_seed(0)
with torch.no_grad():
    trace = run.model(run.model.likelihood.prepare(Batch(held_out)))
    z = trace.latents[0].z
    ours = trace.log_likelihood()[0].sum(-1) + trace.latents[0].log_p().sum(-1)
    log_q = trace.latents[0].log_q().sum(-1)


def at_same_z(function, names):
    """The sum of the log-probabilities of a Pyro program's sites for each row, with z fixed."""
    recorded = pyro.poutine.trace(pyro.condition(function, data={"z": z})).get_trace(x)
    recorded.compute_log_prob()
    return sum(recorded.nodes[name]["log_prob"] for name in names)


right, unbent = Pictures(Networks.like(run)), Pictures(Unbent.like(run))
with torch.no_grad():
    for what, ours_, theirs in (
        ("log p(x, z)", ours, at_same_z(right.model, ["z", "x"])),
        ("log q(z | x)", log_q, at_same_z(right.guide, ["z"])),
        ("log q(z | x) without the bend", log_q, at_same_z(unbent.guide, ["z"])),
    ):
        print(f"{what}: largest difference of a row {(ours_ - theirs).abs().max():.1e}")
    assert torch.allclose(ours, at_same_z(right.model, ["z", "x"]), atol=1e-2)
    assert torch.allclose(log_q, at_same_z(right.guide, ["z"]), atol=1e-2)

# %% [markdown]
# **4.** Pyro would have to read the axis of the pixels as a second plate, and complains that the shapes do not fit:


# %%
class Careless(Pictures):
    """A mistake: the pixels are not declared to be one event."""

    def model(self, x):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([self.networks.latent]).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=self.networks.decoder(z)), obs=x)


try:
    in_pyro(Careless(Networks.like(run)), x, False)()
except Exception as error:
    print(type(error).__name__, str(error).strip().splitlines()[0])

# %% [markdown]
# Without the complaint it might add up along the wrong axis, and the result would still be a number.
#
# **5.** The ELBO of the whole data set, as a sum over all $N$ rows: each batch stands for $N/B$ times as many. All slopes are larger by the same
# factor, so Adam goes nearly the same way. With plain gradient descent one would need a rate that is smaller by this factor. It matters once the
# model also has hidden variables that all rows share: their part of the bound is counted once, not once for each batch.

# %% [markdown]
# **6.** Where the guide is at its best the slope is zero, so the loss begins with the square of the change. If $q$ is the posterior itself, a factor
# $1 + \delta$ on all widths costs $d \left( \tfrac12 ((1+\delta)^2 - 1) - \log(1+\delta) \right) \approx d\, \delta^2$ nats, with $d = 8$ latent
# numbers:


# %%
class Wider(Pictures):
    """The same model; a guide whose widths are multiplied by a factor."""

    def __init__(self, networks, factor):
        super().__init__(networks)
        self.factor = factor

    def guide(self, x):
        mu, sigma = self.networks.guess(x)
        with pyro.plate("rows", len(x)):
            pyro.sample("z", dist.Normal(mu, sigma * self.factor).to_event(1))


best = repeated(in_pyro(Pictures(Networks.like(run)), x, False), REPEATS, 0)
for factor in (1.01, 1.1, 1.5):
    wide = repeated(in_pyro(Wider(Networks.like(run), factor), x, False), REPEATS, 1)
    formula = 8 * (0.5 * (factor**2 - 1) - math.log(factor))
    print(
        f"widths x {factor}: {best[0] - wide[0]:+.4f} +- {math.hypot(best[1], wide[1]):.4f} nats;  by the formula {formula:.4f}"
    )

# %% [markdown]
# One part in a hundred costs less than a thousandth of a nat, far below the standard error; no test with this noise can see it. The formula is nearly
# right, so the guide is nearly where it is best.
