"""Calls for catalogue synchronization. See `calls`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from afterimage.client import catalogue_values as values
from afterimage.client.calls import Call
from afterimage.client.checks import checked_texts
from afterimage.v1 import sync_service_pb2 as pb

_FEED_S = 300.0  # a preview fetches a whole feed


def create_source(source: values.NewSource) -> Call[values.Source]:
    """Creates a source: a feed that a collection follows."""
    request = pb.CreateSourceRequest(source=_to_source(source))
    return Call("SyncService", "CreateSource", request, lambda r: _source(r.source), retry_safe=False)


def get_source(source: str) -> Call[values.Source]:
    """Returns a source, by name or id."""
    return Call("SyncService", "GetSource", pb.GetSourceRequest(source=source), lambda r: _source(r.source))


def list_sources() -> Call[list[values.Source]]:
    """Returns all sources, ordered by name."""
    return Call("SyncService", "ListSources", pb.ListSourcesRequest(), lambda r: [_source(s) for s in r.sources])


def update_source(source: values.NewSource) -> Call[values.Source]:
    """Replaces the configuration of a source, except its name, its collection and omitted secrets.

    A secret is removed if the origin of its URL changes, unless it is passed again; `dropped_secrets` lists these.
    """
    request = pb.UpdateSourceRequest(source=_to_source(source))
    return Call("SyncService", "UpdateSource", request, lambda r: _source(r.source, tuple(r.dropped_secrets)))


def delete_source(source: str) -> Call[int]:
    """Deletes a source. Its records stay. Returns their number."""
    request = pb.DeleteSourceRequest(source=source)
    return Call("SyncService", "DeleteSource", request, lambda r: int(r.record_count), retry_safe=False)


def preview_feed(
    url: str, options: values.FeedOptions | None = None, *, authorization: str = ""
) -> Call[values.FeedPreview]:
    """Returns the beginning of a feed and how it is interpreted."""
    request = pb.PreviewFeedRequest(
        url=url, options=_to_options(options or values.FeedOptions()), authorization=authorization
    )
    return Call("SyncService", "PreviewFeed", request, _preview, timeout_s=_FEED_S)


def start_run(source: str, *, dry_run: bool = False, full: bool = False, into: str = "") -> Call[values.Run]:
    """Queues a run.

    - dry_run: only create the plan.
    - full: compare even if the feed has not changed.
    - into: fill another collection than the source's.
    """
    request = pb.StartRunRequest(source=source, dry_run=dry_run, full=full, into=into)
    return Call("SyncService", "StartRun", request, lambda r: to_run(r.run), retry_safe=False)


def get_run(run_id: str) -> Call[values.Run]:
    """Returns a run."""
    return Call("SyncService", "GetRun", pb.GetRunRequest(run_id=run_id), lambda r: to_run(r.run))


def list_runs(source: str = "", *, limit: int = 50) -> Call[list[values.Run]]:
    """Returns the newest runs, of one source or of all."""
    request = pb.ListRunsRequest(source=source, page_size=limit)
    return Call("SyncService", "ListRuns", request, lambda r: [to_run(m) for m in r.runs])


def approve_run(run_id: str, plan_digest: str) -> Call[values.Run]:
    """Approves the plan with this digest."""
    request = pb.ApproveRunRequest(run_id=run_id, plan_digest=plan_digest)
    return Call("SyncService", "ApproveRun", request, lambda r: to_run(r.run), retry_safe=False)


def cancel_run(run_id: str) -> Call[values.Run]:
    """Cancels a run within a second."""
    return Call("SyncService", "CancelRun", pb.CancelRunRequest(run_id=run_id), lambda r: to_run(r.run))


def undo_deletions(run_id: str) -> Call[int]:
    """Restores the records that a run deleted. Returns their number."""
    request = pb.UndoDeletionsRequest(run_id=run_id)
    return Call("SyncService", "UndoDeletions", request, lambda r: int(r.record_count), timeout_s=_FEED_S)


def list_failures_page(
    source: str, page_token: str = "", page_size: int = 0
) -> Call[tuple[list[values.SyncFailure], str]]:
    """Returns a page of records that could not be synchronized, and the token of the next page (empty: none)."""
    request = pb.ListFailuresRequest(source=source, page_token=page_token, page_size=page_size)
    return Call(
        "SyncService", "ListFailures", request, lambda r: ([_failure(f) for f in r.failures], r.next_page_token)
    )


def retry_failures(source: str, record_ids: Sequence[str] = ()) -> Call[tuple[int, values.Run]]:
    """Clears failures (without ids: all) and starts a run that retries them."""
    request = pb.RetryFailuresRequest(source=source, record_ids=checked_texts("record_ids", record_ids))
    return Call(
        "SyncService", "RetryFailures", request, lambda r: (int(r.failure_count), to_run(r.run)), retry_safe=False
    )


def push_item(
    source: str, item: Mapping[str, object] | Sequence[Mapping[str, object]], *, change_time: datetime | None = None
) -> Call[values.PushedItem]:
    """Stores a change of one item between two feeds. item: with the feed's own field names."""
    return _push(pb.PushItemRequest(source=source, item_json=json.dumps(item)), change_time)


def push_deletion(source: str, item_id: str, *, change_time: datetime | None = None) -> Call[values.PushedItem]:
    """Deletes the records of one item between two feeds."""
    return _push(pb.PushItemRequest(source=source, delete_item_id=item_id), change_time)


def rotate_push_secret(source: str) -> Call[values.PushSecret]:
    """Makes a secret that signs pushes over HTTP; the former one stays valid for a day."""
    return Call(
        "SyncService", "RotatePushSecret", pb.RotatePushSecretRequest(source=source),
        lambda r: values.PushSecret(r.secret, r.path, _time(r, "former_expire_time")), retry_safe=False,
    )  # fmt: skip


def _push(request: pb.PushItemRequest, change_time: datetime | None) -> Call[values.PushedItem]:
    if change_time is not None:
        request.change_time.FromDatetime(change_time.astimezone(timezone.utc))
    return Call(
        "SyncService", "PushItem", request,
        lambda r: values.PushedItem(
            r.outcome, r.item_id, r.reason, r.message, r.record_count, r.deleted_count, r.sequence, tuple(r.notes)
        ),
    )  # fmt: skip


def watch_request(run_id: str) -> pb.WatchRunRequest:
    """Returns the request of `watch_run`."""
    return pb.WatchRunRequest(run_id=run_id)


def to_run(message: pb.Run) -> values.Run:
    """Returns the run of a message."""
    progress = message.progress
    return values.Run(
        message.run_id, message.source_id, message.collection, message.state, message.dry_run, message.trigger,
        message.reason, message.message, _plan(message.plan), message.created_count, message.updated_count,
        message.unchanged_count, message.deleted_count, message.failed_count, message.encoded_count,
        message.create_time.ToDatetime(timezone.utc), _time(message, "start_time"), _time(message, "end_time"),
        values.RunProgress(
            progress.items_read, progress.total_count, progress.done_count, progress.failed_count,
            progress.per_second, progress.remaining_seconds,
        ) if message.HasField("progress") else None,
        tuple(values.PictureNoteCount(n.reason, n.message, n.picture_count) for n in message.notes),
    )  # fmt: skip


def _to_source(source: values.NewSource) -> pb.Source:
    guards = pb.Guards(
        max_delete_share=source.max_delete_share, max_deletes=source.max_deletes,
        max_problem_share=source.max_problem_share, min_items_share=source.min_items_share,
    )  # fmt: skip
    return pb.Source(
        name=source.name, collection=source.collection, url=source.url, mode=source.mode,
        options=_to_options(source.options), cron=source.cron, time_zone=source.time_zone, guards=guards,
        picture_check=source.picture_check, authorization=source.authorization, webhook_url=source.webhook_url,
        webhook_secret=source.webhook_secret, paused=source.paused,
    )  # fmt: skip


def _to_options(options: values.FeedOptions) -> pb.FeedOptions:
    mapping = pb.FieldMapping(
        record_id=options.record_id, product_id=options.product_id, pictures=options.pictures,
        attributes={n: pb.AttributeField(column=c, type=t) for n, (c, t) in options.attributes.items()},
    )  # fmt: skip
    return pb.FeedOptions(
        format=options.format, encoding=options.encoding, delimiter=options.delimiter, mapping=mapping
    )


def _source(message: pb.Source, dropped: tuple[str, ...] = ()) -> values.Source:
    options, mapping, guards = message.options, message.options.mapping, message.guards
    read = values.FeedOptions(
        options.format, options.encoding, options.delimiter, mapping.record_id, mapping.product_id,
        tuple(mapping.pictures), {n: (f.column, f.type) for n, f in mapping.attributes.items()},
    )  # fmt: skip
    said = values.NewSource(
        message.name, message.collection, message.url, message.mode, read, message.cron, message.time_zone,
        guards.max_delete_share, guards.max_deletes, guards.max_problem_share, guards.min_items_share,
        message.picture_check, webhook_url=message.webhook_url, paused=message.paused,
    )  # fmt: skip
    return values.Source(
        message.source_id, said, message.create_time.ToDatetime(timezone.utc), _time(message, "success_time"),
        message.found_format, message.has_authorization, message.has_webhook_secret, dropped,
    )  # fmt: skip


def _preview(message: pb.PreviewFeedResponse) -> values.FeedPreview:
    items = tuple(
        values.FeedItem(
            i.line, i.item_id, i.product_id, tuple(i.pictures), i.attributes, i.deleted, tuple(i.left_out),
            tuple(i.notes),
        )
        for i in message.items
    )  # fmt: skip
    columns = tuple(
        values.FeedColumn(
            c.name, c.role, c.attribute, c.type, c.reason, tuple(c.samples), c.item_count, c.left_out_count
        )
        for c in message.columns
    )  # fmt: skip
    problems = tuple(_problem(p) for p in message.problems)
    return values.FeedPreview(
        message.format, items, problems, columns, tuple(message.notes), message.encoding, message.delimiter
    )


def _plan(m: pb.Plan) -> values.Plan:
    samples = tuple(values.PlannedRecord(s.action, s.record_id, s.line) for s in m.samples)
    return values.Plan(
        m.digest, m.item_count, m.problem_count, m.duplicate_count, m.create_count, m.update_picture_count,
        m.update_attributes_count, m.check_picture_count, m.unchanged_count, m.delete_count, m.kept_count,
        m.failed_before_count, m.estimated_seconds, tuple(m.concerns), samples, tuple(_problem(p) for p in m.problems),
    )  # fmt: skip


def _problem(message: pb.FeedProblem) -> values.FeedProblem:
    return values.FeedProblem(message.line, message.item_id, message.message)


def _failure(m: pb.Failure) -> values.SyncFailure:
    return values.SyncFailure(
        m.record_id, m.reason, m.message, m.lasting, m.line, m.tries, m.first_time.ToDatetime(timezone.utc),
        m.last_time.ToDatetime(timezone.utc),
    )  # fmt: skip


def _time(message: Any, field: str) -> datetime | None:
    return getattr(message, field).ToDatetime(timezone.utc) if message.HasField(field) else None
