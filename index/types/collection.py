"""What a collection is, its counts, and what an erasure did to it."""

from __future__ import annotations

from dataclasses import dataclass

from index.types.companions import PicturePolicy


@dataclass(frozen=True)
class CollectionSpec:
    """What a collection is. Only description, learning, partial, feedback, tuning and the picture policy can be changed
    later.

    - `name`: [a-z0-9][a-z0-9_-]{0,62}, unique within the tenant.
    - `encoder_id`, `encoder_fingerprint`: the encoder that made, and will make, all its vectors.
    - `dimension`: numbers in a vector, 1 to 8,192. Each number of each record takes 2 bytes of memory and 4 on disk.
    - `learning`: compare by what the collection learns from its own vectors, if a check without labels says that this
      finds more (see index/vectors/ann/centering.py).
    - `picture_policy`: what its owner wants kept of pictures. `policy_version`: grows with each change of it.
    - `partial`: truncated pictures are used as far as they go.
    - `feedback`: sums of people's feedback are kept.
    - `tuning`: how the service weighs and scores hits; text that the index keeps and does not read.
    """

    name: str
    encoder_id: str
    encoder_fingerprint: str
    dimension: int
    description: str = ""
    learning: bool = True
    picture_policy: PicturePolicy = PicturePolicy.DISCARD
    policy_version: int = 1
    partial: bool = False
    feedback: bool = False
    tuning: str = ""

    @property
    def may_have_copies(self) -> bool:
        """Whether copies of its pictures may be in object storage."""
        return self.policy_version > 1 or self.picture_policy.keeps_copies


@dataclass(frozen=True)
class Erasure:
    """What was erased. sequence: of the last write that the index and the snapshots on disk hold, all of them written
    without the records; kept_snapshots: ids of those that somebody asked for, and that hold nothing of them either."""

    records: int
    sequence: int
    kept_snapshots: tuple[str, ...]


@dataclass(frozen=True)
class CollectionStats:
    """Counts of a collection. Of one that is not in memory only records, sequence and creation are known.

    - `tombstones`: rows in memory that no search returns any more.
    - `ann_rows`: rows that the ANN index covers. Later ones are compared one by one.
    - `recall`: recall@10 of `recall_sample` real searches, if there were any. Before: what was measured when the ANN
      index was built.
    - `search_effort`: candidates that a search through the graph keeps (efSearch).
    - `learning_gain`: what the check of learning says, once it was made.
    - `learned`: whether searches use what was learnt.
    - `ann_index_is_unsaved`: whether it was built after the last snapshot.
    """

    records: int
    tombstones: int
    sequence: int
    index_time_ms: int
    created_ms: int
    snapshot_sequence: int
    ann_rows: int = 0
    memory_bytes: int = 0
    recall: float | None = None
    recall_sample: int = 0
    search_effort: int = 0
    learning_gain: float | None = None
    learned: bool = False
    ann_index_is_unsaved: bool = False
