# %% [markdown]
# # 1. A VAE from scratch
#
# In this notebook you write a variational autoencoder (VAE) in sixty lines of PyTorch. It learns to draw digits that nobody wrote. You then check its
# numbers twice: once by brute force, and once against the library.
#
# You need some Python; the mean, the variance, the normal distribution and the logarithm; what an integral is; and a little PyTorch: what a tensor is, and that
# an optimizer makes a number smaller. You need not have seen a VAE before. Everything runs in about a minute.

# %%
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(0)
EPOCHS = 200  # in tests: 3

# %% [markdown]
# ## The data
#
# scikit-learn comes with 1,797 small pictures of digits, 8 by 8 pixels, in grey levels from 0 to 16. We make each pixel paper (0) or ink (1, where the
# level is above 4): the least that a picture can be. A picture is then a row of 64 zeros and ones.

# %%
digits = load_digits()
order = torch.randperm(len(digits.data))
pictures = torch.tensor(digits.data > 4, dtype=torch.float32)[order]  # (1797, 64)
labels = torch.tensor(digits.target)[order]  # which digit it is; only for looking, never for learning
train, test = pictures[:1500], pictures[1500:]


def show(rows, titles, cell=0.62):
    """Rows of pictures, each with a title at its left."""
    columns = max(len(row) for row in rows)
    _, axes = plt.subplots(len(rows), columns, figsize=(cell * columns + 1.4, cell * len(rows)), squeeze=False)
    for line, row, title in zip(axes, rows, titles, strict=True):
        for axis, picture in zip(line, row, strict=True):
            axis.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].text(-1.5, 3.5, title, ha="right", va="center")
    plt.show()


show([train[:12], train[12:24]], ["digits", "more digits"])

# %% [markdown]
# The last 297 pictures are the **test set**. No training sees them. Every number that we quote is about them, because a model that only remembers its
# training pictures has learned nothing.

# %% [markdown]
# ## What a model is, and what a nat is
#
# There are $2^{64}$ pictures of 64 pixels of paper or ink. A **model** gives each of them a probability $p(x)$, and all of them together sum to one. A
# good model gives much probability to pictures that look like digits, also to those that it has never seen.
#
# These probabilities are tiny, so we take the logarithm. $\log p(x)$ is negative, and higher is better. With the natural logarithm the unit is called the
# **nat**: a model that is better by one nat gives the picture $e \approx 2.7$ times the probability. (With the logarithm to base 2 it would be called a bit;
# one nat is 1.44 bits. A perfect compressor that knows the model would need $-\log_2 p(x)$ bits to write the picture down: likely pictures get short codes.)
#
# The simplest model throws a fair coin for each pixel. Then every picture has the probability $2^{-64}$:

# %%
print(f"fair coins: log p(x) = {-64 * math.log(2):.2f} nats for every picture")

# %% [markdown]
# A better one has a coin of its own for each pixel: pixel $i$ is ink with the probability $m_i$, its mean over the training pictures. For one pixel,
#
# $$\log p(x_i) = x_i \log m_i + (1 - x_i) \log (1 - m_i),$$
#
# and since the coins are thrown independently, probabilities multiply and logarithms add up. The formula is known as the Bernoulli distribution.

# %%
m = train.mean(0).clamp(0.01, 0.99)  # (64,), never quite 0 or 1: log 0 is minus infinity
log_p = (test * m.log() + (1 - test) * (1 - m).log()).sum(1)  # (297,)
print(f"a coin for each pixel: log p(x) = {log_p.mean():.2f} nats, the mean over the test set")

show([torch.bernoulli(m.expand(12, 64))], ["drawn from it"])  # throw the 64 coins twelve times

# %% [markdown]
# This is a far better model, and yet its pictures are no digits. Each pixel is right on average, but they do not agree with each other. In a real digit
# they agree, because they have a common cause: somebody wrote a three, slanted, with a thick pen.

# %% [markdown]
# ## A hidden cause
#
# So let each picture have a cause that we do not see. Call it $z$, the **latent** (hidden) variable. It is a list of a few numbers; here it has two, so
# that we can draw it. Our model makes a picture in two steps:
#
# 1. draw the cause from the **prior** $p(z) = \mathcal N(0, I)$: independent normal numbers, each with mean 0 and variance 1;
# 2. draw each pixel from a coin whose probability depends on $z$. Once $z$ is fixed, the coins are independent again. This is the **likelihood**
#    $p(x \mid z)$; read it "x *given* z": the probability of the picture once the cause is known.
#
# ($z$ can be any number, so $p(z)$ is a density and not a probability, and sums over $z$ will be integrals.)
#
# How the probabilities depend on $z$ we do not know, so a neural network shall learn it. It is called the **decoder**: from $z$ to 64 numbers, one for each
# pixel. It yields numbers $l$ without limits (*logits*), and $1 / (1 + e^{-l})$ makes a probability of each.
#
# What is $p(x)$ now? A picture may come from any $z$, so we add up over all of them, each with its share:
#
# $$p(x) = \int p(x \mid z)\, p(z)\, dz$$
#
# With two numbers in $z$ we could cut the plane into small squares and add up (we will, to check ourselves). With twenty, a hundred steps in each
# direction make $100^{20}$ squares. That is why one needs an idea.

# %% [markdown]
# ## The idea: guess the cause
#
# For a given picture nearly all $z$ are hopeless: they give it no probability to speak of. If we knew roughly *which* $z$ it came from, we would only have
# to look there. So a second network, the **encoder**, makes a guess: for a picture $x$ it yields a mean $\mu(x)$ and a standard deviation $\sigma(x)$ for
# each number in $z$. Together they are a normal distribution, the **approximate posterior** $q(z \mid x) = \mathcal N(\mu, \sigma^2)$: what we believe of $z$
# *after* having seen the picture. We also call it the guess.
#
# A network that turns a picture into a short code, and one that turns the code into the picture again, are together called an *autoencoder*. *Variational* is
# the old name for what comes now: to look for the best among many distributions $q$.
#
# Write the integral with $q$. Multiply and divide by it, and the integral becomes an average over guesses:
#
# $$\log p(x) = \log \int q(z \mid x)\, \frac{p(x \mid z)\, p(z)}{q(z \mid x)}\, dz
#   = \log \mathbb E_{q} \left[ \frac{p(x \mid z)\, p(z)}{q(z \mid x)} \right]$$
#
# ($\mathbb E_q$ is the average over draws of $z$ from $q$.) This is exact, but the logarithm of an average is awkward: one needs many draws of $z$ for one
# picture before their average is any good, and only then may one take its logarithm. The *average of the logarithm* is easy: the logarithm at a single draw is
# already right on average, and its noise cancels over the many steps of training. The two are not equal, but one is never above the other:

# %%
values = torch.tensor([1.0, 100.0])
print(f"log of the average: {values.mean().log():.2f}    average of the log: {values.log().mean():.2f}")

# %% [markdown]
# The logarithm curves downwards, so the average of logarithms is always below the logarithm of the average, or equal where all values are equal. (This
# is Jensen's inequality.) Hence
#
# $$\log p(x) \;\ge\; \mathbb E_{q} \left[ \log \frac{p(x \mid z)\, p(z)}{q(z \mid x)} \right] = \text{ELBO}(x)$$
#
# the **evidence lower bound** (*evidence* is another name for $\log p(x)$). It is a number that we *can* compute, and $\log p(x)$ is at least that good. We shall
# see below that it is $\log p(x)$ less the error of the guess. So whoever makes the ELBO larger makes the model better, or the guess better, or both. That is
# the whole of a VAE.

# %% [markdown]
# ### Its two terms
#
# Take the logarithm apart:
#
# $$\text{ELBO}(x) = \underbrace{\mathbb E_q[\log p(x \mid z)]}_{\text{log-likelihood}}
#   - \underbrace{\mathbb E_q[\log q(z \mid x) - \log p(z)]}_{\text{KL}}$$
#
# - The **log-likelihood** says how well the picture comes back from a draw of its guessed cause. It is best with a narrow guess: a wide one also draws the
#   $z$ of other digits.
# - The **KL** (Kullback-Leibler divergence) is a cost. It says how far the guess is from the prior: the average, over draws from the guess, of the log
#   of one over the other. It is never negative (Jensen once more), and it is zero exactly when the guess *is* the prior, so when it says nothing about the
#   picture. A narrow guess, or one far from the middle, is dear. What is paid is what the guess knows about the picture, in nats.
#
# In the KL of a normal distribution $\mathcal N(\mu, \sigma^2)$ from the prior $\mathcal N(0, 1)$ the average can be done on paper. With $s = \log \sigma$, so that
# $\sigma^2 = e^{2s}$, it is, for each number in $z$,
#
# $$\text{KL} = \tfrac12 \left( \mu^2 + \sigma^2 - 1 \right) - s,$$
#
# and those of all numbers in $z$ are added. (The encoder yields $s$ and not $\sigma$, because $e^s$ is positive whatever $s$ is.) Look at it: it is 0 at $\mu = 0$,
# $\sigma = 1$, and grows in every direction from there.
#
# ### One trick
#
# The optimizer needs to know how the ELBO changes when $\mu$ and $\sigma$ change. A random number has no slope. But a draw from
# $\mathcal N(\mu, \sigma^2)$ can be *made*: draw $\varepsilon$ from $\mathcal N(0, 1)$, and take
#
# $$z = \mu + \sigma\, \varepsilon.$$
#
# Now the randomness is in $\varepsilon$, which depends on nothing, and $z$ has slopes with respect to $\mu$ and $\sigma$: 1 and $\varepsilon$. This is called
# **reparameterization**.

# %% [markdown]
# ## The code
#
# Each line of `terms` is one of the formulas above. `B` is the number of pictures in a batch.


# %%
class VAE(nn.Module):
    """A variational autoencoder for pictures of 64 pixels that are 0 or 1."""

    def __init__(self, latent=2, hidden=200):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 64))

    def guess(self, x):
        """Mean and log standard deviation of q(z | x), both (B, latent)."""
        return self.encoder(x).chunk(2, dim=1)  # the first and the second half

    def log_likelihood(self, x, z):
        """log p(x | z), summed over the pixels, (B,)."""
        return -F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(1)

    def terms(self, x):
        """The two terms of the ELBO, one draw of z for each picture, (B,) each."""
        mu, s = self.guess(x)
        z = mu + s.exp() * torch.randn_like(mu)  # z = mu + sigma eps
        kl = (0.5 * (mu**2 + (2 * s).exp() - 1) - s).sum(1)  # from N(0, 1), on paper
        return self.log_likelihood(x, z), kl

    def elbo(self, x):
        """A lower bound of log p(x), in nats, (B,)."""
        log_likelihood, kl = self.terms(x)
        return log_likelihood - kl

    def sample(self, n):
        """n new pictures: the probability of ink for each pixel, (n, 64)."""
        z = torch.randn(n, self.decoder[0].in_features)
        return torch.sigmoid(self.decoder(z))


# %% [markdown]
# `binary_cross_entropy_with_logits` is minus the Bernoulli formula from above, with $m = 1 / (1 + e^{-l})$. Note `.sum(1)`: the pixels of a picture are
# *summed*, since their logarithms add up. Many programs take the mean over pixels here, and leave the KL as it is. That weighs the KL 64 times: what
# is trained then is no longer the ELBO, and its value says nothing about $\log p(x)$.
#
# Training is the usual loop. An optimizer makes numbers smaller, so it gets minus the ELBO.


# %%
def fit(vae, epochs=EPOCHS, kl_weight=1.0):
    """Train; returns the mean ELBO of training and of test pictures after each epoch. (`kl_weight` is for exercise 5.)"""
    optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)
    history = []
    for _ in range(epochs):
        for batch in train[torch.randperm(len(train))].split(100):
            log_likelihood, kl = vae.terms(batch)
            loss = -(log_likelihood - kl_weight * kl).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            history.append((vae.elbo(train).mean().item(), vae.elbo(test).mean().item()))
    return history


vae = VAE()
history = fit(vae)

figure, axis = plt.subplots(figsize=(6, 3))
axis.plot([a for a, _ in history], label="training pictures")
axis.plot([b for _, b in history], label="test pictures")
axis.axhline(log_p.mean(), color="gray", ls="--", label="a coin for each pixel")
axis.set(xlabel="epoch", ylabel="ELBO (nats)", ylim=(-35, -14))
axis.legend()
plt.show()


# %% [markdown]
# The curve shows one noisy draw of $z$ a picture. For a number to quote we take the mean of a thousand draws, and say how sure it is: the standard error, by
# which it typically differs from the mean over endlessly many test pictures.


# %%
@torch.no_grad()
def measure(vae, draws=1000):
    """The ELBO of each test picture, the mean of many draws, (297,)."""
    return torch.stack([vae.elbo(test) for _ in range(draws)]).mean(0)


elbo = measure(vae)
error = elbo.std() / math.sqrt(len(elbo))
print(f"ELBO on the test set: {elbo.mean():.2f} +- {error:.2f} nats;  a coin for each pixel: {log_p.mean():.2f}")

# %% [markdown]
# The comparison is even a little unfair to the VAE: the coins' number is $\log p(x)$ itself, and the VAE's is only a lower bound of its own.
#
# ## What it has learned
#
# Draw a cause from the prior, decode it, and look.

# %%
with torch.no_grad():
    new = vae.sample(24)
show([new[:12], new[12:]], ["new digits", "more of them"])

# %% [markdown]
# Nobody wrote these. They are grey because we show the *probability* of ink; throw the coins to get paper and ink.
#
# **Reconstruction**: guess the cause of a test picture, and decode the mean of the guess.

# %%
with torch.no_grad():
    back = torch.sigmoid(vae.decoder(vae.guess(test[:12])[0]))
show([test[:12], back], ["test pictures", "come back as"])

# %% [markdown]
# Two numbers are few: some digits come back as others, or as a grey mixture of several. **The map** of the two numbers shows why. At the left is where the
# encoder puts the training pictures, coloured by digit; at the right is what the decoder makes of each place. Nobody told the model what a zero is, and still
# the zeros lie together. Around the middle many digits share one place, and there the decoder can only answer with their mean.

# %%
with torch.no_grad():
    places = vae.guess(train)[0]
    ticks = torch.linspace(-2.5, 2.5, 16)
    plane = torch.cartesian_prod(-ticks, ticks)[:, [1, 0]]  # all places, from the top left, row by row
    decoded = torch.sigmoid(vae.decoder(plane)).reshape(16, 16, 8, 8)
    decoded = F.pad(decoded, (1, 1, 1, 1))  # some paper around each

sheet = decoded.permute(0, 2, 1, 3).reshape(160, 160)  # 16 times 16 little pictures glued into one
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 5), layout="constrained")
dots = left.scatter(*places.T, c=labels[:1500], cmap="tab10", s=8, vmin=-0.5, vmax=9.5)
figure.colorbar(dots, ax=left, ticks=range(10), label="digit")
left.set(
    xlabel="$z_1$", ylabel="$z_2$", xlim=(-2.67, 2.67), ylim=(-2.67, 2.67), title="where pictures lie", aspect="equal"
)
right.imshow(sheet, cmap="gray_r", extent=(-2.67, 2.67, -2.67, 2.67))
right.set(xlabel="$z_1$", ylabel="$z_2$", title="what lies where")
plt.show()

# %% [markdown]
# ## First check: brute force
#
# With two latent numbers the integral can be done by adding up small squares. So we can know $\log p(x)$ itself, and see whether the bound
# holds. The plane from −5 to 5 is cut into 400 × 400 squares. (A normal number is beyond ±5 about once in two million times, so nothing is lost outside.) We do it
# for the first 100 test pictures; they happen to be a little harder than the others.

# %%
steps = torch.linspace(-5, 5, 401)[:-1] + 0.0125  # centres of the squares
area = 0.025**2
squares = torch.cartesian_prod(steps, steps)  # (160000, 2)
few = test[:100]

with torch.no_grad():
    logits = vae.decoder(squares)  # (160000, 64)
    log_likelihood = few @ logits.T - F.softplus(logits).sum(1)  # log p(x | z), (100, 160000)
    log_prior = torch.distributions.Normal(0, 1).log_prob(squares).sum(1)
    log_joint = log_likelihood + log_prior + math.log(area)
    exact = log_joint.logsumexp(1)  # log of the sum of exponentials: log p(x), (100,)

bound = elbo[:100]
print(
    f"the first 100: log p(x) {exact.mean():.2f}   ELBO {bound.mean():.2f}   mean gap {(exact - bound).mean():.2f} nats"
)
print(f"pictures whose ELBO is below log p(x): {(bound < exact).sum()} of {len(few)}")

# %% [markdown]
# (`few @ logits.T - softplus` is the Bernoulli formula once more: $x \log m + (1 - x) \log(1 - m) = x\,l - \log(1 + e^{l})$.)
#
# The bound holds, and on most pictures it is not far off. (Where the gap is smaller than the noise of a thousand draws, a picture may seem to lie above.)
# What is the gap?
#
# Among all $z$ that could have made the picture, the share of one is what it adds to the integral, divided by the whole integral:
#
# $$p(z \mid x) = \frac{p(x \mid z)\, p(z)}{p(x)}$$
#
# This is the **true posterior**, and the formula is known as Bayes' rule. Put $p(x \mid z)\,p(z) = p(z \mid x)\,p(x)$ into the bound, and $p(x)$, which does not depend on $z$,
# comes out of the average:
#
# $$\text{ELBO}(x) = \mathbb E_{q} \left[ \log \frac{p(z \mid x)\, p(x)}{q(z \mid x)} \right]
#   = \log p(x) - \mathbb E_q \left[ \log \frac{q(z \mid x)}{p(z \mid x)} \right]$$
#
# The last average is the KL once more, now from the guess to the true posterior instead of the prior. With two distributions it is written
# $\text{KL}[a \,\Vert\, b]$, the average under $a$ of $\log a - \log b$. So
#
# $$\log p(x) - \text{ELBO}(x) = \text{KL}\left[ q(z \mid x) \,\Vert\, p(z \mid x) \right]:$$
#
# the gap says how wrong the guess is. We have both distributions on our squares, so we can check this formula too:

# %%
with torch.no_grad():
    log_true = log_joint - exact[:, None]  # log of the true posterior's share of each square, (100, 160000)
    mu, s = vae.guess(few)
    q = torch.distributions.Normal(mu[:, None], s.exp()[:, None])
    log_q = q.log_prob(squares).sum(-1) + math.log(area)
    gap = (log_q.exp() * (log_q - log_true)).sum(1)  # KL[q || p(z | x)], (100,)

print(f"mean KL from the guess to the truth: {gap.mean():.3f}   log p(x) - ELBO: {(exact - bound).mean():.3f}")

figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.8), layout="constrained")
titles = ("the middle one of the 100", "the 10th worst guess", "the worst guess")
for axis, picture, title in zip(axes, gap.argsort()[[50, 90, 99]], titles, strict=True):
    shares = log_true[picture].exp()  # (160000,), summing to one
    axis.imshow(shares.reshape(400, 400).T, origin="lower", extent=(-5, 5, -5, 5), cmap="Blues")
    circle = torch.linspace(0, 2 * math.pi, 100)
    points = torch.stack([circle.cos(), circle.sin()], dim=1)
    for radius in (1, 2):
        axis.plot(*(mu[picture] + radius * s[picture].exp() * points).T, color="crimson")
    truth = shares @ squares  # the mean of the true posterior
    middle, width = (mu[picture] + truth) / 2, (mu[picture] - truth).abs().max() / 2 + 0.8
    axis.set(xlim=(middle[0] - width, middle[0] + width), ylim=(middle[1] - width, middle[1] + width))
    axis.set(xlabel="$z_1$", ylabel="$z_2$", title=f"{title}\ngap {gap[picture]:.2f} nats")
    axis.locator_params(nbins=5)
    corner = axis.inset_axes((0.02, 0.76, 0.22, 0.22), xticks=[], yticks=[])
    corner.imshow(few[picture].reshape(8, 8), cmap="gray_r")
plt.show()

# %% [markdown]
# Blue is the true posterior, red the guess: its ellipses at one and two standard deviations; in the corner is the picture. The guess has no tilt and no second hill,
# because we made it a normal distribution with independent numbers. That is the price of an easy $q$, and now you know it in nats. The worst guess lies in
# the wrong place altogether: the encoder has learned from 1,500 pictures, and this one is like none of them.

# %% [markdown]
# ## Second check: the library
#
# `vaekit` computes the same bound with code of its own. We give it our networks: the encoder as it is, our guess as a `Posterior`, and the decoder,
# whose last layer the library calls a head. Then we draw the same random numbers in both, once for each picture, and compare. (You need not follow every name
# here; look at the last line.)

# %%
import vaekit
from vaekit import Batch, DataSpec, Encoder, Group
from vaekit.core import Posterior, Proposal
from vaekit.distributions import Gaussian
from vaekit.likelihoods.bernoulli import Bernoulli
from vaekit.priors.standard import Standard


class Guess(Posterior):
    """q(z | x) from what our encoder says."""

    def forward(self, given):
        mu, s = given.evidence.chunk(2, dim=1)
        return Proposal(Gaussian(mu, s))


spec = DataSpec(shape=(64,), levels=2)  # rows of 64 numbers, each 0 or 1
likelihood = Bernoulli(spec=spec, features=(200,), decoder=vae.decoder[:2])
likelihood.head.layer.load_state_dict(vae.decoder[2].state_dict())
model = vaekit.VAE(Encoder(vae.encoder), [Group("z", Standard(shape=(2,)), Guess())], likelihood)

with torch.no_grad():
    torch.manual_seed(1)
    ours = vae.elbo(test)
    torch.manual_seed(1)
    trace = model(likelihood.prepare(Batch(test.to(torch.uint8))))
    theirs = trace.expect(trace.log_likelihood().sum(-1)) - trace.kl()["z"].sum(-1).mean(0)

print(
    f"ours {ours.mean():.4f}   the library's {theirs.mean():.4f}   largest difference {(ours - theirs).abs().max():.1e}"
)
assert torch.allclose(ours, theirs, atol=1e-3)

# %% [markdown]
# The same numbers, picture by picture, up to rounding. What the library adds is the rest of the way: grey and colour pictures, tables, better networks,
# tighter bounds, resuming, and a report. The next notebook starts there.
#
# ## Exercises
#
# 1. How many *bits* would a perfect compressor need for a picture with the fair-coin model? And how many, at most, with our VAE?
# 2. Why is there no model with $\log p(x) = -1$ for every one of the 1,797 digits, if they are all different?
# 3. What does the KL do if $\sigma$ goes to 0 while $\mu$ stays? Why can the guess therefore never become a single point?
# 4. Suppose the encoder ignores the picture, and always says $\mu = 0$, $\sigma = 1$. What is the KL? What is the best that the decoder can do, and which
#    model of this notebook do you get?
# 5. Predict, then try: what happens to the reconstructions, to the new digits and to the ELBO when the KL is left out of training
#    (`fit(VAE(), kl_weight=0.0)`)?
# 6. Predict, then try: is a VAE with eight latent numbers better? Can you still check it by adding up squares?

# %% [markdown]
# ## Answers
#
# **1.** The fair coins need $64$ bits: one a pixel. A picture with $\log p(x) = -c$ nats needs $c / \log 2 = 1.44\,c$ bits. And $\log p(x)$ is at least the ELBO, so
# $c$ is at most minus the ELBO:

# %%
print(f"at most {-elbo.mean() / math.log(2):.1f} bits")

# %% [markdown]
# **2.** $\log p(x) = -1$ means $p(x) = 0.37$. Probabilities of all pictures sum to one, so only two pictures can have that much. 1,797 pictures with
# equal shares have $\log p(x) = -\log 1797 = -7.5$ at best, and then nothing is left for any digit that is not among them.
#
# **3.** $s = \log\sigma \to -\infty$, and the KL contains $-s$: it grows without limit. A point would have to be paid with infinitely many nats, and all that it can
# gain is a log-likelihood nearer to 0, which is the logarithm of a probability and never above. So the guess is only as narrow as the better
# reconstruction is worth.
#
# **4.** The KL is $\tfrac12(0 + 1 - 1) - 0 = 0$. Then $z$ says nothing about the picture, so the decoder does best by ignoring it and saying the
# mean of each pixel: that is the model with a coin for each pixel. Real training sometimes ends there; it is called *posterior collapse*.
#
# **5.** Without the KL nothing keeps the guesses near the prior. They become narrow and spread far apart, at a cost that nobody looked at, and a draw from the
# prior falls into the middle, of which the decoder has seen only a part: the new digits are less varied, or no digits. The log-likelihood of the training
# pictures is better. That of the test pictures is not even that: with a narrow place for each picture the networks learn their pictures by heart. The ELBO, which
# still counts the KL, says how bad it is:

# %%
torch.manual_seed(0)
careless = VAE()
fit(careless, kl_weight=0.0)
with torch.no_grad():
    again = torch.sigmoid(careless.decoder(careless.guess(test[:12])[0]))
    show([test[:12], again, careless.sample(12)], ["test pictures", "come back as", "new digits"])
    for name, model in (("with the KL", vae), ("without", careless)):
        for split, given in (("training", train), ("test", test)):
            log_likelihood, kl = (term.mean() for term in model.terms(given))
            sizes = f"log-likelihood {log_likelihood:6.2f}, KL {kl:5.2f}, ELBO {log_likelihood - kl:6.2f}"
            print(f"{name:12} {split:9} {sizes}")

# %% [markdown]
# **6.** Eight numbers can say more about a picture than two, and on the test set that is worth some nats. 400 squares in each of eight directions would
# be $400^8 \approx 7 \cdot 10^{20}$: no brute force can add that up. The bound costs the same as before. Do not expect the new digits to look better in the same
# measure. Each has to agree with itself in eight ways now, and the ELBO is about pictures that *exist*: it asks how much probability they get, not how draws look.

# %%
torch.manual_seed(0)
wider = VAE(latent=8)
fit(wider)
found = measure(wider)
print(f"latent 8: ELBO {found.mean():.2f} +- {found.std() / math.sqrt(len(found)):.2f};  latent 2: {elbo.mean():.2f}")
with torch.no_grad():
    show([wider.sample(12)], ["new digits"])
