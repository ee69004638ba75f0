"""Rewrite the tables of ``docs/names.md``: ``python docs/name_tables.py``. A test compares them."""

from __future__ import annotations

import re
from pathlib import Path

from npformer.checkpoints import naming
from npformer.layers import AttentionBlock, PoolingBlock
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import param_specs
from npformer.network.tree import leaves

PAGE = Path(__file__).with_name("names.md")
MARKS = ("<!-- tables: made by docs/name_tables.py -->", "<!-- end of tables -->")
HEAD = ("npformer and timm", "Hugging Face", "the original")


def modules(title: str, table: naming.Table, *prefixes: str) -> str:
    """Write the table of one kind of block: its names after the prefix of each naming."""
    rows = [(f"`{own}`", f"`{hf}`", f"`{original}`") for own, (hf, original) in table.items()]
    after = [
        f"| {name} | {f'`{p}`' if p else ''} |" for name, p in zip(HEAD, prefixes, strict=True)
    ]
    begin = "\n".join(["| naming | begins with |", "| --- | --- |", *after]) + "\n\n"
    return f"### {title}\n\n{begin if any(prefixes) else ''}{columns(rows)}"


def columns(rows: list[tuple[str, str, str]]) -> str:
    """Write a table with a column for each naming."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * 3, *rows))


def examples(config: EfficientFormerConfig) -> str:
    """Write the full names of one weight of each kind, for L1."""
    p = param_specs(config)
    columns_of = [naming.names(config, who) for who in ("timm", "hf", "original")]
    paths = ["stem.conv1.weight", "stages.1.downsample.conv.weight"]
    for kind in (PoolingBlock, AttentionBlock):
        s, b = next(
            (s, b)
            for s, stage in reversed(list(enumerate(p.stages)))
            for b, block in enumerate(stage.blocks)
            if isinstance(block, kind)
        )
        paths += [f"stages.{s}.blocks.{b}.mlp.fc1.weight"]
        last = f"stages.{s}.blocks.{b}.token_mixer"
    paths += [f"{last}.attention_biases", "head_dist.weight"]
    assert set(paths) <= {path for path, _ in leaves(p)}
    return columns([tuple(f"`{names[path]}`" for names in columns_of) for path in paths])  # type: ignore[misc]


def tables() -> str:
    """Write everything between the two marks."""
    hf = naming.PREFIX
    stage = hf + "encoder.intermediate_stages.k."
    last = hf + "encoder.last_stage."
    return "\n\n".join(
        [
            "## Complete names, for L1",
            examples(EfficientFormerConfig.variant("l1")),
            "## Rules",
            modules("Stem and norm", naming.BODY, "", hf, ""),
            modules("Heads", naming.HEADS, "", "", ""),
            modules(
                "Downsampling", naming.DOWNSAMPLE, "stages.s.downsample.", stage, "network.k."
            ),
            modules(
                "Pooling block", naming.POOLING_BLOCK, "stages.s.blocks.b.",
                stage + "meta4D_layers.blocks.b.", "network.k.b.",
            ),
            modules(
                "Attention block", naming.ATTENTION_BLOCK, "stages.s.blocks.b.",
                last + "meta3D_layers.blocks.a.", "network.k.b.",
            ),
        ]
    )  # fmt: skip


def renewed(page: str) -> str:
    """Return the page with new tables."""
    start, end = MARKS
    pattern = re.compile(f"{re.escape(start)}.*{re.escape(end)}", re.S)
    return pattern.sub(lambda _: f"{start}\n\n{tables()}\n\n{end}", page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
