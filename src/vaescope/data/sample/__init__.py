"""300 images of Fashion-MNIST that ship with vaescope, so that everything can be tried without a download."""
