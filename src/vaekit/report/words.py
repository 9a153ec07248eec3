"""What the report says about its pictures: what each is, what good looks like, what bad looks like. For a newcomer."""

from __future__ import annotations

from vaekit.report.blocks import Caption, Row

INTRODUCTION = (
    "A variational autoencoder (VAE) describes each example by a few numbers, called z, and rebuilds the example from them. "
    "Because z follows a simple known distribution, the prior, new examples can be drawn as well. "
    "This page shows how well that worked. Every picture says what it is, and what good and bad look like."
)

BOUND = Caption(
    "The evidence lower bound (ELBO) in nats per example, after every epoch: the figure that training raises. "
    "The grey line is the training data. The coloured line is held-out data, from which nothing is learned; the dot is the "
    "epoch whose weights are kept.",
    "Both lines rise fast, then flatten out, close together.",
    "The held-out line turns down while the training line rises: the model learns examples by heart (overfitting). "
    "Wild jumps: the learning rate is too high. Still climbing at the end: train longer.",
)

TERMS = Caption(
    "The two parts of the ELBO. The log-likelihood says how well examples are rebuilt from z. The KL divergence is the price "
    "of z: how far the codes are from the prior. ELBO = log-likelihood − KL.",
    "The log-likelihood rises. The KL settles well above zero: z carries information, and is worth its price.",
    "The KL falls to zero and stays there: the decoder ignores z, all examples come back alike (posterior collapse). "
    "A smaller β, or a warm-up of β, helps.",
)

SAMPLES = Caption(
    "New images. z is drawn from the prior and decoded; no data goes in. The temperature T scales the spread of the prior: "
    "1.0 is the model itself, and lower values give safer, less varied images. Shown are the means of p(x | z), "
    "without pixel noise, from the same random numbers in all grids.",
    "At 1.0 most images could be data, and no two are the same. At 0.5 they are cleaner and more alike.",
    "Mixtures of several things, while reconstructions are fine: the codes of the data leave holes in the prior. "
    "The same image everywhere, at any temperature: the decoder ignores z.",
)

SAMPLES_OF_VECTORS = Caption(
    "How often each value comes, for the first columns: in the data (filled) and in new rows that the model draws (lines). "
    "z is drawn from the prior, and a row from p(x | z); no data goes in. The temperature T scales the spread of the prior. "
    "Stray values are counted at the edges.",
    "The line for 1.0 follows the filled shape. Lower temperatures are narrower.",
    "A line that is much narrower or wider than the data, or has one hump where the data has two: the model does not know "
    "the shape of that column.",
)

CONDITIONS = Caption(
    "New images under each condition. A column has the same noise in every row: z lies at the same place in the prior of each "
    "condition. What a column has in common is the style, what a row has in common is what was asked for.",
    "Each row shows what was asked for, and each column keeps its slant, weight or mood.",
    "Rows that look alike: the model does not heed the condition. All images of a row alike: z says nothing besides it.",
)

CONDITIONS_OF_VECTORS = Caption(
    "New rows under each condition, from top to bottom; each column of a heat map is a column of the data. "
    "The same noise comes in the same place under every condition.",
    "The heat maps differ as the conditions do in the data.",
    "Heat maps that are all alike: the model does not heed the condition.",
)

PATHS = Caption(
    "Ways from one example to another. Both ends are reconstructions; in between, points on the way are decoded. "
    "“Linear” is the straight line between the two codes. “Slerp” goes along an arc, where codes keep a usual length.",
    "Every step is a believable example, and the change is gradual.",
    "The steps in the middle fade one thing out while the other fades in, like a double exposure, or look like nothing in "
    "the data: the space between the codes is empty.",
)

SWEEP = Caption(
    "One latent dimension moves from −3 to 3 standard deviations of the prior, while all others rest at the centre. "
    "Dimensions with the largest KL come first; it is written beside each row.",
    "Each row changes one thing, smoothly: a slant, a width, a shape.",
    "A row that does not change: the dimension is not used. A row that changes everything at once: dimensions are "
    "entangled, which is common and no mistake; β above 1 untangles them, at a price in the ELBO.",
)

PATHS_OF_VECTORS = Caption(
    "Ways from one example to another, from top to bottom; each column of a heat map is a column of the data. "
    "The first and the last line are reconstructions; in between, points on the way are decoded. “Linear” is the straight "
    "line between the two codes. “Slerp” goes along an arc, where codes keep a usual length.",
    "Colours change gradually, and the lines between are rows that could be data.",
    "A sudden change half-way, or values in the middle that no row of the data has: the space between the codes is empty.",
)

SWEEP_OF_VECTORS = Caption(
    "One latent dimension moves from −3 to 3 standard deviations of the prior, from top to bottom, while all others rest at "
    "the centre. Each column of a heat map is a column of the data. Dimensions with the largest KL come first.",
    "Each dimension moves a few columns that belong together, and moves them smoothly.",
    "A heat map that does not change: the dimension is not used. One that moves every column: dimensions are entangled, "
    "which is common and no mistake.",
)

SCORES = Caption(
    "How abnormal examples are, in comparison with normal ones that the model was not trained on (grey). The dashed line is "
    "the threshold: the share of normal examples beyond it is the level.",
    "Examples that are normal lie where the grey is; abnormal ones far to the right of it.",
    "Normal examples that lie to the right of the grey: the data has changed since training. Abnormal ones inside the grey: "
    "this score does not see them; try another.",
)

RANKING = Caption(
    "What every threshold would give, by the labels. ROC: the share of abnormal examples that are found against the share of "
    "normal ones that are called abnormal. Precision: the share of those called abnormal that are.",
    "Curves that hug the upper corner. Where abnormal examples are few, look at precision: it says what an alarm is worth.",
    "Curves near the dashed line, which a coin gives.",
)

SURPRISES = Caption(
    "Examples; below each what the model expects in its place; and in yellow to red where the example costs more nats than "
    "that would. Each image has a scale of its own.",
    "Among the most abnormal: damage, other things, mistakes of the camera, and red where a person would point.",
    "The same kind of ordinary example again and again: the score sees contrast or clutter, not what is abnormal.",
)

MAP = Caption(
    "Each point is the code of one example, the centre of its posterior, seen from the two directions in which codes differ "
    "most (principal component analysis).",
    "The points fill the space around the centre without large holes.",
    "One dense heap at the centre: collapse. Islands with wide gaps: samples from the gaps look like nothing in the data.",
)

COLOURS = " Colours are labels, which the model never saw."
COLOURS_GOOD = " Points of one colour lie together."
COLOURS_GIVEN = " Colours are labels, which the model is given."
COLOURS_GIVEN_GOOD = " Colours are mixed: the codes say what the label does not."
CIRCLE = " The dashed circle is two standard deviations of the prior, from which samples are drawn."

KL_BARS = Caption(
    "How many nats each latent dimension costs per example, on average; together they are the KL of the table. "
    "A dimension is active when the codes of different examples differ in it (variance above 0.01).",
    "Many bars well above zero; or a clear step from those that are used to those that are not, which do no harm.",
    "All bars near zero: posterior collapse. All bars high and equal: more dimensions would likely be used, if there were any.",
)


def pairs(vectors: bool, words: str, dimensions: int) -> Caption:
    """Of inputs beside reconstructions."""
    numbers = "number" if dimensions == 1 else "numbers"
    path = f"Each is turned into {dimensions} {numbers} z (the centre of its posterior) and decoded again."
    if vectors:
        return Caption(
            f"Some {words} (grey) and what comes back (coloured), column by column. {path} "
            "Values are in standard deviations from the mean of the data.",
            "The lines nearly coincide. Small noise is smoothed away: that is as it should be.",
            "The same coloured line for every row: z is not used. Large gaps in some columns: z is too small, or these "
            "columns are noise.",
        )
    return Caption(
        f"Some {words} (upper row of each pair) and what comes back (lower row). {path}",
        "The same thing comes back, in the same place. Slightly soft edges are normal: a VAE answers with an average of "
        "what is likely.",
        "The same average image for every input: z is not used. Another thing comes back, or details are lost: z is too "
        "small, or training was too short.",
    )


def code_map(labelled: bool, given: bool, circle: bool) -> Caption:
    """Of the latent map; `given`: the model has the label as a condition."""
    colours, good = (COLOURS_GIVEN, COLOURS_GIVEN_GOOD) if given else (COLOURS, COLOURS_GOOD)
    what = MAP.what + (colours if labelled else "") + (CIRCLE if circle else "")
    return Caption(what, MAP.good + (good if labelled else ""), MAP.bad)


GLOSSARY = (
    Row("z, code", "", "The few numbers that describe an example; also called latent variables."),
    Row("encoder, posterior q(z | x)", "", "Turns an example x into a distribution over its codes."),
    Row("decoder, likelihood p(x | z)", "", "Turns a code into a distribution over examples."),
    Row("prior p(z)", "", "The distribution that codes are drawn from to make new examples."),
    Row("ELBO", "", "Evidence lower bound: log-likelihood minus KL. Never above log p(x), and what training raises."),
    Row("KL", "", "Kullback–Leibler divergence: how far codes are from the prior. The price of describing an example."),
    Row("nat", "", "A unit of information: 1 nat is 1.44 bits. Figures in nats are natural logarithms."),
    Row(
        "bits per dimension",
        "",
        "Bits that an ideal lossless code needs for each number of an example. For data with levels.",
    ),
    Row(
        "± ",
        "",
        "The standard error of a mean over the examples: how far another test set of the same size might be off.",
    ),
)
