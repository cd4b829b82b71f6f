"""Full-text search over a folder of Markdown files: SQLite's FTS5 with BM25, in memory."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

_WORD = re.compile(r"\w+")
_TOKENS_PER_WORD = 1.3  # about, for English


@dataclass(frozen=True)
class Passage:
    """One section of the corpus with its score; higher is better."""

    id: str
    text: str
    score: float = 0.0

    def scored(self, score: float) -> Passage:
        """The same passage with another score."""
        return replace(self, score=score)


@dataclass(frozen=True)
class Used:
    """What went into a context."""

    tokens: int
    passages: int
    truncated: bool


class Corpus:
    """Every `## section` of every file in a folder is a passage."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute("CREATE VIRTUAL TABLE passages USING fts5(id UNINDEXED, text, tokenize='porter')")
        for path in sorted(folder.glob("*.md")):
            for section in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
                title, _, text = section.partition("\n")
                identity = f"{path.stem}#{title.strip().lower().replace(' ', '-')}"
                self._database.execute(
                    "INSERT INTO passages VALUES (?, ?)", (identity, f"{title.strip()}. {text.strip()}")
                )

    def search(self, question: str, k: int) -> list[Passage]:
        """The `k` best passages by BM25, best first; fewer when fewer share a word with the question."""
        words = _WORD.findall(question)
        if not words:
            return []
        query = " OR ".join(f'"{word}"' for word in words)
        rows = self._database.execute(
            "SELECT id, text, -bm25(passages) AS s FROM passages WHERE passages MATCH ? ORDER BY s DESC LIMIT ?",
            (query, k),
        )
        return [Passage(*row) for row in rows]

    def context(self, passages: list[Passage], max_tokens: int) -> tuple[str, Used]:
        """As many whole passages, best first, as fit into about `max_tokens`."""
        kept: list[str] = []
        tokens = 0
        for passage in passages:
            size = round(len(_WORD.findall(passage.text)) * _TOKENS_PER_WORD)
            if kept and tokens + size > max_tokens:
                break
            kept.append(f"[{passage.id}] {passage.text}")
            tokens += size
        return "\n".join(kept), Used(tokens, len(kept), len(kept) < len(passages))
