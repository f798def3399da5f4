"""The recipe for embeddings: images of one class lie nearer each other than principal components put them."""

import json
from dataclasses import replace

import pytest
import torch
from data_helpers import FASHION, needs

from bench import embedding
from vaescope import config
from vaescope.config import Config
from vaescope.data.images import ImageSet, Split
from vaescope.experiment import begin
from vaescope.models import Flat, encode
from vaescope.run import validation_examples
from vaescope.training import fit

RECIPE = config.read(embedding.RECIPE)


def shortened(latents: int, share: float) -> Config:
    """The recipe with so many latents and a share of its epochs."""
    assert isinstance(RECIPE.model, Flat)
    trainer = replace(RECIPE.trainer, epochs=round(share * RECIPE.trainer.epochs))
    return replace(
        RECIPE,
        model=replace(RECIPE.model, latent=latents),
        trainer=trainer,
        data=replace(RECIPE.data, name="fashion-mnist", root=FASHION),
    )


@pytest.mark.slow
@needs(FASHION)
@pytest.mark.parametrize("latents", [32, 2])
def test_an_eighth_of_the_training_beats_principal_components(latents: int) -> None:
    settings = shortened(latents, 0.125)
    images = settings.data.load()
    state = begin(settings, images, torch.device("cpu"))
    fit(state, settings.trainer, validation_examples(state.model, settings.data.target, images))

    def means(images: torch.Tensor) -> torch.Tensor:
        return encode(state.model, settings.data.target.evaluation([images])[0])

    labels = images.validation.labels
    assert labels is not None
    asked = Split(images.validation.images[:5000], labels[:5000])  # of the images that the recipe was chosen on
    learned, principal = (
        embedding.ask(embed, images, asked)["accuracy"]
        for embed in (means, embedding.principal(images.train.images, latents))
    )
    assert learned > principal


def test_the_recipe_needs_no_labels() -> None:
    assert isinstance(RECIPE.model, Flat)
    assert not RECIPE.model.labels


def test_principal_components_are_those_of_the_singular_value_decomposition(images: ImageSet) -> None:
    x = embedding.pixels(images.train.images).double()
    u, s, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    points = embedding.principal(images.train.images, 3)(images.train.images).double()
    torch.testing.assert_close(torch.pdist(points), torch.pdist(u[:, :3] * s[:3]), rtol=1e-4, atol=1e-4)


def test_what_was_measured_is_what_the_recipe_promises() -> None:
    kept = json.loads(embedding.RESULTS.read_text())["results"]
    best = {(result["dimensions"], result["embedding"]): result["accuracy"] for result in kept}
    promised = embedding.promised()
    assert sorted(promised) == [2, 32]
    for latents, least in promised.items():
        reached = [r["accuracy"] for r in kept if (r["dimensions"], r["embedding"]) == (latents, "VAE")]
        assert len(reached) >= 3
        assert min(reached) >= least > best[latents, "PCA"]
    assert promised[32] > best[784, "pixels"]


def test_the_page_shows_what_was_measured() -> None:
    kept = json.loads(embedding.RESULTS.read_text())
    assert "\n".join(embedding.table(kept["results"])) in embedding.PAGE.read_text()
