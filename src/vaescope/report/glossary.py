"""What the words of a report mean, for who meets them for the first time."""

GLOSSARY: dict[str, dict[str, str]] = {
    "": {
        "variational autoencoder (VAE)": "a model of images with two halves: the encoder says which latents an image "
        "may have come from, the decoder which images may come from latents. Both are trained together.",
        "latent, z": "one of the few numbers that stand for an image inside the model.",
        "prior, p(z)": "how latents are spread before any image is seen. New images are made by drawing latents from "
        "it and decoding them.",
        "posterior, q(z|x)": "what the encoder says of the latents of an image x: not one value but a distribution, "
        "usually a mean and a scale for each latent.",
        "likelihood, p(x|z)": "what the decoder says of an image, given its latents: for each pixel how probable each "
        "value is.",
        "nat": "a unit of information, like the bit: 1 nat = 1.44 bits. Something with probability p costs −log p nats "
        "to describe, so what a model finds likely is cheap.",
        "distortion, −log p(x|z)": "the nats that it takes to describe the pixels once the latents are known: low if "
        "the reconstruction is good.",
        "rate, KL(q(z|x) ‖ p(z))": "the nats that it takes to describe the latents: how much is said about the image.",
        "−ELBO": "the negative evidence lower bound, distortion + rate: the nats to describe an image by way of its "
        "latents. The image's true −log p(x) is not above it. Lower is better.",
        "bits/dim": "the same in bits for each value of an image, where the likelihood scores grey levels.",
        "binarised": "each pixel is drawn as black or white, with its grey as the probability. A figure holds for one "
        "such draw, or for the mean over several, as its protocol says.",
        "active latent": "one whose posterior mean moves from image to image (a variance above 0.01).",
        "mutual information": "how many nats of an image can be told from its latents.",
        "posterior collapse": "the decoder ignores the latents, and the encoder says the same of every image.",
        "training, validation, test images": "those that are learned from; those that decide which weights are kept; "
        "those that are looked at once, at the end, for honest figures.",
        "± (standard error)": "how much the figure would vary with other images of the same kind. In 95 of 100 cases "
        "the truth lies within about two of them.",
    },
    "Likelihood": {
        "importance weighted bound": "a bound like −ELBO that takes the mean of the probabilities of K draws of the "
        "latents. It comes nearer to −log p(x) the larger K is.",
        "effective sample size": "how many of the K draws matter. Where it is near 1, one draw outweighs all others, "
        "and the estimate cannot be trusted.",
        "annealed importance sampling (AIS)": "an estimate of log p(x) that moves draws from the prior to the "
        "posterior of the decoder in many small steps. It does not need a good encoder.",
    },
    "Reconstruction": {
        "mean squared error, PSNR": "how far the pixels of a reconstruction are from those of its image; PSNR is the "
        "same on a logarithmic scale in decibels, where higher is better.",
        "SSIM, MS-SSIM": "how alike two images are in brightness, contrast and structure, from neighbourhood to "
        "neighbourhood; 1 for equal ones.",
    },
    "Representation": {
        "linear probe": "a linear classifier that is given the latents: how easily classes can be read off.",
        "nearest neighbours": "an image gets the class of most of those whose latents are nearest to its own.",
        "total correlation": "how much the latents, over all images, depend on each other; 0 if not at all.",
    },
    "Disentanglement": {
        "factor": "what images were made from, such as a position or a size.",
        "disentangled": "each latent tells of one factor, and each factor is told by one latent.",
    },
    "Samples": {
        "Fréchet distance": "how far the statistics (mean and covariance) of features of new images are from those of "
        "real ones; 0 if they agree. Values depend on the features and on the number of images.",
        "precision, density": "how many of the new images look like some real one.",
        "recall, coverage": "how many of the real images look like some new one.",
    },
    "Anomaly detection": {
        "AUROC": "the chance that a strange image gets a higher score than a familiar one: 0.5 is guessing, 1 is "
        "perfect.",
    },
}
"""Terms with their meaning, by the group of scores that they belong to; those of no group stand in every report."""
