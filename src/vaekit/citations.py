"""BibTeX of the methods, and which setting of which family member uses which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Params = Mapping[str, Any]

ENTRIES = {
    "kingma2014": """@inproceedings{kingma2014,
  title = {Auto-Encoding Variational {B}ayes},
  author = {Kingma, Diederik P. and Welling, Max},
  booktitle = {International Conference on Learning Representations},
  year = {2014}, eprint = {1312.6114}, archiveprefix = {arXiv}
}""",
    "rezende2014": """@inproceedings{rezende2014,
  title = {Stochastic Backpropagation and Approximate Inference in Deep Generative Models},
  author = {Rezende, Danilo Jimenez and Mohamed, Shakir and Wierstra, Daan},
  booktitle = {International Conference on Machine Learning},
  year = {2014}, eprint = {1401.4082}, archiveprefix = {arXiv}
}""",
    "burda2016": """@inproceedings{burda2016,
  title = {Importance Weighted Autoencoders},
  author = {Burda, Yuri and Grosse, Roger and Salakhutdinov, Ruslan},
  booktitle = {International Conference on Learning Representations},
  year = {2016}, eprint = {1509.00519}, archiveprefix = {arXiv}
}""",
    "sohn2015": """@inproceedings{sohn2015,
  title = {Learning Structured Output Representation using Deep Conditional Generative Models},
  author = {Sohn, Kihyuk and Lee, Honglak and Yan, Xinchen},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2015}
}""",
    "lange1989": """@article{lange1989,
  title = {Robust Statistical Modeling Using the t Distribution},
  author = {Lange, Kenneth L. and Little, Roderick J. A. and Taylor, Jeremy M. G.},
  journal = {Journal of the American Statistical Association},
  volume = {84}, number = {408}, pages = {881--896}, year = {1989}
}""",
    "takahashi2018": """@inproceedings{takahashi2018,
  title = {Student-t Variational Autoencoder for Robust Density Estimation},
  author = {Takahashi, Hiroshi and Iwata, Tomoharu and Yamanaka, Yuki and Yamada, Masanori and Yagi, Satoshi},
  booktitle = {International Joint Conference on Artificial Intelligence},
  year = {2018}
}""",
    "hadi1997": """@article{hadi1997,
  title = {Maximum Trimmed Likelihood Estimators: A Unified Approach, Examples, and Algorithms},
  author = {Hadi, Ali S. and Luce{\\~n}o, Alberto},
  journal = {Computational Statistics \\& Data Analysis},
  volume = {25}, number = {3}, pages = {251--272}, year = {1997}
}""",
    "ho2022": """@misc{ho2022,
  title = {Classifier-Free Diffusion Guidance},
  author = {Ho, Jonathan and Salimans, Tim},
  year = {2022}, eprint = {2207.12598}, archiveprefix = {arXiv}
}""",
    "higgins2017": """@inproceedings{higgins2017,
  title = {beta-{VAE}: Learning Basic Visual Concepts with a Constrained Variational Framework},
  author = {Higgins, Irina and Matthey, Loic and Pal, Arka and Burgess, Christopher and Glorot, Xavier and
            Botvinick, Matthew and Mohamed, Shakir and Lerchner, Alexander},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "bowman2016": """@inproceedings{bowman2016,
  title = {Generating Sentences from a Continuous Space},
  author = {Bowman, Samuel R. and Vilnis, Luke and Vinyals, Oriol and Dai, Andrew M. and Jozefowicz, Rafal and
            Bengio, Samy},
  booktitle = {Conference on Computational Natural Language Learning},
  year = {2016}, eprint = {1511.06349}, archiveprefix = {arXiv}
}""",
    "kingma2016": """@inproceedings{kingma2016,
  title = {Improved Variational Inference with Inverse Autoregressive Flow},
  author = {Kingma, Diederik P. and Salimans, Tim and Jozefowicz, Rafal and Chen, Xi and Sutskever, Ilya and
            Welling, Max},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2016}, eprint = {1606.04934}, archiveprefix = {arXiv}
}""",
    "salimans2017": """@inproceedings{salimans2017,
  title = {{PixelCNN++}: Improving the {PixelCNN} with Discretized Logistic Mixture Likelihood and Other Modifications},
  author = {Salimans, Tim and Karpathy, Andrej and Chen, Xi and Kingma, Diederik P.},
  booktitle = {International Conference on Learning Representations},
  year = {2017}, eprint = {1701.05517}, archiveprefix = {arXiv}
}""",
    "theis2016": """@inproceedings{theis2016,
  title = {A Note on the Evaluation of Generative Models},
  author = {Theis, Lucas and van den Oord, A{\\"a}ron and Bethge, Matthias},
  booktitle = {International Conference on Learning Representations},
  year = {2016}, eprint = {1511.01844}, archiveprefix = {arXiv}
}""",
    "rybkin2021": """@inproceedings{rybkin2021,
  title = {Simple and Effective {VAE} Training with Calibrated Decoders},
  author = {Rybkin, Oleh and Daniilidis, Kostas and Levine, Sergey},
  booktitle = {International Conference on Machine Learning},
  year = {2021}, eprint = {2006.13202}, archiveprefix = {arXiv}
}""",
    "odena2016": """@article{odena2016,
  title = {Deconvolution and Checkerboard Artifacts},
  author = {Odena, Augustus and Dumoulin, Vincent and Olah, Chris},
  journal = {Distill},
  year = {2016}, doi = {10.23915/distill.00003}
}""",
    "he2016": """@inproceedings{he2016,
  title = {Identity Mappings in Deep Residual Networks},
  author = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  booktitle = {European Conference on Computer Vision},
  year = {2016}, eprint = {1603.05027}, archiveprefix = {arXiv}
}""",
    "hu2018": """@inproceedings{hu2018,
  title = {Squeeze-and-Excitation Networks},
  author = {Hu, Jie and Shen, Li and Sun, Gang},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2018}, eprint = {1709.01507}, archiveprefix = {arXiv}
}""",
    "goyal2017": """@article{goyal2017,
  title = {Accurate, Large Minibatch {SGD}: Training {ImageNet} in 1 Hour},
  author = {Goyal, Priya and Doll{\\'a}r, Piotr and Girshick, Ross and Noordhuis, Pieter and Wesolowski, Lukasz and
            Kyrola, Aapo and Tulloch, Andrew and Jia, Yangqing and He, Kaiming},
  year = {2017}, eprint = {1706.02677}, archiveprefix = {arXiv}
}""",
    "wu2018": """@inproceedings{wu2018,
  title = {Group Normalization},
  author = {Wu, Yuxin and He, Kaiming},
  booktitle = {European Conference on Computer Vision},
  year = {2018}, eprint = {1803.08494}, archiveprefix = {arXiv}
}""",
    "ba2016": """@article{ba2016,
  title = {Layer Normalization},
  author = {Ba, Jimmy Lei and Kiros, Jamie Ryan and Hinton, Geoffrey E.},
  year = {2016}, eprint = {1607.06450}, archiveprefix = {arXiv}
}""",
    "kingma2015": """@inproceedings{kingma2015,
  title = {Adam: A Method for Stochastic Optimization},
  author = {Kingma, Diederik P. and Ba, Jimmy},
  booktitle = {International Conference on Learning Representations},
  year = {2015}, eprint = {1412.6980}, archiveprefix = {arXiv}
}""",
    "loshchilov2019": """@inproceedings{loshchilov2019,
  title = {Decoupled Weight Decay Regularization},
  author = {Loshchilov, Ilya and Hutter, Frank},
  booktitle = {International Conference on Learning Representations},
  year = {2019}, eprint = {1711.05101}, archiveprefix = {arXiv}
}""",
    "loshchilov2017": """@inproceedings{loshchilov2017,
  title = {{SGDR}: Stochastic Gradient Descent with Warm Restarts},
  author = {Loshchilov, Ilya and Hutter, Frank},
  booktitle = {International Conference on Learning Representations},
  year = {2017}, eprint = {1608.03983}, archiveprefix = {arXiv}
}""",
    "polyak1992": """@article{polyak1992,
  title = {Acceleration of Stochastic Approximation by Averaging},
  author = {Polyak, Boris T. and Juditsky, Anatoli B.},
  journal = {SIAM Journal on Control and Optimization}, volume = {30}, number = {4}, pages = {838--855},
  year = {1992}
}""",
    "paszke2019": """@inproceedings{paszke2019,
  title = {{PyTorch}: An Imperative Style, High-Performance Deep Learning Library},
  author = {Paszke, Adam and Gross, Sam and Massa, Francisco and others},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2019}, eprint = {1912.01703}, archiveprefix = {arXiv}
}""",
    "lecun1998": """@article{lecun1998,
  title = {Gradient-Based Learning Applied to Document Recognition},
  author = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal = {Proceedings of the IEEE}, volume = {86}, number = {11}, pages = {2278--2324},
  year = {1998}
}""",
    "xiao2017": """@article{xiao2017,
  title = {{Fashion-MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
  author = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
  year = {2017}, eprint = {1708.07747}, archiveprefix = {arXiv}
}""",
    "krizhevsky2009": """@techreport{krizhevsky2009,
  title = {Learning Multiple Layers of Features from Tiny Images},
  author = {Krizhevsky, Alex},
  institution = {University of Toronto},
  year = {2009}
}""",
    "alpaydin1998": """@article{alpaydin1998,
  title = {Cascading Classifiers},
  author = {Alpaydin, Ethem and Kaynak, Cenk},
  journal = {Kybernetika}, volume = {34}, number = {4}, pages = {369--374},
  year = {1998}
}""",
}


def always(params: Params) -> bool:
    """Used whatever the settings."""
    return True


def _free_bits(params: Params) -> bool:
    return bool(params.get("free_bits") or params.get("free_bits_per_dimension"))


def _dequantized(params: Params) -> bool:
    return params.get("levels") is not None and params.get("dequantize") is not False


# Family member → the methods it may use, and when it does: a function of its parameters, with the data's `levels` among them.
USES: dict[str, dict[str, Callable[[Params], bool]]] = {
    "data/digits": {"alpaydin1998": always},
    "data/mnist": {"lecun1998": always},
    "data/fashion-mnist": {"xiao2017": always},
    "data/cifar10": {"krizhevsky2009": always},
    "nets/mlp": {"ba2016": lambda params: bool(params.get("layernorm"))},
    "nets/conv": {"odena2016": always, "wu2018": lambda params: params.get("norm") == "group"},
    "nets/resnet": {
        "he2016": always,
        "hu2018": lambda params: bool(params.get("squeeze")),
        "goyal2017": always,
        "wu2018": lambda params: params.get("norm") == "group",
    },
    "posteriors/gaussian": {"kingma2014": always},
    "priors/standard": {"kingma2014": always},
    "likelihoods/bernoulli": {"burda2016": lambda params: params.get("binarization") == "dynamic"},
    "likelihoods/gaussian": {
        "theis2016": _dequantized,
        "rybkin2021": lambda params: params.get("scale") == "shared",
    },
    "likelihoods/student_t": {"lange1989": always, "takahashi2018": always},
    "priors/gaussian": {"sohn2015": always},
    "contexts/embedding": {"sohn2015": always, "ho2022": lambda params: bool(params.get("dropout"))},
    "likelihoods/logistic": {"kingma2016": always, "salimans2017": always},
    "objectives/elbo": {
        "kingma2014": always,
        "higgins2017": lambda params: params.get("beta", 1.0) != 1.0,
        "bowman2016": lambda params: bool(params.get("warmup")),
        "kingma2016": _free_bits,
        "hadi1997": lambda params: bool(params.get("trim")),
    },
    "train": {
        "kingma2015": lambda params: params.get("optimizer") in ("Adam", "AdamW"),
        "loshchilov2019": lambda params: params.get("optimizer") == "AdamW",
        "loshchilov2017": lambda params: params.get("schedule") == "cosine",
        "polyak1992": lambda params: bool(params.get("ema")),
    },
}


def used_by(member: str, params: Params) -> list[str]:
    """The keys of the methods that a member (`likelihoods/logistic`) uses with its parameters."""
    return [key for key, when in USES.get(member, {}).items() if when(params)]
