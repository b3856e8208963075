"""The embedded model's shape, and a forward pass for training that is several times faster on a CPU.

The model is an ordinary `Qwen3VLForConditionalGeneration`: same blocks, M-RoPE, DeepStack and
interpolated position table as the published weights, only narrow. `vision_forward` and
`text_layers` compute what its own `forward` computes, from the same parameters, for a batch in
which all pictures have one size and all texts one length: patch embedding as one matrix product,
attention for the whole batch at once. The tests hold both against the library's forward pass.

Shapes: B pictures, N patches a picture, M = N / 4 visual tokens, T text positions, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH, MERGE = 16, 2
TOKEN_PIXELS = PATCH * MERGE  # one visual token per 32 x 32 pixels
ORDERS = 16  # places in the order of a picture's regions that the dense head tells apart
# Attention heads `(layer, head)` of the text model that are taught where to look: four, two of either key-value head, since one
# alone carries 48 numbers of what stands there, and two of them a layer later, when what the first ones found is known.
READ_HEADS = ((2, 0), (2, 2), (3, 1), (3, 3))  # at the end of a question's phrase
# At each token of an answer. A word that is one token may be written across several visual tokens: those of one key-value head look
# at the one with its first letter, those of the other at the others, so that their letters are not mixed.
FIRST_HEADS, REST_HEADS = ((3, 0), (4, 1)), ((3, 2), (4, 3))
WATCHED = (READ_HEADS, FIRST_HEADS, REST_HEADS)
LINES = 24  # lines of writing on a picture that the dense head tells apart


def tiny_config(tokenizer):
    """The configuration: 6 x 192 vision blocks, 6 x 192 text blocks, the tokenizer's vocabulary.

    Head sizes are 32 (vision) and 48 (text), which inference servers support on a CPU as well.
    """
    from transformers import Qwen3VLConfig

    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in
           ("image_pad", "video_pad", "vision_start", "vision_end", "im_end", "endoftext")}  # fmt: skip
    text = dict(
        vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, head_dim=48, max_position_embeddings=32768, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0, "mrope_section": [8, 8, 8], "mrope_interleaved": True},
        bos_token_id=ids["endoftext"], eos_token_id=ids["im_end"], pad_token_id=ids["endoftext"],
    )  # fmt: skip
    vision = dict(
        depth=6, hidden_size=192, intermediate_size=512, num_heads=6, patch_size=PATCH, spatial_merge_size=MERGE,
        temporal_patch_size=2, out_hidden_size=192, num_position_embeddings=24 * 24, deepstack_visual_indexes=[1, 3],
    )  # fmt: skip
    return Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True,
        image_token_id=ids["image_pad"], video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"], vision_end_token_id=ids["vision_end"],
    )  # fmt: skip


def new_model(tokenizer, seed: int = 0):
    """A `Qwen3VLForConditionalGeneration` with random weights in float32."""
    from transformers import Qwen3VLForConditionalGeneration

    torch.manual_seed(seed)
    return Qwen3VLForConditionalGeneration._from_config(tiny_config(tokenizer), attn_implementation="sdpa")


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of visual tokens of a picture `(width, height)` in pixels."""
    return size[1] // TOKEN_PIXELS, size[0] // TOKEN_PIXELS


def to_patches(pixels: Tensor) -> Tensor:
    """Pictures `(B, 3, H, W)` to patches `(B, N, 768)` in merge-block order, as the processor lays them out."""
    b, c, h, w = pixels.shape
    p, m = PATCH, MERGE
    blocks = pixels.view(b, c, h // p // m, m, p, w // p // m, m, p)
    return blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(b, (h // p) * (w // p), c * p * p)


def rotate_half(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Plain attention over `(B, heads, L, D)`; on a CPU its backward pass beats the fused kernels."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    scores = scores if mask is None else scores + mask
    return F.softmax(scores, dim=-1) @ v


def vision_block(block: nn.Module, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    b, n, c = x.shape
    heads = block.attn.num_heads
    qkv = block.attn.qkv(block.norm1(x)).view(b, n, 3, heads, c // heads).permute(2, 0, 3, 1, 4)  # (3, B, heads, N, D)
    q, k, v = qkv.unbind(0)
    q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
    mixed = attention(q, k, v, None).transpose(1, 2).reshape(b, n, c)
    x = x + block.attn.proj(mixed)
    return x + block.mlp.linear_fc2(F.gelu(block.mlp.linear_fc1(block.norm2(x)), approximate="tanh"))


def cell_positions(grid: tuple[int, int]) -> Tensor:
    """Row and column `(N, 2)` of every patch of a grid `(rows, columns)`, the four patches of a token together."""
    rows, columns = grid
    cells = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1)
    blocks = cells.view(rows // MERGE, MERGE, columns // MERGE, MERGE, 2).permute(0, 2, 1, 3, 4)
    return blocks.reshape(rows * columns, 2)


def vision_tables(visual: nn.Module, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position indices and weights `(N, 4)`, rotary cos and sin `(N, D)` for a grid of patches `(rows, columns)`.

    The learned table of side S is sampled bilinearly so that its corners fall on the picture's corner patches; half
    of the rotary frequencies turn with the row, half with the column.
    """
    cells = cell_positions(grid).float()  # (N, 2)
    side = visual.num_grid_per_side
    at = cells * (side - 1) / (torch.tensor(grid) - 1)
    low = at.floor().clamp(max=side - 2).long()
    part = at - low
    corners = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    indices = (low[:, None] + corners) @ torch.tensor([side, 1])
    weights = torch.where(corners.bool(), part[:, None], 1 - part[:, None]).prod(-1)
    size = visual.config.hidden_size // visual.config.num_heads // 2
    frequencies = 10_000.0 ** -(torch.arange(0, size, 2) / size)  # (D / 4,)
    angles = (cells[:, :, None] * frequencies).flatten(1).repeat(1, 2)  # (N, D)
    device = visual.pos_embed.weight.device
    return tuple(part.to(device) for part in (indices, weights, angles.cos(), angles.sin()))


def vision_forward(visual: nn.Module, pixels: Tensor, tables: tuple) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Pictures `(B, F, 3, H, W)` in -1..1 to patch features `(B, N, C)`, visual tokens `(B, M, C)` and DeepStack features.

    F is 2 for a pair of a clip's frames and 1 for a still picture, which stands for both.
    """
    indices, weights, cos, sin = tables
    kernel = visual.patch_embed.proj.weight  # (C, 3, 2, 16, 16)
    kernels = kernel.sum(2, keepdim=True) if pixels.shape[1] == 1 else kernel
    x = visual.patch_embed.proj.bias + (visual.pos_embed(indices) * weights[:, :, None]).sum(1)
    for frame in range(pixels.shape[1]):
        x = x + F.linear(to_patches(pixels[:, frame]), kernels[:, :, frame].flatten(1))
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    deep = []
    for layer, block in enumerate(visual.blocks):
        x = vision_block(block, x, cos, sin)
        if layer in visual.deepstack_visual_indexes:
            deep.append(visual.deepstack_merger_list[len(deep)](x).view(x.shape[0], -1, visual.config.out_hidden_size))
    return x, visual.merger(x).view(x.shape[0], -1, visual.config.out_hidden_size), deep


def rms_norm(norm: nn.Module, x: Tensor) -> Tensor:
    return F.rms_norm(x.float(), (x.shape[-1],), norm.weight, norm.variance_epsilon).to(x.dtype)


def text_block(layer: nn.Module, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, watched: list[int]) -> tuple[Tensor, Tensor | None]:
    """The block's output and the attention scores `(B, H, T, T)` of the H heads that are watched, masked, before the softmax."""
    b, t, c = x.shape
    attn, mlp, scores = layer.self_attn, layer.mlp, None
    y = rms_norm(layer.input_layernorm, x)
    q = rms_norm(attn.q_norm, attn.q_proj(y).view(b, t, -1, attn.head_dim)).transpose(1, 2)  # (B, heads, T, D)
    k = rms_norm(attn.k_norm, attn.k_proj(y).view(b, t, -1, attn.head_dim)).transpose(1, 2)
    v = attn.v_proj(y).view(b, t, -1, attn.head_dim).transpose(1, 2)
    q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
    k, v = (part.repeat_interleave(attn.num_key_value_groups, dim=1) for part in (k, v))
    if watched:
        scores = (q[:, watched] * attn.head_dim**-0.5) @ k[:, watched].transpose(-1, -2) + mask
    x = x + attn.o_proj(attention(q, k, v, mask).transpose(1, 2).reshape(b, t, -1))
    y = rms_norm(layer.post_attention_layernorm, x)
    return x + mlp.down_proj(F.silu(mlp.gate_proj(y)) * mlp.up_proj(y)), scores


def text_layers(language: nn.Module, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, deep: list[Tensor]) -> tuple:
    """Embeddings `(B, T, C)` to the last hidden states, and the scores `(B, H, T, T)` of each of the `WATCHED` groups of heads.

    `deep` holds DeepStack features spread over `(B, T, C)`.
    """
    watched = {}
    for index, layer in enumerate(language.layers):
        heads = [head for group in WATCHED for at, head in group if at == index]
        x, scores = text_block(layer, x, cos, sin, mask, heads)
        watched.update({(index, head): scores[:, i] for i, head in enumerate(heads)})
        if index < len(deep):
            x = x + deep[index]
    return rms_norm(language.norm, x), tuple(torch.stack([watched[at] for at in heads], 1) for heads in WATCHED)


def text_inputs(language: nn.Module, ids: Tensor, positions: Tensor, visual_at: Tensor, tokens: Tensor, deep: list) -> tuple:
    """What `text_layers` takes: embeddings with the visual tokens in place, rotary tables, spread DeepStack features.

    `positions` is `(3, B, T)`; `visual_at` is a mask `(B, T)` with exactly M true entries a row.
    """
    x = language.embed_tokens(ids).to(tokens.dtype)
    where = visual_at[..., None]
    cos, sin = (part[:, None].to(x.dtype) for part in language.rotary_emb(x, positions))  # (B, 1, T, D)
    spread = [torch.zeros_like(x).masked_scatter(where, part.to(x.dtype)) for part in deep]
    return x.masked_scatter(where, tokens), cos, sin, spread


def causal_mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask `(B, 1, T, T)`: a position sees the prefix (segment 0) and what came before in its own segment."""
    length = segments.shape[1]
    same = (segments[:, :, None] == segments[:, None, :]) | (segments[:, None, :] == 0)
    seen = same & torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, -30000.0)[:, None]


class DenseHead(nn.Module):
    """Throw-away linear heads that tell, per patch and per visual token, what lies there and where it ends.

    Outputs: kind per patch `(B, N, K)`; per token the kind `(B, M, K)`, the hundreds, tens and ones
    digit of the region's four box edges on the 0-1000 grid `(B, M, 4, 3, 10)`, the edges as plain
    numbers, 0-1 `(B, M, 4)`, the logit `(B, M)` that the token stands for a whole region (nearest
    to its centre), and the region's place in the picture's order `(B, M, 16)`. `characters(patches)`: what is written in the halves of each patch `(B, N, 2, L)`;
    `characters_of_tokens(tokens)`: the same, told from the visual token that has the patch.
    `lines(tokens)`: the place of the line that is written at each patch of a token `(B, M, 4, 24)`.
    `number(tokens)`: tens and ones of the number of the page that a token belongs to `(B, M, 2, 10)`.
    `space(tokens)`: the region's 3D box as plain numbers `(B, M, 9)` and as sign, ones, tenths and hundredths `(B, M, 9, 4, 10)`.
    """

    def __init__(self, kinds: int, letters: int, patch_channels: int = 192, token_channels: int = 192):
        super().__init__()
        self.patch = nn.Sequential(nn.LayerNorm(patch_channels), nn.Linear(patch_channels, kinds))
        self.token = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, kinds))
        self.digits = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, 120))
        self.edges = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, 4))
        self.centre = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, 1))
        self.order = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, ORDERS))
        self.metres = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, 9 + 360))
        self.pages = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, 20))
        self.line = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, MERGE**2 * LINES))
        self.letters = nn.Sequential(nn.LayerNorm(patch_channels), nn.Linear(patch_channels, 2 * letters))
        self.token_letters = nn.Sequential(nn.LayerNorm(token_channels), nn.Linear(token_channels, MERGE**2 * 2 * letters))

    def forward(self, patches: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        digits = self.digits(tokens).view(*tokens.shape[:2], 4, 3, 10)
        return self.patch(patches), self.token(tokens), digits, self.edges(tokens), self.centre(tokens)[..., 0], self.order(tokens)

    def characters(self, patches: Tensor) -> Tensor:
        return self.letters(patches).unflatten(-1, (2, -1))

    def characters_of_tokens(self, tokens: Tensor) -> Tensor:
        said = self.token_letters(tokens).unflatten(-1, (MERGE**2, 2, -1))  # (B, M, 4, 2, L)
        return said.flatten(1, 2)

    def lines(self, tokens: Tensor) -> Tensor:
        return self.line(tokens).unflatten(-1, (MERGE**2, LINES))

    def number(self, tokens: Tensor) -> Tensor:
        return self.pages(tokens).unflatten(-1, (2, 10))

    def space(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        numbers, digits = self.metres(tokens).split((9, 360), -1)
        return numbers, digits.unflatten(-1, (9, 4, 10))

    def load_what_fits(self, state: dict[str, Tensor]) -> None:
        """Takes the rows that an older, smaller head has; new kinds and characters start untrained."""
        own = self.state_dict()
        for name, value in state.items():
            own[name][tuple(slice(size) for size in value.shape)] = value
        self.load_state_dict(own)
