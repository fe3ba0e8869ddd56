"""Public checkpoints behind families: encoder, language model, denoiser, image tokens. Knows no data set and no stage."""
