# %% [markdown]
# # Start here
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/superposition-companion/blob/main/notebooks/00_start_here.ipynb)
#
# **Pages** [1. Demonstrating superposition →](01_demonstrating_superposition.ipynb)
#
# Neural networks seem to represent more properties of their input than they have neurons. This page says what that means, shows it in ten lines of
# code, and shows what researchers do about it. Then it leads you to the page that answers your question.
#
# **You will** put five features into two numbers and read them out again · see one latent that a sparse autoencoder found in a language model ·
# choose a page and a profile · learn to read the cards that say how each sentence of a paper was checked, and what came out. **Needs** a little
# Python; nothing is trained. **Takes** ten minutes of reading, seconds of computing. **Papers** [Toy Models of
# Superposition](https://transformer-circuits.pub/2022/toy_model/index.html) (Elhage et al. 2022) and [Scaling and evaluating sparse
# autoencoders](https://arxiv.org/abs/2406.04093) (Gao et al. 2024).
#
# **On this page** [1 What superposition is](#superposition) · [2 Why anyone wants a sparse autoencoder](#sae) · [3 Which page answers your question](#pages) · [4 Profiles: how large a page computes](#profiles) · [5 How to read a card](#cards) · [6 Words and symbols](#words)

# %% tags=["skip-execution"]
import importlib.metadata
import sys

import numpy

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q 'superposition-companion[lm,live] @ git+https://github.com/OWNER/superposition-companion'")
    assert numpy.__version__ == importlib.metadata.version("numpy"), "numpy was replaced: Runtime > Restart session, then run again"

# %%
import torch
from IPython.display import HTML, display

from companion import claims
from companion.claims import card, registry
from companion.plots import tokens, widgets
from companion.plots import vectors as plots

claims.opening("01_demonstrating_superposition")

# %% [markdown]
# *Five features that a network had to store in two numbers; each arrow is the direction of one feature. On the left the features are always
# present, and two of them are stored; to the right they are absent more and more often. In the last panel all five are stored, as a pentagon. The
# dashed lines are the best possible weights. You train these networks on [page 1](01_demonstrating_superposition.ipynb).*
#
# <a id="superposition"></a>
# ## 1 What superposition is
# A *feature* is a property of the input: this word is inside a string, this picture shows a wheel. A network computes with vectors, so a feature
# that it uses has to be somewhere in them. The working hypothesis is that each feature has a *direction*: the network adds that direction to its
# vector, more strongly the more the feature is there, and later layers read it by projecting on the direction.
#
# With as many dimensions as features, each feature can have an axis of its own. But a language model has some thousand dimensions and probably many
# more properties of text to keep track of. *Superposition* means that it stores more features than it has dimensions, in directions that are not at
# right angles. Then reading one feature also picks up a little of the others, which is called *interference*.
#
# Here are five features in two dimensions. Row $i$ of `W` is the direction of feature $i$, and the five rows form a regular pentagon:

# %%
angles = 2 * torch.pi * torch.arange(5) / 5
W = torch.stack([angles.cos(), angles.sin()], dim=1)  # (n = 5 features, m = 2 dimensions)
(W @ W.T).round(decimals=2)

# %% [markdown]
# Row $i$ of this table says what you read for each feature when feature $i$ alone has the value 1. The ones on the diagonal are what should be
# read; everything else should be zero. For the two neighbours of the feature you read 0.31 instead, for the two features opposite to it -0.81: that
# is the interference.
#
# A network can repair much of it. It subtracts a threshold (a negative *bias* $b$) and cuts off what is below zero (the *relu*). The features
# that were not there then read zero again:


# %%
def read_out(x, b=-0.31):
    h = x @ W  # the two numbers that are stored
    return torch.relu(h @ W.T + b)


one = torch.tensor([1.0, 0, 0, 0, 0])
neighbours = torch.tensor([1.0, 1, 0, 0, 0])
apart = torch.tensor([1.0, 0, 1, 0, 0])
assert (read_out(one)[1:] < 0.01).all()
for name, x in {"one feature": one, "two neighbours": neighbours, "two far apart": apart}.items():
    out = ", ".join(f"{value:.2f}" for value in read_out(x))
    print(f"{name:15} in {x.tolist()}   out [{out}]")

# %% [markdown]
# One feature alone is read without a trace of the others, at about two thirds of its size (longer directions would mend that). Two neighbours
# strengthen each other. Two features that point away from each other cancel: both are lost, and feature 1, which lies between them and was not
# there, is read instead. So superposition works when few features are present at the same time: when they are *sparse*. That is the central idea of
# *Toy Models of Superposition*.
#
# Move the sliders: each sets the value of one feature. The left panel shows the two stored numbers as a point (blue) among the five directions, the
# right one what went in (grey) and what is read out (blue).


# %%
def draw(x):
    return plots.stored_and_read(x.numpy(), W.numpy(), read_out(x).numpy())


widgets.live(
    lambda **x: draw(torch.tensor(list(x.values()))),
    **{f"x{i}": widgets.Slider(0.0, 1.0, float(i == 0)) for i in range(5)},
)

# %% [markdown]
# <a id="sae"></a>
# ## 2 Why anyone wants a sparse autoencoder
# If a model stores its features in superposition, a single neuron says little: it is part of the directions of many features. To understand the
# model one would like to have the directions themselves. A *sparse autoencoder* (SAE) looks for them. It is trained on many vectors of the model
# and writes each of them as a sum of a few directions out of a large *dictionary*. The dictionary has $n$ directions, many more than the vector has
# entries, and only $k$ of them, a small number, are used for one vector. Each direction comes with a number, its *latent*, that says how strongly
# it is present. If the network does store its features in superposition, we hope that the latents of a good SAE are these features.
#
# Below is one latent of the SAE that [page 8](08_sae_training.ipynb) trains on a small language model of Python code. The model reads text as
# *tokens*, which are words or pieces of words, and has one vector for each ([page 7](07_language_model.ipynb) builds such a model). The deeper the colour behind a token, the stronger the latent is there; on
# tokens without a colour it is zero.

# %%
latent = claims.shipped("latent")
display(HTML(tokens.as_html(latent["contexts"])))
about = {"latent": "latent", "share of active tokens": "density", "tokens it makes likelier": "raises"}
{said: latent[key] for said, key in about.items()}

# %% [markdown]
# Read the contexts and try to say in one sentence what the latent stands for, before you look at the tokens that it makes likelier. That sentence
# is an *explanation*; whether it is right can be tested. Whether SAEs find *the* features of a model, and how much of the model they miss, are open
# questions. Most pages from page 8 on measure some part of the answer.
#
# <a id="pages"></a>
# ## 3 Which page answers your question
# Pages 1 to 6b are about small networks whose features we choose, so that we know the truth. Page 7 builds the *subject model*, the language model that
# the later pages study, and explains its tokens, residual stream, blocks and loss. Pages 8 to 16 are about sparse autoencoders of that model. Each page
# can be read by itself; pages 1, 7 and 8 explain the words that the pages after them use. If you know transformers, begin page 7 at its section on
# [the loss](07_language_model.ipynb#loss), or leave it out. At the default size the pages run offline on a laptop. The times that a page states are those of a first run on two cores; what was trained is kept, and a second run takes seconds.
#
# <!-- map -->
# | page | question | paper |
# |---|---|---|
# | [1. Demonstrating superposition](01_demonstrating_superposition.ipynb) | When does a network store more features than it has dimensions, and what does it look like? | Toy Models of Superposition |
# | [1b. Many features](01b_many_features.ipynb) | Which features does a larger network store first, and which share a dimension? | Toy Models of Superposition |
# | [2. Superposition as a phase change](02_phase_change.ipynb) | Does superposition set in abruptly, and at which sparsity and importance? | Toy Models of Superposition |
# | [3. Features in superposition form polytopes](03_superposition_geometry.ipynb) | In which shapes are features stored, and how much of a dimension does each get? | Toy Models of Superposition |
# | [3b. Features that differ, and features that occur together](03b_correlated_features.ipynb) | What happens to features that occur together, or never do? | Toy Models of Superposition |
# | [4. Learning dynamics](04_learning_dynamics.ipynb) | How do features find their place during training, in steps or gradually? | Toy Models of Superposition |
# | [5. Superposition makes a model easier to attack](05_adversarial_vulnerability.ipynb) | Does superposition make a network easier to attack? | Toy Models of Superposition |
# | [6. Models can compute in superposition](06_computation_in_superposition.ipynb) | Can a network compute with features that are in superposition? | Toy Models of Superposition |
# | [6b. How one neuron serves two features](06b_asymmetric_motif.ipynb) | What do neurons that serve several features do, and can one number store two? | Toy Models of Superposition |
# | [7. The language model that is studied](07_language_model.ipynb) | What is the language model that the pages study: tokens, residual stream, attention, neurons, loss? | Towards Monosemanticity |
# | [8. Sparse autoencoders](08_sae_training.ipynb) | What is a sparse autoencoder, how is one trained, and what do its latents look like? | Scaling and evaluating sparse autoencoders |
# | [8a. The recipe, part by part](08a_sae_recipe.ipynb) | What does each part of the recipe do, and why do dead latents first become more? | Scaling and evaluating sparse autoencoders |
# | [8b. Eight ways to be sparse, compared at equal tokens](08b_activation_functions.ipynb) | TopK, L1, Gated, JumpReLU, ...: which way to be sparse reconstructs best? | Scaling and evaluating sparse autoencoders |
# | [9. Scaling laws of sparse autoencoders](09_sae_scaling_laws.ipynb) | How does the error fall with compute, latents and tokens? | Scaling and evaluating sparse autoencoders |
# | [10. What a reconstruction is worth in pre-training compute](10_downstream_loss_to_compute.ipynb) | How much of the language model survives when an SAE takes the place of its vectors? | Scaling and evaluating sparse autoencoders |
# | [10b. What a splice does, token by token](10b_splice_by_position.ipynb) | Where does a splice hurt a language model, and which finished model would be as bad? | Scaling and evaluating sparse autoencoders |
# | [10c. The share of the compute, a second time and with twelve checkpoints](10c_finished_runs_and_search.ipynb) | Is the share of the compute too kind, and how few checkpoints does it take? | Scaling and evaluating sparse autoencoders |
# | [11. Does a known property of the text have a latent?](11_probe_loss.ipynb) | Does a known property of the text have a latent, and would any set of directions have one? | Scaling and evaluating sparse autoencoders |
# | [12. Explaining a latent with patterns of tokens](12_explainability_n2g.ipynb) | Can patterns of tokens say where a latent is active, and is that a sign that training found something? | Scaling and evaluating sparse autoencoders |
# | [13. Is the effect of one latent sparse?](13_ablation_sparsity.ipynb) | Does one latent change few tokens, or many? | Scaling and evaluating sparse autoencoders |
# | [13b. What the ablation score measures](13b_score_taken_apart.ipynb) | What does the ablation score of the paper measure? | Scaling and evaluating sparse autoencoders |
# | [14. One latent, taken apart](14_anatomy_of_a_feature.ipynb) | What can be said of a single latent, and how is it checked? | Towards Monosemanticity |
# | [14b. All latents at once: would another model have them?](14b_population.ipynb) | Taken all together, are latents more universal than neurons, and what is it that two models have in common? | Towards Monosemanticity |
# | [14c. Explaining all latents, and rating them blind](14c_interpretability.ipynb) | Are latents easier to explain than neurons, and is that more than their rarity? | Towards Monosemanticity |
# | [14d. Recipes, density, and how much of the loss is recovered](14d_density_and_recipes.ipynb) | Which latents of a dictionary are hardly ever active, and which recipe makes them? | Towards Monosemanticity |
# | [14e. Feature splitting](14e_feature_splitting.ipynb) | Into what does a latent split when the dictionary grows? | Towards Monosemanticity |
# | [14f. A map of latents, and automata](14f_map_and_automata.ipynb) | Do latents with similar meanings lie together, and which of them hand over to each other? | Towards Monosemanticity |
# | [15. Steering: text that is written while a latent is held](15_steering.ipynb) | Which latents steer what a model writes, and what does it cost? | Towards Monosemanticity; Scaling Monosemanticity; Contrastive Activation Addition |
# | [15b. A model that explains its own features](15b_self_explanation.ipynb) | Where does a model read a word, and can it then say what the latents of its own autoencoder stand for? | Self-explaining SAE features (2024) |
# | [16. Why a training step is fast: operations, bytes, and what a clock says](16_speed.ipynb) | Where does the time of a training step go, and what makes it fast? | Scaling and evaluating sparse autoencoders |
# <!-- end of map -->
#
# <a id="profiles"></a>
# ## 4 Profiles: how large a page computes
# Near its top each page has a cell with the sizes of everything that it trains, one row for each *profile*. `laptop` is the default and made the
# outputs that you see. `quick` takes seconds and is for the tests: its pictures are rough, and most cards (section 5) say DEFERRED. `published` stands
# on some of the later pages only. It downloads models or autoencoders that others have trained and measures those; it uses a GPU if there is one, and
# else the processor. `paper` has the paper's own sizes and needs a GPU. Nobody has run these two at their true sizes yet; what they would
# take is in [PAPER.md](../PAPER.md). To choose a profile, set an environment variable before the notebook starts:
#
#     COMPANION_PROFILE=quick jupyter lab        # or, in a first cell: import os; os.environ["COMPANION_PROFILE"] = "quick"
#
# In Colab the machine forgets what was trained when it is closed. One cell at the top keeps it on your Drive:
#
#     from google.colab import drive; drive.mount("/content/drive"); import os; os.environ["COMPANION_CACHE"] = "/content/drive/MyDrive/companion"
#
# You can also change a single number in that cell and run the page again. Then the cards say NOT JUDGED, because what counts as a pass was written
# down for the sizes that stood there; everything else works.
#
# <a id="cards"></a>
# ## 5 How to read a card
# Each page checks sentences of its paper. What a sentence needs in order to count as true was written down in a file before it was measured: a
# *band* in which the measured values must lie, and a *control*, which is the same measurement on something for which the sentence should be false. A
# control that also passes would mean that the check shows nothing. This is a card, with values made up for the example:

# %%
claim = registry.load("01_demonstrating_superposition").claims["F1.pentagon"]
made_up = {"verdict": "CONFIRMED", "reason": "", "values": [2.3, 2.5, 2.3, 2.6, 2.5]}
made_up["control"] = {claim.control[0]: [18.1]}
display(HTML(card.as_html(claim, made_up)))

# %% [markdown]
# The first line is the verdict and the sentence of the paper, with its place. The second is the quantity that was measured. In the strip each dot
# is one value, here one trained model per random seed; the shaded part is the band, the cross is the control. The last line has the same in
# numbers.
#
# | verdict | meaning |
# |---|---|
# | CONFIRMED | all values lie in the band; if there is one value per random seed, their median is also at least two standard deviations from its ends |
# | MIXED | only some values lie in the band, or all do but too near to its end, or a run with other random seeds gave another verdict |
# | NOT HERE | no value lies in the band, and a positive example, for which the sentence is known to be true, does: so the check could have passed |
# | REFUTED | the same, in exactly the paper's setting |
# | MISSED | no value lies in the band, and no positive example shows that the check could have passed |
# | VACUOUS | a control lies in the band too, so the check shows nothing |
# | DEFERRED | the profile `quick` is too small to say |
# | NOT JUDGED | the sizes are not those for which the band was written |
#
# The record of the pages holds only the first four. A verdict other than CONFIRMED is a result, and the page says what it means. All claims of all
# pages are in [CLAIMS.md](../CLAIMS.md).
#
# <a id="words"></a>
# ## 6 Words and symbols
# | word | meaning |
# |---|---|
# | feature | a property of the input that a model represents |
# | direction | the vector that stands for a feature |
# | superposition | more features than dimensions, in directions that are not orthogonal |
# | interference | what reading one feature picks up of others |
# | represented | the direction of the feature is longer than one half |
# | antipodal pair | two features in opposite directions of one dimension |
# | dimensionality $D$ | the share of a dimension that a feature has for itself: 1 alone, 1/2 in an antipodal pair |
# | exact loss | the expected loss, computed by integration and not from samples ([how](02_phase_change.ipynb#exact-loss)) |
# | optimum | the best weights: the lowest loss that many descents on the exact loss found |
# | closed form | a formula for a loss or a border, derived by hand |
# | token | a word or a piece of a word, the unit in which a language model reads text |
# | block, layer | one step of a transformer: attention, which moves information between tokens, and an MLP, which works on each token by itself |
# | residual stream | the vector of a transformer at one token, to which every layer adds |
# | SAE | sparse autoencoder: it writes a vector as a sum of a few directions of a dictionary |
# | subject model | the language model whose vectors are studied |
# | dictionary | the directions of an SAE |
# | latent | one entry of the code that an SAE writes: how strongly one direction is present |
# | TopK | the rule that keeps the $k$ largest latents of a token and sets the others to zero |
# | held-out text | text that no model and no SAE here was trained on |
# | dead latent | one that is zero on every token of a long text |
# | density of a latent | the share of tokens on which it is not zero |
# | $L_0$ | the number of latents that are not zero, on average per token |
# | AuxK | an extra loss that lets dead latents explain what the others leave over, so that they come back |
# | loss recovered | how much of the model's prediction survives when an SAE's reconstruction takes the place of its vectors |
# | claim | a sentence of a paper, or a finding of ours, that a page checks |
# | band | the values for which a claim counts as true, written down before they were measured |
# | control | the same measurement on something for which the sentence should be false |
# | random seed | the number that decides every random draw of a run; "five seeds" are five independent runs |
#
# | symbol | meaning |
# |---|---|
# | $x$, $x'$ | features of an input, and what the model reads out |
# | $W$, $W_i$ | weights, and the direction of feature $i$ (a row) |
# | $h$ | what is stored: the hidden vector |
# | $n$, $m$ | number of features and of dimensions in toy models; $n$ is the number of latents of an SAE |
# | $S$, $p$ | sparsity, the chance that a feature is absent, and density $p = 1 - S$ |
# | $I_i$ | importance of feature $i$: its weight in the loss |
# | $V(p)$ | variance of a feature of density $p$, $p/3 - p^2/4$ |
# | $d$ | width of the subject model: the number of entries of its residual stream |
# | $k$ | number of latents that an SAE may use per token |
# | $L$ | a loss |
# | $C$ | compute, in floating-point operations |
