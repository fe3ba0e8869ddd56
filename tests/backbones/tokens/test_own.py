"""What single token families owe to transformers: the same codes, layout and pictures as the stock model's."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.emu3 import Emu3
from icg_tasks.backbones.tokens.janus import Janus
from tests.backbones.tokens.tiny import NUM_CODES

CPU = Compute(device=torch.device("cpu"), bfloat16=False)


def pixels(side: int) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(5))


def test_janus_finds_the_code_that_its_decoder_will_show(token_folder: Callable[[str], Path]) -> None:
    """With rows of unequal length, transformers' distances would prefer the short ones."""
    janus = Janus.load(str(token_folder("janus")), CPU)
    tokenizer = janus.model.model.vqmodel
    book = tokenizer.quantize.embedding.weight
    with torch.no_grad():
        book[: NUM_CODES // 2] *= 10
        found = janus.encode_pixels(pixels(32))
        raw = tokenizer.quant_conv(tokenizer.encoder(pixels(32) * 2 - 1)).flatten(2).transpose(1, 2)
        cosines = functional.cosine_similarity(raw[:, :, None], book, dim=-1)
        assert torch.equal(found, cosines.argmax(dim=-1))
        assert not torch.equal(found.flatten(), tokenizer.encode(pixels(32) * 2 - 1).image_tokens)


def test_janus_agrees_with_transformers_on_a_codebook_of_unit_rows(token_folder: Callable[[str], Path]) -> None:
    janus = Janus.load(str(token_folder("janus")), CPU)
    tokenizer = janus.model.model.vqmodel
    with torch.no_grad():
        tokenizer.quantize.embedding.weight.copy_(functional.normalize(tokenizer.quantize.embedding.weight, dim=-1))
        found = janus.encode_pixels(pixels(32))
        assert torch.equal(found.flatten(), tokenizer.encode(pixels(32) * 2 - 1).image_tokens)
        stock = (janus.model.decode_image_tokens(found).permute(0, 3, 1, 2) + 1) / 2
    assert torch.allclose(janus.decode(found), stock.clamp(0, 1), atol=1e-6)


def test_emu3_lays_an_image_out_as_transformers_does(token_folder: Callable[[str], Path]) -> None:
    emu3 = Emu3.load(str(token_folder("emu3")), CPU)
    normalised = (pixels(16) - emu3._mean) / emu3._deviation
    sizes = torch.tensor([[16, 16], [16, 16]])
    with torch.no_grad():
        codes = emu3.encode_pixels(pixels(16))
        stock = emu3.model.model.get_image_tokens(normalised, sizes).view(2, -1)
        framed = emu3.framed(emu3.embed_codes(codes)[1])
        expected = emu3.embed_ids([*emu3.ids("<|image start|>4*4<|image token|>"), *stock[1].tolist()])
    assert torch.equal(framed[: len(expected)], expected)
    assert torch.equal(framed[len(expected) :], emu3.embed_ids(emu3.ids("<|extra_201|><|image end|>")))


def test_emu3_tells_codes_by_the_head_of_its_vocabulary(token_folder: Callable[[str], Path]) -> None:
    emu3 = Emu3.load(str(token_folder("emu3")), CPU)
    prompt = emu3.prompt([["a boat"]])
    codes = torch.arange(16)[None] % NUM_CODES
    ids = [*emu3.ids(emu3.opening()), *emu3.words("a boat"), *emu3.ids(emu3.closing())]
    words = emu3.model.vocabulary_mapping.convert_img2bpe(codes.view(4, 4)).flatten().tolist()
    with torch.no_grad():
        stock = emu3.model(input_ids=torch.tensor([[*ids, *words]])).logits[0, len(ids) - 1 :]
        found = emu3.logits(prompt, codes)[0]
    columns = [row * 5 + column for row in range(4) for column in range(4)]
    wanted = [emu3.model.vocabulary_mapping.img2bpe[code] for code in range(NUM_CODES)]
    assert torch.allclose(found, stock[columns][:, wanted], atol=2e-5)
