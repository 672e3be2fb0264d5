"""A subject whose weights are its own numbers in another order: the control for what an autoencoder finds without any training of the model."""

import copy

import torch

from companion.lm.subject import Subject


@torch.no_grad()
def shuffle_weights(subject: Subject, generator: torch.Generator) -> Subject:
    """The subject with the entries of every weight matrix permuted at random; biases and layer norms, which are vectors, stay.

    Each matrix keeps the distribution of its entries and loses what training wrote into their order. The embeddings are permuted too, so
    that tokens and positions still have a vector each, another one. Matrices that are tied stay tied. The text and the tokenizer are
    the subject's own, and the subject itself is left as it is.

    Source: Bricken et al. 2023, the control with randomised weights.
    """
    model = copy.deepcopy(subject.model)
    for parameter in model.parameters():  # tied ones come once
        if parameter.ndim > 1:
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
    return Subject(model, f"{subject.name}, weights shuffled", subject.folder, subject._tokenizer)
